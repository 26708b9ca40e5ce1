"""Peers that drip, on both sides: others are served, nothing is left, and the rest is told to come again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from requiretls_aiosmtpd.connection import MAX_CONNECTIONS
from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.engine import Engine
from tests.delivery.delivering import plugins
from tests.faults.drips import DOMAINS, drips_in, settings_for, tarpits, timed


@pytest.fixture(scope="module")
def lab() -> Iterator[Laboratory]:
    """A laboratory of hosts that drip, and two that do not."""
    with Laboratory(DOMAINS) as lab:
        yield lab


def test_attack_clients_that_drip_take_every_connection_and_no_more(lab: Laboratory, tmp_path: Path) -> None:
    """Beyond the limit all are sent away at once; when they have gone the server serves again."""
    seen = drips_in(lab, tmp_path, MAX_CONNECTIONS + 20, tls=False)

    assert (seen.refused, seen.seconds, seen.after) == (20, None, True)
    assert seen.meanwhile.threads == seen.before.threads
    assert seen.meanwhile.rss - seen.before.rss < MAX_CONNECTIONS * 128


def test_attack_hosts_that_drip_keep_no_mail_from_a_host_that_was_prompt(lab: Laboratory) -> None:
    """Fifty of them want every connection there may be, for as long as a delivery may take."""

    async def run() -> None:
        settings = settings_for(lab, 50, 60.0)
        async with Engine(settings, plugins()) as engine, tarpits(engine, 50) as held_up:
            for _ in range(3):
                assert (await timed(engine, "good.test"))[1] == "delivered dane"
            assert not any(task.done() for task in held_up)

    asyncio.run(run())
