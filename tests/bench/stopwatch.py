"""Wall clock and CPU time of a piece of work, per message."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """How fast something went: messages per second, and this process's CPU in milliseconds per message."""

    name: str
    per_second: float
    cpu_ms: float


def measured(works: Mapping[str, Callable[[], object]], messages: int, rounds: int = 3) -> list[Figure]:
    """Run each of *works*, which handles *messages* messages, *rounds* times; return the medians.

    They take turns, after a round that does not count, so that what else the
    machine does meanwhile strikes all of them.
    """
    rates: dict[str, list[float]] = {name: [] for name in works}
    costs: dict[str, list[float]] = {name: [] for name in works}
    for counts in (False, *[True] * rounds):
        for name, work in works.items():
            wall, cpu = time.perf_counter(), _cpu()
            work()
            if counts:
                rates[name].append(messages / (time.perf_counter() - wall))
                costs[name].append((_cpu() - cpu) * 1000 / messages)
    return [Figure(name, statistics.median(rates[name]), statistics.median(costs[name])) for name in works]


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
