"""A resolver that takes seconds for each answer: `python -m tests.faults.slow_dns [SECONDS…]`.

With the default `dns.timeout` of 5 seconds; the second message finds answers
that are kept, or finds none again.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator

from requiretls_lab.catalogue import CATALOGUE
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.resolver_proxy import Middlebox
from requiretls_plugin.engine import Engine
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.settings import Settings
from tests.delivery.delivering import delivered_by, in_words, message, plugins


def slow_dns(lab: Laboratory, latency: float) -> Iterator[str]:
    """Say how long two messages to each kind of domain take, one after the other, and what comes of them."""
    with lab.resolver_behind(Middlebox(delay=latency)) as proxy:
        place = f"{proxy.address}:{proxy.port}"
        settings = lab.settings(
            dns={"nameservers": [place], "timeout": 5.0},
            delivery={"total_timeout": 900.0},
            mta_sts={"fetch_timeout": 60.0},
        )
        yield from asyncio.run(_send(settings, latency))


async def _send(settings: Settings, latency: float) -> list[str]:
    lines = []
    for domain in ("dane-ee.test", "sts.test", "unproven.test", "no-such.test"):
        async with Engine(settings, plugins()) as engine:
            found = []
            for _ in range(2):
                began = time.monotonic()
                [outcome] = await delivered_by(engine, message(Requirement.REQUIRED), f"u@{domain}")
                found.append(f"{time.monotonic() - began:.1f} s, {in_words(outcome)}")
        lines.append(f"answers after {latency:g} s: {domain}: {'; then '.join(found)}")
    return lines


def main(*latencies: float) -> int:
    """Print the figures; return the exit status."""
    with Laboratory(CATALOGUE) as lab:
        for latency in latencies or (1.0, 4.0, 5.0):
            print(*slow_dns(lab, latency), sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:])))
