"""What a process takes of the machine, from /proc."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figures:
    """Resident memory in KiB, open file descriptors, threads."""

    rss: int
    descriptors: int
    threads: int


def figures_of(pid: int) -> Figures:
    """Return the figures of a process now; raises OSError if it is gone."""
    status = Path(f"/proc/{pid}/status").read_text()
    return Figures(_number(status, "VmRSS"), len(os.listdir(f"/proc/{pid}/fd")), _number(status, "Threads"))


def peak_rss(pid: int) -> int:
    """Return the most resident memory that a process ever had, in KiB."""
    return _number(Path(f"/proc/{pid}/status").read_text(), "VmHWM")


def _number(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s*(\d+)", status, re.MULTILINE)
    assert found is not None, f"/proc says nothing about {name}"
    return int(found[1])
