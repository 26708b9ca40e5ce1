"""Stores that several processes use at once, or whose disk is full."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from requiretls_plugin.policy.cache import open_store
from requiretls_plugin.policy.sts_cache import DAY
from tests.policy.redis_server import RedisServer
from tests.policy.sts_entries import BEGIN, entry

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
