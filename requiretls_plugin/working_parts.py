"""What an engine works with, all on one loop: resolver, caches, pool; made and closed together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

from requiretls_plugin.certificate.tls_context import TLSContexts
from requiretls_plugin.delivery.attempt import DeliveryRules
from requiretls_plugin.delivery.outcome import Attempt
from requiretls_plugin.delivery.pool import Pool
from requiretls_plugin.delivery.session import Session, SessionRules
from requiretls_plugin.policy.cache import open_cache
from requiretls_plugin.policy.capability import CapabilityMemory
from requiretls_plugin.policy.demand import Rules
from requiretls_plugin.policy.dns_lookup import CachedLookups
from requiretls_plugin.policy.dns_probe import SIGHT_SECONDS
from requiretls_plugin.policy.dns_source import dns_source
from requiretls_plugin.policy.resolver import PolicyResolver
from requiretls_plugin.policy.sts import STSResolver
from requiretls_plugin.policy.sts_cache import PolicyCache
from requiretls_plugin.settings import Settings

# How often idle sessions and policies that are due are looked at, in seconds.
HOUSEKEEPING_INTERVAL = 10.0

# While some destinations have a connection, this many times as many may be looked up or wait for one.
DESTINATIONS_PER_CONNECTION = 4


@dataclass(frozen=True)
class WorkingParts:
    """The parts of an engine that live on its loop. Make them with `open`."""

    dns: CachedLookups
    cache: PolicyCache
    resolver: PolicyResolver
    sts: STSResolver
    rules: DeliveryRules
    capabilities: CapabilityMemory
    gate: asyncio.Semaphore
    """As many destinations as are worked on at once: a list post may have thousands."""

    @classmethod
    def open(
        cls, settings: Settings, contexts: TLSContexts, attempted: Callable[[Attempt], Awaitable[None]]
    ) -> Self:
        """Make the parts as *settings* say; *attempted* is told of every session.

        Raises SettingsError if there is no resolver to ask. Nothing is asked yet.
        """
        dns = dns_source(settings.dns, settings.tls.ca_file)
        cache = open_cache(settings.cache.url)
        sts = STSResolver(dns, cache, settings.mta_sts, contexts.policy_host)
        own_names = frozenset({settings.hostname})
        resolver = PolicyResolver(dns, sts, port=settings.delivery.port, own_names=own_names)
        delivery = settings.delivery
        pool: Pool[Session] = Pool(total=delivery.max_connections, per_host=delivery.max_connections_per_host)
        demand_rules = Rules(
            accept_testing=settings.mta_sts.accept_testing,
            honor_tls_required_no=settings.tls_required_no.honor,
            trusted_local_hops=delivery.trusted_local_hops,
            report_testing=settings.reports.tlsrpt_socket is not None,
        )
        session_rules = SessionRules(settings.hostname.text, delivery, contexts)
        rules = DeliveryRules(session_rules, pool, demand_rules, attempted)
        gate = asyncio.Semaphore(DESTINATIONS_PER_CONNECTION * delivery.max_connections)
        return cls(dns, cache, resolver, sts, rules, CapabilityMemory(cache), gate)

    async def keep_house(self) -> None:
        """Until cancelled, find out who validates, end what idles and renew what is due."""
        while True:
            await self.dns.blindness(SIGHT_SECONDS)  # which is logged
            await asyncio.sleep(HOUSEKEEPING_INTERVAL)
            self.rules.pool.expire()
            await self.sts.refresh_due()

    async def close(self) -> None:
        """End all sessions and close everything."""
        await self.rules.pool.close()
        await self.rules.session.farewells.all_said()
        await self.sts.close()
        await self.cache.close()
        self.dns.close()
