"""A message's content as it goes over the wire after DATA (RFC 5321 §4.5.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from requiretls_plugin.line_ends import has_leading_dot, with_whole_line_ends


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent after DATA, and what the server may be told of it before.

    *wire* has its dots doubled and ends with the final dot. *size* is in octets
    as RFC 1870 counts them: line ends as two, dots not doubled, without the
    final dot. *eight_bit* tells that there are octets outside ASCII.
    """

    wire: bytes = field(repr=False)
    size: int
    eight_bit: bool

    @classmethod
    def of(cls, content: bytes) -> Content:
        """Return *content* ready to be sent.

        A message whose line ends are all CRLF leaves byte for byte as it came,
        so its signatures hold. A bare CR or LF becomes CRLF, and a missing last
        line end is added.
        """
        content = with_whole_line_ends(content)
        if content and not content.endswith(b"\r\n"):
            content += b"\r\n"
        stuffed = content.replace(b"\r\n.", b"\r\n..") if has_leading_dot(content) else content
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        return cls(stuffed + b".\r\n", len(content), not content.isascii())
