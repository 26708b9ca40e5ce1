"""Policies kept in this process (`cache.url = "memory:"`)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import replace

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.sts_cache import (
    CLAIM_LIMIT,
    CLAIM_SECONDS,
    FETCH_FAILURE,
    UNUSED_SECONDS,
    CachedPolicy,
)

# Whoever can make us send mail to many domains can make us keep policies of up to 64 KB. Beyond
# this the least recently used are forgotten; usual policies fit in by the ten thousands.
MAX_POLICY_MEMORY = 64 * 1024 * 1024
MAX_NOTES = 50_000

# Measured with tracemalloc: what an entry and one of its patterns take beside the text.
_ENTRY_COST = 700
_PATTERN_COST = 160


class MemoryCache:
    """A PolicyCache in memory, bounded in size; a restart empties it."""

    def __init__(self) -> None:
        self._entries: OrderedDict[DomainName, CachedPolicy] = OrderedDict()
        self._claimed_until: dict[DomainName, float] = {}
        self._notes: OrderedDict[tuple[str, DomainName], tuple[str, float]] = OrderedDict()
        self._memory = 0

    async def get(self, domain: DomainName) -> CachedPolicy | None:
        entry = self._entries.get(domain)
        if entry is not None:
            self._entries.move_to_end(domain)
        return entry

    async def put(self, entry: CachedPolicy) -> None:
        self._forget(entry.domain)
        self._entries[entry.domain] = entry
        self._memory += _cost(entry)
        while self._memory > MAX_POLICY_MEMORY:
            self._forget(next(iter(self._entries)))

    async def touch(self, domain: DomainName, used: float) -> None:
        entry = self._entries.get(domain)
        if entry is not None:
            self._entries[domain] = replace(entry, last_used=used)

    async def claim_due(self, now: float) -> Sequence[DomainName]:
        for expired in [entry.domain for entry in self._entries.values() if entry.expires <= now]:
            self._forget(expired)
        due = sorted(
            (entry.refresh_at, entry.domain)
            for entry in self._entries.values()
            if entry.refresh_at <= now
            and entry.last_used > now - UNUSED_SECONDS
            and self._claimed_until.get(entry.domain, now) <= now
        )
        claimed = [domain for _, domain in due[:CLAIM_LIMIT]]
        self._claimed_until.update(dict.fromkeys(claimed, now + CLAIM_SECONDS))
        return claimed

    async def entries(self, now: float) -> Sequence[CachedPolicy]:
        return sorted(
            (entry for entry in self._entries.values() if entry.expires > now),
            key=lambda entry: entry.domain,
        )

    async def purge(self, domains: Collection[DomainName] | None = None) -> int:
        noted = [name for kind, name in self._notes if kind == FETCH_FAILURE]
        for name in noted if domains is None else domains:
            self._notes.pop((FETCH_FAILURE, name), None)
        return sum(self._forget(domain) for domain in (list(self._entries) if domains is None else domains))

    async def note(self, kind: str, name: DomainName, now: float) -> str | None:
        text, expires = self._notes.get((kind, name), ("", now))
        return text if expires > now else None

    async def put_note(self, kind: str, name: DomainName, text: str, expires: float) -> None:
        self._notes[kind, name] = text, expires
        self._notes.move_to_end((kind, name))
        if len(self._notes) > MAX_NOTES:
            self._notes.popitem(last=False)

    async def close(self) -> None:
        """Nothing to let go of; the policies stay."""

    def _forget(self, domain: DomainName) -> bool:
        self._claimed_until.pop(domain, None)
        entry = self._entries.pop(domain, None)
        if entry is not None:
            self._memory -= _cost(entry)
        return entry is not None


def _cost(entry: CachedPolicy) -> int:
    return _ENTRY_COST + len(entry.policy.text) + _PATTERN_COST * len(entry.policy.mx)
