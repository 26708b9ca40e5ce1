"""Would REQUIRETLS mail get through now? The same evaluation as delivery, stopping before MAIL."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from requiretls_plugin.delivery.attempt import DeliveryRules
from requiretls_plugin.delivery.hosts import hosts_to_try, verdict_without_hosts
from requiretls_plugin.delivery.outcome import Disposition
from requiretls_plugin.delivery.verdict import combined, excused
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.level import Level
from requiretls_plugin.policy.capability import CapabilityMemory
from requiretls_plugin.policy.demand import Demand, demand_for
from requiretls_plugin.policy.evidence import Evidence, HostEvidence, NameProof
from requiretls_plugin.policy.next_hop import NextHop
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.policy.resolver import PolicyResolver
from requiretls_plugin.probes import Probes
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Requirement


class Verdict(enum.Enum):
    """Whether REQUIRETLS mail gets through."""

    READY = "ready"
    NOT_READY = "not-ready"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HostReadiness:
    """What one host proved. *starttls* and *requiretls* are None where it could not be found out."""

    host: str
    preference: int
    name_proof: NameProof
    authentication: str
    starttls: bool | None
    requiretls: bool | None
    verdict: Verdict
    reason: Reason | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether REQUIRETLS mail for a domain gets through now, and what each host contributes."""

    domain: DomainName
    verdict: Verdict
    reason: Reason | None
    hosts: tuple[HostReadiness, ...]
    evidence: Evidence | None = field(default=None, repr=False)


async def preflight(
    domain: DomainName,
    hop: NextHop,
    resolver: PolicyResolver,
    rules: DeliveryRules,
    probes: Probes | None = None,
) -> Readiness:
    """Return whether REQUIRETLS mail for *domain*, which goes to *hop*, would get through now.

    Connects to every host of the next hop once and says no more than EHLO,
    STARTTLS, EHLO, QUIT. Levels of the settings are left aside: whether the
    promise would be kept is the question. What *probes* saw before for another
    domain is not looked at again.
    """
    probes = probes or Probes()
    evidence = await resolver.with_sight(await resolver.evidence(hop))
    verdict = verdict_without_hosts(evidence)
    if verdict is not None:
        unknown = verdict.disposition is Disposition.DEFERRED
        verdict_word = Verdict.UNKNOWN if unknown else Verdict.NOT_READY
        return Readiness(domain, verdict_word, verdict.reason, (), evidence)
    tried = await asyncio.gather(
        *(_try_host(evidence, host, rules, probes) for host in hosts_to_try(evidence))
    )
    hosts = tuple(host for host, _ in tried)
    return Readiness(domain, *_overall(hosts, [refusal for _, refusal in tried if refusal]), hosts, evidence)


async def with_memories(readiness: Readiness, memory: CapabilityMemory) -> Readiness:
    """Add to *readiness* what is remembered of hosts that could not be judged now; no verdict changes."""
    hosts = tuple([await _remembered(host, memory) for host in readiness.hosts])
    return replace(readiness, hosts=hosts)


async def _remembered(host: HostReadiness, memory: CapabilityMemory) -> HostReadiness:
    if host.verdict is not Verdict.UNKNOWN:
        return host
    known = await memory.recall(DomainName(host.host))
    if known is None or known.requiretls is None:
        return host
    seen = datetime.fromtimestamp(known.requiretls, UTC)
    return replace(host, why=f"{host.why}; it last offered REQUIRETLS on {seen:%Y-%m-%d}")


async def shortcoming(
    hop: NextHop, resolver: PolicyResolver, rules: DeliveryRules, probes: Probes | None = None
) -> Refusal | None:
    """Return why the next hop *hop* cannot take REQUIRETLS mail now, None if one of its hosts can."""
    evidence = await resolver.with_sight(await resolver.evidence(hop))
    refusal: Refusal | None = Refusal(
        Reason.HOST_UNREACHABLE, Sureness.NOT_JUDGED, "has no address", str(hop)
    )
    for host in hosts_to_try(evidence):
        _, refusal = await _try_host(evidence, host, rules, probes or Probes())
        if refusal is None:
            return None
    return refusal


