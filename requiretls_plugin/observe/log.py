"""One line for each attempt and each outcome, in the grammar of Postfix's log.

    relay=mx.example[192.0.2.1], tls=dane/requiretls, demanded=dane, status=used
    from=<a@example>, to=<b@example>, relay=mx.example, tls=dane/requiretls, dsn=2.0.0, status=sent (250 …)

Nothing of a message but its envelope is ever written. What a stranger chose
(addresses, server replies) cannot end a line, a field or a value: see `shown`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any, Literal

from requiretls_plugin.delivery.outcome import Attempt, Disposition, Outcome
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.message import Message
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Requirement

# The logger all lines go to.
LOGGER = "requiretls"

# Postfix's words for the three dispositions.
STATUS = {
    Disposition.DELIVERED: "sent",
    Disposition.DEFERRED: "deferred",
    Disposition.FAILED: "bounced",
}

# What structures a line, and so is never written as part of a value.
_DELIMITERS = frozenset(" ,<>=()\\")

# What shows that a host does not meet a demand, rather than that it could not be asked.
_PROVED_BAD = (
    Reason.STARTTLS_NOT_OFFERED,
    Reason.STARTTLS_REFUSED,
    Reason.TLS_HANDSHAKE_FAILED,
    Reason.CERTIFICATE_NOT_TRUSTED,
    Reason.CERTIFICATE_EXPIRED,
    Reason.CERTIFICATE_NAME_MISMATCH,
    Reason.DANE_MISMATCH,
    Reason.NAME_NOT_PROVEN,
    Reason.STS_MISMATCH,
)

# A server's reply can be long; the log is no place to keep all of it.
_MAX_TEXT = 300


class Log:
    """Writes to the logger `requiretls`, at level INFO."""

    def __init__(self, form: Literal["text", "json"]) -> None:
        self._json = form == "json"

    @hookimpl
    def requiretls_attempted(self, attempt: Attempt) -> None:
        """Write the line for *attempt*."""
        logger = _logger()
        if logger.isEnabledFor(logging.INFO):
            logger.info("%s", json.dumps(_attempt_facts(attempt)) if self._json else attempt_line(attempt))

    @hookimpl
    def requiretls_concluded(self, message: Message, outcomes: Sequence[Outcome]) -> None:
        """Write a line for each of *outcomes*."""
        logger = _logger()
        for outcome in outcomes if logger.isEnabledFor(logging.INFO) else ():
            line = (
                json.dumps(_outcome_facts(message, outcome)) if self._json else outcome_line(message, outcome)
            )
            logger.info("%s", line)


def _logger() -> logging.Logger:
    # Fetched now: hosts such as Salmon disable the loggers made before their own set-up.
    return logging.getLogger(LOGGER)


def attempt_line(attempt: Attempt) -> str:
    """Return the line for one attempt."""
    required = attempt.message is not None and attempt.message.requirement is Requirement.REQUIRED
    status = "used" if attempt.refusal is None else f"refused ({remark(attempt.why)})"
    return ", ".join(
        (
            f"relay={_relay(attempt.host, attempt.address)}",
            f"tls={_tls(_level(attempt), required, attempt.requiretls_sent, attempt.refusal)}",
            f"demanded={shown(attempt.demanded)}",
            f"status={status}",
        )
    )


def outcome_line(message: Message, outcome: Outcome) -> str:
    """Return the line for one recipient's outcome."""
    required = message.requirement is Requirement.REQUIRED
    address = outcome.receipt.address if outcome.receipt is not None else None
    level = outcome.security.value if outcome.security is not None else "none"
    return ", ".join(
        (
            f"from=<{_sender(message)}>",
            f"to=<{shown(str(outcome.recipient))}>",
            f"relay={_relay(outcome.host, address)}",
            f"tls={_tls(level, required, outcome.requiretls, outcome.reason)}",
            f"dsn={outcome.reply.status}",
            f"status={STATUS[outcome.disposition]} ({remark(str(outcome.reply))})",
        )
    )


def shown(text: str) -> str:
    r"""Return *text* without anything that structures a line: such characters become `\x2c` or `\u2028`."""
    return "".join(
        character if character.isprintable() and character not in _DELIMITERS else _escaped(character)
        for character in text
    )


def remark(text: str) -> str:
    """Return *text*, which ends a line, as printable characters, and not too many of them."""
    safe = printable(text)
    return safe if len(safe) <= _MAX_TEXT else f"{safe[:_MAX_TEXT]}…"


def printable(text: str) -> str:
    """Return *text* with what is no printable character written as `\\x0a`; so is the backslash."""
    return "".join(each if each.isprintable() and each != "\\" else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _sender(message: Message) -> str:
    return "" if message.return_path is None else shown(message.return_path.text)


def _relay(host: str | None, address: str | None) -> str:
    if host is None:
        return "none"
    return shown(host) if address is None or address == host else f"{shown(host)}[{shown(address)}]"


def _level(attempt: Attempt) -> str:
    """Return what the session was, or else what it had to be: `!` not met, `?` not judged."""
    if attempt.security is not None:
        return attempt.security.value
    if attempt.refusal in _PROVED_BAD:
        return f"!{shown(attempt.demanded)}"
    tls_was_good = attempt.refusal is Reason.REQUIRETLS_NOT_OFFERED
    return shown(attempt.demanded) if tls_was_good else f"{shown(attempt.demanded)}?"


def _tls(level: str, required: bool, requiretls: bool, reason: Reason | None) -> str:
    """Return *level* and what became of REQUIRETLS; `!` marks a promise not given, `:` why."""
    if requiretls:
        return f"{level}/requiretls"
    why = f":{reason.value}" if reason is not None else ""
    return f"{level}/!requiretls{why}" if required else f"{level}{why}"


def _attempt_facts(attempt: Attempt) -> dict[str, Any]:
    return {
        "event": "attempt",
        "requirement": attempt.message.requirement.value if attempt.message is not None else None,
        "next_hop": str(attempt.next_hop),
        "host": attempt.host,
        "address": attempt.address,
        "demanded": attempt.demanded,
        "security": attempt.security.value if attempt.security is not None else None,
        "requiretls": attempt.requiretls_sent,
        "reused": attempt.reused,
        "seconds": round(attempt.seconds, 3),
        "reason": attempt.refusal.value if attempt.refusal is not None else None,
        "why": attempt.why[:_MAX_TEXT],
    }


def _outcome_facts(message: Message, outcome: Outcome) -> dict[str, Any]:
    return {
        "event": "outcome",
        "requirement": message.requirement.value,
        "from": message.return_path.text if message.return_path is not None else "",
        "to": str(outcome.recipient),
        "host": outcome.host,
        "address": outcome.receipt.address if outcome.receipt is not None else None,
        "security": outcome.security.value if outcome.security is not None else None,
        "requiretls": outcome.requiretls,
        "status": STATUS[outcome.disposition],
        "code": outcome.reply.code,
        "dsn": outcome.reply.status,
        "reason": outcome.reason.value if outcome.reason is not None else None,
        "text": outcome.reply.text[:_MAX_TEXT],
    }
