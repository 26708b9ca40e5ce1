"""SQLite files that break: deliveries go on, with one warning, and nothing known is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import CacheFailure
from requiretls_plugin.policy.cache import open_cache, open_store
from requiretls_plugin.policy.cache_fallback import RETRY_SECONDS, FallbackCache
from requiretls_plugin.policy.cache_memory import MemoryCache
from tests.policy.broken_stores import EXAMPLE, OTHER, use_everything, warnings_in
from tests.policy.sts_entries import BEGIN, Clock, entry

NOBODY = 65_534


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


class HalfBrokenStore(MemoryCache):
    """A store whose notes can be written and not read."""

    def __init__(self, *, lasting: bool) -> None:
        super().__init__()
        self._lasting = lasting

    async def note(self, kind: str, name: DomainName, now: float) -> str | None:
        raise CacheFailure("broken", lasting=self._lasting)

    async def probe(self) -> None:
        """Nothing wrong with this."""


@pytest.mark.parametrize(("lasting", "expected"), [(True, 1), (False, 5)], ids=["damaged", "full"])
def test_damaged_store_is_not_tried_again(
    lasting: bool, expected: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Where writing works and reading does not, each trial would be a warning; damage does not heal."""
    clock = Clock()

    async def work() -> None:
        cache = FallbackCache(HalfBrokenStore(lasting=lasting), clock)
        for _ in range(5):
            await use_everything(cache)
            clock.now += RETRY_SECONDS

    asyncio.run(work())

    assert len(warnings_in(caplog)) == expected


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


def test_bare_sqlite_store_is_not_made_by_looking(tmp_path: Path) -> None:
    """The command line must not leave a file that belongs to root."""

    async def work() -> None:
        await open_store(f"sqlite://{tmp_path}/cache.sqlite", create=False).entries(BEGIN)

    with pytest.raises(CacheFailure):
        asyncio.run(work())

    assert not list(tmp_path.iterdir())
