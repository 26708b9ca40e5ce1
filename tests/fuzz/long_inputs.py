"""`python -m tests.fuzz.long_inputs TARGET SECONDS FOLDER…`: look for inputs that take too long.

Prints one line of JSON and keeps the slowest input in the first of the folders.
"""

from __future__ import annotations

import json
import logging
import random
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.fuzz.catalogue import Target, load_long
from tests.fuzz.mutation import Stretched, mutations

SIZE = 64 * 1024
LARGE = 16 * SIZE

# Seconds of CPU for an input of SIZE. Mail for everybody else waits meanwhile.
LIMIT = 0.050

# How much longer LARGE may take: 16 times is linear, 256 times quadratic. Memory costs a little more, too.
MAX_GROWTH = 100.0

# What takes less, in seconds, is not compared: it is mostly the cost of the call.
MEASURABLE = 0.002


@dataclass(frozen=True, slots=True)
class Slowest:
    """How many long inputs were tried, CPU in *milliseconds* for the slowest of SIZE octets, and the
    greatest *growth* of that from SIZE to LARGE."""

    milliseconds: float
    growth: float
    inputs: int

    @property
    def too_slow(self) -> bool:
        """Whether something has to be done about it."""
        return self.milliseconds > LIMIT * 1000 or self.growth > MAX_GROWTH


def cpu_seconds(target: Target, data: bytes) -> float:
    """Return how long this process computes over *data*."""
    begin = time.process_time()
    target(data)
    return time.process_time() - begin


Measure = Callable[[Target, bytes], float]

# One shape in so many is also looked at in LARGE, which takes as long as sixteen others.
_SHAPES_FOR_ONE_LARGE = 8


def find_slowest(
    target: Target, seeds: Sequence[bytes], seconds: float, folder: Path, measure: Measure = cpu_seconds
) -> Slowest:
    """Try long inputs made of *seeds* for some time; keep what was slowest, and grew most, in *folder*."""
    rng = random.Random(1)
    changed = mutations(seeds, rng)
    longest, growth, tried = 0.0, 0.0, 0
    deadline = time.monotonic() + seconds
    while tried < _SHAPES_FOR_ONE_LARGE or time.monotonic() < deadline:
        tried += 1
        shape = Stretched(rng.choice((rng.choice(seeds), next(changed))), rng)
        # A second look at what seems slow: the machine may have been busy.
        if measure(target, shape.to(SIZE)) > longest:
            again = min(measure(target, shape.to(SIZE)) for _ in range(2))
            if again > longest:
                longest = again
                (folder / "slowest").write_bytes(shape.to(SIZE))
        if tried % _SHAPES_FOR_ONE_LARGE == 0 and growth_of(target, shape, 1, measure) > growth:
            again = growth_of(target, shape, 3, measure)
            if again > growth:
                growth = again
                (folder / "grew-most").write_bytes(shape.to(SIZE))
    return Slowest(longest * 1000, growth, tried)


def growth_of(target: Target, shape: Stretched, looks: int, measure: Measure) -> float:
    """Return how much longer LARGE takes than SIZE, 0 if that cannot be told or need not be."""
    small = min(measure(target, shape.to(SIZE)) for _ in range(looks))
    if not MEASURABLE < small < LIMIT:
        return 0.0
    return min(measure(target, shape.to(LARGE)) for _ in range(looks)) / small


def main(name: str, seconds: str, folder: str, *more: str) -> None:
    """See above."""
    logging.disable()
    warnings.simplefilter("ignore")
    seeds = [path.read_bytes() for each in more for path in sorted(Path(each).iterdir())]
    print(json.dumps(asdict(find_slowest(load_long(name), seeds, float(seconds), Path(folder)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
