"""Foreign daemons as child processes that do not outlive the tests, with files of /etc of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from requiretls_lab.errors import LabError
from tests.interop.software import fetched

START_SECONDS = 15.0

UNPACKED = Path("/mnt")
"""Where the Debian packages are seen by a process started through `in_private_view`: whatever
folders lie above the cache, unprivileged users can get there."""

# Both have users that Debian's packages would make; compiled in, so that no setting can name others.
_PASSWD = """\
root:x:0:0::/:/bin/sh
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
postfix:x:901:901::/nonexistent:/usr/sbin/nologin
Debian-exim:x:903:903::/nonexistent:/usr/sbin/nologin
"""
_GROUP = "root:x:0:\nnogroup:x:65534:\npostfix:x:901:\npostdrop:x:902:\nDebian-exim:x:903:\n"

POSTFIX, POSTDROP, EXIM, NOBODY = 901, 902, 903, 65534
"""Numbers of users and groups inside the private view."""

_VIEW = """\
mount --bind "$1/debian" /mnt
mount --bind "$2/passwd" /etc/passwd
mount --bind "$2/group" /etc/group
[ ! -e "$2/resolv.conf" ] || mount --bind "$2/resolv.conf" /etc/resolv.conf
shift 2
env LD_LIBRARY_PATH=/mnt/usr/lib/postfix:"$(echo /mnt/usr/lib/*-linux-gnu)" "$@"
exit $?
"""
# Daemons that change their user are no longer told of their parent's death; but the shell is, and it
# is the first process of a namespace, which all others in there do not outlive.
_UNSHARE = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL")


def in_private_view(folder: Path, command: Sequence[str], resolver: str | None = None) -> list[str]:
    """Return *command* such that it sees users, unpacked packages and resolver that nobody else sees.

    When it ends, so does every process that it started. *folder* takes the files for it; *resolver*
    is the IP address of a nameserver on port 53. Raises LabError if this process may not make such views.
    """
    if os.geteuid() != 0:
        raise LabError(
            "Debian's Postfix and Exim run as several users: run the tests in tests/interop as root"
        )
    (folder / "passwd").write_text(_PASSWD)
    (folder / "group").write_text(_GROUP)
    if resolver is not None:
        (folder / "resolv.conf").write_text(f"nameserver {resolver}\noptions edns0 trust-ad\n")
    allowed = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    if allowed.returncode:
        raise LabError(f"no private view of files: {allowed.stderr.strip()}; in a container: CAP_SYS_ADMIN")
    return [*_UNSHARE, "sh", "-e", "-c", _VIEW, "sh", str(fetched()), str(folder), *command]


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, ready: Callable[[], bool], environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run *command* until the block ends, which begins when it is *ready*; raises LabError if it never is.

    Its process group is killed at the end, and the command itself if this process dies. What it says
    goes to *log*.
    """
    setpriv = shutil.which("setpriv")
    bound_to_us = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*bound_to_us, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"{command[0]} did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.02)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
