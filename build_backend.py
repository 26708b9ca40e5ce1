"""setuptools, with a source distribution that comes out the same, byte for byte, wherever it is made.

setuptools heeds SOURCE_DATE_EPOCH (reproducible-builds.org) for wheels only; a source distribution also
keeps who made it, when, and the rights its files had there.
"""

from __future__ import annotations

import gzip
import os
import tarfile
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 - every other hook of PEP 517 and PEP 660


def build_wheel(
    wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None
) -> str:
    """Make the wheel as setuptools does; what is written on the way, as METADATA is, has the usual rights."""
    os.umask(0o022)
    name: str = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    return name


def build_sdist(sdist_directory: str, config_settings: Any = None) -> str:
    """Make the source distribution as setuptools does; with SOURCE_DATE_EPOCH, only its contents decide."""
    name: str = build_meta.build_sdist(sdist_directory, config_settings)
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is not None:
        normalise(Path(sdist_directory, name), int(epoch))
    return name


def normalise(path: Path, epoch: int) -> None:
    """Write the archive at *path* anew: sorted, all of it of one time (seconds since 1970) and of nobody."""
    with tarfile.open(path) as archive:
        members = sorted(archive.getmembers(), key=lambda member: member.name)
        contents = [archive.extractfile(member) if member.isfile() else None for member in members]
        again = path.with_suffix(".again")
        with (
            again.open("wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=epoch) as packed,
            tarfile.open(fileobj=packed, mode="w") as target,
        ):
            for member, content in zip(members, contents, strict=True):
                executable = member.isdir() or member.mode & 0o100
                member.mode = 0o755 if executable else 0o644
                member.uid = member.gid = 0
                member.uname = member.gname = ""
                member.mtime = epoch
                member.pax_headers = {}
                target.addfile(member, content)
    again.replace(path)
