"""The policy resolver: warm and cold decisions, memory, and MTA-STS beside postfix-mta-sts-resolver.

Everything is asked of the laboratory's validating unbound, and policies are
fetched over HTTPS from its policy hosts.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
import ssl
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import aiohttp.abc
from postfix_mta_sts_resolver import resolver as peer
from postfix_mta_sts_resolver.base_cache import CacheEntry
from postfix_mta_sts_resolver.internal_cache import InternalLRUCache

from requiretls_lab.domains import Domain, MailHost, Policy
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.resolver_proxy import Middlebox
from requiretls_lab.zones import ZoneKind
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.level import Level
from requiretls_plugin.policy.demand import Demand, demand_for
from requiretls_plugin.policy.next_hop import DomainHop
from requiretls_plugin.policy.resolver import PolicyResolver
from requiretls_plugin.policy.sts import STSFound, STSResolver
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.settings import Settings

STS_DOMAINS = [f"sts{number}.test" for number in range(20)]
DOMAINS = (
    Domain("dane.test", (MailHost(tlsa=("3 1 1",)),)),
    Domain("many.test", (MailHost(tlsa=("3 1 1",)),), records=("* MX 10 mx.many.test.",)),
    *(Domain(name, (MailHost(),), ZoneKind.UNSIGNED, Policy.enforce(f"mx.{name}")) for name in STS_DOMAINS),
)

Row = tuple[str, str]


def run() -> list[Row]:
    """Measure everything; return rows of what and how much."""
    with Laboratory(DOMAINS) as lab:
        return [*_warm(lab), *_cold(lab), *_memory(lab), *_beside_the_peer(lab)]


def _with_parts(
    settings: Settings, work: Callable[[PolicyResolver, STSResolver, Engine], Awaitable[Any]]
) -> Any:
    async def run() -> Any:
        async with Engine(settings) as engine:
            parts = engine._running()
            return await work(parts.resolver, parts.sts, engine)

    return asyncio.run(run())


async def _decide(engine: Engine, resolver: PolicyResolver, domain: str) -> Demand:
    evidence = await resolver.evidence(DomainHop(DomainName(domain)))
    rules = engine._running().rules.demand
    demand = demand_for(Requirement.REQUIRED, evidence, evidence.hosts[0], Level.ENFORCE, rules)
    if not isinstance(demand, Demand):
        raise RuntimeError(f"{domain}: {demand}")
    return demand


def _warm(lab: Laboratory) -> Iterator[Row]:
    """Decisions about domains whose records are known, per second of CPU on one core."""
    for domain in ("dane.test", STS_DOMAINS[0]):

        async def work(
            resolver: PolicyResolver, _: STSResolver, engine: Engine, domain: str = domain
        ) -> float:
            await _decide(engine, resolver, domain)
            count, started = 20_000, time.process_time()
            for _round in range(count):
                await _decide(engine, resolver, domain)
            return count / (time.process_time() - started)

        rates = [_with_parts(lab.settings(), work) for _ in range(3)]
        yield f"warm decisions per CPU second, {domain}", f"{statistics.median(rates):,.0f}"


def _cold(lab: Laboratory) -> Iterator[Row]:
    """One decision with nothing known, each DNS answer 50 ms late."""
    with lab.resolver_behind(Middlebox(delay=0.050)) as late:
        settings = lab.settings(dns={"nameservers": [late.resolver]})
        for domain in ("dane.test", STS_DOMAINS[0]):

            async def work(
                resolver: PolicyResolver, _: STSResolver, engine: Engine, domain: str = domain
            ) -> float:
                started = time.perf_counter()
                await _decide(engine, resolver, domain)
                return time.perf_counter() - started

            took = statistics.median(_with_parts(settings, work) for _ in range(5))
            yield (
                f"cold decision, DNS answers 50 ms late, {domain}",
                f"{took * 1000:.0f} ms = {took / 0.050:.1f} waits",
            )


def _memory(lab: Laboratory) -> Iterator[Row]:
    """Memory of 10,000 domains known at once."""

    async def work(resolver: PolicyResolver, _: STSResolver, engine: Engine) -> tuple[float, float]:
        for number in range(1000):
            await _decide(engine, resolver, f"warm{number}.many.test")
        gc.collect()
        before, started = _resident(), time.perf_counter()
        names = iter([f"d{number}.many.test" for number in range(10_000)])

        async def worker() -> None:
            for name in names:
                await _decide(engine, resolver, name)

        await asyncio.gather(*(worker() for _ in range(50)))
        took = time.perf_counter() - started
        gc.collect()
        return (_resident() - before) / 10_000, 10_000 / took

    per_domain, rate = _with_parts(lab.settings(), work)
    yield "10,000 distinct domains, memory growth per domain", f"{per_domain:,.0f} bytes"
    yield "10,000 distinct domains, cold decisions per second", f"{rate:,.0f}"


def _resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


class _LabAddresses(aiohttp.abc.AbstractResolver):
    """Lets the peer reach the laboratory's policy hosts, which have a port of their own."""

    def __init__(self, lab: Laboratory) -> None:
        self._lab = lab

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[Any]:
        site = self._lab.policy_site(host.removeprefix("mta-sts."))
        place = {"host": site.address, "port": self._lab.policy_port}
        return [{"hostname": host, "family": socket.AF_INET, "proto": 0, "flags": 0, **place}]

    async def close(self) -> None:
        pass


