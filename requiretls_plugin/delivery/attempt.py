"""One message to one next hop: hosts in order until one meets the demand."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from requiretls_plugin import reply as replies
from requiretls_plugin.delivery.content import Content
from requiretls_plugin.delivery.hosts import hosts_to_try, verdict_without_hosts
from requiretls_plugin.delivery.opening import open_session
from requiretls_plugin.delivery.outcome import Attempt, Disposition, Outcome
from requiretls_plugin.delivery.pool import Place, Pool
from requiretls_plugin.delivery.server_reply import ServerReply
from requiretls_plugin.delivery.session import Handover, Session, SessionRules
from requiretls_plugin.delivery.verdict import CombinedVerdict, combined, deferral, excused, lacks_dnssec
from requiretls_plugin.level import Level
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.policy.demand import Rules, demand_for
from requiretls_plugin.policy.evidence import Evidence, HostEvidence
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.policy.sts import STSFound
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Requirement

# What a newer MTA-STS policy could change.
_STS_MAY_BE_STALE = frozenset(
    {
        Reason.STS_MISMATCH,
        Reason.NAME_NOT_PROVEN,
        Reason.STARTTLS_NOT_OFFERED,
        Reason.STARTTLS_REFUSED,
        Reason.TLS_HANDSHAKE_FAILED,
        Reason.CERTIFICATE_EXPIRED,
        Reason.CERTIFICATE_NAME_MISMATCH,
        Reason.CERTIFICATE_NOT_TRUSTED,
    }
)

Observer = Callable[[Attempt], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class DeliveryRules:
    """What all deliveries of an engine share."""

    session: SessionRules
    pool: Pool[Session]
    demand: Rules
    attempted: Observer


@dataclass(frozen=True, slots=True)
class Job:
    """One message on its way to one next hop, and how that hop is held to REQUIRETLS."""

    message: Message
    requirement: Requirement
    level: Level
    content: Content

    @classmethod
    def of(cls, message: Message, level: Level, content: Content) -> Job:
        """Return the job for *message* at *level*; *content* is that of *message*."""
        return cls(message, message.requirement, level, content)


class Delivery:
    """Walk the hosts of one next hop with one job until every recipient has an outcome in *outcomes*."""

    def __init__(
        self, job: Job, evidence: Evidence, rules: DeliveryRules, outcomes: dict[Recipient, Outcome]
    ) -> None:
        self._job = job
        self._evidence = evidence
        self._rules = rules
        self._refusals: list[Refusal] = []
        self._lacks_dnssec = False
        self.outcomes = outcomes

    async def run(self, recipients: Sequence[Recipient]) -> None:
        """Fill `outcomes` for *recipients*; nothing is raised for what servers do."""
        verdict = verdict_without_hosts(self._evidence)
        left = list(recipients)
        if verdict is None:
            for host in hosts_to_try(self._evidence):
                if left:
                    left = await self._try_host(host, left)
            if not left:
                return
            verdict = combined(self._job.requirement, self._job.level, self._refusals)
        for recipient in left:
            self.outcomes[recipient] = _settled(recipient, verdict)

    @property
    def blames_evidence(self) -> bool:
        """Whether newer evidence could change an outcome.

        That is if an MTA-STS policy had a part in refusing a host, or if a
        recipient fails for want of DNSSEC, or waits because nobody validates it.
        """
        if isinstance(self._evidence.sts, STSFound):
            return any(refusal.reason in _STS_MAY_BE_STALE for refusal in self._refusals)
        final = any(
            outcome.disposition is Disposition.FAILED or outcome.reason is Reason.CONFIGURATION
            for outcome in self.outcomes.values()
        )
        return final and self._lacks_dnssec

    def take_back(self) -> list[Recipient]:
        """Take back the outcomes of recipients whom no server gave a last word about; return these."""
        unsettled = [each for each, outcome in self.outcomes.items() if outcome.receipt is None]
        for recipient in unsettled:
            del self.outcomes[recipient]
        return unsettled

    async def _try_host(self, host: HostEvidence, recipients: list[Recipient]) -> list[Recipient]:
        """Return the recipients that are still to be tried at the next host."""
        demand = demand_for(self._job.requirement, self._evidence, host, self._job.level, self._rules.demand)
        if isinstance(demand, Refusal):
            await self._passed_over(str(host.host), demand, demanded="nothing")
            return recipients
        started = time.monotonic()
        async with self._rules.pool.place(demand) as place:
            used = await self._use(place, recipients)
        seconds = time.monotonic() - started
        if isinstance(used, Refusal):
            await self._passed_over(str(host.host), used, demanded=demand.security.value, seconds=seconds)
            return recipients
        return await self._settle_all(*used, recipients, seconds)

    async def _use(
        self, place: Place[Session], recipients: list[Recipient]
    ) -> tuple[Session, Handover] | Refusal:
        """Hand the message over in *place*, in a new session if there is none or a kept one is dead."""
        message, content = self._job.message, self._job.content
        if place.session is not None:
            handover = await place.session.send(message, recipients, content)
            if not handover.never_begun:
                return place.session, handover
            place.session = None
        opened = await open_session(place.demand, self._rules.session)
        if isinstance(opened, Refusal):
            return opened
        place.session = opened
        return opened, await opened.send(message, recipients, content)

    async def _settle_all(
        self, session: Session, handover: Handover, recipients: list[Recipient], seconds: float
    ) -> list[Recipient]:
        """Note what became of *recipients*, and return those that another host may be tried for."""
        left = []
        settled = []
        for recipient in recipients:
            outcome = self._settle(session, handover, recipient)
            if outcome is None:
                left.append(recipient)
            else:
                settled.append(outcome)
        self.outcomes.update((outcome.recipient, outcome) for outcome in settled)
        await self._report(session, handover, tuple(settled), seconds)
        return left

    def _settle(self, session: Session, handover: Handover, recipient: Recipient) -> Outcome | None:
        """Return the outcome of one recipient, None if another host may be tried."""
        if recipient in handover.unsendable:
            reply = handover.unsendable[recipient]
            return self._outcome(session, recipient, Disposition.FAILED, reply, Reason.REJECTED)
        answer = handover.replies.get(recipient)
        if answer is None:
            return self._without_answer(session, handover, recipient)
        if answer.kind == 2:
            return self._outcome(session, recipient, Disposition.DELIVERED, answer.as_reply(), None, answer)
        if answer.kind == 5:
            reply = answer.as_reply()
            return self._outcome(session, recipient, Disposition.FAILED, reply, Reason.REJECTED, answer)
        self._refusals.append(_put_off(session, answer))
        return None

    def _without_answer(self, session: Session, handover: Handover, recipient: Recipient) -> Outcome | None:
        refusal = handover.refusal or _hung_up(session)
        if recipient in handover.doubtful:
            # The message may have arrived; offering it to another host now could double it.
            reply = deferral(refusal, replies.CONNECTION_LOST)
            return self._outcome(session, recipient, Disposition.DEFERRED, reply, refusal.reason)
        self._refusals.append(_with_session(refusal, session))
        return None

    def _outcome(
        self,
        session: Session,
        recipient: Recipient,
        disposition: Disposition,
        reply: replies.Reply,
        reason: Reason | None,
        answer: ServerReply | None = None,
    ) -> Outcome:
        sts = self._evidence.sts
        return Outcome(
            recipient,
            disposition,
            reply,
            host=str(session.demand.host),
            security=session.security,
            requiretls=session.sends_requiretls,
            reason=reason,
            from_server=answer is not None,
            server_text=answer.quoted if answer is not None else None,
            receipt=session.receipt(sts.record_id if isinstance(sts, STSFound) else None),
            dsn_offered=session.proof.extensions.dsn,
        )

    async def _passed_over(self, host: str, refusal: Refusal, *, demanded: str, seconds: float = 0.0) -> None:
        self._lacks_dnssec |= lacks_dnssec(refusal, self._evidence)
        # What observers are told is what happened; whose fault it is decides the verdict.
        self._refusals.append(excused(refusal, self._job.requirement, self._evidence))
        await self._rules.attempted(
            Attempt(
                self._evidence.next_hop,
                host,
                refusal.peer.address if refusal.peer is not None else None,
                demanded,
                refusal=refusal.reason,
                why=refusal.why,
                message=self._job.message,
                evidence=self._evidence,
                seconds=seconds,
                peer=refusal.peer,
            )
        )

    async def _report(
        self, session: Session, handover: Handover, outcomes: tuple[Outcome, ...], seconds: float
    ) -> None:
        refusal = handover.refusal
        await self._rules.attempted(
            Attempt(
                self._evidence.next_hop,
                str(session.demand.host),
                str(session.address),
                session.demand.security.value,
                security=session.security,
                requiretls_offered=session.proof.requiretls_offered,
                requiretls_sent=session.sends_requiretls,
                refusal=refusal.reason if refusal else None,
                why=refusal.why if refusal else "",
                outcomes=outcomes,
                message=self._job.message,
                evidence=self._evidence,
                seconds=seconds,
                reused=session.messages > 1,
                trial=session.trial,
            )
        )


def _settled(recipient: Recipient, verdict: CombinedVerdict) -> Outcome:
    return Outcome(
        recipient,
        verdict.disposition,
        verdict.reply,
        host=verdict.host,
        security=verdict.security,
        requiretls=verdict.requiretls,
        reason=verdict.reason,
        from_server=verdict.server_text is not None,
        server_text=verdict.server_text,
    )


def _hung_up(session: Session) -> Refusal:
    host, why = str(session.demand.host), "the server ended the session"
    return Refusal(Reason.CONNECTION_LOST, Sureness.NOT_JUDGED, why, host)


def _put_off(session: Session, answer: ServerReply) -> Refusal:
    host, why = str(session.demand.host), f"answered {answer.quoted!r}"
    refusal = Refusal(Reason.REJECTED, Sureness.NOT_JUDGED, why, host, answer.as_reply(), answer.quoted)
    return _with_session(refusal, session)


def _with_session(refusal: Refusal, session: Session) -> Refusal:
    """Note what *session* was: MAIL was said in it."""
    return replace(refusal, security=session.security, requiretls=session.sends_requiretls)
