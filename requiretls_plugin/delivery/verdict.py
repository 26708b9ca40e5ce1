"""From what every host said to what the sender is told. Order does not matter here."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from requiretls_plugin import reply as replies
from requiretls_plugin.delivery.outcome import Disposition
from requiretls_plugin.level import Level
from requiretls_plugin.policy.evidence import Evidence
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.reason import Reason
from requiretls_plugin.reply import Reply
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.security import Security

TAKES_NO_MAIL = Reply(554, "5.3.2", "Host takes no mail")

# Of several reasons the first one here names the verdict, so that the order of hosts cannot.
_PRECEDENCE = (
    Reason.CONFIGURATION,
    Reason.DNSSEC_BOGUS,
    Reason.DNS_FAILURE,
    Reason.STS_UNAVAILABLE,
    Reason.DANE_MISMATCH,
    Reason.CERTIFICATE_EXPIRED,
    Reason.CERTIFICATE_NAME_MISMATCH,
    Reason.CERTIFICATE_NOT_TRUSTED,
    Reason.TLS_HANDSHAKE_FAILED,
    Reason.STARTTLS_REFUSED,
    Reason.STARTTLS_NOT_OFFERED,
    Reason.STS_MISMATCH,
    Reason.NAME_NOT_PROVEN,
    Reason.REQUIRETLS_NOT_OFFERED,
    Reason.REJECTED,
    Reason.PROTOCOL_VIOLATION,
    Reason.CONNECTION_LOST,
    Reason.HOST_UNREACHABLE,
)

_DEFERRAL_REPLIES = {
    Reason.CONFIGURATION: replies.OUR_SETTINGS_AT_FAULT,
    Reason.DNSSEC_BOGUS: replies.DNS_LOOKUP_FAILED,
    Reason.DNS_FAILURE: replies.DNS_LOOKUP_FAILED,
    Reason.HOST_UNREACHABLE: replies.HOST_NOT_REACHED,
    Reason.CONNECTION_LOST: replies.CONNECTION_LOST,
    Reason.PROTOCOL_VIOLATION: replies.PROTOCOL_BROKEN,
}


@dataclass(frozen=True, slots=True)
class CombinedVerdict:
    """What all hosts together mean for a recipient that none of them took."""

    disposition: Disposition
    reply: Reply
    reason: Reason
    host: str | None
    server_text: str | None = None
    security: Security | None = None
    requiretls: bool = False


_NO_ENCRYPTION = frozenset(
    {Reason.STARTTLS_NOT_OFFERED, Reason.STARTTLS_REFUSED, Reason.TLS_HANDSHAKE_FAILED}
)


def combined(requirement: Requirement, level: Level, refusals: Sequence[Refusal]) -> CombinedVerdict:
    """Return the verdict that *refusals*, one or more for each host tried, add up to.

    A message under REQUIRETLS fails for good only if every host proved that it
    cannot meet the demand; one host that could not be judged defers it. Other
    messages are deferred (RFC 7672 section 2.2, RFC 8461 section 5), unless
    every host said that it takes no mail at all.
    """
    leading = _leading(refusals)
    if any(refusal.sureness is Sureness.OUR_FAULT for refusal in refusals):
        ours = _leading([refusal for refusal in refusals if refusal.sureness is Sureness.OUR_FAULT])
        return _verdict(Disposition.DEFERRED, replies.OUR_SETTINGS_AT_FAULT, ours, refusals)
    proved = all(refusal.sureness is Sureness.PROVED for refusal in refusals)
    kinds = {refusal.reason for refusal in refusals}
    if proved and kinds == {Reason.REJECTED}:
        reply = leading.reply if leading.reply and leading.reply.permanent else TAKES_NO_MAIL
        return _verdict(Disposition.FAILED, reply, leading, refusals)
    if requirement is not Requirement.REQUIRED or not _is_held_to(level, kinds):
        reply = deferral(leading, replies.TLS_POLICY_NOT_MET)
        return _verdict(Disposition.DEFERRED, reply, leading, refusals)
    if not proved:
        leading = _leading([refusal for refusal in refusals if refusal.sureness is Sureness.NOT_JUDGED])
        return _verdict(Disposition.DEFERRED, deferral(leading, replies.TLS_NOT_JUDGED), leading, refusals)
    if kinds == {Reason.REQUIRETLS_NOT_OFFERED}:
        return _verdict(Disposition.FAILED, replies.REQUIRETLS_NOT_SUPPORTED, leading, refusals)
    return _verdict(Disposition.FAILED, replies.TLS_REQUIREMENT_NOT_MET, leading, refusals)


# What can come of an answer that DNSSEC does not vouch for.
_FOR_WANT_OF_DNSSEC = frozenset(
    {
        Reason.NAME_NOT_PROVEN,
        Reason.CERTIFICATE_EXPIRED,
        Reason.CERTIFICATE_NAME_MISMATCH,
        Reason.CERTIFICATE_NOT_TRUSTED,
    }
)


def lacks_dnssec(refusal: Refusal, evidence: Evidence) -> bool:
    """Return whether *refusal* might not be if DNSSEC vouched for all of *evidence*."""
    return refusal.reason in _FOR_WANT_OF_DNSSEC and bool(evidence.insecure)


def excused(refusal: Refusal, requirement: Requirement, evidence: Evidence) -> Refusal:
    """Return *refusal*, as our fault if *evidence* lacks only what nobody validates for us.

    That concerns what REQUIRETLS demands: other mail has to prove nothing there.
    """
    blamed = requirement is Requirement.REQUIRED and refusal.sureness is Sureness.PROVED
    if not blamed or evidence.blind is None or not lacks_dnssec(refusal, evidence):
        return refusal
    why = f"{refusal.why}, but DNSSEC proves nothing here: {evidence.blind}"
    return replace(refusal, reason=Reason.CONFIGURATION, sureness=Sureness.OUR_FAULT, why=why)


def _is_held_to(level: Level, kinds: Set[Reason]) -> bool:
    """Whether *level* makes refusals of these *kinds* final for a message under REQUIRETLS."""
    if level is Level.OPPORTUNISTIC_STARTTLS:
        return kinds <= _NO_ENCRYPTION
    return level is Level.ENFORCE


def _leading(refusals: Sequence[Refusal]) -> Refusal:
    """Return the one of *refusals* to name: by reason, then by anything that tells them apart."""
    return min(
        refusals,
        key=lambda refusal: (
            _PRECEDENCE.index(refusal.reason),
            refusal.host or "",
            refusal.why,
            str(refusal.reply),
            refusal.server_text or "",
        ),
    )


def deferral(refusal: Refusal, otherwise: Reply) -> Reply:
    """Return the reply to defer with because of *refusal*, *otherwise* where its reason has none."""
    if refusal.reply is not None and not refusal.reply.permanent and refusal.reason is Reason.REJECTED:
        return refusal.reply
    if refusal.reason is Reason.REJECTED:
        return replies.HOST_REFUSED_SESSION
    return _DEFERRAL_REPLIES.get(refusal.reason, otherwise)


def _verdict(
    disposition: Disposition, reply: Reply, leading: Refusal, refusals: Sequence[Refusal]
) -> CombinedVerdict:
    if reply is not leading.reply:
        told = sorted({f"{refusal.host}: {refusal.reason.value}" for refusal in refusals if refusal.host})
        reply = reply.with_text(f"{reply.text} ({'; '.join(told)})" if told else reply.text)
    from_server = leading.server_text if leading.reason is Reason.REJECTED else None
    return CombinedVerdict(
        disposition, reply, leading.reason, leading.host, from_server, leading.security, leading.requiretls
    )
