"""A steady load, for seconds: the long run is `python -m tests.faults.soak`."""

from __future__ import annotations

from pathlib import Path

from requiretls_lab.laboratory import Laboratory
from tests.faults.soak import soak


def test_under_steady_load_every_answer_is_right_and_nothing_is_left_open(
    lab: Laboratory, tmp_path: Path
) -> None:
    """Delivered, failed and deferred, side by side; descriptors and threads are those of the beginning."""
    seen = soak(lab, tmp_path, warm_up=1.0, seconds=2.0, rate=40.0, every=0.25)

    assert seen.surprises == ()
    assert set(seen.answers) == {250, 451, 550, 556}
    assert seen.last.descriptors <= seen.first.descriptors + 3
    assert seen.last.threads == seen.first.threads
