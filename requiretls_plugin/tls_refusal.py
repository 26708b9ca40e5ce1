"""Was a message refused for what it asked of TLS? Then neither sender nor recipient is at fault.

Answers from servers further on count, too: their enhanced status codes are
those of RFC 8689 section 7, in replies as in delivery reports (RFC 3464).
"""

from __future__ import annotations

import email.message
import re
from collections.abc import Iterator
from dataclasses import dataclass

from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.explanations import explanation_of
from requiretls_plugin.reply import REQUIRETLS_NOT_SUPPORTED, TLS_REQUIREMENT_NOT_MET

STATUSES = frozenset({REQUIRETLS_NOT_SUPPORTED.status, TLS_REQUIREMENT_NOT_MET.status})

_STATUS = re.compile(r"\s*(5\.\d{1,3}\.\d{1,3})\b")
_DIAGNOSTIC = re.compile(r"\s*smtp\s*;\s*5\d\d[ -]+(5\.\d{1,3}\.\d{1,3})\b", re.IGNORECASE)


def is_tls_refusal(outcome: Outcome) -> bool:
    """Return whether *outcome* is final and due to what the message asked of TLS."""
    return outcome.disposition is Disposition.FAILED and outcome.reply.status in STATUSES


def waits_for_tls(outcome: Outcome) -> bool:
    """Return whether *outcome* is a deferral because what the message asks of TLS cannot be had now."""
    return outcome.disposition is Disposition.DEFERRED and explanation_of(outcome.reason).about_tls


@dataclass(frozen=True, slots=True)
class ReportedFailures:
    """The recipients that a delivery report says failed, in lower case, by cause."""

    for_tls: frozenset[str]
    otherwise: frozenset[str]

    def blames_tls_for(self, address: str) -> bool:
        """Return whether *address* failed for its message's wish for TLS and nothing else.

        An address that the report does not name, as mail for it was forwarded,
        shares the fate of the others if that is the same for all.
        """
        address = address.lower()
        if address in self.for_tls or address in self.otherwise:
            return address not in self.otherwise
        return bool(self.for_tls) and not self.otherwise


def failures_reported_in(report: email.message.Message) -> ReportedFailures:
    """Return which recipients failed according to a delivery report; none if it is something else.

    Whoever sends mail can make one; it is good for sparing an address, not for
    accusing it.
    """
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for block in _blocks(report):
        addresses = _addresses(block)
        if addresses and str(block.get("Action", "failed")).strip().lower() == "failed":
            found[_names_tls(block)].update(addresses)
    return ReportedFailures(frozenset(found[True]), frozenset(found[False]))


def _blocks(report: email.message.Message) -> Iterator[email.message.Message]:
    """Yield the groups of fields of a report; of empty ones there may be as many as it has lines."""
    for part in report.walk():
        if part.get_content_type() != "message/delivery-status" or not part.is_multipart():
            continue
        for block in part.get_payload():
            if isinstance(block, email.message.Message) and len(block):
                yield block


def _addresses(block: email.message.Message) -> set[str]:
    fields = [str(block.get(name, "")) for name in ("Final-Recipient", "Original-Recipient")]
    return {field.partition(";")[2].strip().lower() for field in fields if ";" in field} - {""}


def _names_tls(block: email.message.Message) -> bool:
    found = (
        _STATUS.match(str(block.get("Status", ""))),
        _DIAGNOSTIC.match(str(block.get("Diagnostic-Code", ""))),
    )
    return any(match is not None and match[1] in STATUSES for match in found)
