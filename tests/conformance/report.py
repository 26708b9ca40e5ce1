"""Run the tests that show requirements, and write docs/conformance.md: `python -m tests.conformance.report`.

Arguments are given on to pytest. The exit code is pytest's, or 1 if what ran
is not what the sources say.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conformance.entries import PROJECT, all_entries
from tests.conformance.marks import Mark, all_marks
from tests.conformance.page import PAGE, PASSED, page

Recorded = Mapping[str, Mapping[str, str]]


def run_marked_tests(arguments: Sequence[str]) -> tuple[int, Recorded]:
    """Return pytest's exit code and how the tests of each requirement ended."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.json"
        options = ["-q", "-m", "requirement", "-p", "tests.conformance.recorder"]
        options += ["--requirements-json", str(file), *arguments]
        ended = subprocess.run([sys.executable, "-m", "pytest", *options], cwd=PROJECT, check=False)
        recorded: Recorded = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return ended.returncode, recorded


def by_function(recorded: Recorded) -> dict[str, str]:
    """Return how each test function ended: "passed" if all its parameters did."""
    outcomes: defaultdict[str, set[str]] = defaultdict(set)
    for tests in recorded.values():
        for node, outcome in tests.items():
            outcomes[node.partition("[")[0]].add(outcome)
    return {test: min(found - {PASSED}, default=PASSED) for test, found in outcomes.items()}


def disagreements(marks: Sequence[Mark], recorded: Recorded) -> list[str]:
    """Return the marks that either only the sources have or only the tests that ran."""
    ran = {(name, node.partition("[")[0]) for name, tests in recorded.items() for node in tests}
    written = {(mark.id or "", mark.test) for mark in marks}
    return [f"not run: {test} for {name}" for name, test in sorted(written - ran)] + [
        f"not found in the sources: {test} for {name}" for name, test in sorted(ran - written)
    ]


def main(arguments: Sequence[str]) -> int:
    """Run, write, and say what is wrong."""
    code, recorded = run_marked_tests(arguments)
    marks = all_marks()
    PAGE.write_text(page(all_entries(), marks, by_function(recorded)), encoding="utf-8")
    wrong = disagreements(marks, recorded)
    for each in wrong:
        print(each, file=sys.stderr)
    return code or int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
