"""A cache that goes on in memory while its store does not work."""

from __future__ import annotations

import enum
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Literal, TypeVar

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import CacheFailure
from requiretls_plugin.policy.cache_memory import MemoryCache
from requiretls_plugin.policy.sts_cache import CachedPolicy, PolicyCache, PolicyStore

log = logging.getLogger(__name__)

# Seconds until a store that failed is tried again.
RETRY_SECONDS = 60.0

# A policy put after the store failed may bear a time before that: that of its request.
_LONGEST_FETCH = 3600.0

Result = TypeVar("Result")


class _Failed(enum.Enum):
    FAILED = enum.auto()


_FAILED = _Failed.FAILED


class FallbackCache:
    """A PolicyCache over *store* that never raises.

    Each policy read or written is also kept in memory. When the store fails,
    one warning is logged, what can still be read from it is read, and memory
    serves; so an `enforce` policy that was known is not lost with the disk.
    When the store works again it gets what was put meanwhile. A damaged store
    is not tried again in this process.
    """

    def __init__(self, store: PolicyStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._memory = MemoryCache()
        self._failed_at = 0.0
        self._retry_at: float | None = None

    async def get(self, domain: DomainName) -> CachedPolicy | None:
        entry = await self._ask(lambda store: store.get(domain))
        if entry is _FAILED:
            return await self._memory.get(domain)
        if entry is None:
            await self._memory.purge([domain])
        elif await self._memory.get(domain) != entry:
            await self._memory.put(entry)
        return entry

    async def put(self, entry: CachedPolicy) -> None:
        await self._memory.put(entry)
        await self._ask(lambda store: store.put(entry))

    async def touch(self, domain: DomainName, used: float) -> None:
        await self._memory.touch(domain, used)
        await self._ask(lambda store: store.touch(domain, used))

    async def claim_due(self, now: float) -> Sequence[DomainName]:
        claimed = await self._ask(lambda store: store.claim_due(now))
        return await self._memory.claim_due(now) if claimed is _FAILED else claimed

    async def entries(self, now: float) -> Sequence[CachedPolicy]:
        entries = await self._ask(lambda store: store.entries(now))
        return await self._memory.entries(now) if entries is _FAILED else entries

    async def purge(self, domains: Collection[DomainName] | None = None) -> int:
        in_memory = await self._memory.purge(domains)
        deleted = await self._ask(lambda store: store.purge(domains))
        return in_memory if deleted is _FAILED else deleted

    async def note(self, kind: str, name: DomainName, now: float) -> str | None:
        text = await self._ask(lambda store: store.note(kind, name, now))
        return await self._memory.note(kind, name, now) if text is _FAILED else text

    async def put_note(self, kind: str, name: DomainName, text: str, expires: float) -> None:
        await self._memory.put_note(kind, name, text, expires)
        await self._ask(lambda store: store.put_note(kind, name, text, expires))

    async def close(self) -> None:
        await self._store.close()

    async def _ask(
        self, question: Callable[[PolicyStore], Awaitable[Result]]
    ) -> Result | Literal[_Failed.FAILED]:
        if self._retry_at is not None and not await self._works_again(self._retry_at):
            return _FAILED
        try:
            return await question(self._store)
        except CacheFailure as failure:
            await self._give_up(failure)
            return _FAILED

    async def _give_up(self, failure: CacheFailure) -> None:
        if self._retry_at is not None:
            return
        self._failed_at = self._clock()
        self._retry_at = math.inf if failure.lasting else self._failed_at + RETRY_SECONDS
        log.warning("policy cache does not work, policies are kept in memory meanwhile: %s", failure)
        try:
            for entry in await self._store.entries(self._failed_at):
                await _put_if_newer(self._memory, entry)
        except CacheFailure as second:
            log.debug("policy cache cannot be read either: %s", second)

    async def _works_again(self, retry_at: float) -> bool:
        now = self._clock()
        # A longer wait than that was never meant: the clock went back.
        if math.isinf(retry_at) or 0 < retry_at - now <= RETRY_SECONDS:
            return False
        # Set first: of many messages that wait, one tries.
        self._retry_at = now + RETRY_SECONDS
        try:
            await self._store.close()
            await self._store.probe()
            for entry in await self._memory.entries(now):
                if entry.fetched > self._failed_at - _LONGEST_FETCH:
                    await _put_if_newer(self._store, entry)
        except CacheFailure as failure:
            log.debug("policy cache still does not work: %s", failure)
            return False
        self._retry_at = None
        log.info("policy cache works again")
        return True


async def _put_if_newer(cache: PolicyCache, entry: CachedPolicy) -> None:
    kept = await cache.get(entry.domain)
    if kept is None or kept.fetched < entry.fetched:
        await cache.put(entry)
