"""A message's content as it goes over the wire after DATA (RFC 5321 §4.5.2)."""

from __future__ import annotations

from dataclasses import dataclass, field


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
        so its signatures hold. A bare CR or LF becomes CRLF: sent as it is, it
        would let one server see an end of data where another sees none ("SMTP
        smuggling"). A missing last line end is added.
        """
        if not _has_only_crlf(content):
            content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
        if content and not content.endswith(b"\r\n"):
            content += b"\r\n"
        stuffed = content.replace(b"\r\n.", b"\r\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        return cls(stuffed + b".\r\n", len(content), not content.isascii())


def _has_only_crlf(content: bytes) -> bool:
    # As many pairs as there are of each: then every CR and every LF is in a pair.
    pairs = content.count(b"\r\n")
    return content.count(b"\n") == pairs and content.count(b"\r") == pairs
