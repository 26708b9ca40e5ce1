"""Wheel and source distribution of the last commit, made twice: they have to be the same, byte for byte.

setuptools writes its own version into the wheel, so the same means: with the same setuptools.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.supply.declared import PROJECT
from tests.supply.findings import NotLookedAtError, SupplyError, run

# What must not matter: where, when, for whom and in which zone it is made.
_ELSEWHERE = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "USER": "somebody", "HOME": "/nonexistent"}


def build_twice(folder: Path) -> list[Path]:
    """Return the files made in *folder*; raises SupplyError if making them again gives other bytes."""
    epoch = _time_of_last_commit()
    first = _build(_checkout(folder / "first"), epoch)
    time.sleep(2.1)  # archives of the zip format tell times two seconds apart
    second = _build(_checkout(folder / "second" / "elsewhere", "077"), epoch, "077", _ELSEWHERE)
    _compare(first, second)
    [source] = [path for path in first if path.name.endswith(".tar.gz")]
    with tarfile.open(source) as archive:
        archive.extractall(folder / "third", filter="data")
    [unpacked] = (folder / "third").iterdir()
    _compare([path for path in first if path != source], _build(unpacked, epoch, options=("--wheel",)))
    return first


def _time_of_last_commit() -> str:
    if not (PROJECT / ".git").exists():
        raise NotLookedAtError("this is no checkout: what is built is the last commit")
    return run("git", "log", "-1", "--format=%ct", cwd=PROJECT).strip()


def _checkout(folder: Path, umask: str = "022") -> Path:
    folder.mkdir(parents=True)
    archive = folder.with_name("commit.tar")
    run("git", "archive", "--output", archive, "HEAD", cwd=PROJECT)
    run(*_with(umask), "tar", "-x", "--no-same-permissions", "-f", archive, cwd=folder)
    return folder


def _build(
    source: Path,
    epoch: str,
    umask: str = "022",
    environment: Mapping[str, str] | None = None,
    options: tuple[str, ...] = (),
) -> list[Path]:
    command = [sys.executable, "-m", "build", "--outdir", str(source / "dist"), *options, str(source)]
    run(*_with(umask), *command, env={**os.environ, **(environment or {}), "SOURCE_DATE_EPOCH": epoch})
    return sorted((source / "dist").iterdir())


def _with(umask: str) -> list[str]:
    return ["sh", "-c", 'umask "$0" && exec "$@"', umask]


def _compare(first: Iterable[Path], second: Iterable[Path]) -> None:
    sums = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
        for paths in (first, second)
    ]
    if sums[0] != sums[1]:
        raise SupplyError(f"made twice, they differ (diffoscope tells where): {sums[0]} and {sums[1]}")


def strangers(wheel: Path, packages: Iterable[str]) -> list[str]:
    """Return what is wrong with the contents of *wheel*, which ships *packages* (dotted names) only."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    files = {name for name in names if ".dist-info/" not in name}
    folders = {package.replace(".", "/") for package in packages}
    found = [f"{name} is in none of our packages" for name in files if name.rpartition("/")[0] not in folders]
    found += [f"{name} is a test" for name in files if Path(name).name.startswith(("test_", "conftest"))]
    needed = {f"{folder}/__init__.py" for folder in folders}
    needed |= {f"{folder}/py.typed" for folder in folders if "/" not in folder}
    found += [f"{name} is missing" for name in needed - files]
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        found.append("the licence is missing")
    return sorted(found)
