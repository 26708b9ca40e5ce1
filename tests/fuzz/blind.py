"""`python -m tests.fuzz.blind TARGET SECONDS FOLDER…`: one target without guidance, where atheris is missing.

What fails is kept in the first of the folders, seeds are taken from the others.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import random
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.catalogue import Target, load
from tests.fuzz.mutation import mutations


def fuzz(target: Target, seeds: Sequence[bytes], seconds: float, folder: Path) -> int:
    """Return how many inputs *target* was given; one that fails is written to *folder*, and raised."""
    deadline = time.monotonic() + seconds
    for count, data in enumerate(itertools.chain(seeds, mutations(seeds, random.Random()))):
        if time.monotonic() > deadline:
            return count
        try:
            target(data)
        except BaseException:
            (folder / f"crash-{hashlib.sha1(data).hexdigest()}").write_bytes(data)
            raise
    return 0


def main(name: str, seconds: str, folder: str, *more: str) -> None:
    """See above."""
    logging.disable()
    warnings.simplefilter("ignore")
    seeds = [path.read_bytes() for each in more for path in sorted(Path(each).iterdir())]
    print(f"Done {fuzz(load(name), seeds, float(seconds), Path(folder))} runs")


if __name__ == "__main__":
    main(*sys.argv[1:])
