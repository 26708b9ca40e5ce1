"""Put the parts of a report together as bytes (RFC 6522): multipart/report.

By hand rather than by Python's email package, which refolds and re-encodes
header fields that have to come back as they were.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

# RFC 5322 section 2.1.1, without the line end.
MAX_LINE = 998


@dataclass(frozen=True, slots=True)
class Part:
    """One body part; *body* has CRLF line ends and is encoded already."""

    content_type: str
    body: bytes
    encoding: str = "7bit"


def with_crlf(content: bytes) -> bytes:
    """Return *content* with CRLF for every LF; a lone CR stays."""
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def lines_fit(body: bytes) -> bool:
    """Return whether *body*, its line ends being CRLF, could be sent as 8bit (RFC 2045 section 2.8)."""
    return b"\0" not in body and all(
        len(line) <= MAX_LINE and b"\r" not in line and b"\n" not in line for line in body.split(b"\r\n")
    )


def text_part(content_type: str, body: bytes) -> Part:
    """Return a part for text of any bytes: as it is where 7bit allows, else in quoted-printable."""
    if body.isascii() and lines_fit(body):
        return Part(content_type, body)
    lines = (
        binascii.b2a_qp(line, istext=False).replace(b"=\n", b"=\r\n")
        for line in with_crlf(body).split(b"\r\n")
    )
    return Part(content_type, b"\r\n".join(lines), "quoted-printable")


def digest_of(parts: Sequence[Part]) -> str:
    """Return 32 hexadecimal digits; whoever writes something into *parts* cannot know them beforehand."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.content_type} {len(part.body)} ".encode())
        digest.update(part.body)
    return digest.hexdigest()[:32]


def multipart_report(header: Sequence[tuple[str, str]], parts: Sequence[Part]) -> bytes:
    """Return the message with *header*, to which the MIME fields are added, and *parts*.

    The parts are text, message/delivery-status and what is returned, in this
    order. No part can contain the boundary: it is made of their digest. Not
    checked: the header's values must have no line ends.
    """
    boundary = f"=_report_{digest_of(parts)}"
    encoding = "8bit" if any(part.encoding == "8bit" for part in parts) else "7bit"
    fields = [
        *header,
        ("MIME-Version", "1.0"),
        ("Content-Type", f'multipart/report; report-type=delivery-status;\r\n boundary="{boundary}"'),
        ("Content-Transfer-Encoding", encoding),
    ]
    lines = ["".join(f"{name}: {value}\r\n" for name, value in fields).encode("utf-8", "replace")]
    for part in parts:
        lines.append(f"\r\n--{boundary}\r\n".encode())
        lines.append(f"Content-Type: {part.content_type}\r\n".encode())
        lines.append(f"Content-Transfer-Encoding: {part.encoding}\r\n\r\n".encode())
        lines.append(part.body)
    lines.append(f"\r\n--{boundary}--\r\n".encode())
    return b"".join(lines)
