"""What plugins may answer to the hooks. Everything else is one error that says who answered what.

*place* is how errors begin: plugin, hook and arguments. Of each class only its
own instances count, not those of a class derived from it, which could be
another value each time they are looked at.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from requiretls_plugin.containment import Contained
from requiretls_plugin.delivery.outcome import Disposition, Notice, Outcome
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import PluginError
from requiretls_plugin.field_types import wrong_field, wrong_field_within
from requiretls_plugin.mail_address import AddressLiteral
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.policy.next_hop import DomainHop, NamedHop, NextHop, UNIXSocket, parse_local_hop
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.server_address import ServerAddress

_CODE_CLASS = {Disposition.DELIVERED: 2, Disposition.DEFERRED: 4, Disposition.FAILED: 5}


def requirement_in(place: str, answer: Any) -> Requirement:
    """Return *answer*, a requirement; raises PluginError."""
    _check_type(place, answer, Requirement)
    requirement: Requirement = answer
    return requirement


def hop_in(place: str, answer: Any) -> NextHop:
    """Return *answer*, a next hop such as parsing its text would make; raises PluginError."""
    _check_type(place, answer, DomainHop, NamedHop)
    _check_fields(place, answer)
    hop: NextHop = answer
    try:
        parsed = _parsed(hop)
    except ValueError as error:
        raise PluginError(f"{place} returned a {type(hop).__name__} that cannot be: {error}") from None
    if parsed != hop:
        raise PluginError(f"{place} returned {str(hop)!r} instead of {str(parsed)!r}: make it with parse()")
    return hop


def outcomes_in(place: str, answer: Any, recipients: tuple[Recipient, ...]) -> tuple[Outcome, ...]:
    """Return the outcomes in *answer*, one for each of *recipients*, in their order; raises PluginError."""
    outcomes = _sequence_in(place, answer, Outcome)
    for outcome in outcomes:
        if (wrong := wrong_field(outcome)) is not None:
            raise PluginError(f"{place} returned an Outcome with a wrong {wrong}")
        if (problem := _contradiction(outcome)) is not None:
            raise PluginError(f"{place} returned an Outcome that is {problem}")
    with Contained(place):  # recipients compare and hash what a plugin put into them
        return _in_order(place, outcomes, recipients)


def notices_in(place: str, answer: Any, message: Message) -> tuple[Notice, ...]:
    """Return the notices in *answer*, asked for because of *message*; raises PluginError."""
    notices = _sequence_in(place, answer, Notice)
    if notices and message.return_path is None:
        why = "nobody is to be told about a message with the null return path"
        raise PluginError(f"{place} returned a Notice, but {why}")
    for notice in notices:
        _check_fields(place, notice)
        for each in (notice, notice.fallback):
            if each is not None and each.message.return_path is not None:
                why = "it needs the null return path, or notices about notices would follow"
                raise PluginError(f"{place} returned a Notice with a return path: {why}")
        if notice.fallback is not None and notice.fallback.fallback is not None:
            raise PluginError(f"{place} returned a Notice whose fallback has a fallback: one is enough")
    return notices


def _sequence_in(place: str, answer: Any, kind: type[Any]) -> tuple[Any, ...]:
    if not isinstance(answer, Sequence):
        _discard(answer)
        raise PluginError(
            f"{place} returned {type(answer).__name__} instead of a sequence of {kind.__name__}"
        )
    with Contained(place):
        members = tuple(answer)
    for member in members:
        if type(member) is not kind:
            _discard(members)
            found = type(member).__name__
            raise PluginError(f"{place} returned {found} instead of {kind.__name__} among others")
    return members


def _check_type(place: str, answer: Any, *allowed: type) -> None:
    if type(answer) not in allowed:
        _discard(answer)
        names = " or ".join(kind.__name__ for kind in allowed)
        raise PluginError(f"{place} returned {type(answer).__name__} instead of {names}")


def _check_fields(place: str, answer: Any) -> None:
    with Contained(place):  # as when fields are nested too deeply
        wrong = wrong_field_within(answer)
    if wrong is not None:
        raise PluginError(f"{place} returned a {type(answer).__name__} with a wrong {wrong}")


def _discard(answer: Any) -> None:
    """Close what nobody will await, or Python would complain about it long after."""
    for each in answer if type(answer) in (list, tuple) else (answer,):
        if inspect.iscoroutine(each):
            each.close()


def _parsed(hop: NextHop) -> NextHop:
    """Return *hop* as parsing makes it; raises ValueError."""
    if isinstance(hop, DomainHop):
        return hop if isinstance(hop.domain, AddressLiteral) else DomainHop(DomainName.parse(hop.domain.text))
    if isinstance(hop.server, UNIXSocket):
        return replace(hop, server=parse_local_hop(str(hop.server)))
    return replace(hop, server=ServerAddress.parse(str(hop.server)))


def _contradiction(outcome: Outcome) -> str | None:
    """Return what no outcome can be: a host server would tell its client the opposite of what happened."""
    disposition = outcome.disposition.value
    if outcome.reply.code // 100 != _CODE_CLASS[outcome.disposition]:
        return f"{disposition} with the reply {outcome.reply}"
    if outcome.disposition is Disposition.DELIVERED and outcome.reason is not None:
        return f"{disposition} with the reason {outcome.reason.value}"
    if outcome.disposition is not Disposition.DELIVERED and outcome.reason is None:
        return f"{disposition} without a reason"
    return None


def _in_order(
    place: str, outcomes: tuple[Outcome, ...], recipients: tuple[Recipient, ...]
) -> tuple[Outcome, ...]:
    if tuple(outcome.recipient for outcome in outcomes) == recipients:
        return outcomes
    counted, wanted = Counter(outcome.recipient for outcome in outcomes), Counter(recipients)
    for recipient in (counted - wanted) | (wanted - counted):
        raise PluginError(
            f"{place} returned {counted[recipient]} outcomes for {recipient} instead of {wanted[recipient]}"
        )
    by_recipient = {outcome.recipient: outcome for outcome in outcomes}
    return tuple(by_recipient[recipient] for recipient in recipients)
