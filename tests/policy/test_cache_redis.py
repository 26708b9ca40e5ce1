"""Redis servers that die, come back, hang, or were never there."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
import redis.asyncio

from requiretls_lab.authority import Authority, Leaf
from requiretls_plugin.errors import CacheFailure
from requiretls_plugin.policy.cache import open_cache, open_store
from requiretls_plugin.policy.cache_fallback import RETRY_SECONDS
from tests.policy.broken_stores import EXAMPLE, OTHER, use_everything, warnings_in
from tests.policy.redis_server import RedisServer
from tests.policy.sts_entries import BEGIN, Clock, entry


def test_dead_redis_costs_one_warning_and_recovers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Policies known before are known during, and those put during are in Redis after."""
    clock = Clock()
    server = RedisServer(tmp_path)

    async def work() -> None:
        cache = open_cache(server.url, clock)
        await cache.put(entry("other.example"))
        server.stop()
        await use_everything(cache)
        assert await cache.get(OTHER) == entry("other.example")
        server.start()
        assert await cache.get(EXAMPLE) == entry()
        clock.now += RETRY_SECONDS
        assert await cache.get(EXAMPLE) == entry()
        store = open_store(server.url)
        assert await store.get(EXAMPLE) == entry()
        await store.close()
        await cache.close()

    with server:
        asyncio.run(work())

    (warning,) = warnings_in(caplog)
    assert "Redis at 127.0.0.1:" in warning


def test_second_outage_is_a_second_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One for each, not one for ever."""
    clock = Clock()
    server = RedisServer(tmp_path)

    async def work() -> None:
        cache = open_cache(server.url, clock)
        for _ in range(2):
            server.stop()
            await use_everything(cache)
            server.start()
            clock.now += RETRY_SECONDS
            await use_everything(cache)
        await cache.close()

    with server:
        asyncio.run(work())

    assert len(warnings_in(caplog)) == 2


def test_redis_that_says_nothing_does_not_hold_up_mail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that accepts and never answers counts as dead after a second."""

    async def work(port: int) -> None:
        cache = open_cache(f"redis://:secret@127.0.0.1:{port}/0", lambda: BEGIN)
        async with asyncio.timeout(10):
            await use_everything(cache)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        asyncio.run(work(silent.getsockname()[1]))

    (warning,) = warnings_in(caplog)
    assert "secret" not in warning


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("redis://:secret@127.0.0.1:1/0", id="nobody listens"),
        pytest.param("rediss://user:secret@127.0.0.1:1/0", id="nobody listens with TLS"),
        pytest.param("redis://:secret@redis.invalid:6379/0", id="name does not exist"),
        pytest.param("redis://:secret@127.0.0.1:port/0", id="no port"),
        pytest.param("redis://[:secret@127.0.0.1/0", id="no URL"),
        pytest.param("redis://127.0.0.1:1/0?password=secret", id="password in the query"),
    ],
)
def test_bare_redis_store_fails_by_our_error_and_keeps_the_password(url: str) -> None:
    """Whatever is wrong with it, the message can be shown to anybody."""

    async def work() -> None:
        await open_store(url).probe()

    with pytest.raises(CacheFailure) as caught:
        asyncio.run(work())

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "works"), [(("localhost",), True), (("elsewhere.example",), False)], ids=["its own", "another"]
)
def test_certificate_of_redis_has_to_carry_the_name_in_the_url(
    names: tuple[str, ...], works: bool, authority: Authority, tmp_path: Path
) -> None:
    """The name is looked up before connecting, and still it is what the certificate is checked for."""
    certificate = authority.issue(Leaf(names))
    server = RedisServer(tmp_path, certificate)
    store = open_store(f"rediss://localhost:{server.port}/0?ssl_ca_certs={authority.ca_file}")

    async def work() -> None:
        await store.put(entry())
        assert await store.get(EXAMPLE) == entry()
        await store.close()

    with server:
        if works:
            asyncio.run(work())
        else:
            with pytest.raises(CacheFailure, match="CERTIFICATE_VERIFY_FAILED"):
                asyncio.run(work())


@pytest.mark.parametrize("kept", ["", "[", "[1]", "null", '["1", "mode: none", 5.0]', "[" * 100_000])
def test_attack_rubbish_in_redis_is_no_policy(kept: str, tmp_path: Path) -> None:
    """Whoever else writes there cannot make us raise."""

    async def work(url: str) -> None:
        async with redis.asyncio.Redis.from_url(url) as client:
            await client.set("requiretls:policy:example.org", kept)
            await client.zadd("requiretls:refresh", {"example.org": 1.0})
        store = open_store(url)
        assert await store.get(EXAMPLE) is None
        assert await store.entries(BEGIN) == []
        assert await store.claim_due(BEGIN) == []
        await store.close()

    with RedisServer(tmp_path) as server:
        asyncio.run(work(server.url))
