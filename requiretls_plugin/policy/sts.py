"""Which MTA-STS policy is in force for a domain now (RFC 8461 sections 3 and 5.1)."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from requiretls_plugin.domain_name import MAX_NAME, DomainName
from requiretls_plugin.errors import InvalidSTSRecord
from requiretls_plugin.policy.answers import Answer, DNSSource, Found, LookupFailed
from requiretls_plugin.policy.sts_cache import DAY, CachedPolicy, PolicyCache
from requiretls_plugin.policy.sts_failure import FetchFailure
from requiretls_plugin.policy.sts_policy import Mode, STSPolicy
from requiretls_plugin.policy.sts_record import parse_sts_record
from requiretls_plugin.policy.sts_renewal import PolicyRenewal
from requiretls_plugin.settings import MTASTSSettings

log = logging.getLogger(__name__)

# When a policy was last used matters by the month; it is written down by the hour.
_TOUCH_EVERY = 3600.0

# A policy fetched later than now plus this was fetched by a clock that was wrong.
_CLOCKS_DIFFER = 3600.0

# How many policies are refreshed at once.
_REFRESHES = 5


@dataclass(frozen=True, slots=True)
class NoSTS:
    """No policy is in force, and nothing suggests that one should be; *why* says what was found.

    *mode_none* tells that the domain took its policy back in due form (RFC 8461 section 8.3).
    """

    why: str = "MTA-STS does not apply"
    mode_none: bool = False


@dataclass(frozen=True, slots=True)
class STSFound:
    """A policy in mode `enforce` or `testing` is in force until *expires* (seconds since 1970).

    *fresh* tells that the TXT record names this very policy; if not, it is an
    earlier one, which counts until it expires (RFC 8461 section 5.1).
    *failure* is what kept us from a newer one, if something did.
    """

    policy: STSPolicy
    record_id: str
    fresh: bool
    expires: float
    failure: FetchFailure | None = None


@dataclass(frozen=True, slots=True)
class STSUnavailable:
    """Whether there is a policy, or what it says, could not be found out, and none is cached.

    *record_seen* tells that the domain announces a policy; if not, the TXT
    record itself could not be looked up. *result_type* is of RFC 8460 section 4.3.
    """

    why: str
    result_type: str
    record_seen: bool


STSLookup = NoSTS | STSFound | STSUnavailable


@runtime_checkable
class UncachedTXT(Protocol):
    """A DNSSource that can be told to ask anew."""

    async def txt_uncached(self, name: DomainName) -> Answer[bytes]:
        """Look up TXT records as `txt` does, past any cache of ours."""


class STSResolver:
    """Find the MTA-STS policy in force for a domain, by DNS, HTTPS and the cache.

    *context* is for policy hosts: it checks DNS-IDs only. Failures are values;
    nothing is raised.
    """

    def __init__(
        self,
        dns: DNSSource,
        cache: PolicyCache,
        settings: MTASTSSettings,
        context: ssl.SSLContext,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._dns = dns
        self._cache = cache
        self._enabled = settings.enabled
        self._clock = clock
        self._renewal = PolicyRenewal(dns, cache, settings, context, clock)

    async def lookup(self, domain: DomainName) -> STSLookup:
        """Return the policy in force for *domain*, its own and no parent's (RFC 8461 section 3.4)."""
        return await self._lookup(domain, self._dns.txt)

    async def recheck(self, domain: DomainName) -> STSLookup:
        """Do as `lookup`, with the TXT record looked up anew if the DNS source can do that.

        For use before a failure is final (RFC 8461 section 5.1).
        """
        dns = self._dns
        return await self._lookup(domain, dns.txt_uncached if isinstance(dns, UncachedTXT) else dns.txt)

    async def refresh_due(self) -> int:
        """Fetch the policies again that would expire otherwise, and say how many were due.

        To be called every few minutes. A failure is a warning in the log,
        unless the policy has mode none (RFC 8461 sections 3.3 and 10.2).
        """
        due = await self._cache.claim_due(self._clock()) if self._enabled else []
        slots = asyncio.Semaphore(_REFRESHES)

        async def refresh_in_turn(domain: DomainName) -> None:
            async with slots:
                await self._refresh(domain)

        await asyncio.gather(*map(refresh_in_turn, due))
        return len(due)

    async def close(self) -> None:
        """Give up the fetches under way. The cache is left open."""
        await self._renewal.close()

    async def _lookup(
        self, domain: DomainName, ask_txt: Callable[[DomainName], Awaitable[Answer[bytes]]]
    ) -> STSLookup:
        if not self._enabled:
            return NoSTS("MTA-STS is switched off")
        name = record_name(domain)
        if len(name.text) > MAX_NAME:
            return NoSTS("the domain name is too long for an _mta-sts record")
        record = _read(await ask_txt(name), self._clock())
        cached = await self._in_force(domain)
        if isinstance(record, FetchFailure):
            return _despite(record, cached)
        if isinstance(record, NoSTS):
            # RFC 8461 section 3.1: a policy that is cached outlives its record.
            return record if cached is None else _in_mode(cached, fresh=False)
        believed = cached is not None and cached.fetched <= self._clock() + _CLOCKS_DIFFER
        if cached is not None and believed and cached.record_id == record:
            await self._touch(cached)
            return _in_mode(cached, fresh=True)
        fetched = await self._renewal.renew(domain, record)
        if isinstance(fetched, FetchFailure):
            return _despite(fetched, cached)
        return _in_mode(fetched, fresh=True)

    async def _in_force(self, domain: DomainName) -> CachedPolicy | None:
        cached = await self._cache.get(domain)
        return cached if cached is not None and cached.expires > self._clock() else None

    async def _touch(self, cached: CachedPolicy) -> None:
        now = self._clock()
        if now - cached.last_used > _TOUCH_EVERY:
            await self._cache.touch(cached.domain, now)

    async def _refresh(self, domain: DomainName) -> None:
        cached = await self._in_force(domain)
        if cached is None:
            return
        # RFC 8461 section 10.2: a refresh does not depend on the TXT record, which an attacker may block.
        record = _read(await self._dns.txt(record_name(domain)), self._clock())
        record_id = record if isinstance(record, str) else cached.record_id
        fetched = await self._renewal.renew(domain, record_id, last_used=cached.last_used)
        if isinstance(fetched, FetchFailure) and cached.policy.mode is not Mode.NONE:
            days = (cached.expires - self._clock()) / DAY
            log.warning(
                "MTA-STS policy of %s not refreshed, expires in %.1f days: %s", domain, days, fetched.why
            )


