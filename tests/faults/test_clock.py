"""The clock is set forward or back while a server runs.

What ends with the process goes by a clock that never jumps. The rest goes by
the wall clock, and a jump costs it a repetition, never a message or a policy.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from salmon import queue

import requiretls_aiosmtpd
import requiretls_plugin
from requiretls_lab.authority import Authority
from requiretls_plugin.policy.cache import open_cache
from requiretls_plugin.policy.cache_fallback import RETRY_SECONDS
from requiretls_plugin.policy.sts import STSUnavailable
from requiretls_plugin.policy.sts_cache import DAY
from requiretls_plugin.policy.sts_failure import BACK_OFF
from requiretls_salmon.queue_files import due_files, hold
from tests.policy.broken_stores import EXAMPLE
from tests.policy.sts_entries import Clock, entry
from tests.policy.sts_world import BROKEN, World, play_in
from tests.policy.sts_world import EXAMPLE as SITE

_ADAPTERS = Path(requiretls_aiosmtpd.__file__).parents[1]
PACKAGES = (
    Path(requiretls_plugin.__file__).parent,
    *(_ADAPTERS / f"requiretls_{host}" for host in ("aiosmtpd", "mailman", "salmon")),
)
YEAR = 366 * DAY

# Who reads the wall clock, and why that is right.
WALL_CLOCK = {
    "requiretls_plugin/audit.py": "says when a domain was looked at",
    "requiretls_plugin/audit_page.py": "says how old a page is",
    "requiretls_plugin/cli/doctor.py": "certificates are valid by the wall clock",
    "requiretls_plugin/cli/policies.py": "policies expire by it",
    "requiretls_plugin/delivery/handshake.py": "certificates are valid by it",
    "requiretls_plugin/doctor.py": "a note that expires after a minute",
    "requiretls_plugin/findings.py": "says when findings were taken",
    "requiretls_plugin/policy/cache.py": "policies expire by it, in files that outlive the process",
    "requiretls_plugin/policy/capability.py": "informs, and decides nothing",
    "requiretls_plugin/policy/sts.py": "policies expire by it",
    "requiretls_plugin/settings_files.py": "certificates are valid by it",
    "requiretls_mailman/digests.py": "says when a digest was made",
    "requiretls_salmon/failures.py": "the date of a notice",
    "requiretls_salmon/kept.py": "when a message arrived, kept with it",
    "requiretls_salmon/queue_files.py": "when a file is due, which outlives the process",
    "requiretls_salmon/queue_receiver.py": "the same, and how old a message is",
    "requiretls_salmon/relay.py": "when a message was sent",
}


def test_only_what_outlives_the_process_goes_by_the_wall_clock() -> None:
    """Timeouts, TTLs, kept sessions and evidence do not: whoever adds to this list says why it is right."""
    reading = re.compile(r"\btime\.time\b|datetime\.now\(|utcnow\(|date\.today\(")
    found = {
        str(path.relative_to(package.parent))
        for package in PACKAGES
        for path in package.rglob("*.py")
        if reading.search(path.read_text())
    }

    assert found == set(WALL_CLOCK)


# Policies


@pytest.fixture
def play(authority: Authority) -> Callable[[Any], None]:
    """Run a scene in a fresh world."""
    return lambda scene: play_in(authority, scene)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A throwaway authority."""
    return Authority(tmp_path_factory.mktemp("authority"))


def test_a_policy_fetched_while_the_clock_was_ahead_is_fetched_again(play: Callable[[Any], None]) -> None:
    """It would count until the wrong year is over."""

    async def scene(world: World) -> None:
        world.clock.now += 5 * YEAR
        assert (await world.found()).expires > world.clock.now
        world.clock.now -= 5 * YEAR

        assert (await world.found()).expires < world.clock.now + YEAR
        assert world.requests == 2
        await world.found()
        assert world.requests == 2

    play(scene)


def test_a_policy_from_the_future_counts_if_no_other_can_be_had(play: Callable[[Any], None]) -> None:
    """An enforced policy is not lost over a clock."""

    async def scene(world: World) -> None:
        world.clock.now += 5 * YEAR
        await world.found()
        world.clock.now -= 5 * YEAR
        world.place.site.answer = BROKEN

        found = await world.found()
        assert found.failure is not None

    play(scene)


def test_clocks_of_two_machines_may_differ(play: Callable[[Any], None]) -> None:
    """By minutes, without a fetch for each message."""

    async def scene(world: World) -> None:
        world.clock.now += 600
        await world.found()
        world.clock.now -= 600
        await world.found()
        assert world.requests == 1

    play(scene)


def test_a_clock_set_forward_over_max_age_fetches_anew_or_lets_mail_wait(play: Callable[[Any], None]) -> None:
    """What cannot be had then is not taken for absent."""

    async def scene(world: World) -> None:
        await world.found()
        world.clock.now += 2 * YEAR
        world.place.site.answer = BROKEN
        assert isinstance(await world.resolver.lookup(SITE), STSUnavailable)

        world.publish("enforce", "mx.example.org")
        world.clock.now += BACK_OFF
        assert (await world.found()).fresh

    play(scene)


def test_a_failed_fetch_is_tried_again_though_the_clock_went_back(play: Callable[[Any], None]) -> None:
    """Five minutes are not a year."""

    async def scene(world: World) -> None:
        world.place.site.answer = BROKEN
        assert isinstance(await world.resolver.lookup(SITE), STSUnavailable)
        world.clock.now -= YEAR
        world.publish("enforce", "mx.example.org")
        await world.found()

    play(scene)


@pytest.mark.parametrize("jump", [-YEAR, YEAR], ids=["back", "forward"])
def test_a_cache_that_failed_is_tried_again_whatever_the_clock_did(jump: float, tmp_path: Path) -> None:
    """In a minute, not when a clock has caught up."""
    clock = Clock()

    async def work() -> None:
        cache = open_cache(f"sqlite://{tmp_path}/missing/cache.sqlite", clock)
        await cache.put(entry())
        (tmp_path / "missing").mkdir()
        assert await cache.get(EXAMPLE) == entry()
        assert not (tmp_path / "missing" / "cache.sqlite").exists()
        clock.now += jump
        assert await cache.get(EXAMPLE) == (entry() if jump < 0 else None)
        assert (tmp_path / "missing" / "cache.sqlite").exists()
        await cache.close()

    asyncio.run(work())
    assert RETRY_SECONDS < YEAR


# A Salmon queue


def test_a_message_queued_while_the_clock_was_ahead_is_due(tmp_path: Path) -> None:
    """A file is due at its time, but nobody lets one wait longer than the longest wait."""
    store = queue.Queue(str(tmp_path / "queue"))
    store.push("Subject: x\n\nbody\n")
    [path] = due_files(store.dir)
    now = time.time()
    for ahead, due in ((3000.0, False), (5000.0, True), (YEAR, True)):
        os.utime(path, (now + ahead, now + ahead))
        assert bool(list(due_files(store.dir, longest_wait=4000.0))) is due
        held = hold(path, longest_wait=4000.0)
        assert (held is not None) is due
        if held is not None:
            held.release()
