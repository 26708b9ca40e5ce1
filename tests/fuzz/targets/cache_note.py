"""What a store that others can write to has kept: policies and notes as JSON."""

from __future__ import annotations

from datetime import UTC, datetime

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.cache_memory import MemoryCache
from requiretls_plugin.policy.capability import CapabilityMemory, Observation
from requiretls_plugin.policy.sts_cache import CAPABILITY, FETCH_FAILURE
from requiretls_plugin.policy.sts_failure import last_failure, note_failure
from tests.socketless import SocketlessLoop

NAME = DomainName("mx.example.org")
NOW = 1_000_000.0


def target(data: bytes) -> None:
    """Rubbish is as good as nothing; what is remembered can be used and kept again."""
    loop = SocketlessLoop()
    try:
        loop.run_until_complete(remembered(data.decode("utf-8", "replace")))
    finally:
        loop.close()


async def remembered(text: str) -> None:
    """Use *text* as if a store had kept it."""
    cache = MemoryCache()
    for kind in (CAPABILITY, FETCH_FAILURE):
        await cache.put_note(kind, NAME, text, NOW + 1)
    failure = await last_failure(cache, NAME, NOW)
    if failure is not None:
        assert datetime.fromtimestamp(failure.at, UTC)
        failure.forbids_fetch("1", NOW)
        await note_failure(cache, NAME, failure)
    memory = CapabilityMemory(cache, lambda: NOW)
    known = await memory.recall(NAME)
    if known is not None and known.requiretls is not None:
        assert datetime.fromtimestamp(known.requiretls, UTC)
    await memory.remember(NAME, Observation(starttls=True, requiretls=False, dane=True))
    known = await memory.recall(NAME)
    assert known is not None
    assert known.requiretls is None
