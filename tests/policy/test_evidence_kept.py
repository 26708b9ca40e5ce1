"""How long evidence is kept, and with it the decisions that rest on it."""

from __future__ import annotations

import asyncio
import gc
import ssl
import weakref

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.level import Level
from requiretls_plugin.policy.cache_memory import MemoryCache
from requiretls_plugin.policy.demand import Rules, demand_for
from requiretls_plugin.policy.evidence import Evidence
from requiretls_plugin.policy.next_hop import DomainHop
from requiretls_plugin.policy.resolver import KEPT_SECONDS, PolicyResolver
from requiretls_plugin.policy.sts import STSResolver
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.settings import MTASTSSettings
from tests.policy.fake_dns import FakeDNS

RULES = Rules()


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _resolver(clock: _Clock) -> PolicyResolver:
    zone = {f"d{number}.example": {"A": ["192.0.2.1"]} for number in range(20)}
    dns = FakeDNS(zone)
    sts = STSResolver(dns, MemoryCache(), MTASTSSettings(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    return PolicyResolver(dns, sts, port=25, clock=clock)


async def _decided(resolver: PolicyResolver, number: int) -> Evidence:
    evidence = await resolver.evidence(DomainHop(DomainName(f"d{number}.example")))
    for host in evidence.hosts:
        demand_for(Requirement.REQUIRED, evidence, host, Level.ENFORCE, RULES)
    return evidence


def test_decisions_are_made_once_for_the_same_evidence() -> None:
    """The very same demand comes back, so sessions are found by it at once."""

    async def run() -> None:
        evidence = await _decided(_resolver(_Clock()), 0)
        [host] = evidence.hosts
        first, second = (
            demand_for(Requirement.REQUIRED, evidence, host, Level.ENFORCE, RULES) for _ in range(2)
        )
        assert first is second

    asyncio.run(run())


def test_attack_evidence_about_many_domains_does_not_fill_the_memory() -> None:
    """Whoever makes us send to ever new domains leaves nothing behind, however large their answers are."""

    async def run() -> list[weakref.ref[Evidence]]:
        clock = _Clock()
        resolver = _resolver(clock)
        seen = []
        for number in range(20):
            clock.now += KEPT_SECONDS
            seen.append(weakref.ref(await _decided(resolver, number)))
        gc.collect()
        assert sum(each() is not None for each in seen) == 1
        return seen

    asyncio.run(run())
