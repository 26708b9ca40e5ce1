"""What becomes of recipients that a message did not reach: an error, a bounce, or another try later.

An error is right while somebody waits for the verdict and no recipient has the
message yet. After that it would make the sender believe that nobody has it, so
failures become bounces, and deferred recipients are put where a queue receiver
finds them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from salmon.routing import Router

from requiretls_plugin.bounce import notices_for, send_notice
from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.engine import Engine
from requiretls_plugin.message import Message, Notify
from requiretls_plugin.observe.log import shown
from requiretls_plugin.reply import Reply
from requiretls_salmon.delivery_error import DeliveryError
from requiretls_salmon.handling import Handling
from requiretls_salmon.kept import Accepted


def unsuccessful(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes of recipients that do not have the message."""
    return [outcome for outcome in outcomes if outcome.disposition is not Disposition.DELIVERED]


def error_for(outcomes: Sequence[Outcome]) -> DeliveryError:
    """Return the error that stands for *outcomes*: temporary if another try can help anybody."""
    worst = min(outcomes, key=lambda outcome: outcome.disposition is not Disposition.DEFERRED)
    return DeliveryError(worst.reply, outcomes)


def may_raise(handling: Handling | None, accepted: Accepted | None, outcomes: Sequence[Outcome]) -> bool:
    """Return whether an error would reach somebody and be true."""
    if len(unsuccessful(outcomes)) < len(outcomes):
        return False
    if handling is None:
        return accepted is None
    return handling.reports and handling.delivered == 0


def settle(engine: Engine, message: Message, outcomes: Sequence[Outcome], arrived: int) -> bool:
    """Bounce what failed, and keep what is deferred or what cannot be bounced now.

    Return False if neither can be done for some of it: then nobody would know.
    """
    failed = [outcome for outcome in outcomes if outcome.disposition is Disposition.FAILED]
    deferred = [outcome for outcome in outcomes if outcome.disposition is Disposition.DEFERRED]
    settled = True
    if failed and not bounce(engine, message, failed, arrived):
        settled = keep(message, failed, arrived)
    if deferred and not keep(message, deferred, arrived):
        given_up = [_given_up(outcome) for outcome in deferred]
        settled = bounce(engine, message, given_up, arrived) and settled
    return settled


def bounce(engine: Engine, message: Message, failed: Sequence[Outcome], arrived: int) -> bool:
    """Tell the sender of *message*; return False if that has to be tried again later.

    True also means that there is nobody to tell, which is logged.
    """
    notices = notices_for(
        message,
        failed,
        hostname=engine.settings.hostname,
        now=datetime.now(UTC),
        requiretls=engine.settings.bounce.requiretls,
        arrived=datetime.fromtimestamp(arrived, UTC),
    )
    results = [engine.run(send_notice(engine.deliver_as_it_is, notice)) for notice in notices]
    return all(result.disposition is not Disposition.DEFERRED for result in results)


def report_success(engine: Engine, message: Message, outcomes: Sequence[Outcome], arrived: int) -> None:
    """Tell the sender of *message* who has it now, where that was asked and the next server does not tell."""
    asked = [
        outcome
        for outcome in outcomes
        if outcome.disposition is Disposition.DELIVERED
        and not outcome.dsn_offered
        and Notify.SUCCESS in (outcome.recipient.notify or ())
    ]
    if asked:
        bounce(engine, message, asked, arrived)


def keep(message: Message, outcomes: Sequence[Outcome], arrived: int) -> bool:
    """Put *message* in the undeliverable queue for each recipient; return False if there is none."""
    queue = Router.UNDELIVERABLE_QUEUE
    if queue is None:
        return False
    for outcome in outcomes:
        key = queue.push(Accepted(message, outcome.recipient, arrived).salmon_data())
        logging.warning("to=<%s> kept as %s: %s", shown(str(outcome.recipient)), key, outcome.reply)
    return True


def _given_up(outcome: Outcome) -> Outcome:
    """Return the failure of a recipient for whom there is no other try."""
    reply = Reply(550, f"5{outcome.reply.status[1:]}", outcome.reply.text)
    return replace(outcome, disposition=Disposition.FAILED, reply=reply)
