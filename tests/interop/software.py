"""Where the foreign mail software is that `fetch.sh` fetched."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
from pathlib import Path

from requiretls_lab.errors import LabError

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "requiretls-plugin-tests"

_HINT = "run: sh tests/interop/fetch.sh"


@functools.cache
def fetched() -> Path:
    """Return the cache's folder; raises LabError if it is missing or was made for something else."""
    made_for = (HERE / "fetch.sh").read_bytes() + (HERE / "package-lock.json").read_bytes()
    stamp = CACHE / "stamp"
    if not stamp.exists():
        raise LabError(f"the foreign mail software is not in {CACHE}; {_HINT}")
    if stamp.read_text().strip() != hashlib.sha256(made_for).hexdigest():
        raise LabError(f"the foreign mail software in {CACHE} is not what these tests want; {_HINT}")
    return CACHE


@functools.cache
def node() -> str:
    """Return the path of Node.js; raises LabError without it."""
    program = shutil.which("node")
    if program is None:
        raise LabError("node is not installed; as root: apt-get install nodejs npm")
    return program


def node_environment() -> dict[str, str]:
    """Return the environment in which Node.js finds the pinned packages."""
    return {**os.environ, "NODE_PATH": str(fetched() / "node_modules")}


def perl_environment() -> dict[str, str]:
    """Return the environment in which Perl and what it loads find what Debian has not installed."""
    usr = fetched() / "debian" / "usr"
    modules = [*usr.glob("lib/*/perl*/*"), *usr.glob("share/perl*"), *usr.glob("share/perl/*")]
    libraries = usr.glob("lib/*-linux-gnu*")
    return {
        **os.environ,
        "PERL5LIB": os.pathsep.join(map(str, modules)),
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
    }
