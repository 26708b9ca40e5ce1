"""What is remembered of mail hosts, and the warning when REQUIRETLS goes away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import fields
from typing import TypeVar

import pytest

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import CacheFailure
from requiretls_plugin.policy.cache_memory import MemoryCache
from requiretls_plugin.policy.capability import LIFETIME, CapabilityMemory, HostCapability, Observation
from requiretls_plugin.policy.sts_cache import CAPABILITY, DAY
from tests.policy.sts_entries import BEGIN, Clock

T = TypeVar("T")

HOST = DomainName("mx.example.org")
ALL = Observation(starttls=True, requiretls=True, dane=True)


class BrokenCache(MemoryCache):
    """A cache whose notes fail."""

    async def note(self, kind: str, name: DomainName, now: float) -> str | None:
        raise CacheFailure("broken")

    async def put_note(self, kind: str, name: DomainName, text: str, expires: float) -> None:
        raise CacheFailure("broken")


def remembering(
    work: Callable[[CapabilityMemory, Clock], Awaitable[T]], cache: MemoryCache | None = None
) -> T:
    async def run() -> T:
        clock = Clock()
        return await work(CapabilityMemory(cache or MemoryCache(), clock), clock)

    return asyncio.run(run())


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_what_was_proved_is_recalled_with_its_dates() -> None:
    """Each capability has the time it was last proved; REQUIRETLS also that since when."""

    async def work(memory: CapabilityMemory, clock: Clock) -> None:
        assert await memory.recall(HOST) is None
        await memory.remember(HOST, Observation(starttls=True, requiretls=True))
        clock.now += DAY
        await memory.remember(HOST, Observation(starttls=True, requiretls=True, dane=True))

        assert await memory.recall(HOST) == HostCapability(
            starttls=BEGIN + DAY, requiretls=BEGIN + DAY, requiretls_since=BEGIN, dane=BEGIN + DAY
        )

    remembering(work)


def test_session_that_showed_nothing_changes_nothing() -> None:
    """One broken handshake is no proof that a host lost STARTTLS."""

    async def work(memory: CapabilityMemory, clock: Clock) -> None:
        await memory.remember(HOST, ALL)
        before = await memory.recall(HOST)
        clock.now += DAY
        await memory.remember(HOST, Observation())

        assert await memory.recall(HOST) == before

    remembering(work)


def test_requiretls_that_goes_away_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """It says for how long it was there; the next session without it says nothing new."""

    async def work(memory: CapabilityMemory, clock: Clock) -> None:
        await memory.remember(HOST, ALL)
        clock.now += 40 * DAY
        await memory.remember(HOST, ALL)
        clock.now += 2 * DAY
        for _ in range(3):
            await memory.remember(HOST, Observation(starttls=True, requiretls=False))
        clock.now += DAY
        await memory.remember(HOST, ALL)
        recalled = await memory.recall(HOST)
        assert recalled is not None
        assert recalled.requiretls_since == clock.now

    remembering(work)

    assert warnings_in(caplog) == [
        "mx.example.org no longer offers REQUIRETLS; it did for 40 days, last 2.0 days ago"
    ]


def test_host_that_never_had_requiretls_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Nearly all hosts are like that."""

    async def work(memory: CapabilityMemory, clock: Clock) -> None:
        for _ in range(2):
            await memory.remember(HOST, Observation(starttls=True, requiretls=False))
            clock.now += DAY

    remembering(work)

    assert warnings_in(caplog) == []


def test_memory_ends_after_90_days_without_the_host(caplog: pytest.LogCaptureFixture) -> None:
    """By then it may be another host; no warning comes of that."""

    async def work(memory: CapabilityMemory, clock: Clock) -> None:
        await memory.remember(HOST, ALL)
        clock.now += LIFETIME
        assert await memory.recall(HOST) is None
        await memory.remember(HOST, Observation(requiretls=False))

    remembering(work)

    assert warnings_in(caplog) == []


def test_busy_host_is_written_down_by_the_hour() -> None:
    """A thousand sessions are not a thousand writes."""

    async def work(memory: CapabilityMemory, clock: Clock) -> None:
        for seconds, last in ((0, 0), (3599, 0), (3600, 3600)):
            clock.now = BEGIN + seconds
            await memory.remember(HOST, ALL)
            recalled = await memory.recall(HOST)
            assert recalled is not None
            assert recalled.requiretls == BEGIN + last

    remembering(work)


def test_broken_store_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is known, nothing is raised."""

    async def work(memory: CapabilityMemory, clock: Clock) -> HostCapability | None:
        await memory.remember(HOST, ALL)
        return await memory.recall(HOST)

    assert remembering(work, BrokenCache()) is None
    assert warnings_in(caplog) == []


def kept(time: str) -> str:
    """Return a note that says *time* of everything."""
    names = (field.name for field in fields(HostCapability))
    return "{" + ", ".join(f'"{name}": {time}' for name in names) + "}"


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "{}", '{"starttls": "x"}', "[" * 100_000, "1e999"),
        *map(kept, ("1e300", "NaN", "-1.0", '"x"', "true")),
        pytest.param(kept("1" * 400), id="numbers without end"),
    ],
)
def test_attack_rubbish_in_the_store_is_nothing_known(text: str) -> None:
    """Whoever can write the store cannot make us raise."""
    cache = MemoryCache()

    async def work(memory: CapabilityMemory, clock: Clock) -> HostCapability | None:
        await cache.put_note(CAPABILITY, HOST, text, BEGIN + DAY)
        return await memory.recall(HOST)

    assert remembering(work, cache) is None
