"""Stores that break: deliveries go on, with one warning, and nothing known is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import CacheFailure
from requiretls_plugin.policy.cache import open_cache, open_store
from requiretls_plugin.policy.cache_fallback import RETRY_SECONDS
from requiretls_plugin.policy.sts_cache import DAY, PolicyCache
from tests.policy.redis_server import RedisServer
from tests.policy.sts_entries import BEGIN, Clock, entry

EXAMPLE = DomainName("example.org")
OTHER = DomainName("other.example")
NOBODY = 65_534


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def use_everything(cache: PolicyCache) -> None:
    """Call every method; none may raise, and what is put has to be there."""
    await cache.put(entry())
    await cache.touch(EXAMPLE, BEGIN + 1)
    await cache.put_note("kind", EXAMPLE, "text", BEGIN + 60)
    found = await cache.get(EXAMPLE)
    assert found is not None
    assert found.policy == entry().policy
    assert await cache.note("kind", EXAMPLE, BEGIN) == "text"
    assert EXAMPLE in [each.domain for each in await cache.entries(BEGIN)]
    assert EXAMPLE in await cache.claim_due(BEGIN + DAY)
    assert await cache.purge([EXAMPLE]) == 1
    await cache.put(entry())


def put_into(file: Path, *names: str) -> None:
    """Make a good store with policies of *names*."""

    async def work() -> None:
        store = open_store(f"sqlite://{file}")
        for name in names:
            await store.put(entry(name))
        await store.close()

    asyncio.run(work())


@contextlib.contextmanager
def without_root() -> Iterator[Path]:
    """Act as a user who is not root, with a folder of his own."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    root = os.geteuid() == 0
    if root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(stat.S_IRWXU)
        shutil.rmtree(folder)


def corrupt_header(file: Path) -> None:
    file.write_bytes(b"rubbish " * 2000)


