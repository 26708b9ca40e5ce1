"""`python -m tests.fuzz [TARGET…] [--minutes N]`: fuzz targets, one after the other, and tell.

Each is given N minutes, and a fifth of that for long inputs. What is found is in build/fuzz/TARGET.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.fuzz.catalogue import TARGETS, corpus_folder
from tests.fuzz.long_inputs import Slowest

BUILD = Path("build/fuzz")

# What a fuzzer makes of small seeds; long inputs are made on purpose.
MAX_LENGTH = 4_096

# Seconds for one input, and megabytes for all: more is a finding.
PATIENCE = 20
MEMORY = 2_048

_EXECUTIONS = re.compile(r"(?:stat::number_of_executed_units: |Done )(\d+)")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one target; *slowest* is None if a long input failed."""

    name: str
    executions: int
    findings: tuple[Path, ...]
    slowest: Slowest | None

    @property
    def clean(self) -> bool:
        """Whether there is nothing to do."""
        return not self.findings and self.slowest is not None and not self.slowest.too_slow


def fuzz(name: str, minutes: float) -> Result:
    """Fuzz one target."""
    work = BUILD / name
    corpus = work / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    known = set(_inputs_that_failed(work))
    text = _run(work / "log", _fuzzer(name, minutes * 60, work, corpus))
    executions = [int(count) for count in _EXECUTIONS.findall(text)]
    told = _run(
        work / "long.log",
        ["tests.fuzz.long_inputs", name, str(minutes * 12), str(work), str(corpus_folder(name)), str(corpus)],
    )
    try:
        slowest = Slowest(**json.loads(told.splitlines()[-1]))
    except (ValueError, IndexError):
        slowest = None
    findings = sorted(set(_inputs_that_failed(work)) - known)
    return Result(name, max(executions, default=0), tuple(findings), slowest)


def _inputs_that_failed(work: Path) -> Iterator[Path]:
    for kind in ("crash", "timeout", "oom", "leak"):
        yield from work.glob(f"{kind}-*")


def _fuzzer(name: str, seconds: float, work: Path, corpus: Path) -> list[str]:
    """Return the module to run and its arguments."""
    folders = [str(corpus), str(corpus_folder(name))]
    if importlib.util.find_spec("atheris") is None:
        return ["tests.fuzz.blind", name, str(seconds), str(work), *folders]
    options = {
        "max_total_time": max(1, round(seconds)),
        "max_len": MAX_LENGTH,
        "timeout": PATIENCE,
        "rss_limit_mb": MEMORY,
        "artifact_prefix": f"{work}/",
        "print_final_stats": 1,
    }
    return ["tests.fuzz.guided", name, *(f"-{key}={value}" for key, value in options.items()), *folders]


def _run(log: Path, module: list[str]) -> str:
    """Run a module in a process of its own, as it may crash, and return what it wrote, which *log* keeps."""
    with log.open("wb") as file:
        subprocess.run([sys.executable, "-m", *module], stdout=file, stderr=subprocess.STDOUT, check=False)
    return log.read_text(encoding="utf-8", errors="replace")


def main() -> int:
    """Print a line for each target as it ends; return 1 if there is something to do."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N", help="for each target (10)")
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    table = Table("target", "executions", "slowest 64 kB, ms", "growth for 1 MB", "findings")
    results = []
    for name in arguments.targets or TARGETS:
        result = fuzz(name, arguments.minutes)
        results.append(result)
        table.add_row(*_cells(result))
        print("\t".join(_cells(result)), flush=True)
    Console().print(table)
    return 0 if all(result.clean for result in results) else 1


def _cells(result: Result) -> tuple[str, ...]:
    slow = result.slowest
    found = ", ".join(map(str, result.findings)) or "none"
    if slow is None:
        return result.name, f"{result.executions:,}", "failed", "", f"{found}; see long.log"
    return result.name, f"{result.executions:,}", f"{slow.milliseconds:.1f}", f"{slow.growth:.1f}", found


if __name__ == "__main__":
    sys.exit(main())