@contextmanager
def _peer_in(lab: Laboratory) -> Iterator[None]:
    """Give the peer's HTTP sessions the laboratory's addresses and trust anchor."""
    original = peer.aiohttp.ClientSession
    context = ssl.create_default_context(cafile=str(lab.authority.ca_file))

    def session(**arguments: Any) -> Any:
        connector = aiohttp.TCPConnector(resolver=_LabAddresses(lab), ssl=context)
        arguments.pop("loop", None)
        return original(connector=connector, **arguments)

    peer.aiohttp.ClientSession = session
    try:
        yield
    finally:
        peer.aiohttp.ClientSession = original


def _beside_the_peer(lab: Laboratory) -> Iterator[Row]:
    """The same MTA-STS domains, one after the other, cold and then known."""

    async def ours(_: PolicyResolver, sts: STSResolver, engine: Engine) -> tuple[float, float]:
        async def once() -> None:
            for name in STS_DOMAINS:
                if not isinstance(await sts.lookup(DomainName(name)), STSFound):
                    raise RuntimeError(f"no policy for {name}")

        return await _cold_and_warm(once)

    async def theirs() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        resolver, cache = peer.STSResolver(loop=loop), InternalLRUCache()
        resolver._resolver.nameservers = [lab.resolver]

        async def once() -> None:
            for name in STS_DOMAINS:
                # What its socketmap server does for each question, without the socket.
                known = await cache.get(name)
                if known is None or time.time() - known.ts > 60:
                    result, policy = await resolver.resolve(name)
                    if result is not peer.STSFetchResult.VALID:
                        raise RuntimeError(f"{name}: {result}")
                    await cache.set(name, CacheEntry(time.time(), *policy))

        return await _cold_and_warm(once)

    our_cold, our_warm = (
        statistics.median(part)
        for part in zip(*(_with_parts(lab.settings(), ours) for _ in range(3)), strict=True)
    )
    with _peer_in(lab):
        measured = [asyncio.run(theirs()) for _ in range(3)]
    peer_cold, peer_warm = (statistics.median(part) for part in zip(*measured, strict=True))
    yield "MTA-STS cold, per domain: requiretls-plugin", f"{our_cold * 1000:.1f} ms"
    yield "MTA-STS cold, per domain: postfix-mta-sts-resolver", f"{peer_cold * 1000:.1f} ms"
    yield (
        "MTA-STS warm, per domain: requiretls-plugin (its id looked at in DNS again)",
        f"{our_warm * 1e6:.0f} µs",
    )
    yield (
        "MTA-STS warm, per domain: postfix-mta-sts-resolver (dictionary, 60 s of grace)",
        f"{peer_warm * 1e6:.0f} µs",
    )


async def _cold_and_warm(once: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    started = time.perf_counter()
    await once()
    cold = (time.perf_counter() - started) / len(STS_DOMAINS)
    await once()
    rounds, started = 50, time.perf_counter()
    for _ in range(rounds):
        await once()
    return cold, (time.perf_counter() - started) / rounds / len(STS_DOMAINS)
