"""Notices to the sender of a message: failure, delay, success (RFC 3461, RFC 3464, RFC 8689 section 5).

Building one is pure. A notice about a REQUIRED message is REQUIRED itself and
carries, as its fallback, a redacted one for return paths that cannot do that.
Loops are impossible: a notice has the null return path, and nothing is ever
sent about a message that has it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from email.utils import format_datetime
from typing import Literal

from requiretls_plugin.delivery.outcome import Disposition, Notice, Outcome
from requiretls_plugin.delivery_status import Action, Report, delivery_status, printable
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import PluginError
from requiretls_plugin.header_field import TLS_REQUIRED
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Notify, Recipient
from requiretls_plugin.multipart_report import Part, digest_of, multipart_report, text_part, with_crlf
from requiretls_plugin.notice_text import SUBJECTS, notice_text
from requiretls_plugin.observe.log import shown
from requiretls_plugin.reorigination import inherited
from requiretls_plugin.requirement import Requirement, Tag
from requiretls_plugin.returned_message import message_id, returned_part

log = logging.getLogger(__name__)

WayBack = Literal["prefer", "redact"]
"""The setting `bounce.requiretls`: how notices about REQUIRED messages are sent."""

Deliver = Callable[[Message, Sequence[Recipient]], Awaitable[Sequence[Outcome]]]


def failure_notice(
    message: Message,
    outcomes: Iterable[Outcome],
    *,
    hostname: DomainName,
    now: datetime,
    requiretls: WayBack = "prefer",
    arrived: datetime | None = None,
) -> Notice | None:
    """Return one notice about all recipients that failed, None if there is nobody to tell or nothing to say.

    Recipients whose NOTIFY lacks FAILURE are left out (RFC 3461 section 5.2.6).
    *hostname* is the Reporting-MTA, *now* also counts as the time of the last
    attempt, *arrived* is when the message came.
    """
    failed = _concerning(outcomes, Disposition.FAILED, Notify.FAILURE)
    return _notice(
        Report(
            message=message,
            outcomes=failed,
            action=Action.FAILED,
            hostname=hostname,
            now=now,
            arrived=arrived,
        ),
        requiretls,
    )


def delay_notice(
    message: Message,
    outcomes: Iterable[Outcome],
    *,
    hostname: DomainName,
    now: datetime,
    will_retry_until: datetime | None,
    requiretls: WayBack = "prefer",
    arrived: datetime | None = None,
) -> Notice | None:
    """Return one notice about all recipients that are deferred, or None as `failure_notice` does.

    Recipients whose NOTIFY lacks DELAY are left out (RFC 3461 section 5.2.5).
    When it is time for one is the caller's to know.
    """
    deferred = _concerning(outcomes, Disposition.DEFERRED, Notify.DELAY)
    return _notice(
        Report(
            message=message,
            outcomes=deferred,
            action=Action.DELAYED,
            hostname=hostname,
            now=now,
            arrived=arrived,
            retry_until=will_retry_until,
        ),
        requiretls,
    )


def success_notice(
    message: Message,
    outcomes: Iterable[Outcome],
    *,
    hostname: DomainName,
    now: datetime,
    action: Action = Action.RELAYED,
    requiretls: WayBack = "prefer",
    arrived: datetime | None = None,
) -> Notice | None:
    """Return one notice about the recipients with NOTIFY=SUCCESS that were delivered, or None.

    A server that offers DSN was told of the wish and reports itself; its
    recipients are left out (RFC 3461 section 5.2.2). *action* is RELAYED for
    SMTP and DELIVERED where the message reached its mailbox (LMTP).
    """
    delivered = tuple(
        outcome
        for outcome in outcomes
        if outcome.disposition is Disposition.DELIVERED
        and Notify.SUCCESS in (outcome.recipient.notify or ())
        and not outcome.dsn_offered
    )
    return _notice(
        Report(
            message=message,
            outcomes=delivered,
            action=action,
            hostname=hostname,
            now=now,
            arrived=arrived,
        ),
        requiretls,
    )


def notices_for(
    message: Message,
    outcomes: Sequence[Outcome],
    *,
    hostname: DomainName,
    now: datetime,
    requiretls: WayBack = "prefer",
    arrived: datetime | None = None,
) -> list[Notice]:
    """Return the notices that *outcomes* call for: of failure, of success, both or none.

    Delays are left out: this does not know how long one has lasted. A failure
    that nobody can be told of is logged (RFC 3461 section 5.2).
    """
    if message.return_path is None:
        _log_untold(outcomes)
    notices = [
        build(message, outcomes, hostname=hostname, now=now, requiretls=requiretls, arrived=arrived)
        for build in (failure_notice, success_notice)
    ]
    return [notice for notice in notices if notice is not None]


async def send_notice(deliver: Deliver, notice: Notice, *, kept_if_deferred: bool = False) -> Outcome:
    """Send *notice*, and its fallback if that fails; return the outcome of the last one tried.

    *deliver* has to hold a REQUIRED message to its requirement, null return
    path or not: what may go without is the fallback. With *kept_if_deferred*
    the caller tries again what was deferred; otherwise a deferral counts as a
    failure here. Whatever comes of it, no further notice does. Raises
    PluginError if the notice has a return path, and what *deliver* raises.
    """
    if notice.message.return_path is not None:
        raise PluginError("a notice needs the null return path, or notices about notices would follow")
    # RFC 3461 section 6.1: NEVER is the only NOTIFY a notice may have.
    recipient = Recipient(notice.recipient, notify=frozenset({Notify.NEVER}))
    [outcome] = await deliver(notice.message, [recipient])
    if outcome.disposition is Disposition.DELIVERED:
        return outcome
    if outcome.disposition is Disposition.DEFERRED and kept_if_deferred:
        return outcome
    if notice.fallback is not None:
        return await send_notice(deliver, notice.fallback, kept_if_deferred=kept_if_deferred)
    log.warning(
        "notice could not be sent: to=<%s>, dsn=%s", shown(str(notice.recipient)), outcome.reply.status
    )
    return outcome


def _concerning(outcomes: Iterable[Outcome], disposition: Disposition, wish: Notify) -> tuple[Outcome, ...]:
    """Return the outcomes with *disposition* whose recipients' NOTIFY has *wish* or was not given."""
    return tuple(
        outcome
        for outcome in outcomes
        if outcome.disposition is disposition
        and (outcome.recipient.notify is None or wish in outcome.recipient.notify)
    )


