"""One message to one next hop: hosts in order until one meets the demand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from requiretls_plugin import reply as replies
from requiretls_plugin.delivery.content import wire_content
from requiretls_plugin.delivery.envelope import Envelope
from requiretls_plugin.delivery.outcome import Attempt, Disposition, Outcome
from requiretls_plugin.delivery.pool import Pool
from requiretls_plugin.delivery.server_reply import ServerReply
from requiretls_plugin.delivery.session import Handover, Session, SessionRules, open_session
from requiretls_plugin.delivery.verdict import CombinedVerdict, combined
from requiretls_plugin.level import Level
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.policy.demand import Demand, Rules, demand_for
from requiretls_plugin.policy.evidence import Evidence, HostEvidence
from requiretls_plugin.policy.mx_lookup import MailLoop, MXFailed, NoSuchDomain, NoUsableMX, NullMX
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.policy.sts import STSFound
from requiretls_plugin.policy.tlsa_lookup import HostUnknown
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Requirement

NO_USABLE_HOST = replies.Reply(550, "5.4.4", "Recipient domain names no usable mail host")

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
    content: bytes

    @classmethod
    def of(cls, message: Message, level: Level) -> Job:
        """Return the job for *message* at *level*."""
        return cls(message, message.requirement, level, wire_content(message.content))


class Delivery:
    """Walk the hosts of one next hop with one job until every recipient has an outcome."""

    def __init__(self, job: Job, evidence: Evidence, rules: DeliveryRules) -> None:
        self._job = job
        self._evidence = evidence
        self._rules = rules
        self._refusals: list[Refusal] = []
        self.outcomes: dict[Recipient, Outcome] = {}

    async def run(self, recipients: Sequence[Recipient]) -> None:
        """Fill `outcomes` for *recipients*; nothing is raised for what servers do."""
        verdict = verdict_without_hosts(self._evidence)
        left = list(recipients)
        if verdict is None:
            for host in hosts_with_addresses(self._evidence):
                left = await self._try_host(host, left)
                if not left:
                    return
            verdict = combined(self._job.requirement, self._job.level, self._refusals)
        for recipient in left:
            self.outcomes[recipient] = _settled(recipient, verdict)

    @property
    def blames_sts(self) -> bool:
        """Whether an MTA-STS policy had a part in refusing a host."""
        if not isinstance(self._evidence.sts, STSFound):
            return False
        return any(refusal.reason in _STS_MAY_BE_STALE for refusal in self._refusals)

    def unsettled(self, recipients: Sequence[Recipient]) -> list[Recipient]:
        """Return those of *recipients* whom no server gave a last word about."""
        return [each for each in recipients if self.outcomes[each].receipt is None]

    async def _try_host(self, host: HostEvidence, recipients: list[Recipient]) -> list[Recipient]:
        """Return the recipients that are still to be tried at the next host."""
        demand = demand_for(self._job.requirement, self._evidence, host, self._job.level, self._rules.demand)
        if isinstance(demand, Refusal):
            await self._passed_over(str(host.host), demand, demanded="nothing")
            return recipients
        pool = self._rules.pool
        session = await pool.acquire(demand)
        reused = session is not None
        try:
            while True:
                if session is None:
                    opened = await open_session(demand, self._rules.session)
                    if isinstance(opened, Refusal):
                        await self._passed_over(str(host.host), opened, demanded=demand.security.value)
                        return recipients
                    session = opened
                left, found_dead = await self._hand_over(session, demand, recipients, reused)
                if not found_dead:
                    return left
                session, reused = None, False
        finally:
            pool.release(demand, session)

    async def _hand_over(
        self, session: Session, demand: Demand, recipients: list[Recipient], reused: bool
    ) -> tuple[list[Recipient], bool]:
        """Return the recipients left, and whether a kept session turned out to be dead."""
        session_envelope = Envelope(self._job.message, session.proof.extensions, len(self._job.content))
        settled = {
            recipient: self._outcome(session, recipient, Disposition.FAILED, reply, Reason.REJECTED)
            for recipient in recipients
            if (reply := session_envelope.refusal(recipient))
        }
        sendable = [recipient for recipient in recipients if recipient not in settled]
        handover = Handover()
        if sendable:
            handover = await session.send(self._job.message, sendable, self._job.content)
        if reused and handover.refusal and not handover.content_sent and not handover.replies:
            return recipients, True
        left = []
        for recipient in sendable:
            outcome = self._settle(session, handover, recipient)
            if outcome is None:
                left.append(recipient)
            else:
                settled[recipient] = outcome
        self.outcomes.update(settled)
        await self._report(session, demand, handover, tuple(settled.values()))
        return left, False

    def _settle(self, session: Session, handover: Handover, recipient: Recipient) -> Outcome | None:
        """Return the outcome of one recipient, None if another host may be tried."""
        answer = handover.replies.get(recipient)
        host = str(session.demand.host)
        if answer is None:
            refusal = handover.refusal or _hung_up(host)
            if handover.content_sent:
                # The message may have arrived; offering it to another host now could double it.
                return self._outcome(
                    session, recipient, Disposition.DEFERRED, replies.CONNECTION_LOST, refusal.reason
                )
            self._refusals.append(refusal)
            return None
        if answer.kind == 2:
            return self._outcome(session, recipient, Disposition.DELIVERED, answer.as_reply(), None, answer)
        if answer.kind == 5:
            return self._outcome(
                session, recipient, Disposition.FAILED, answer.as_reply(), Reason.REJECTED, answer
            )
        why = f"answered {answer.quoted!r}"
        self._refusals.append(
            Refusal(Reason.REJECTED, Sureness.NOT_JUDGED, why, host, answer.as_reply(), answer.quoted)
        )
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
        )

    async def _passed_over(self, host: str, refusal: Refusal, *, demanded: str) -> None:
        self._refusals.append(replace(refusal, host=host))
        await self._rules.attempted(
            Attempt(self._evidence.next_hop, host, None, demanded, refusal=refusal.reason, why=refusal.why)
        )

    async def _report(
        self, session: Session, demand: Demand, handover: Handover, outcomes: tuple[Outcome, ...]
    ) -> None:
        refusal = handover.refusal
        await self._rules.attempted(
            Attempt(
                self._evidence.next_hop,
                str(demand.host),
                str(session.address),
                demand.security.value,
                security=session.security,
                requiretls_offered=session.proof.requiretls_offered,
                requiretls_sent=session.sends_requiretls,
                refusal=refusal.reason if refusal else None,
                why=refusal.why if refusal else "",
                outcomes=outcomes,
            )
        )


def verdict_without_hosts(evidence: Evidence) -> CombinedVerdict | None:
    """Return the verdict where DNS alone decides, None if there are hosts to try."""
    match evidence.mx:
        case NullMX():
            return CombinedVerdict(Disposition.FAILED, replies.NULL_MX, Reason.NULL_MX, None)
        case NoSuchDomain():
            return CombinedVerdict(Disposition.FAILED, replies.NO_SUCH_DOMAIN, Reason.NO_SUCH_DOMAIN, None)
        case MXFailed(bogus, why):
            reason = Reason.DNSSEC_BOGUS if bogus else Reason.DNS_FAILURE
            reply = replies.DNS_LOOKUP_FAILED.with_text(f"MX lookup failed: {why}")
            return CombinedVerdict(Disposition.DEFERRED, reply, reason, None)
        case MailLoop():
            return CombinedVerdict(Disposition.FAILED, replies.MAIL_LOOP, Reason.CONFIGURATION, None)
        case NoUsableMX():
            return CombinedVerdict(Disposition.FAILED, NO_USABLE_HOST, Reason.HOST_UNREACHABLE, None)
    if not hosts_with_addresses(evidence):
        return CombinedVerdict(Disposition.FAILED, NO_USABLE_HOST, Reason.HOST_UNREACHABLE, None)
    return None


def hosts_with_addresses(evidence: Evidence) -> list[HostEvidence]:
    """The hosts that exist: one that DNS knows no address of is passed over without a word."""
    return [host for host in evidence.hosts if not isinstance(host.lookup, HostUnknown)]


def _settled(recipient: Recipient, verdict: CombinedVerdict) -> Outcome:
    return Outcome(
        recipient,
        verdict.disposition,
        verdict.reply,
        host=verdict.host,
        reason=verdict.reason,
        from_server=verdict.server_text is not None,
        server_text=verdict.server_text,
    )


def _hung_up(host: str) -> Refusal:
    return Refusal(Reason.CONNECTION_LOST, Sureness.NOT_JUDGED, "the server ended the session", host)
