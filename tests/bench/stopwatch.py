"""Wall clock and CPU time of a piece of work, per message."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """How fast something went: messages per second, and this process's CPU in milliseconds per message."""

    name: str
    per_second: float
    cpu_ms: float


def measured(name: str, work: Callable[[], object], messages: int, rounds: int = 3) -> Figure:
    """Run *work*, which handles *messages* messages, *rounds* times after a warm-up; return the medians."""
    work()
    rates, costs = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), _cpu()
        work()
        rates.append(messages / (time.perf_counter() - wall))
        costs.append((_cpu() - cpu) * 1000 / messages)
    return Figure(name, statistics.median(rates), statistics.median(costs))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
