"""Get a policy that is not cached, or no longer current, and keep it (RFC 8461 sections 3.3 and 5.1)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import PolicyFetchError
from requiretls_plugin.policy.answers import Absent, DNSSource, LookupFailed
from requiretls_plugin.policy.sts_cache import CachedPolicy, PolicyCache
from requiretls_plugin.policy.sts_failure import FetchFailure, last_failure, note_failure
from requiretls_plugin.policy.sts_fetch import fetch_policy, policy_host
from requiretls_plugin.policy.sts_http import fetch_error
from requiretls_plugin.policy.sts_policy import STSPolicy
from requiretls_plugin.settings import MTASTSSettings


class PolicyRenewal:
    """Fetch policies, one fetch for a domain at a time, with a pause after failures.

    A policy that was fetched replaces the one in *cache* whatever it says; a
    failure replaces nothing.
    """

    def __init__(
        self,
        dns: DNSSource,
        cache: PolicyCache,
        settings: MTASTSSettings,
        context: ssl.SSLContext,
        clock: Callable[[], float],
    ) -> None:
        self._dns = dns
        self._cache = cache
        self._settings = settings
        self._context = context
        self._clock = clock
        self._under_way: dict[DomainName, asyncio.Task[CachedPolicy | FetchFailure]] = {}

    async def renew(
        self, domain: DomainName, record_id: str, last_used: float | None = None
    ) -> CachedPolicy | FetchFailure:
        """Return the policy of *domain*, fetched for *record_id*, or why it cannot be had.

        Whoever asks while it is being fetched gets the same. *last_used* is what
        the cache shall say; None means now.
        """
        fetch = self._under_way.get(domain)
        if fetch is None:
            fetch = asyncio.create_task(self._renew(domain, record_id, last_used))
            self._under_way[domain] = fetch
            fetch.add_done_callback(lambda _: self._under_way.pop(domain))
        # Shielded: one message that is given up must not take the policy from the others.
        return await asyncio.shield(fetch)

    async def close(self) -> None:
        """Give up what is under way."""
        fetches = list(self._under_way.values())
        for fetch in fetches:
            fetch.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)

    async def _renew(
        self, domain: DomainName, record_id: str, last_used: float | None
    ) -> CachedPolicy | FetchFailure:
        now = self._clock()
        failure = await last_failure(self._cache, domain, now)
        if failure is not None and failure.forbids_fetch(record_id, now):
            return failure
        try:
            policy = await self._fetch(domain)
        except PolicyFetchError as error:
            failure = FetchFailure(record_id, error.result_type, error.why, now)
            await note_failure(self._cache, domain, failure)
            return failure
        entry = CachedPolicy(domain, record_id, policy, now, now if last_used is None else last_used)
        if policy.max_age > 0:
            await self._cache.put(entry)
        else:
            # Good for this one use; what it replaces has to go all the same.
            await self._cache.purge([domain])
        return entry

    async def _fetch(self, domain: DomainName) -> STSPolicy:
        host = policy_host(domain)
        answer = await self._dns.addresses(host)
        if isinstance(answer, LookupFailed):
            raise fetch_error(f"addresses of {host}: {answer.why}")
        if isinstance(answer, Absent):
            raise fetch_error(f"{host} has no address")
        return await fetch_policy(
            domain,
            answer.records,
            port=self._settings.port,
            context=self._context,
            timeout=self._settings.fetch_timeout,
        )
