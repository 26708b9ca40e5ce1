"""A message's bytes as they go over the wire after DATA (RFC 5321 §4.5.2)."""

from __future__ import annotations

import re

_LONE_LINE_END = re.compile(rb"\r\n|\r|\n")
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")


def wire_content(content: bytes) -> bytes:
    """Return *content* with CRLF line ends, dots doubled and the final dot line.

    A message whose line ends are all CRLF leaves byte for byte as it came, so
    its signatures hold. A bare CR or LF becomes CRLF: sent as it is, it would
    let one server see an end of data where another sees none ("SMTP
    smuggling"). A missing last line end is added.
    """
    if _BARE.search(content):
        content = _LONE_LINE_END.sub(b"\r\n", content)
    if not content.endswith(b"\r\n") and content:
        content += b"\r\n"
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\r\n.", b"\r\n..") + b".\r\n"
