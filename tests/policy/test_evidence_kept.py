"""How long evidence is kept, and with it the decisions that rest on it."""

from __future__ import annotations

import asyncio
import gc
import ssl
import weakref
from typing import Any

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.level import Level
from requiretls_plugin.policy.cache_memory import MemoryCache
from requiretls_plugin.policy.demand import Rules, demand_for
from requiretls_plugin.policy.dns_probe import SIGHT_SECONDS
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


class _SightedDNS(FakeDNS):
    """Says that nobody validates, and notes how fresh that has to be, and what it had to forget."""

    def __init__(self, **arguments: Any) -> None:
        zone = {"a.example": {"MX": ["10 mx.a.example"]}, "mx.a.example": {"A": ["192.0.2.1"]}}
        super().__init__(zone, **arguments)
        self.looks: list[float] = []
        self.forgotten: list[DomainName] = []

    latest_blindness = "127.0.0.1:53 did not validate"

    async def blindness(self, max_age: float) -> str | None:
        self.looks.append(max_age)
        return "127.0.0.1:53 does not validate"

    def forget(self, name: DomainName) -> None:
        self.forgotten.append(name)


def _resolver_over(dns: FakeDNS) -> PolicyResolver:
    sts = STSResolver(dns, MemoryCache(), MTASTSSettings(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    return PolicyResolver(dns, sts, port=25, clock=_Clock())


async def _evidence(dns: FakeDNS, *, recheck: bool = False) -> Evidence:
    return await _resolver_over(dns).evidence(DomainHop(DomainName("a.example")), recheck=recheck)


def test_whether_anybody_validates_is_told_where_dnssec_does_not_vouch_for_all() -> None:
    """As far as it was found out: no mail waits for that."""
    signed, unsigned = _SightedDNS(), _SightedDNS(unsigned=["mx.a.example"])

    seen, doubted = asyncio.run(_evidence(signed)), asyncio.run(_evidence(unsigned))

    assert seen.blind is None
    assert doubted.blind == "127.0.0.1:53 did not validate"
    assert doubted.insecure == {DomainName("mx.a.example")}
    assert (signed.looks, unsigned.looks, unsigned.forgotten) == ([], [], [])


def test_whoever_wants_to_know_for_sure_waits() -> None:
    """A look may be a minute old; where everything is signed it does not matter."""
    signed, unsigned = _SightedDNS(), _SightedDNS(unsigned=["mx.a.example"])

    async def sure(dns: FakeDNS) -> Evidence:
        return await _resolver_over(dns).with_sight(await _evidence(dns))

    seen, doubted = asyncio.run(sure(signed)), asyncio.run(sure(unsigned))

    assert (seen.blind, signed.looks) == (None, [])
    assert (doubted.blind, unsigned.looks) == ("127.0.0.1:53 does not validate", [SIGHT_SECONDS])


def test_before_a_failure_is_final_everything_is_asked_anew() -> None:
    """The answers first, then who gave them."""
    dns = _SightedDNS(unsigned=["."])

    evidence = asyncio.run(_evidence(dns, recheck=True))

    assert evidence.insecure == {DomainName("mx.a.example"), DomainHop(DomainName("a.example"))}
    assert {"a.example", "mx.a.example"} <= {name.text for name in dns.forgotten}
    assert dns.looks == [0.0]
