"""Run Salmon's own test-suite with our receivers and our relay: `python -m tests.host_suites.salmon_suite`.

The suite is in Salmon's sdist only, which pip downloads (or give its path). What
may fail is listed in salmon_exceptions.toml, with the reason; anything else that
fails, or passes against the list, is a failure here. Takes about ten seconds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
VERSION = "3.3.0"

_SWITCH_ON = "\nimport requiretls_salmon\n\nrequiretls_salmon.install()\n"
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


def main(sdist: Path | None) -> int:
    """Run the suite and return the exit status."""
    exceptions = tomllib.loads((HERE / "salmon_exceptions.toml").read_text())
    with tempfile.TemporaryDirectory(prefix="salmon-suite-") as folder:
        suite = _prepared(sdist or _downloaded(Path(folder)), Path(folder))
        done = _run(suite, exceptions["not_run"])
    failed, allowed = set(_FAILED.findall(done.stdout)), set(exceptions["fails"])
    print(done.stdout.splitlines()[-1])
    for test in sorted(failed - allowed):
        print(f"fails: {test}")
    for test in sorted(allowed - failed):
        print(f"passes, remove it from the exceptions: {test}")
    if failed != allowed:
        print(done.stdout, done.stderr, file=sys.stderr)
    return int(failed != allowed)


def _downloaded(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, "--dest", str(folder), f"salmon-mail=={VERSION}"], check=True)
    return next(folder.glob("*.tar.gz"))


def _prepared(sdist: Path, folder: Path) -> Path:
    """Unpack the suite, without Salmon itself, and switch ours on."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    suite = next(path for path in folder.iterdir() if path.is_dir())
    shutil.rmtree(suite / "salmon")
    shutil.copy(HERE / "salmon_switched_on.py", suite / "conftest.py")
    with (suite / "tests/data/test_app/config/settings.py").open("a") as settings:
        settings.write(_SWITCH_ON)
    return suite


def _run(suite: Path, not_run: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "NOT_RUN": " ".join(not_run),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "hooks")]),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", "tests"],
        cwd=suite,
        env=environment,
        text=True,
        capture_output=True,
        timeout=300,
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