def corrupt_pages(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def make_newer(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")


def make_other(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE policy")


@pytest.mark.parametrize("damage", [corrupt_header, corrupt_pages, make_newer, make_other])
def test_damaged_file_costs_one_warning(
    damage: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything goes on in memory, also when the time to try again has come."""
    file = tmp_path / "cache.sqlite"
    put_into(file, "other.example")
    damage(file)  # type: ignore[operator]
    clock = Clock()

    async def work() -> None:
        cache = open_cache(f"sqlite://{file}", clock)
        await use_everything(cache)
        await use_everything(cache)
        await cache.close()

    asyncio.run(work())

    (warning,) = warnings_in(caplog)
    assert str(file) in warning


def test_damaged_file_is_not_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It would fail again each minute, and be in the log each minute."""
    file = tmp_path / "cache.sqlite"
    corrupt_header(file)
    clock = Clock()

    async def work() -> None:
        cache = open_cache(f"sqlite://{file}", clock)
        for _ in range(5):
            await use_everything(cache)
            clock.now += RETRY_SECONDS + 1

    asyncio.run(work())

    assert len(warnings_in(caplog)) == 1


def test_missing_folder_costs_one_warning_and_is_noticed_when_it_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was put meanwhile is in the store afterwards."""
    folder = tmp_path / "later"
    clock = Clock()

    async def work() -> None:
        cache = open_cache(f"sqlite://{folder}/cache.sqlite", clock)
        await use_everything(cache)
        folder.mkdir()
        await use_everything(cache)
        assert not list(folder.iterdir()), "not tried again so soon"
        clock.now += RETRY_SECONDS
        assert await cache.get(EXAMPLE) == entry()
        await cache.close()
        store = open_store(f"sqlite://{folder}/cache.sqlite", create=False)
        assert await store.get(EXAMPLE) == entry()
        await store.close()

    asyncio.run(work())

    assert len(warnings_in(caplog)) == 1


def test_file_that_cannot_be_written_is_still_read(caplog: pytest.LogCaptureFixture) -> None:
    """An enforce policy in it goes on to protect; a newer one that could not be written wins over it."""
    with without_root() as folder:
        file = folder / "cache.sqlite"
        put_into(file, "example.org", "other.example")
        file.chmod(0o444)

        async def work() -> None:
            cache = open_cache(f"sqlite://{file}", lambda: BEGIN)
            newer = entry(record_id="2", mode="none", fetched=BEGIN + 1)
            await cache.put(newer)
            assert await cache.get(EXAMPLE) == newer
            assert await cache.get(OTHER) == entry("other.example")
            await use_everything(cache)
            await cache.close()

        asyncio.run(work())

    (warning,) = warnings_in(caplog)
    assert "readonly" in warning


def test_folder_that_cannot_be_written_costs_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """As when an operator made the folder as root and the server runs as somebody else."""
    with without_root() as folder:
        folder.chmod(0o555)

        async def work() -> None:
            await use_everything(open_cache(f"sqlite://{folder}/cache.sqlite", lambda: BEGIN))

        asyncio.run(work())

    assert len(warnings_in(caplog)) == 1


FILL_THE_DISK = """
import asyncio, logging, resource, sys
from pathlib import Path
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.cache import open_cache
from tests.policy.sts_entries import BEGIN, entry

logging.basicConfig(format="%(levelname)s %(message)s")
file = Path(sys.argv[1])

async def work():
    cache = open_cache(f"sqlite://{file}", lambda: BEGIN)
    await cache.put(entry("first.example"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    names = [f"d{number}.example" for number in range(1000)]
    for name in names:
        await cache.put(entry(name))
    for name in ["first.example", *names]:
        assert await cache.get(DomainName(name)) == entry(name), name
    await cache.close()

asyncio.run(work())
"""


def run_python(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def output_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output, errors


def test_full_disk_costs_one_warning_and_no_policy(tmp_path: Path) -> None:
    """A limit on file sizes stands in for the full disk: SQLite meets a failed write either way."""
    _, errors = output_of(run_python(FILL_THE_DISK, str(tmp_path / "cache.sqlite")))

    (warning,) = errors.splitlines()
    assert warning.startswith("WARNING policy cache does not work")


CLAIM = """
import asyncio, sys, time
from pathlib import Path
from requiretls_plugin.policy.cache import open_store
from tests.policy.sts_entries import entry

url, start, now = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
while not start.exists():
    time.sleep(0.001)

async def work():
    store = open_store(url)
    await store.put(entry("everyone.example", fetched=now))
    while claimed := await store.claim_due(now):
        print(*claimed, sep="\\n")
    await store.close()

asyncio.run(work())
"""


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_processes_never_claim_the_same_refresh(kind: str, tmp_path: Path) -> None:
    """Four processes at once get every domain, and each domain once."""
    names = [f"d{number}.example" for number in range(300)]
    with contextlib.ExitStack() as stack:
        if kind == "redis":
            url = stack.enter_context(RedisServer(tmp_path)).url
        else:
            url = f"sqlite://{tmp_path}/cache.sqlite"

        async def fill() -> None:
            store = open_store(url)
            for name in names:
                await store.put(entry(name))
            await store.close()

        asyncio.run(fill())
        start = tmp_path / "start"
        workers = [run_python(CLAIM, url, str(start), str(BEGIN + DAY)) for _ in range(4)]
        start.touch()
        claimed = [line for worker in workers for line in output_of(worker)[0].split()]

    assert sorted(claimed) == sorted(names)


def test_processes_that_make_the_file_at_once_do_not_fail(tmp_path: Path) -> None:
    """All start together after a reboot; none meets a half-made file."""
    start = tmp_path / "start"
    url = f"sqlite://{tmp_path}/cache.sqlite"
    workers = [run_python(CLAIM, url, str(start), str(BEGIN)) for _ in range(4)]
    start.touch()

    for worker in workers:
        output_of(worker)


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


def test_bare_sqlite_store_is_not_made_by_looking(tmp_path: Path) -> None:
    """The command line must not leave a file that belongs to root."""

    async def work() -> None:
        await open_store(f"sqlite://{tmp_path}/cache.sqlite", create=False).entries(BEGIN)

    with pytest.raises(CacheFailure):
        asyncio.run(work())

    assert not list(tmp_path.iterdir())
