"""Look at what is shipped and what it stands on: `python -m tests.supply [STEP …]`, else all steps.

Needs the internet (PyPI). Exit code 1 if something is wrong. What could not be looked at is said, and is
no error.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from requiretls_plugin import __version__
from tests.supply import declared, licences
from tests.supply.audit import audit
from tests.supply.declared import PROJECT
from tests.supply.distributions import build_twice, strangers
from tests.supply.environment import Environment
from tests.supply.findings import NotLookedAtError, SupplyError
from tests.supply.foreign_types import check_types

DIST = PROJECT / "dist"


class Supply:
    """The steps, and what several of them need: made once, in *folder*, which is thrown away."""

    def __init__(self, folder: Path, workers: str) -> None:
        self._folder = folder
        self._workers = workers
        self._setup = declared.read()

    @cached_property
    def _distributions(self) -> tuple[Path, Path]:
        made = build_twice(self._folder / "built")
        [wheel] = [path for path in made if path.suffix == ".whl"]
        [source] = [path for path in made if path.name.endswith(".tar.gz")]
        return wheel, source

    @cached_property
    def _newest(self) -> Environment:
        """The wheel with all extras that users have, and the newest of what they need."""
        wheel, _ = self._distributions
        return Environment(self._folder / "newest", f"{wheel}[{declared.extras(self._setup)}]")

    def dist(self) -> str:
        """Wheel and source distribution, made twice, are the same, and are copied to dist/."""
        DIST.mkdir(exist_ok=True)
        for each in self._distributions:
            shutil.copy(each, DIST)
        return ", ".join(each.name for each in self._distributions)

    def contents(self) -> str:
        """The wheel has our packages, whole, and nothing else."""
        wheel, _ = self._distributions
        found = strangers(wheel, declared.packages(self._setup))
        if found:
            raise SupplyError("\n".join(found))
        return f"{len(declared.packages(self._setup))} packages"

    def wheel(self) -> str:
        """The wheel installs with all extras, its command works, and importing any of it warns of nothing."""
        self._newest.check(declared.packages(self._setup))
        self._newest.check_command(__version__)
        return f"extras {declared.extras(self._setup)}"

    def source(self) -> str:
        """The source distribution installs without extras, and the command works."""
        _, source = self._distributions
        environment = Environment(self._folder / "source", str(source))
        environment.check(("requiretls_plugin",))
        environment.check_command(__version__)
        return source.name

    def types(self) -> str:
        """The types of what is public are known to other people's programs."""
        check_types(self._newest.python, self._folder / "foreign")
        return "mypy --strict, without the sources"

    def licences(self) -> str:
        """Every licence goes with ours; docs/licences.md is written."""
        text = licences.page(self._setup, self._newest.site_packages)
        licences.PAGE.write_text(text, encoding="utf-8")
        return licences.PAGE.name

    def audit(self) -> str:
        """Nothing that comes along has a known vulnerability."""
        return audit(self._newest.site_packages, self._setup.get("metadata", "name"))

    def oldest(self) -> str:
        """The tests pass with the lowest version of everything that setup.cfg allows."""
        file = self._folder / "lowest.txt"
        file.write_text(declared.constraints(self._setup), encoding="utf-8")
        return self._suite(file)

    def newest(self) -> str:
        """The tests pass with the newest version of everything."""
        return self._suite(Path(os.devnull))

    def _suite(self, constraints: Path) -> str:
        command = ["sh", "tests/wheel_test.sh", sys.executable, self._workers, str(constraints)]
        if subprocess.run(command, cwd=PROJECT, check=False).returncode:
            raise SupplyError("the tests do not pass, see above")
        return "the tests pass"

    @property
    def steps(self) -> Mapping[str, Callable[[], str]]:
        """All steps by name, the quick ones first."""
        steps = (
            *(self.dist, self.contents, self.wheel, self.source, self.types),
            *(self.licences, self.audit, self.oldest, self.newest),
        )
        return {step.__name__: step for step in steps}


def look(steps: Mapping[str, Callable[[], str]]) -> int:
    """Take all *steps*, say what each found, and return the exit code."""
    code = 0
    for name, step in steps.items():
        try:
            verdict, words = "ok", step()
        except NotLookedAtError as reason:
            verdict, words = "NOT LOOKED AT", str(reason)
        except SupplyError as reason:
            verdict, words, code = "WRONG", str(reason), 1
        print(f"{name}: {verdict}: {words}", flush=True)
    return code


def main(names: list[str]) -> int:
    """Take the steps with these *names*, or all."""
    with tempfile.TemporaryDirectory(prefix="requiretls-supply-") as folder:
        steps = Supply(Path(folder), os.environ.get("WORKERS", "auto")).steps
        unknown = [name for name in names if name not in steps]
        if unknown:
            print(f"{unknown[0]} is no step; there are {', '.join(steps)}", file=sys.stderr)
            return 64
        return look({name: steps[name] for name in names or steps})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
