"""Caches under any order of calls: no policy is lost, made up, or claimed twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import pytest
import redis
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import CacheFailure
from requiretls_plugin.policy.cache import open_store
from requiretls_plugin.policy.cache_fallback import RETRY_SECONDS, FallbackCache
from requiretls_plugin.policy.cache_memory import MemoryCache
from requiretls_plugin.policy.sts_cache import (
    CAPABILITY,
    CLAIM_SECONDS,
    DAY,
    FETCH_FAILURE,
    UNUSED_SECONDS,
    CachedPolicy,
    PolicyCache,
)
from tests.policy.redis_server import RedisServer
from tests.policy.sts_entries import BEGIN, Clock, entry

T = TypeVar("T")

DOMAINS = [DomainName(f"{letter}.example") for letter in "abc"]
KINDS = [FETCH_FAILURE, CAPABILITY]

domains = st.sampled_from(DOMAINS)


class Life(NamedTuple):
    """How old a policy is when it is put, how long it lives, for how long it was not used; in seconds."""

    age: float
    max_age: int
    unused: float


WEEK = 7 * 86_400
LIVES = [
    Life(0, WEEK, 0),
    Life(DAY, WEEK, 0),  # to be refreshed
    Life(3 * DAY, WEEK, DAY),  # the same, for longer
    Life(DAY, WEEK, UNUSED_SECONDS),  # the same, but nobody needs it
    Life(10, 7200, 0),
    Life(3600, 7200, 0),  # to be refreshed, short-lived as it is
    Life(DAY, 86_400, 0),  # expired
]


class CacheMachine(RuleBasedStateMachine):
    """Any order of calls on handles that share one store, as the processes of a machine do.

    What is expected is what `PolicyCache` says and no more: what has expired may
    be there still.
    """

    def __init__(self, handles: list[PolicyCache], *, clock_moves: bool = True) -> None:
        super().__init__()
        self.clock = Clock()
        self.clock_moves = clock_moves
        self.loop = asyncio.new_event_loop()
        self.handles = handles
        self.kept: dict[DomainName, CachedPolicy] = {}
        self.claimed_until: dict[DomainName, float] = {}
        self.passed_over: set[DomainName] = set()
        self.notes: dict[tuple[str, DomainName], tuple[str, float]] = {}

    def call(self, call: Callable[[PolicyCache], Awaitable[T]]) -> T:
        """Return what *call* says with the handle whose turn it is."""
        self.handles.append(self.handles.pop(0))

        async def made() -> T:
            return await call(self.handles[0])

        return self.loop.run_until_complete(made())

    def expired(self, domain: DomainName) -> bool:
        return self.kept[domain].expires <= self.clock.now

    @rule(lives=st.lists(st.sampled_from(LIVES), min_size=3, max_size=3), record_id=st.sampled_from("12"))
    def put_all(self, lives: list[Life], record_id: str) -> None:
        for domain, life in zip(DOMAINS, lives, strict=True):
            self.put_one(domain, life, record_id)

    @rule(domain=domains, life=st.sampled_from(LIVES), record_id=st.sampled_from("12"))
    def put(self, domain: DomainName, life: Life, record_id: str) -> None:
        self.put_one(domain, life, record_id)

    def put_one(self, domain: DomainName, life: Life, record_id: str) -> None:
        now = self.clock.now
        new = entry(
            domain.text,
            record_id=record_id,
            max_age=life.max_age,
            fetched=now - life.age,
            last_used=now - life.unused,
        )
        self.call(lambda cache: cache.put(new))
        self.kept[domain] = new
        self.claimed_until.pop(domain, None)
        self.passed_over.discard(domain)

    @rule(domain=domains)
    def touch(self, domain: DomainName) -> None:
        now = self.clock.now
        self.call(lambda cache: cache.touch(domain, now))
        if domain in self.kept:
            self.kept[domain] = entry_used(self.kept[domain], now)

    @rule(times=st.integers(1, 2))
    def claim(self, times: int) -> None:
        for _ in range(times):
            self.claim_once()

    def claim_once(self) -> None:
        now = self.clock.now
        claimed = self.call(lambda cache: cache.claim_due(now))
        due = {
            domain
            for domain, kept in self.kept.items()
            if kept.refresh_at <= now
            and not self.expired(domain)
            and self.claimed_until.get(domain, now) <= now
        }
        in_use = {domain for domain in due if self.kept[domain].last_used > now - UNUSED_SECONDS}
        assert len(claimed) == len(set(claimed))
        assert in_use - self.passed_over <= set(claimed) <= in_use
        self.claimed_until.update(dict.fromkeys(claimed, now + CLAIM_SECONDS))
        # Some stores look at a domain again only after a while, although it was not in use.
        self.passed_over |= due - in_use

    @rule(some=st.none() | st.lists(domains, unique=True))
    def purge(self, some: list[DomainName] | None) -> None:
        purged = DOMAINS if some is None else some
        there = [domain for domain in purged if domain in self.kept]
        count = self.call(lambda cache: cache.purge(some))
        assert sum(not self.expired(domain) for domain in there) <= count <= len(there)
        for domain in purged:
            self.kept.pop(domain, None)
            self.claimed_until.pop(domain, None)
            self.passed_over.discard(domain)
            self.notes.pop((FETCH_FAILURE, domain), None)

    @rule(
        kind=st.sampled_from(KINDS),
        name=domains,
        text=st.text(max_size=5).filter(lambda text: text.isprintable()),
        life=st.sampled_from([2 * DAY, WEEK]),
    )
    def put_note(self, kind: str, name: DomainName, text: str, life: float) -> None:
        expires = self.clock.now + life
        self.call(lambda cache: cache.put_note(kind, name, text, expires))
        self.notes[kind, name] = text, expires

    @precondition(lambda self: self.clock_moves)
    @rule(seconds=st.sampled_from([1.0, 120.0, CLAIM_SECONDS, DAY, UNUSED_SECONDS]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def reopen(self) -> None:
        self.call(lambda cache: cache.close())

    @invariant()
    def policies_are_those_that_were_put(self) -> None:
        for domain in DOMAINS:
            found = self.call(lambda cache, domain=domain: cache.get(domain))  # type: ignore[misc]
            if domain in self.kept and not self.expired(domain):
                assert found == self.kept[domain]
            else:
                assert found in (None, self.kept.get(domain))

    @invariant()
    def the_list_has_what_is_in_force(self) -> None:
        now = self.clock.now
        in_force = [self.kept[domain] for domain in sorted(self.kept) if not self.expired(domain)]
        assert list(self.call(lambda cache: cache.entries(now))) == in_force

    @invariant()
    def notes_are_those_that_were_put(self) -> None:
        now = self.clock.now
        for kind in KINDS:
            for name in DOMAINS:
                text, expires = self.notes.get((kind, name), ("", now))
                found = self.call(lambda cache, kind=kind, name=name: cache.note(kind, name, now))  # type: ignore[misc]
                assert found == (text if expires > now else None)

    def teardown(self) -> None:
        for _ in self.handles:
            self.call(lambda cache: cache.close())
        self.loop.close()


def entry_used(kept: CachedPolicy, now: float) -> CachedPolicy:
    return CachedPolicy(kept.domain, kept.record_id, kept.policy, kept.fetched, now)


def play(
    machine: Callable[[], RuleBasedStateMachine], examples: int, *, same_each_time: bool = False
) -> None:
    """Try the machine with a store that is empty each time; *same_each_time* is for what is to fail."""
    chosen = settings(
        max_examples=examples,
        stateful_step_count=25,
        report_multiple_bugs=False,
        derandomize=same_each_time,
        phases=[Phase.generate] if same_each_time else list(Phase),
    )
    factory = cast(type[RuleBasedStateMachine], machine)  # whatever makes one will do
    run_state_machine_as_test(factory, settings=chosen)


def test_any_order_of_calls_in_memory() -> None:
    """One process."""
    play(lambda: CacheMachine([MemoryCache()]), 60)


def test_any_order_of_calls_by_two_processes_that_share_a_file(tmp_path: Path) -> None:
    """What one of them does the other sees."""
    url = f"sqlite://{tmp_path}/cache.sqlite"

    def machine() -> CacheMachine:
        for file in tmp_path.iterdir():
            file.unlink()
        return CacheMachine([open_store(url), open_store(url)])

    play(machine, 20)


def test_any_order_of_calls_by_two_machines_that_share_redis(tmp_path: Path) -> None:
    """Redis has a clock of its own, so time stands still here."""
    with RedisServer(tmp_path) as server:

        def machine() -> CacheMachine:
            with redis.Redis.from_url(server.url) as client:
                client.flushdb()
            return CacheMachine([open_store(server.url), open_store(server.url)], clock_moves=False)

        play(machine, 15)


class FlakyStore(MemoryCache):
    """A store that fails while it is *broken* and has everything afterwards."""

    broken = False
    touches = 0

    async def probe(self) -> None:
        self._check()

    async def get(self, domain: DomainName) -> CachedPolicy | None:
        self._check()
        return await super().get(domain)

    async def put(self, entry: CachedPolicy) -> None:
        self._check()
        await super().put(entry)

    async def touch(self, domain: DomainName, used: float) -> None:
        self._check()
        await super().touch(domain, used)

    async def entries(self, now: float) -> Any:
        self._check()
        return await super().entries(now)

    async def purge(self, domains: Any = None) -> int:
        self._check()
        return await super().purge(domains)

    def _check(self) -> None:
        if self.broken:
            raise CacheFailure("broken for now")


class OutageMachine(RuleBasedStateMachine):
    """A store that fails and recovers at any time: the policy put last is the one that is found."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = FlakyStore()
        self.cache = FallbackCache(self.store, self.clock)
        self.loop = asyncio.new_event_loop()
        self.last_put: dict[DomainName, CachedPolicy] = {}

    @rule(domain=domains, record_id=st.sampled_from(["1", "2", "3"]))
    def put(self, domain: DomainName, record_id: str) -> None:
        self.clock.now += 1
        new = entry(domain.text, record_id=record_id, max_age=31_557_600, fetched=self.clock.now)
        self.loop.run_until_complete(self.cache.put(new))
        self.last_put[domain] = new

    @rule(domain=domains)
    def touch(self, domain: DomainName) -> None:
        self.loop.run_until_complete(self.cache.touch(domain, self.clock.now))

    @rule(broken=st.booleans())
    def break_or_repair(self, broken: bool) -> None:
        self.store.broken = broken

    @rule(seconds=st.sampled_from([1.0, RETRY_SECONDS, 10 * RETRY_SECONDS]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(domain=domains)
    def look_up(self, domain: DomainName) -> None:
        found = self.loop.run_until_complete(self.cache.get(domain))
        expected = self.last_put.get(domain)
        assert (found and (found.record_id, found.fetched)) == (
            expected and (expected.record_id, expected.fetched)
        )

    @precondition(lambda self: not self.store.broken)
    @rule()
    def nothing_is_missing_once_it_works_again(self) -> None:
        self.clock.now += RETRY_SECONDS
        self.loop.run_until_complete(self.cache.get(DOMAINS[0]))
        in_store = self.loop.run_until_complete(self.store.entries(self.clock.now))
        assert {each.domain: each.fetched for each in in_store} == {
            domain: each.fetched for domain, each in self.last_put.items()
        }

    def teardown(self) -> None:
        self.loop.close()


def test_any_order_of_outages_loses_no_policy() -> None:
    """A policy in mode enforce that was known is known, whether the store works or not."""
    play(OutageMachine, 100)


def test_the_clock_of_these_tests_is_near_that_of_redis() -> None:
    """Or what is put in would have expired."""
    assert BEGIN > 1_700_000_000


@pytest.mark.parametrize("wrong", ["lost", "made up", "claimed twice"])
def test_the_machine_notices_a_cache_that_is_wrong(wrong: str) -> None:
    """Or the tests above would show nothing."""

    class Wrong(MemoryCache):
        async def put(self, entry: CachedPolicy) -> None:
            if wrong != "lost" or entry.record_id == "1":
                await super().put(entry)

        async def get(self, domain: DomainName) -> CachedPolicy | None:
            return await super().get(domain) or (entry(domain.text) if wrong == "made up" else None)

        async def claim_due(self, now: float) -> Any:
            claimed = await super().claim_due(now)
            if wrong == "claimed twice":
                self._claimed_until.clear()
            return claimed

    with pytest.raises(AssertionError):
        play(lambda: CacheMachine([Wrong()]), 100, same_each_time=True)