def _overall(hosts: Sequence[HostReadiness], refusals: Sequence[Refusal]) -> tuple[Verdict, Reason | None]:
    if any(host.verdict is Verdict.READY for host in hosts):
        return Verdict.READY, None
    verdict = combined(Requirement.REQUIRED, Level.ENFORCE, refusals)
    if verdict.disposition is Disposition.DEFERRED:
        return Verdict.UNKNOWN, verdict.reason
    return Verdict.NOT_READY, verdict.reason


async def _try_host(
    evidence: Evidence, host: HostEvidence, rules: DeliveryRules, probes: Probes
) -> tuple[HostReadiness, Refusal | None]:
    demand = demand_for(Requirement.REQUIRED, evidence, host, Level.ENFORCE, rules.demand)
    if isinstance(demand, Refusal):
        refusal = excused(demand, Requirement.REQUIRED, evidence)
        return await _look_on(evidence, host, refusal, rules, probes), refusal
    session = await probes.probe(demand, rules.session)
    if isinstance(session, Refusal):
        starttls = _starttls_despite(session)
        proved = session.reason is Reason.REQUIRETLS_NOT_OFFERED
        authentication = _mechanism(demand) if proved else "none"
        refusal = excused(session, Requirement.REQUIRED, evidence)
        return _host(
            evidence, host, rules, authentication, starttls, False if proved else None, refusal
        ), refusal
    return _host(evidence, host, rules, _mechanism(demand), True, True, None), None


async def _look_on(
    evidence: Evidence, host: HostEvidence, refusal: Refusal, rules: DeliveryRules, probes: Probes
) -> HostReadiness:
    """See what a host offers although it is refused for want of a proven name."""
    demand = demand_for(Requirement.UNSTATED, evidence, host, Level.ENFORCE, rules.demand)
    if isinstance(demand, Refusal):
        return _host(evidence, host, rules, "none", None, None, refusal)
    session = await probes.probe(demand, rules.session)
    if isinstance(session, Refusal):
        return _host(evidence, host, rules, "none", _starttls_despite(session), None, refusal)
    encrypted = session.proof.tls is not None
    authentication = _mechanism(demand) if encrypted else "none"
    offered = session.proof.requiretls_offered
    return _host(evidence, host, rules, authentication, encrypted, offered, refusal)


def _host(
    evidence: Evidence,
    host: HostEvidence,
    rules: DeliveryRules,
    authentication: str,
    starttls: bool | None,
    requiretls: bool | None,
    refusal: Refusal | None,
) -> HostReadiness:
    proof = evidence.name_proof(host.host, accept_testing=rules.demand.accept_testing)
    verdict, reason, why = Verdict.READY, None, ""
    if refusal is not None:
        proved = refusal.sureness is Sureness.PROVED
        verdict = Verdict.NOT_READY if proved else Verdict.UNKNOWN
        reason, why = refusal.reason, refusal.why
    return HostReadiness(
        str(host.host), host.preference, proof, authentication, starttls, requiretls, verdict, reason, why
    )


def _mechanism(demand: Demand) -> str:
    if demand.tlsa:
        return "dane"
    return "pkix" if demand.pkix_name is not None else "none"


def _starttls_despite(refusal: Refusal) -> bool | None:
    if refusal.reason in (Reason.STARTTLS_NOT_OFFERED, Reason.STARTTLS_REFUSED):
        return False
    after_handshake = (
        Reason.REQUIRETLS_NOT_OFFERED,
        Reason.CERTIFICATE_EXPIRED,
        Reason.CERTIFICATE_NAME_MISMATCH,
        Reason.CERTIFICATE_NOT_TRUSTED,
        Reason.DANE_MISMATCH,
        Reason.TLS_HANDSHAKE_FAILED,
    )
    return True if refusal.reason in after_handshake else None
