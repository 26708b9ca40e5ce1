"""The part of a notice that programs read: message/delivery-status (RFC 3464).

Every value is brought into printable ASCII before it becomes a field, so
neither an address nor a server's words can add a field or a line.
"""

from __future__ import annotations

import enum
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from requiretls_plugin.delivery.outcome import Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.dsn_parameters import MAX_ENVID, MAX_ORCPT, decode_xtext
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.reason import Reason

# RFC 5322 section 2.1.1: lines should have 78 characters and may have 998.
FOLD_AT = 76
MAX_WORD = 900

# More of what a server said helps nobody.
MAX_DIAGNOSTIC = 4_000

# Refusals that are decided before any host is spoken to (RFC 3464 section 2.3.5).
_BEFORE_CONNECTING = frozenset(
    {
        Reason.NAME_NOT_PROVEN,
        Reason.STS_MISMATCH,
        Reason.STS_UNAVAILABLE,
        Reason.DNS_FAILURE,
        Reason.DNSSEC_BOGUS,
        Reason.NULL_MX,
        Reason.NO_SUCH_DOMAIN,
        Reason.CONFIGURATION,
    }
)

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_REPLY_LINE = re.compile(r"[2-5][0-9]{2}(?:[ -]|$)")
_NOT_QCHAR = re.compile(r"[^\x21-\x2a\x2c-\x3c\x3e-\x5b\x5d-\x7e]")


class Action(enum.Enum):
    """What a notice reports of every recipient it names (RFC 3464 section 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one notice reports, whichever of its parts says it.

    *now* is also taken as the time of the last attempt. *arrived* is when the
    message came, None if nobody knows. *retry_until* counts for delays only.
    With *redacted* nothing is told that the message says, nor what a server
    that may have seen the message said about it.
    """

    message: Message
    outcomes: tuple[Outcome, ...]
    action: Action
    hostname: DomainName
    now: datetime
    arrived: datetime | None = None
    retry_until: datetime | None = None
    redacted: bool = False


def delivery_status(report: Report) -> bytes:
    """Return the message/delivery-status body of *report*: ASCII, lines of at most 998 octets."""
    groups = [_message_fields(report), *(_recipient_fields(report, outcome) for outcome in report.outcomes)]
    return b"\r\n".join(b"".join(group) for group in groups)


def one_line(text: str) -> str:
    """Return *text* as one line of printable ASCII; everything else becomes blanks."""
    return _UNPRINTABLE.sub(" ", text).strip()


def printable(text: str) -> str:
    """Return *text* with question marks for what is not printable: controls, line ends, lone surrogates."""
    return "".join(character if character.isprintable() else "?" for character in text)


def server_words(outcome: Outcome) -> list[str]:
    """Return the lines of the server's reply, each with its code; empty if the reply is not a server's."""
    if not outcome.from_server:
        return []
    if outcome.server_text is None:
        return [str(outcome.reply)]
    lines = [one_line(line) for line in outcome.server_text[:MAX_DIAGNOSTIC].split("\n")]
    return [line if _REPLY_LINE.match(line) else f"{outcome.reply.code} {line}" for line in lines]


def _message_fields(report: Report) -> Iterator[bytes]:
    """Yield the per-message fields (RFC 3464 section 2.2)."""
    yield _field("Reporting-MTA", f"dns; {report.hostname}")
    envid = report.message.envid
    if envid and len(envid) <= MAX_ENVID and _PRINTABLE.fullmatch(envid):
        yield _field("Original-Envelope-Id", envid)
    if report.arrived is not None:
        yield _field("Arrival-Date", format_datetime(report.arrived))


def _recipient_fields(report: Report, outcome: Outcome) -> Iterator[bytes]:
    """Yield the fields of one recipient (RFC 3464 section 2.3)."""
    if original := _original_recipient(outcome.recipient):
        yield _field("Original-Recipient", original)
    yield _field("Final-Recipient", typed_address(outcome.recipient.address.text))
    yield _field("Action", report.action.value)
    yield _field("Status", outcome.reply.status)
    if outcome.host and (outcome.from_server or outcome.reason not in _BEFORE_CONNECTING):
        yield _field("Remote-MTA", f"dns; {outcome.host}")
    # Only what a server said (RFC 3461 section 6.3); a refusal of ours is explained in the text part.
    if words := server_words(outcome):
        yield _diagnostic([str(outcome.reply.code)] if report.redacted else words)
    yield _field("Last-Attempt-Date", format_datetime(report.now))
    if report.action is Action.DELAYED and report.retry_until is not None:
        yield _field("Will-Retry-Until", format_datetime(report.retry_until))


def typed_address(address: str) -> str:
    """Return *address* in its own spelling, behind its type.

    Outside ASCII that is type utf-8 in the form for 7-bit places (RFC 6533 section 3).
    """
    if _PRINTABLE.fullmatch(address):
        return f"rfc822; {address}"
    return "utf-8; " + _NOT_QCHAR.sub(lambda match: f"\\x{{{ord(match[0]):02X}}}", address)


def _original_recipient(recipient: Recipient) -> str | None:
    """Return the value of ORCPT decoded; None if it was not given or is malformed."""
    address_type, semicolon, xtext = (recipient.orcpt or "").partition(";")
    if not semicolon or len(xtext) > MAX_ORCPT or not re.fullmatch(r"[A-Za-z0-9-]{1,40}", address_type):
        return None
    try:
        return f"{address_type}; {decode_xtext(xtext)}"
    except ValueError:
        return None


def _field(name: str, value: str) -> bytes:
    """Return a field on one line: addresses, whose blanks must stay, are not folded."""
    return f"{name}: {one_line(value)}\r\n".encode("ascii")


def _diagnostic(words: list[str]) -> bytes:
    """Return Diagnostic-Code, folded; each line of the server's reply begins a line."""
    lines = [
        piece
        for word_line in [f"Diagnostic-Code: smtp; {words[0]}", *words[1:]]
        for line in textwrap.wrap(word_line, FOLD_AT, break_long_words=False, break_on_hyphens=False)
        for piece in textwrap.wrap(line, MAX_WORD)
    ]
    return ("\r\n ".join(lines) + "\r\n").encode("ascii")