def record_name(domain: DomainName) -> DomainName:
    """Return the name of the TXT record that announces the policy of *domain*."""
    return domain.child("_mta-sts")


def _read(answer: Answer[bytes], now: float) -> str | NoSTS | FetchFailure:
    """Return the policy id in the TXT records, or what there is in place of one."""
    if isinstance(answer, LookupFailed):
        why = f"the _mta-sts record cannot be looked up: {answer.why}"
        return FetchFailure(None, "sts-policy-fetch-error", why, now)
    try:
        record = parse_sts_record(answer.records if isinstance(answer, Found) else ())
    except InvalidSTSRecord as error:
        return NoSTS(str(error))
    return NoSTS("the domain has no _mta-sts record") if record is None else record.id


def _in_mode(entry: CachedPolicy, *, fresh: bool, failure: FetchFailure | None = None) -> NoSTS | STSFound:
    if entry.policy.mode is Mode.NONE:
        return NoSTS("the domain's MTA-STS policy has mode none", mode_none=True)
    return STSFound(entry.policy, entry.record_id, fresh, entry.expires, failure)


def _despite(failure: FetchFailure, cached: CachedPolicy | None) -> STSLookup:
    """Apply what is cached if nothing newer can be had (RFC 8461 section 3.3)."""
    if cached is not None:
        return _in_mode(cached, fresh=False, failure=failure)
    return STSUnavailable(failure.why, failure.result_type, record_seen=failure.record_id is not None)
