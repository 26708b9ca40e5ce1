"""A source distribution is what its files are, and nothing of who packed them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

import build_backend

FILES = {"p-1/a.py": (b"a = 1\n", 0o644), "p-1/run.sh": (b"#!/bin/sh\n", 0o755), "p-1/z": (b"", 0o644)}
EPOCH = 1_700_000_000


def pack(path: Path, *, turned: bool = False, uid: int = 0, mtime: float = 0, more: int = 0) -> Path:
    """Pack FILES as somebody might."""
    with tarfile.open(path, "w:gz") as archive:
        for name, (content, mode) in sorted(FILES.items(), reverse=turned):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), mode | more, mtime
            member.uid, member.uname = uid, f"user{uid}"
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    "otherwise",
    [
        pytest.param({"turned": True}, id="another order"),
        pytest.param({"uid": 1000}, id="another owner"),
        pytest.param({"mtime": 12.5}, id="other times"),
        pytest.param({"more": 0o020}, id="other rights"),
    ],
)
def test_who_packed_it_and_when_leaves_no_trace(tmp_path: Path, otherwise: dict[str, Any]) -> None:
    """The same files give the same bytes."""
    one, other = pack(tmp_path / "one"), pack(tmp_path / "other", **otherwise)
    assert one.read_bytes() != other.read_bytes()

    for path in (one, other):
        build_backend.normalise(path, EPOCH)

    assert one.read_bytes() == other.read_bytes()


def test_files_stay_what_they_are(tmp_path: Path) -> None:
    """Their contents, and whether they can be run."""
    path = pack(tmp_path / "p.tar.gz", uid=1000, more=0o022)

    build_backend.normalise(path, EPOCH)

    with tarfile.open(path) as archive:
        members = archive.getmembers()
        found = {}
        for member in members:
            file = archive.extractfile(member)
            assert file is not None
            found[member.name] = (file.read(), member.mode)
    assert found == FILES
    assert {(member.uid, member.uname, member.mtime) for member in members} == {(0, "", EPOCH)}
    assert list(tmp_path.iterdir()) == [path]
