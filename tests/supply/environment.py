"""A fresh environment with nothing in it but what is asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.supply.findings import SupplyError, run


class Environment:
    """A venv of the Python that runs this, in *folder*."""

    def __init__(self, folder: Path, *installed: str) -> None:
        """Make it and let pip install *installed*; raises SupplyError."""
        run(sys.executable, "-m", "venv", folder)
        self.folder = folder
        self.python = folder / "bin" / "python"
        run(self.python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *installed)

    @property
    def site_packages(self) -> Path:
        """Where pip puts packages."""
        [found] = self.folder.glob("lib/python*/site-packages")
        return found

    def check(self, packages: tuple[str, ...]) -> None:
        """See that dependencies agree and that importing *packages* warns of nothing; raises SupplyError."""
        run(self.python, "-m", "pip", "check")
        run(self.python, "-I", *AS_ERRORS, "-c", IMPORT_EVERYTHING, *packages)

    def check_command(self, version: str) -> None:
        """See that the command says its version and completes its commands in a shell; raises SupplyError."""
        command = self.folder / "bin" / "requiretls"
        said = run(command, "--version")
        if version not in said:
            raise SupplyError(f"requiretls --version said {said!r}, not {version}")
        words = {"_REQUIRETLS_COMPLETE": "bash_complete", "COMP_WORDS": "requiretls exp", "COMP_CWORD": "1"}
        completed = run(command, env={**os.environ, **words}).split()
        if completed != ["plain,explain"]:
            raise SupplyError(f"completing `requiretls exp` gave {completed}")


# Mailman imports nntplib, of the standard library before Python 3.13 and of standard-nntplib since.
AS_ERRORS = (
    "-Werror",
    "-Wignore:'nntplib' is deprecated:DeprecationWarning",
    "-Wignore:nntplib was removed:DeprecationWarning",
)

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys

for package in sys.argv[1:]:
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
"""
