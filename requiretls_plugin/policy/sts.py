"""Which MTA-STS policy is in force for a domain now (RFC 8461 sections 3 and 5.1)."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Protocol, runtime_checkable

from requiretls_plugin.domain_name import MAX_NAME, DomainName
from requiretls_plugin.errors import InvalidSTSRecord, PolicyFetchError
from requiretls_plugin.policy.answers import Absent, Answer, DNSSource, Found, LookupFailed
from requiretls_plugin.policy.sts_cache import DAY, FETCH_FAILURE, CachedPolicy, PolicyCache
from requiretls_plugin.policy.sts_fetch import fetch_policy, policy_host
from requiretls_plugin.policy.sts_policy import Mode, STSPolicy
from requiretls_plugin.policy.sts_record import parse_sts_record
from requiretls_plugin.settings import MTASTSSettings

log = logging.getLogger(__name__)

# RFC 8461 section 3.3: at least five minutes after a failed fetch for the same id.
BACK_OFF = 300.0

# How long a failure is remembered, for `requiretls policies` to show.
_FAILURE_KEPT = 7 * DAY

# When a policy was last used matters by the month; it is written down by the hour.
_TOUCH_EVERY = 3600.0

# How many policies are refreshed at once.
_REFRESHES = 5


@dataclass(frozen=True, slots=True)
class NoSTS:
    """No policy is in force, and nothing suggests that one should be: *why* says what was found."""

    why: str = "MTA-STS does not apply"


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """What went wrong when a policy was wanted.

    *record_id* is the id it was wanted for, None if the TXT record itself could
    not be asked for. *at* is in seconds since 1970, *result_type* a word of RFC
    8460 section 4.3.
    """

    record_id: str | None
    result_type: str
    why: str
    at: float


@dataclass(frozen=True, slots=True)
class STSFound:
    """A policy in mode `enforce` or `testing` is in force until *expires* (seconds since 1970).

    *fresh* tells that the TXT record names this very policy; if not, it is an
    older one that counts until it expires (RFC 8461 section 5.1). *failure* is
    what kept us from a newer one, if something did.
    """

    policy: STSPolicy
    record_id: str
    fresh: bool
    expires: float
    failure: FetchFailure | None = None


@dataclass(frozen=True, slots=True)
class STSUnavailable:
    """Whether there is a policy, or which, could not be found out, and none is cached.

    *record_seen* tells that the domain announces a policy; if not, the TXT
    record itself could not be asked for. *result_type* is of RFC 8460 section 4.3.
    """

    why: str
    result_type: str
    record_seen: bool


STSLookup = NoSTS | STSFound | STSUnavailable


@runtime_checkable
class UncachedTXT(Protocol):
    """A DNSSource that can be told to ask anew."""

    async def txt_uncached(self, name: DomainName) -> Answer[bytes]:
        """Look up TXT records as `txt` does, with no answer from a cache of ours."""


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
        self._settings = settings
        self._context = context
        self._clock = clock
        self._fetches: dict[DomainName, asyncio.Task[CachedPolicy | FetchFailure]] = {}

    async def lookup(self, domain: DomainName) -> STSLookup:
        """Return the policy in force for *domain*, itself and no parent (RFC 8461 section 3.4)."""
        return await self._lookup(domain, self._dns.txt)

    async def recheck(self, domain: DomainName) -> STSLookup:
        """Do as `lookup`, with the TXT record asked for anew if the DNS source can.

        For use before a failure is final (RFC 8461 section 5.1).
        """
        uncached = isinstance(self._dns, UncachedTXT)
        return await self._lookup(domain, self._dns.txt_uncached if uncached else self._dns.txt)

    async def refresh_due(self) -> int:
        """Fetch the policies again that will expire, and say how many were due.

        To be called every few minutes. A failure is a warning in the log,
        unless the policy has mode none (RFC 8461 sections 3.3 and 10.2).
        """
        due = await self._cache.claim_due(self._clock()) if self._settings.enabled else []
        slots = asyncio.Semaphore(_REFRESHES)

        async def refresh_in_turn(domain: DomainName) -> None:
            async with slots:
                await self._refresh(domain)

        await asyncio.gather(*map(refresh_in_turn, due))
        return len(due)

    async def close(self) -> None:
        """Give up the fetches under way."""
        fetches = list(self._fetches.values())
        for fetch in fetches:
            fetch.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)

    async def _lookup(
        self, domain: DomainName, ask_txt: Callable[[DomainName], Awaitable[Answer[bytes]]]
    ) -> STSLookup:
        name = record_name(domain)
        if not self._settings.enabled:
            return NoSTS("MTA-STS is switched off")
        if len(name.text) > MAX_NAME:
            return NoSTS("the domain name is too long for an MTA-STS record")
        answer = await ask_txt(name)
        cached = await self._in_force(domain)
        record_id = _record_id(answer, self._clock())
        if isinstance(record_id, FetchFailure):
            return _verdict(cached, record_id)
        if isinstance(record_id, NoSTS):
            # RFC 8461 section 3.1: a policy that is cached outlives its record.
            return record_id if cached is None else _verdict(cached, fresh=False)
        if cached is not None and cached.record_id == record_id:
            await self._touch(cached)
            return _verdict(cached)
        fetched = await self._fetch(domain, record_id)
        if isinstance(fetched, FetchFailure):
            return _verdict(cached, fetched)
        return _verdict(fetched)

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
        record_id = _record_id(await self._dns.txt(record_name(domain)), self._clock())
        record_id = record_id if isinstance(record_id, str) else cached.record_id
        fetched = await self._fetch(domain, record_id, last_used=cached.last_used)
        if isinstance(fetched, FetchFailure) and cached.policy.mode is not Mode.NONE:
            log.warning(
                "MTA-STS policy of %s could not be refreshed and expires in %.1f days: %s",
                domain,
                (cached.expires - self._clock()) / DAY,
                fetched.why,
            )

    async def _fetch(
        self, domain: DomainName, record_id: str, last_used: float | None = None
    ) -> CachedPolicy | FetchFailure:
        """Fetch the policy, once for all who wait; a failure less than BACK_OFF ago counts again."""
        fetch = self._fetches.get(domain)
        if fetch is None:
            fetch = asyncio.create_task(self._fetch_unless_backing_off(domain, record_id, last_used))
            self._fetches[domain] = fetch
            fetch.add_done_callback(lambda _: self._fetches.pop(domain))
        # Shielded: one message that is given up must not take the policy from the others.
        return await asyncio.shield(fetch)

    async def _fetch_unless_backing_off(
        self, domain: DomainName, record_id: str, last_used: float | None
    ) -> CachedPolicy | FetchFailure:
        now = self._clock()
        failure = await last_failure(self._cache, domain, now)
        if failure is not None and failure.record_id == record_id and now < failure.at + BACK_OFF:
            return failure
        try:
            policy = await self._fetch_now(domain)
        except PolicyFetchError as error:
            failure = FetchFailure(record_id, error.result_type, error.why, now)
            await self._cache.put_note(
                FETCH_FAILURE, domain, json.dumps(asdict(failure)), now + _FAILURE_KEPT
            )
            return failure
        entry = CachedPolicy(domain, record_id, policy, now, now if last_used is None else last_used)
        if policy.max_age > 0:
            await self._cache.put(entry)
        else:
            await self._cache.purge([domain])
        return entry

    async def _fetch_now(self, domain: DomainName) -> STSPolicy:
        host = policy_host(domain)
        answer = await self._dns.addresses(host)
        if isinstance(answer, LookupFailed):
            raise PolicyFetchError("sts-policy-fetch-error", f"addresses of {host}: {answer.why}")
        if isinstance(answer, Absent):
            raise PolicyFetchError("sts-policy-fetch-error", f"{host} has no address")
        return await fetch_policy(
            domain,
            answer.records,
            port=self._settings.port,
            context=self._context,
            timeout=self._settings.fetch_timeout,
        )


def record_name(domain: DomainName) -> DomainName:
    """Return the name of the TXT record that announces the policy of *domain*."""
    return domain.child("_mta-sts")


async def last_failure(cache: PolicyCache, domain: DomainName, now: float) -> FetchFailure | None:
    """Return the last failed fetch for *domain* that *cache* remembers."""
    text = await cache.note(FETCH_FAILURE, domain, now)
    try:
        return None if text is None else FetchFailure(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _record_id(answer: Answer[bytes], now: float) -> str | NoSTS | FetchFailure:
    if isinstance(answer, LookupFailed):
        why = f"the _mta-sts record cannot be looked up: {answer.why}"
        return FetchFailure(None, "sts-policy-fetch-error", why, now)
    try:
        record = parse_sts_record(answer.records if isinstance(answer, Found) else ())
    except InvalidSTSRecord as error:
        return NoSTS(str(error))
    return NoSTS("the domain has no _mta-sts record") if record is None else record.id


def _verdict(
    entry: CachedPolicy | None, failure: FetchFailure | None = None, *, fresh: bool | None = None
) -> STSLookup:
    if entry is None:
        assert failure is not None
        return STSUnavailable(failure.why, failure.result_type, record_seen=failure.record_id is not None)
    if entry.policy.mode is Mode.NONE:
        return NoSTS("the domain's MTA-STS policy has mode none")
    fresh = failure is None if fresh is None else fresh
    return STSFound(entry.policy, entry.record_id, fresh, entry.expires, failure)
