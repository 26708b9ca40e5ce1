"""example.org with an MTA-STS policy, and a resolver that looks at it: DNS and clock fake, HTTPS real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from requiretls_lab.authority import Authority
from requiretls_lab.policy_host import PolicyAnswer, policy_text
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Answer
from requiretls_plugin.policy.cache_memory import MemoryCache
from requiretls_plugin.policy.sts import STSFound, STSResolver
from tests.policy.fake_dns import FakeDNS
from tests.policy.sts_entries import Clock
from tests.policy.sts_site import DOMAIN, Place, policy_site

EXAMPLE = DomainName(DOMAIN)
RECORD = f"_mta-sts.{DOMAIN}"
BROKEN = PolicyAnswer(status=500)


class CachingDNS(FakeDNS):
    """A FakeDNS with a cache of its own in front of TXT records, as the real source has."""

    stale: Answer[bytes] | None = None

    async def txt(self, name: DomainName) -> Answer[bytes]:
        if self.stale is None:
            self.stale = await super().txt(name)
        return self.stale

    async def txt_uncached(self, name: DomainName) -> Answer[bytes]:
        self.stale = await super().txt(name)
        return self.stale


@dataclass
class World:
    """example.org with a policy, and a resolver that looks at it."""

    place: Place
    dns: FakeDNS
    cache: MemoryCache
    clock: Clock
    resolver: STSResolver

    def announce(self, policy_id: str) -> None:
        """Publish another id."""
        self.dns.zone[RECORD] = {"TXT": [f"v=STSv1; id={policy_id};"]}

    def publish(self, mode: str, *mx: str, max_age: int = 604_800) -> None:
        """Put another policy on the site."""
        self.place.site.answer = PolicyAnswer(policy_text(mode, *mx, max_age=max_age))

    async def found(self) -> STSFound:
        """Look example.org up; a policy has to be in force."""
        lookup = await self.resolver.lookup(EXAMPLE)
        assert isinstance(lookup, STSFound), lookup
        return lookup

    @property
    def requests(self) -> int:
        """How often the policy was asked for."""
        return self.place.site.requests

    @property
    def txt_queries(self) -> list[str]:
        """The names TXT records were asked for."""
        return [name for name, rdtype in self.dns.queries if rdtype == "TXT"]


@asynccontextmanager
async def world(
    authority: Authority,
    make_dns: Callable[[dict[str, dict[str, list[str]]]], FakeDNS] = FakeDNS,
    **settings: float | bool,
) -> AsyncIterator[World]:
    async with policy_site(authority) as place:
        dns, cache, clock = make_dns(place.zone()), MemoryCache(), Clock()
        chosen = place.settings().model_copy(update=settings)
        resolver = STSResolver(dns, cache, chosen, place.context, clock)
        yield World(place, dns, cache, clock, resolver)
        await resolver.close()


Scene = Callable[[World], Awaitable[None]]
Play = Callable[[Scene], None]


def play_in(authority: Authority, scene: Scene) -> None:
    """Run *scene* in a fresh world."""

    async def inside() -> None:
        async with world(authority) as fresh:
            await scene(fresh)

    asyncio.run(inside())
