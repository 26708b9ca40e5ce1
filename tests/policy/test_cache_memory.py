"""The bounds of what is kept in memory."""

from __future__ import annotations

import asyncio
import tracemalloc
from dataclasses import replace

import pytest

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy import cache_memory
from requiretls_plugin.policy.cache_memory import MAX_POLICY_MEMORY, MemoryCache
from requiretls_plugin.policy.sts_cache import CachedPolicy
from requiretls_plugin.policy.sts_policy import parse_sts_policy
from tests.policy.sts_entries import BEGIN, entry


def largest_entry(number: int) -> CachedPolicy:
    """Return the most expensive policy a stranger could publish: 64 KB of short patterns."""
    lines = [f"mx: {label:x}.{number:x}" for label in range(0xA000, 0xA000 + 4600)]
    body = "\n".join(["version: STSv1", "mode: enforce", "max_age: 1000", *lines]).encode()
    return replace(entry(f"d{number}.example"), policy=parse_sts_policy(body))


def test_attack_policies_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest policies, far more than there is room for, take what the limit says."""
    limit = 3 * 1024 * 1024
    assert limit < MAX_POLICY_MEMORY
    monkeypatch.setattr(cache_memory, "MAX_POLICY_MEMORY", limit)

    async def work() -> int:
        cache = MemoryCache()
        tracemalloc.start()
        try:
            for number in range(0xA0, 0xA0 + 8):
                await cache.put(largest_entry(number))
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    assert limit / 2 < asyncio.run(work()) < limit * 1.3


def test_longest_unused_policy_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes us learn new domains does not push out the ones that mail goes to."""
    monkeypatch.setattr(cache_memory, "MAX_POLICY_MEMORY", 3500)

    async def work() -> list[bool]:
        cache = MemoryCache()
        names = [DomainName(name) for name in ("a.example", "b.example", "c.example", "d.example")]
        for name in names[:3]:
            await cache.put(entry(name.text))
        await cache.get(names[0])
        await cache.put(entry(names[3].text))
        return [await cache.get(name) is not None for name in names]

    assert asyncio.run(work()) == [True, False, True, True]


def test_notes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first."""
    monkeypatch.setattr(cache_memory, "MAX_NOTES", 2)

    async def work() -> list[str | None]:
        cache = MemoryCache()
        names = [DomainName(name) for name in ("a.example", "b.example", "c.example")]
        for name in names:
            await cache.put_note("kind", name, name.text, BEGIN + 1)
        return [await cache.note("kind", name, BEGIN) for name in names]

    assert asyncio.run(work()) == [None, "b.example", "c.example"]
