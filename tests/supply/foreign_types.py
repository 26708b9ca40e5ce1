"""Programs of others, type-checked against the installed package: mistakes are found, and only these.

python -m tests.supply.foreign_types PYTHON-THAT-HAS-THE-PACKAGE
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from tests.supply.findings import SupplyError, run

FOREIGN = Path(__file__).parent / "foreign"

_REPORTED = re.compile(r"^(?P<file>[\w.]+):(?P<line>\d+): error: .*\[(?P<code>[\w-]+)\]$", re.MULTILINE)
_EXPECTED = re.compile(r"# mistake: (?P<codes>.+)$")


def expected(folder: Path) -> set[tuple[str, int, str]]:
    """Return file, line and kind of each mistake that is marked in the programs of *folder*."""
    return {
        (path.name, number, code)
        for path in folder.glob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (marked := _EXPECTED.search(line))
        for code in marked["codes"].split(", ")
    }


def check_types(python: Path, folder: Path) -> None:
    """Check copies in *folder* with what is installed for *python*; raises SupplyError."""
    shutil.copytree(FOREIGN, folder)
    options = ["--strict", "--config-file", os.devnull, "--no-error-summary", "--hide-error-context"]
    options += ["--enable-error-code", "unused-awaitable", "--python-executable", str(python)]
    environment = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}
    command = [sys.executable, "-m", "mypy", *options, *(path.name for path in sorted(folder.glob("*.py")))]
    try:
        said = run(*command, cwd=folder, env=environment)
    except SupplyError as error:  # mypy's exit code says that it found something
        said = str(error)
    reported = {(found["file"], int(found["line"]), found["code"]) for found in _REPORTED.finditer(said)}
    if reported != expected(folder):
        missing, more = sorted(expected(folder) - reported), sorted(reported - expected(folder))
        raise SupplyError(f"not reported: {missing}\nreported: {more}\n{said}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        check_types(Path(sys.argv[1]), Path(temporary, "foreign"))
