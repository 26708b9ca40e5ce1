"""How a step says that something is wrong, or that it could not look."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

LINES = 100


class SupplyError(Exception):
    """What is shipped is not what it should be."""


class NotLookedAtError(Exception):
    """Something this step needs is not to be had here."""


def run(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Return what *command* printed to standard output; raises SupplyError with the end of it."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        said = "\n".join(f"{done.stdout}{done.stderr}".strip().splitlines()[-LINES:])
        raise SupplyError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{said}")
    return done.stdout
