"""Everything that decides whether mail gets to a next hop, gathered once and judged as often as wanted.

`gather` asks DNS and the hosts; `judge` is pure and calls what a delivery
calls. So a verdict on findings that were kept is the verdict of that day.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from requiretls_plugin.delivery.attempt import DeliveryRules
from requiretls_plugin.delivery.hosts import hosts_to_try, verdict_without_hosts
from requiretls_plugin.delivery.outcome import Disposition
from requiretls_plugin.delivery.proof import Proof, security_of, shortfall
from requiretls_plugin.delivery.session import Session
from requiretls_plugin.delivery.verdict import combined, excused
from requiretls_plugin.level import Level
from requiretls_plugin.policy.demand import Demand, Rules, demand_for
from requiretls_plugin.policy.evidence import Evidence, HostEvidence
from requiretls_plugin.policy.next_hop import Host
from requiretls_plugin.policy.refusal import Refusal
from requiretls_plugin.policy.resolver import PolicyResolver
from requiretls_plugin.probes import Probes
from requiretls_plugin.reason import Reason
from requiretls_plugin.reply import Reply
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.routing import Destination
from requiretls_plugin.security import Security


@dataclass(frozen=True, slots=True)
class SessionFinding:
    """What a session with *host* proved when it was opened as a message with *requirement* would open it."""

    host: Host
    requirement: Requirement
    found: Proof | Refusal


@dataclass(frozen=True, slots=True)
class Findings:
    """What there is to know about a next hop; *taken* is when, in seconds since 1970."""

    taken: float
    level: Level
    rules: Rules
    evidence: Evidence
    sessions: tuple[SessionFinding, ...]

    def session(self, host: Host, requirement: Requirement) -> Proof | Refusal | None:
        """Return what was found at *host*, None if no session was tried."""
        return next(
            (each.found for each in self.sessions if (each.host, each.requirement) == (host, requirement)),
            None,
        )

    def proof(self, host: Host) -> Proof | None:
        """Return what the most telling session with *host* proved, None if there was none."""
        found = (self.session(host, requirement) for requirement in Requirement)
        return next((each for each in found if isinstance(each, Proof)), None)


@dataclass(frozen=True, slots=True)
class HostJudgement:
    """What a host has to prove, and what it lacks of that; *security* is what the session was otherwise."""

    host: HostEvidence
    demand: Demand | Refusal
    refusal: Refusal | None
    security: Security | None
    requiretls: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """What would become of a message with *requirement* now.

    *reply* and *reason* are those the sender would be told, both None if the
    message is handed over; whether the server takes it is not known.
    """

    requirement: Requirement
    disposition: Disposition
    reply: Reply | None
    reason: Reason | None
    hosts: tuple[HostJudgement, ...]


async def gather(destination: Destination, resolver: PolicyResolver, rules: DeliveryRules) -> Findings:
    """Look up the evidence about *destination*, and see what its hosts prove.

    Each host is connected to once for every different demand and told no more
    than EHLO, STARTTLS, EHLO, QUIT.
    """
    evidence = await resolver.with_sight(await resolver.evidence(destination.next_hop))
    hosts = hosts_to_try(evidence) if verdict_without_hosts(evidence) is None else []
    seen = await asyncio.gather(*(_see(evidence, host, destination.level, rules) for host in hosts))
    sessions = tuple(each for found in seen for each in found)
    return Findings(time.time(), destination.level, rules.demand, evidence, sessions)


async def _see(
    evidence: Evidence, host: HostEvidence, level: Level, rules: DeliveryRules
) -> list[SessionFinding]:
    probes = Probes()
    sessions = []
    for requirement in Requirement:
        demand = demand_for(requirement, evidence, host, level, rules.demand)
        if isinstance(demand, Demand):
            seen = await probes.probe(demand, rules.session)
            found = seen.proof if isinstance(seen, Session) else seen
            sessions.append(SessionFinding(host.host, requirement, found))
    return sessions


def judge(findings: Findings, requirement: Requirement) -> Judgement:
    """Return what would become of a message with *requirement*, by the evaluation that delivers."""
    verdict = verdict_without_hosts(findings.evidence)
    if verdict is not None:
        return Judgement(requirement, verdict.disposition, verdict.reply, verdict.reason, ())
    in_order = sorted(hosts_to_try(findings.evidence), key=lambda host: (host.preference, str(host.host)))
    hosts = [_judge_host(findings, host, requirement) for host in in_order]
    if any(host.refusal is None for host in hosts):
        return Judgement(requirement, Disposition.DELIVERED, None, None, tuple(hosts))
    verdict = combined(requirement, findings.level, _refusals(hosts))
    return Judgement(requirement, verdict.disposition, verdict.reply, verdict.reason, tuple(hosts))


def _refusals(hosts: Sequence[HostJudgement]) -> list[Refusal]:
    return [host.refusal for host in hosts if host.refusal is not None]


def _judge_host(findings: Findings, host: HostEvidence, requirement: Requirement) -> HostJudgement:
    demand = demand_for(requirement, findings.evidence, host, findings.level, findings.rules)
    if isinstance(demand, Refusal):
        refusal = excused(demand, requirement, findings.evidence)
        return HostJudgement(host, demand, refusal, None, requiretls=False)
    found = findings.session(host.host, requirement)
    if found is None:
        raise ValueError(f"the findings lack a session with {host.host}")
    if isinstance(found, Refusal):
        refusal = excused(found, requirement, findings.evidence)
        return HostJudgement(host, demand, refusal, None, requiretls=False)
    missing = shortfall(demand, found)
    security = security_of(demand, found) if missing is None else None
    sent = missing is None and demand.pass_requiretls and found.requiretls_offered
    return HostJudgement(host, demand, missing, security, requiretls=sent)
