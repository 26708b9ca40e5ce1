"""One message to one destination, within one time limit, whatever goes wrong there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from requiretls_plugin import reply as replies
from requiretls_plugin.containment import Contained
from requiretls_plugin.delivery.attempt import Delivery, DeliveryRules, Job
from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.errors import PluginError
from requiretls_plugin.message import Recipient
from requiretls_plugin.policy.evidence import Evidence
from requiretls_plugin.policy.next_hop import NextHop
from requiretls_plugin.policy.resolver import PolicyResolver
from requiretls_plugin.policy.sts import STSFound
from requiretls_plugin.reason import Reason


async def deliver_to(
    next_hop: NextHop,
    job: Job,
    recipients: Sequence[Recipient],
    resolver: PolicyResolver,
    rules: DeliveryRules,
) -> Sequence[Outcome]:
    """Deliver to one next hop and return an outcome for each of *recipients*; nothing is raised.

    A mistake in here defers these recipients and must not make other
    destinations' mail go twice.
    """
    try:
        with Contained(f"delivery to {next_hop}"):
            return await _within_time(next_hop, job, recipients, resolver, rules)
    except PluginError as error:
        return deferred_by_mistake(recipients, error)


async def _within_time(
    next_hop: NextHop,
    job: Job,
    recipients: Sequence[Recipient],
    resolver: PolicyResolver,
    rules: DeliveryRules,
) -> list[Outcome]:
    seconds = rules.session.delivery.total_timeout
    outcomes: dict[Recipient, Outcome] = {}
    try:
        async with asyncio.timeout(seconds):
            evidence = await resolver.evidence(next_hop)
            delivery = Delivery(job, evidence, rules, outcomes)
            await delivery.run(recipients)
            if delivery.blames_evidence:
                # RFC 8461 section 5.1: before a failure is final, is the policy still the one?
                # For us the same goes for DNSSEC, and for whoever validates it.
                judged = dict(outcomes)
                unsettled = delivery.take_back()
                fresh = await resolver.evidence(next_hop, recheck=True)
                if _changed(evidence, fresh):
                    await Delivery(job, fresh, rules, outcomes).run(unsettled)
                else:
                    outcomes.update(judged)
    except TimeoutError:
        reply = replies.HOST_NOT_REACHED.with_text(f"Delivery took longer than {seconds:g} seconds")
        for recipient in recipients:
            outcomes.setdefault(recipient, deferred(recipient, reply, Reason.HOST_UNREACHABLE))
    return [outcomes[recipient] for recipient in recipients]


def _changed(before: Evidence, after: Evidence) -> bool:
    def identity(evidence: Evidence) -> object:
        sts = evidence.sts.record_id if isinstance(evidence.sts, STSFound) else type(evidence.sts)
        return sts, evidence.insecure, evidence.blind is None

    return identity(before) != identity(after)


def deferred_by_mistake(recipients: Sequence[Recipient], error: PluginError) -> tuple[Outcome, ...]:
    """Return deferrals; the log is told which plugin made what mistake, the sender is not."""
    logging.getLogger(__name__).error("message deferred: %s", error, exc_info=error)
    return tuple(
        deferred(recipient, replies.INTERNAL_ERROR, Reason.CONFIGURATION) for recipient in recipients
    )


def deferred(recipient: Recipient, reply: replies.Reply, reason: Reason) -> Outcome:
    """Return the outcome of a recipient to be tried again later."""
    return Outcome(recipient, Disposition.DEFERRED, reply, reason=reason)
