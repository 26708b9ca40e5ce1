"""The files of a Salmon queue: found when they are due, held while they are handled, never lost.

A file stays in its folder until its message is done with. Its modification
time is when it is due, so that waiting survives restarts; a lock of the kernel
holds it meanwhile, so that a process that dies lets go of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

# A maildir; mail readers move what they have seen from one to the other.
_FOLDERS = ("new", "cur")


class HeldFile:
    """One message in a queue, held by this process until `release`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def read(self) -> bytes:
        """Return the message."""
        with open(self._descriptor, "rb", closefd=False) as file:
            return file.read()

    @property
    def queued(self) -> int:
        """When it was put there, in Unix time: a maildir's file names begin with that."""
        seconds = self.path.name.partition(".")[0]
        return int(seconds) if seconds.isascii() and seconds.isdigit() else int(self.path.stat().st_ctime)

    def remove(self) -> None:
        """Take it out of the queue; its message is done with."""
        self.path.unlink(missing_ok=True)

    def postpone(self, until: float) -> None:
        """Let it be due at *until*, in Unix time."""
        os.utime(self.path, (until, until))

    def release(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


def due_files(queue_dir: str, longest_wait: float = math.inf) -> Iterator[Path]:
    """Yield the files of a queue that are due, the one that is due longest first.

    One that would be due only after *longest_wait* seconds is due now: the clock went back.
    """
    now = time.time()
    found: list[tuple[float, str]] = []
    for folder in _FOLDERS:
        with contextlib.suppress(FileNotFoundError), os.scandir(os.path.join(queue_dir, folder)) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    found.append((entry.stat().st_mtime, entry.path))
    for due, path in sorted(found):
        if _is_due(due, now, longest_wait):
            yield Path(path)


def _is_due(due: float, now: float, longest_wait: float) -> bool:
    return not 0 < due - now <= longest_wait


def hold(path: Path, longest_wait: float = math.inf) -> HeldFile | None:
    """Return the file, held, or None if it is gone, somebody else holds it, or it is not due any more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held it before may have removed or postponed it since it was found.
        current = path.stat()
        due = _is_due(current.st_mtime, time.time(), longest_wait)
        if current.st_ino == os.fstat(descriptor).st_ino and due:
            return HeldFile(path, descriptor)
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