def _notice(report: Report, requiretls: WayBack) -> Notice | None:
    """Return the notice that makes *report*, with its fallback if it needs one."""
    if report.message.return_path is None or not report.outcomes:
        return None
    if report.message.requirement is not Requirement.REQUIRED:
        return _built(report, report.message.return_path, inherited(report.message.tag))
    redacted = _built(replace(report, redacted=True), report.message.return_path, Tag())
    if requiretls == "redact":
        return redacted
    required = _built(report, report.message.return_path, inherited(report.message.tag))
    return replace(required, fallback=redacted)


def _built(report: Report, recipient: MailAddress, tag: Tag) -> Notice:
    parts = [
        text_part("text/plain; charset=utf-8", with_crlf(notice_text(report).encode("utf-8", "replace"))),
        Part("message/delivery-status", delivery_status(report)),
        returned_part(report),
    ]
    content = multipart_report(_header(report, recipient, tag, digest_of(parts)), parts)
    return Notice(
        Message(
            return_path=None,
            content=content,
            mail_parameter=tag.requirement is Requirement.REQUIRED,
            tag=tag,
            smtputf8=not recipient.text.isascii(),
        ),
        recipient,
    )


def _header(report: Report, recipient: MailAddress, tag: Tag, digest: str) -> list[tuple[str, str]]:
    """Return the header of a notice; nothing in it is the message's own but its Message-ID."""
    header = [
        ("From", f"Mail Delivery System <postmaster@{report.hostname}>"),
        ("To", printable(recipient.text)),
        ("Subject", SUBJECTS[report.action]),
        ("Date", format_datetime(report.now)),
        ("Message-ID", f"<{digest}.{report.now:%Y%m%d%H%M%S%f}@{report.hostname}>"),
        ("Auto-Submitted", "auto-replied"),
    ]
    if identifier := message_id(report.message):
        header += [("In-Reply-To", identifier.decode("ascii")), ("References", identifier.decode("ascii"))]
    if tag.requirement is Requirement.OPTIONAL:
        header.append((TLS_REQUIRED, "No"))
    return header


def _log_untold(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.disposition is Disposition.FAILED:
            log.warning(
                "undeliverable, and no return path to tell: to=<%s>, dsn=%s, reason=%s",
                shown(str(outcome.recipient)),
                outcome.reply.status,
                outcome.reason.value if outcome.reason else "none",
            )
