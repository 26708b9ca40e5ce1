"""Redis is killed under load, and comes back."""

from __future__ import annotations

import asyncio
import functools
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.engine import Engine
from requiretls_plugin.requirement import Requirement
from tests.delivery.delivering import delivered_by, in_words, message, plugins
from tests.faults.waiting import until
from tests.policy.broken_stores import warnings_in
from tests.policy.redis_server import RedisServer

EXPECTED = {
    "sts.test": "delivered sts-pkix requiretls",
    "dane-ee.test": "delivered dane requiretls",
    "sts-mismatch.test": "failed 550 5.7.10 sts-mismatch",
    "sts-down.test": "deferred 451 4.7.10 sts-unavailable",
}


def test_every_message_has_its_outcome_whether_redis_is_there_or_not(
    lab: Laboratory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning, no message late, and policies fetched before are not fetched again."""
    server = RedisServer(tmp_path)

    async def run() -> tuple[Counter[tuple[str, str]], float]:
        seen: Counter[tuple[str, str]] = Counter()
        slowest = 0.0
        async with Engine(lab.settings(cache={"url": server.url}), plugins()) as engine:

            async def keep_sending(domain: str, until: asyncio.Event) -> None:
                nonlocal slowest
                while not until.is_set():
                    began = time.monotonic()
                    [outcome] = await delivered_by(engine, message(Requirement.REQUIRED), f"u@{domain}")
                    slowest = max(slowest, time.monotonic() - began)
                    seen[domain, in_words(outcome)] += 1

            enough = asyncio.Event()
            senders = [asyncio.create_task(keep_sending(domain, enough)) for domain in EXPECTED]
            acts: list[Callable[[], None]] = [
                functools.partial(server.stop, signal.SIGKILL),
                server.start,
                enough.set,
            ]
            for act in acts:
                goal = seen.total() + 60
                await until(lambda goal=goal: seen.total() >= goal)  # type: ignore[misc]
                act()
            await asyncio.gather(*senders)
        return seen, slowest

    with server:
        seen, slowest = asyncio.run(run())

    assert set(seen) == set(EXPECTED.items())
    assert slowest < 4.0
    assert len([warning for warning in warnings_in(caplog) if "policy cache does not work" in warning]) == 1
    assert lab.policy_site("sts.test").requests == 1
