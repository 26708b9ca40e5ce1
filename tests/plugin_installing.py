"""Plugins as an operator gets them: installed by pip, or looking so, and used by a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
EXAMPLES = PROJECT / "examples" / "third_party_plugin"

CONTENT = b"Subject: salaries\r\n\r\nsecret\r\n"


def install_example(name: str, folder: Path) -> Path:
    """Install the example *name* into a new folder in *folder* by pip, without network; return that."""
    # setuptools leaves its build folder beside the source.
    source = shutil.copytree(EXAMPLES / name, folder / f"{name}-source")
    target = folder / name
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    options = ["--no-index", "--disable-pip-version-check", "--target", str(target), str(source)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def announce(folder: Path, distribution: str, entry: str) -> None:
    """Let *folder* look as if *distribution* with that *entry* point had been installed into it."""
    metadata = folder / f"{distribution}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[requiretls]\n{entry}\n")


def run_requiretls(
    *arguments: str, plugins: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `requiretls` in a process of its own, with the installed *plugins* and a message as input."""
    paths = [str(plugins)] if plugins else []
    source = os.environ.get("REQUIRETLS_TESTS_WITHOUT_SOURCES")
    path = os.pathsep.join([*paths, *([] if source else [str(PROJECT)])])
    return subprocess.run(
        [sys.executable, "-m", "requiretls_plugin", *arguments],
        input=CONTENT,
        capture_output=True,
        env={**os.environ, **(environment or {}), "PYTHONPATH": path},
        check=False,
    )


def send(config: Path, *arguments: str, **options: Any) -> tuple[int, dict[str, Any]]:
    """Return exit code and result of `requiretls send`; *options* are those of `run_requiretls`."""
    done = run_requiretls("send", "--config", str(config), "--json", *arguments, **options)
    assert done.stdout, done.stderr.decode()
    return done.returncode, json.loads(done.stdout)
