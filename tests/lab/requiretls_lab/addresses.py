"""Loopback addresses that no other laboratory on this machine uses at the same time."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import socket

from requiretls_lab.errors import LabError

# Whoever holds this UDP port on the last address of a block owns the block.
_LOCK_PORT = 8689
_LAST = 254


class LoopbackBlock:
    """A /24 within 127.0.0.0/8, owned until `release`.

    Ownership is a bound UDP socket, so two processes never get the same block
    and a killed one leaves nothing behind. Raises LabError if none is free.
    """

    def __init__(self) -> None:
        # The process id spreads parallel test workers, so that they rarely try the same block.
        candidates = random.Random(os.getpid())
        for _ in range(200):
            prefix = f"127.{candidates.randint(2, 250)}.{candidates.randint(0, 255)}"
            lock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                lock.bind((f"{prefix}.{_LAST}", _LOCK_PORT))
            except OSError:
                lock.close()
                continue
            self._lock = lock
            self._prefix = prefix
            self._used = 0
            return
        raise LabError("no free block of addresses in 127.0.0.0/8; is this Linux?")

    def next(self) -> str:
        """Return an address not handed out before."""
        self._used += 1
        if self._used >= _LAST:
            raise LabError(f"all addresses of {self._prefix}.0/24 are used; describe fewer hosts")
        return f"{self._prefix}.{self._used}"

    def free_port(self) -> int:
        """Return a TCP and UDP port that can be bound on every address of the block."""
        for _ in range(100):
            with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
                tcp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
                udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                tcp.bind((f"{self._prefix}.{_LAST}", 0))
                port: int = tcp.getsockname()[1]
                udp.bind((f"{self._prefix}.{_LAST}", port))
                return port
        raise LabError("no free port on the loopback interface")

    def release(self) -> None:
        """Give the block up."""
        self._lock.close()


def why_not_bound(error: OSError, address: str, port: int) -> LabError:
    """Return *error*, met when binding to *address* and *port*, in words with a remedy."""
    remedy = {
        errno.EACCES: "ports below 1024 need root; leave the port out to get a free one",
        errno.EADDRINUSE: "something else listens there; stop it or name another port",
    }.get(error.errno or 0, "")
    return LabError(f"cannot listen on {address}:{port}: {error.strerror}; {remedy}".rstrip("; "))
