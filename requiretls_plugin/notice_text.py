"""The part of a notice that people read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from email.utils import format_datetime

from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.delivery_status import Action, Report, one_line, printable, server_words
from requiretls_plugin.explanations import explanation_of
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Requirement

WIDTH = 72

# Nobody reads more; the part for programs names all.
MAX_NAMED = 50

SUBJECTS = {
    Action.FAILED: "Your message was not delivered",
    Action.DELAYED: "Your message is delayed",
    Action.DELIVERED: "Your message was delivered",
    Action.RELAYED: "Your message was handed on",
}

_OPENINGS = {
    Action.FAILED: "Your message could not be delivered to the recipients below; it is not tried again.",
    Action.DELAYED: "Your message could not yet be delivered to the recipients below.",
    Action.DELIVERED: "Your message was delivered to the recipients below, as you asked to be told.",
    Action.RELAYED: "Your message was handed on for the recipients below. The mail server that took it"
    " does not confirm delivery, so you will hear no more unless something goes wrong.",
}

_REQUIRED = (
    "This message may travel only where it is protected all the way (REQUIRETLS)."
    " For that reason this notice gives back the header of the message and nothing of what it says."
)
_REDACTED = (
    "This message may travel only where it is protected all the way (REQUIRETLS)."
    " The way back to you may not be, so this notice leaves out the subject and all that the message says."
)
# Reasons at which the server may have seen the message, so that its words may quote it.
_AFTER_THE_MESSAGE = (Reason.REJECTED, Reason.CONNECTION_LOST, Reason.PROTOCOL_VIOLATION, None)

_ASK_LESS = "If the message may do without this protection, send it again without asking for it."
_GIVEN_UP = "It was tried again until the time for that was over."


def notice_text(report: Report) -> str:
    """Return what a sender who runs no mail server needs to know, lines ending in LF.

    Recipients with the same fate are explained together. Never quotes the message.
    """
    blocks = [_wrapped(f"This is the mail server {report.hostname}. {_OPENINGS[report.action]}")]
    for outcomes in _same_fate(report.outcomes):
        blocks.append(_names(outcomes))
        blocks.extend(_wrapped(paragraph, "    ") for paragraph in _paragraphs(report, outcomes[0]))
    blocks.extend(_wrapped(paragraph) for paragraph in _closing(report))
    return "\n\n".join(blocks) + "\n"


def _wrapped(paragraph: str, indent: str = "") -> str:
    return textwrap.fill(
        paragraph,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _same_fate(outcomes: Sequence[Outcome]) -> list[list[Outcome]]:
    """Return *outcomes* grouped by what there is to tell about them, in order of appearance."""
    groups: dict[object, list[Outcome]] = {}
    for outcome in outcomes:
        domain = str(outcome.recipient.address.domain)
        fate = (outcome.reason, outcome.host, outcome.reply, outcome.server_text, domain)
        groups.setdefault(fate, []).append(outcome)
    return list(groups.values())


def _names(outcomes: Sequence[Outcome]) -> str:
    """Return the recipients, one on a line; what is not printable becomes question marks."""
    lines = [f"  {printable(outcome.recipient.address.text)}" for outcome in outcomes[:MAX_NAMED]]
    if len(outcomes) > MAX_NAMED:
        lines.append(f"  and {len(outcomes) - MAX_NAMED} more")
    return "\n".join(lines)


def _paragraphs(report: Report, outcome: Outcome) -> Iterator[str]:
    """Yield what happened, what it means, what the sender can do, and the same for experts."""
    if outcome.disposition is Disposition.DELIVERED:
        if outcome.host:
            yield f"It was taken by {one_line(outcome.host)}."
        return
    domain = str(outcome.recipient.address.domain)
    explanation = explanation_of(outcome.reason)
    happened, meaning, remedy = explanation.filled(
        server=f"the mail server {one_line(outcome.host)}"
        if outcome.host
        else f"the mail server of {domain}",
        domain=domain,
        reporter=str(report.hostname),
    )
    yield f"What happened: {happened} {meaning}"
    if report.action is Action.FAILED:
        if not outcome.reply.permanent:
            yield _GIVEN_UP
        yield f"What you can do: {remedy}"
        if explanation.about_tls and report.message.requirement is Requirement.REQUIRED:
            yield _ASK_LESS
    yield _for_experts(report, outcome)


def _for_experts(report: Report, outcome: Outcome) -> str:
    reason = f" ({outcome.reason.value})" if outcome.reason else ""
    if report.redacted and outcome.reason in _AFTER_THE_MESSAGE:
        return f"For experts: {outcome.reply.code} {outcome.reply.status}{reason}"
    words = server_words(outcome)
    if not words:
        return f"For experts: {outcome.reply}{reason}"
    return f"For experts: the server said: {' '.join(words)}{reason}"


def _closing(report: Report) -> Iterator[str]:
    if report.action is Action.DELAYED:
        until = f" until {format_datetime(report.retry_until)}" if report.retry_until else ""
        yield f"You need not do anything: it will be tried again{until}."
    if report.message.requirement is Requirement.REQUIRED:
        yield _REDACTED if report.redacted else _REQUIRED
    if report.action is Action.FAILED:
        yield "Recipients who are not named here are not concerned by this notice."
