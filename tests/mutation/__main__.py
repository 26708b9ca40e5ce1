"""What became of the mutants of the last `mutmut run`: a table, and every change that no test saw.

    python -m tests.mutation

Ends with 1 if fewer than 90 % of the mutants of a module were noticed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

MUTANTS = Path("mutants")
ENOUGH = 0.9

# What mutmut keeps for a mutant: its tests passed (0) or there were none (5, 33); a test failed (1),
# after which pytest itself may have stumbled over what the test left behind (3, 255, which
# mutmut calls a timeout); it was stopped for taking many times as long as it should (all others).
SURVIVED = 0, 5, 33
KILLED = 1, 3, 255

UNSEEN = "survived", "timed out"


def outcome(exit_code: int | None) -> str:
    """Return in one word what a mutant's exit code means."""
    if exit_code is None:
        return "not run"
    if exit_code in SURVIVED:
        return "survived"
    return "killed" if exit_code in KILLED else "timed out"


def results(meta: Path) -> dict[str, str]:
    """Return what became of each mutant of one module."""
    exit_codes = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
    return {mutant: outcome(code) for mutant, code in exit_codes.items()}


def change(mutant: str) -> list[str]:
    """Return the lines that *mutant* takes away and puts in."""
    command = [str(Path(sys.executable).with_name("mutmut")), "show", mutant]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line for line in shown.splitlines() if line[:1] in "+-" and line[:3] not in ("---", "+++")]


def main() -> int:
    """Print the figures and the survivors; return the exit code."""
    total: Counter[str] = Counter()
    worst, unseen = 1.0, []
    print(f"{'module':<55}{'mutants':>8}{'killed':>8}{'timed out':>10}{'survived':>9}{'noticed':>9}")
    for meta in sorted(MUTANTS.rglob("*.meta")):
        of_module = {mutant: became for mutant, became in results(meta).items() if became != "not run"}
        if of_module:
            count = Counter(of_module.values())
            total += count
            worst = min(worst, row(str(meta.relative_to(MUTANTS)).removesuffix(".meta"), count))
            unseen += [(mutant, became) for mutant, became in of_module.items() if became in UNSEEN]
    row("all", total)
    for mutant, became in unseen:
        print(f"\n{mutant}: {became}", *change(mutant), sep="\n    ")
    return 0 if worst >= ENOUGH else 1


def row(name: str, count: Counter[str]) -> float:
    """Print a line of the table; return how many of the mutants were noticed, as a share of 1."""
    noticed = 1 - count["survived"] / count.total()
    columns = f"{count.total():>8}{count['killed']:>8}{count['timed out']:>10}{count['survived']:>9}"
    print(f"{name:<55}{columns}{noticed:>9.1%}")
    return noticed


if __name__ == "__main__":
    sys.exit(main())
