"""What every cache has to do, whatever it stands on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import SettingsError
from requiretls_plugin.policy.cache import open_cache, open_store, sqlite_path
from requiretls_plugin.policy.cache_fallback import FallbackCache
from requiretls_plugin.policy.cache_memory import MemoryCache
from requiretls_plugin.policy.sts_cache import (
    CAPABILITY,
    CLAIM_LIMIT,
    CLAIM_SECONDS,
    DAY,
    FETCH_FAILURE,
    UNUSED_SECONDS,
    CachedPolicy,
    PolicyCache,
)
from tests.policy.redis_server import RedisServer
from tests.policy.sts_entries import BEGIN, entry

T = TypeVar("T")
Use = Callable[[Callable[[PolicyCache], Awaitable[T]]], T]

EXAMPLE = DomainName("example.org")
OTHER = DomainName("other.example")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all tests of a worker."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["memory", "sqlite", "redis", "fallback to memory"])
def make_cache(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], PolicyCache]:
    """Return what makes an empty cache of one kind."""
    if request.param == "memory":
        return MemoryCache
    if request.param == "sqlite":
        return lambda: open_store(f"sqlite://{tmp_path}/cache.sqlite")
    if request.param == "redis":
        url = request.getfixturevalue("redis_server").url
        asyncio.run(emptied(open_store(url)))
        return lambda: open_store(url)
    return lambda: open_cache(f"sqlite://{tmp_path}/missing/cache.sqlite", lambda: BEGIN)


async def emptied(cache: PolicyCache) -> None:
    await cache.purge()
    await cache.close()


def use(make_cache: Callable[[], PolicyCache], work: Callable[[PolicyCache], Awaitable[T]]) -> T:
    async def run() -> T:
        cache = make_cache()
        try:
            return await work(cache)
        finally:
            await cache.close()

    return asyncio.run(run())


Make = Callable[[], PolicyCache]


@pytest.mark.requirement("8461-5.1-3")
def test_what_is_put_is_got(make_cache: Make) -> None:
    """Id, text and times come back together and as they were."""

    async def work(cache: PolicyCache) -> None:
        assert await cache.get(EXAMPLE) is None
        await cache.put(entry())
        await cache.put(entry("other.example", mode="testing"))

        assert await cache.get(EXAMPLE) == entry()
        assert await cache.entries(BEGIN) == [entry(), entry("other.example", mode="testing")]

    use(make_cache, work)


@pytest.mark.requirement("8461-8.3-1", "8461-3.2-4")
def test_later_policy_takes_the_place_of_the_earlier(make_cache: Make) -> None:
    """The lifetime counts from the last fetch, and mode none replaces enforce."""
    later = entry(record_id="2", mode="none", max_age=86_400, fetched=BEGIN + 10)

    async def work(cache: PolicyCache) -> None:
        await cache.put(entry())
        await cache.put(later)

        found = await cache.get(EXAMPLE)
        assert found == later
        assert found.expires == BEGIN + 86_410

    use(make_cache, work)


def test_touch_moves_the_last_use_and_nothing_else(make_cache: Make) -> None:
    """A policy that was never put is not made up."""

    async def work(cache: PolicyCache) -> None:
        await cache.put(entry())
        await cache.touch(EXAMPLE, BEGIN + 5)
        await cache.touch(OTHER, BEGIN + 5)

        assert await cache.get(EXAMPLE) == entry(last_used=BEGIN + 5)
        assert await cache.get(OTHER) is None

    use(make_cache, work)


@pytest.mark.requirement("8461-3.3-13", "8461-10.2-1")
def test_refresh_is_due_after_a_day_and_claimed_once(make_cache: Make) -> None:
    """Who claims it has some hours; a new policy makes it due a day later again."""

    async def work(cache: PolicyCache) -> None:
        await cache.put(entry())

        assert await cache.claim_due(BEGIN + DAY - 1) == []
        assert await cache.claim_due(BEGIN + DAY) == [EXAMPLE]
        assert await cache.claim_due(BEGIN + DAY + 1) == []

        await cache.put(entry(fetched=BEGIN + DAY + 2))
        assert await cache.claim_due(BEGIN + 2 * DAY) == []
        assert await cache.claim_due(BEGIN + 2 * DAY + 2) == [EXAMPLE]

    use(make_cache, work)


def test_short_lived_policy_is_due_after_half_its_life(make_cache: Make) -> None:
    """A policy of an hour cannot wait for the day to end."""

    async def work(cache: PolicyCache) -> None:
        await cache.put(entry(max_age=3600))

        assert await cache.claim_due(BEGIN + 1799) == []
        assert await cache.claim_due(BEGIN + 1800) == [EXAMPLE]

    use(make_cache, work)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_claim_that_came_to_nothing_is_due_again(kind: str, tmp_path: Path) -> None:
    """A process that died with its claim does not hold up the refresh for ever.

    Redis leaves this to the expiry of a key, by its own clock.
    """
    url = "memory:" if kind == "memory" else f"sqlite://{tmp_path}/cache.sqlite"

    async def work(cache: PolicyCache) -> None:
        await cache.put(entry())
        assert await cache.claim_due(BEGIN + DAY) == [EXAMPLE]

        assert await cache.claim_due(BEGIN + DAY + CLAIM_SECONDS - 1) == []
        assert await cache.claim_due(BEGIN + DAY + CLAIM_SECONDS) == [EXAMPLE]

    use(lambda: open_cache(url, lambda: BEGIN), work)


def test_unused_policy_is_left_to_expire(make_cache: Make) -> None:
    """A domain that had one message a month ago is not fetched for ever."""

    async def work(cache: PolicyCache) -> None:
        await cache.put(entry(last_used=BEGIN + DAY - UNUSED_SECONDS))
        await cache.put(entry("other.example"))

        assert await cache.claim_due(BEGIN + DAY) == [OTHER]

    use(make_cache, work)


def test_claims_come_in_portions(make_cache: Make) -> None:
    """Many policies due at once are shared among processes."""

    async def work(cache: PolicyCache) -> None:
        for number in range(CLAIM_LIMIT + 3):
            await cache.put(entry(f"d{number}.example"))

        first = await cache.claim_due(BEGIN + DAY)
        second = await cache.claim_due(BEGIN + DAY)

        assert (len(first), len(second)) == (CLAIM_LIMIT, 3)
        assert not set(first) & set(second)

    use(make_cache, work)


def test_expired_policy_is_neither_listed_nor_refreshed(make_cache: Make) -> None:
    """Its time is over whether or not it has been deleted."""

    async def work(cache: PolicyCache) -> None:
        await cache.put(entry(max_age=3600))

        assert await cache.entries(BEGIN + 3600) == []
        assert await cache.claim_due(BEGIN + 3600) == []

    use(make_cache, work)


def test_purge_deletes_policies_and_what_is_noted_of_failures(make_cache: Make) -> None:
    """Or the next message would still wait for the end of the pause; capabilities stay."""

    async def work(cache: PolicyCache) -> None:
        for name in (EXAMPLE, OTHER):
            await cache.put(entry(name.text))
            await cache.put_note(FETCH_FAILURE, name, "failed", BEGIN + 3_600)
            await cache.put_note(CAPABILITY, name, "able", BEGIN + 3_600)

        assert await cache.purge([EXAMPLE, DomainName("never.example")]) == 1

        assert await cache.entries(BEGIN) == [entry("other.example")]
        assert await cache.note(FETCH_FAILURE, EXAMPLE, BEGIN) is None
        assert await cache.note(FETCH_FAILURE, OTHER, BEGIN) == "failed"
        assert await cache.note(CAPABILITY, EXAMPLE, BEGIN) == "able"

    use(make_cache, work)


def test_purge_without_names_deletes_all_policies(make_cache: Make) -> None:
    """Failures without a policy go as well."""

    async def work(cache: PolicyCache) -> None:
        await cache.put(entry())
        await cache.put(entry("other.example"))
        await cache.put_note(FETCH_FAILURE, DomainName("third.example"), "failed", BEGIN + 3_600)
        await cache.put_note(CAPABILITY, OTHER, "able", BEGIN + 3_600)

        assert await cache.purge() == 2
        assert await cache.purge() == 0

        assert await cache.entries(BEGIN) == []
        assert await cache.note(FETCH_FAILURE, DomainName("third.example"), BEGIN) is None
        assert await cache.note(CAPABILITY, OTHER, BEGIN) == "able"

    use(make_cache, work)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_note_is_gone_when_it_expires(kind: str, tmp_path: Path) -> None:
    """Notes are kept by kind and name, and the later one counts."""
    url = "memory:" if kind == "memory" else f"sqlite://{tmp_path}/cache.sqlite"

    async def work(cache: PolicyCache) -> None:
        await cache.put_note("a", EXAMPLE, "old", BEGIN + 5)
        await cache.put_note("a", EXAMPLE, "new", BEGIN + 10)

        assert await cache.note("a", EXAMPLE, BEGIN + 9) == "new"
        assert await cache.note("a", EXAMPLE, BEGIN + 10) is None
        assert await cache.note("b", EXAMPLE, BEGIN) is None
        assert await cache.note("a", OTHER, BEGIN) is None

    use(lambda: open_cache(url, lambda: BEGIN), work)


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_policies_outlive_the_process(kind: str, tmp_path: Path, redis_server: RedisServer) -> None:
    """What one cache object put, another one gets."""
    url = f"sqlite://{tmp_path}/cache.sqlite" if kind == "sqlite" else redis_server.url

    async def put(cache: PolicyCache) -> None:
        await cache.put(entry())

    async def get(cache: PolicyCache) -> CachedPolicy | None:
        return await cache.get(EXAMPLE)

    use(lambda: open_cache(url), put)

    assert use(lambda: open_cache(url), get) == entry()


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///var/lib/cache.sqlite", "/var/lib/cache.sqlite"),
        ("sqlite:////var/lib/cache.sqlite", "/var/lib/cache.sqlite"),
        ("memory:", None),
        ("redis://host:6379/0", None),
    ],
)
def test_file_is_read_out_of_the_url(url: str, file: str | None) -> None:
    """Three slashes are an absolute path; four, SQLAlchemy's way, are taken as meant."""
    assert sqlite_path(url) == (Path(file) if file else None)


