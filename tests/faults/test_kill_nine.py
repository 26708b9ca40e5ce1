"""kill -9 at random moments, under load: what was acknowledged is delivered or still in a queue."""

from __future__ import annotations

from pathlib import Path

from requiretls_lab.laboratory import Laboratory
from tests.faults.kill_nine import WORKERS, campaign


def test_attack_kill_9_at_random_moments_loses_no_acknowledged_message(
    lab: Laboratory, tmp_path: Path
) -> None:
    """Neither a receiver's, nor a queue receiver's, nor a forwarder's; some from the queue arrive twice."""
    received, delivered, forwarded = campaign(lab, tmp_path, 5, each=15)

    print(received, delivered, forwarded, sep="\n")
    assert received.lost == delivered.lost == forwarded.lost == frozenset()
    assert received.twice == forwarded.twice == 0
    assert delivered.twice <= delivered.kills * WORKERS
