"""What a notice gives back of the message it is about: all, the header, or next to nothing."""

from __future__ import annotations

import re

from requiretls_plugin.delivery_status import Action, Report
from requiretls_plugin.header_field import field_values
from requiretls_plugin.message import Message, Ret
from requiretls_plugin.message_tag import strip_private_fields
from requiretls_plugin.multipart_report import Part, lines_fit, text_part, with_crlf
from requiretls_plugin.requirement import Requirement

# A larger message comes back whole only if RET=FULL asks for it: a notice that
# fills the sender's mailbox would tell him nothing.
MAX_UNASKED = 1_000_000

_LINE = re.compile(rb"[^\n]*\n")
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_CONTINUATION = re.compile(rb"[ \t]+[^ \t\r\n]")
_MESSAGE_ID = re.compile(rb"<[!-;=?A-~]{1,400}@[!-;=?A-~]{1,400}>")
_DATE = re.compile(
    rb"(?:[A-Z]{3}, ?)?[0-9]{1,2} [A-Z]{3} [0-9]{4} "
    rb"[0-9]{2}:[0-9]{2}(?::[0-9]{2})? (?:[+-][0-9]{4}|[A-Z]{1,3})",
    re.IGNORECASE,
)


def returned_part(report: Report) -> Part:
    """Return the third part of a notice.

    REQUIRED messages never come back whole, whatever RET says (RFC 8689
    section 5). Nor do messages that no 8bit part could hold: lines too long,
    NUL, lone CR. 8-bit bytes are declared, not encoded, since message/rfc822
    allows no encoding (RFC 2046 section 5.2.1); in a header that comes back
    alone they are put in quoted-printable, as RFC 6522 section 4 provides.
    """
    message = report.message
    if report.redacted:
        return text_part("text/rfc822-headers", _redacted_header(message))
    if _whole_is_wanted(report):
        whole = with_crlf(strip_private_fields(message.content))
        if lines_fit(whole):
            return Part("message/rfc822", whole, "7bit" if whole.isascii() else "8bit")
    return text_part("text/rfc822-headers", _header_fields(message))


def message_id(message: Message) -> bytes | None:
    """Return the Message-ID of *message*; None unless there is one that is well formed."""
    values = field_values(message.header, "Message-ID")
    return values[0] if len(values) == 1 and _MESSAGE_ID.fullmatch(values[0]) else None


def _whole_is_wanted(report: Report) -> bool:
    message = report.message
    if report.action is not Action.FAILED or message.requirement is Requirement.REQUIRED:
        return False
    return message.ret is Ret.FULL or (message.ret is None and len(message.content) <= MAX_UNASKED)


def _header_fields(message: Message) -> bytes:
    """Return the header as it came, less the fields in which mail servers keep tags.

    A line that is no header field ends it, for there a body begins whose blank
    line is missing.
    """
    header = strip_private_fields(message.header + b"\r\n")
    kept: list[bytes] = []
    for line in _LINE.findall(header):
        if not (_FIELD.match(line) or (kept and _CONTINUATION.match(line))):
            break
        kept.append(line)
    return with_crlf(b"".join(kept))


def _redacted_header(message: Message) -> bytes:
    """Return Message-ID and Date, each only if it is nothing but that."""
    dates = field_values(message.header, "Date")
    lines = []
    if identifier := message_id(message):
        lines.append(b"Message-ID: " + identifier + b"\r\n")
    if len(dates) == 1 and _DATE.fullmatch(dates[0]):
        lines.append(b"Date: " + dates[0] + b"\r\n")
    return b"".join(lines)