def test_redis_without_its_library_is_a_settings_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator is told what to install."""
    monkeypatch.setitem(__import__("sys").modules, "requiretls_plugin.policy.cache_redis", None)

    with pytest.raises(SettingsError, match=r"requiretls-plugin\[redis\]"):
        open_cache("redis://127.0.0.1/0")


@pytest.mark.parametrize(
    "row",
    [
        ("not a name", "1", entry().policy.text, 1.0, 1.0),
        ("example.org", "1", "mode: none", 1.0, 1.0),
        ("example.org", 1, entry().policy.text, 1.0, 1.0),
        ("example.org", "1", b"\xff", 1.0, 1.0),
        ("example.org", "1", "\ud800", 1.0, 1.0),
        ("example.org", "1", entry().policy.text, "soon", 1.0),
        ("example.org", "1", entry().policy.text, 1.0, None),
        ("example.org", "1", entry().policy.text, float("nan"), 1.0),
        ("example.org", "1", entry().policy.text, float("inf"), 1.0),
        ("example.org", "1", entry().policy.text, 1.0, 1e300),
        ("example.org", "\x1b[31m", entry().policy.text, 1.0, 1.0),
        (None, None, None, None, None),
    ],
)
def test_attack_rubbish_in_a_store_is_no_policy(row: tuple[object, object, object, object, object]) -> None:
    """Whoever can write the store cannot make us raise."""
    assert CachedPolicy.restore(*row) is None


def test_store_behind_a_url_is_guarded() -> None:
    """Only `memory:` cannot fail and goes without a fallback."""
    assert isinstance(open_cache("sqlite:///x"), FallbackCache)
    assert isinstance(open_cache("memory:"), MemoryCache)
