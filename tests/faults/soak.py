"""Half an hour at steady load: `python -m tests.faults.soak [MINUTES [RATE [WARM_UP]]]`.

The Salmon example forwards messages to destinations of every kind, STARTTLS in
and DANE with REQUIRETLS out, some of them failing or deferred. Memory and
descriptors of the app are sampled; the medians of the first and the last sixth
of the time are compared. Before that come WARM_UP minutes, which do not count:
the C library keeps memory for each thread, until each has had its share.
Exit status 1 if the rest is not flat.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from requiretls_lab.catalogue import CATALOGUE
from requiretls_lab.laboratory import Laboratory
from tests.faults.process_figures import Figures, figures_of
from tests.faults.steady_load import SteadyLoad
from tests.hooks.salmon.apps import FORWARDER, copy_of, free_port, running

# Less growth than this is flat.
FLAT = 0.05


@dataclass(frozen=True, slots=True)
class Soak:
    """What was seen: samples in order, messages by code of the answer, and what should not have been."""

    samples: tuple[Figures, ...]
    answers: dict[int, int]
    surprises: tuple[str, ...]

    @property
    def first(self) -> Figures:
        """The medians of the first sixth."""
        return _medians(self.samples[: max(1, len(self.samples) // 6)])

    @property
    def last(self) -> Figures:
        """The medians of the last sixth."""
        return _medians(self.samples[-max(1, len(self.samples) // 6) :])

    @property
    def growth(self) -> float:
        """By what part of itself the memory grew."""
        return self.last.rss / self.first.rss - 1

    @property
    def flat(self) -> bool:
        """Whether neither memory nor descriptors nor threads grew."""
        same = self.last.descriptors <= self.first.descriptors and self.last.threads <= self.first.threads
        return same and self.growth < FLAT


def _medians(samples: Sequence[Figures]) -> Figures:
    columns = (
        statistics.median_low([each.rss for each in samples]),
        statistics.median_low([each.descriptors for each in samples]),
        statistics.median_low([each.threads for each in samples]),
    )
    return Figures(*columns)


def soak(
    lab: Laboratory,
    folder: Path,
    *,
    warm_up: float,
    seconds: float,
    rate: float,
    every: float,
    report: Callable[[float, Figures, SteadyLoad], None] = lambda *_: None,
) -> Soak:
    """Load the forwarder with *rate* messages a second; sample it *every* so many seconds.

    For *warm_up* seconds, which do not count, and then for *seconds*.
    """
    settings = lab.write_settings(
        folder / "requiretls.toml", cache={"url": f"sqlite://{folder}/cache.sqlite"}
    )
    app_folder = copy_of(FORWARDER, folder)
    config = app_folder / "config" / "logging.conf"
    config.write_text(config.read_text().replace("level=DEBUG", "level=INFO"))
    samples: list[Figures] = []
    with running(app_folder, free_port(), settings=settings) as app, SteadyLoad(app.port, rate) as load:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < warm_up + seconds:
            time.sleep(every)
            now = figures_of(app.process.pid)
            if passed >= warm_up:
                samples.append(now)
            lab.forget()
            report(passed, now, load)
    return Soak(tuple(samples), dict(load.answers), tuple(load.surprises))


def _print_each_minute(passed: float, figures: Figures, load: SteadyLoad) -> None:
    if int(passed) % 60 < 10:
        print(
            f"{passed / 60:5.1f} min  {load.sent:7,} messages  {figures.rss / 1024:6.1f} MiB"
            f"  {figures.descriptors:4} descriptors  {figures.threads:3} threads",
            flush=True,
        )


def main(minutes: float = 30.0, rate: float = 20.0, warm_up: float = 10.0) -> int:
    """Run it and print the figures; return the exit status."""
    lengths = {"seconds": minutes * 60, "warm_up": warm_up * 60}
    with Laboratory(CATALOGUE) as lab, tempfile.TemporaryDirectory(prefix="requiretls-soak-") as folder:
        seen = soak(lab, Path(folder), **lengths, rate=rate, every=10.0, report=_print_each_minute)
    for name, part in (("first sixth", seen.first), ("last sixth", seen.last)):
        counts = f"{part.descriptors} descriptors, {part.threads} threads"
        print(f"{name}: median {part.rss / 1024:.1f} MiB, {counts}")
    peak = max(each.rss for each in seen.samples) / 1024
    answers = ", ".join(f"{code}: {count:,}" for code, count in sorted(seen.answers.items()))
    print(f"memory {seen.growth:+.1%}, at most {peak:.1f} MiB; answers {answers}")
    for surprise in seen.surprises[:20]:
        print(f"not as it should be: {surprise}")
    print("flat" if seen.flat else "NOT FLAT")
    return 0 if seen.flat and not seen.surprises else 1


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:])))
