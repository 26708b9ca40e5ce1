"""The trace header field that a server puts above a message it takes (RFC 5321 section 4.4)."""

from __future__ import annotations

import email.utils
import re

from requiretls_plugin.header_field import body_offset

# RFC 5321 section 6.3: a message with that many has been going round in circles.
MAX_RECEIVED = 100

_RECEIVED = re.compile(rb"^received:", re.IGNORECASE | re.MULTILINE)
_UNSAFE = re.compile(r"[^\x21-\x27\x2a-\x5b\x5d-\x7e]")


def received_field(*, helo: str, peer: str | None, hostname: str, protocol: str) -> bytes:
    """Return a Received field with CRLF at its end.

    *protocol* is one of the words of RFC 3848, such as ESMTPS. *helo* comes
    from a stranger; what could end a line or a comment becomes `?`.
    """
    helo = _UNSAFE.sub("?", helo)[:255]
    origin = f"from {helo} ([{peer}])" if peer else f"from {helo} (local)"
    date = email.utils.formatdate(localtime=False)
    return f"Received: {origin}\r\n\tby {hostname} with {protocol};\r\n\t{date}\r\n".encode()


def loops(content: bytes) -> bool:
    """Return whether *content* has passed too many servers to be going anywhere."""
    header_end = body_offset(content)
    return sum(1 for _ in _RECEIVED.finditer(content, 0, header_end)) > MAX_RECEIVED
