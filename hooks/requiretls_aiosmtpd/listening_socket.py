"""Sockets that listen before privileges are dropped, and are fast afterwards."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

BACKLOG = 128


def bound_tcp_socket(host: str, port: int) -> socket.socket:
    """Return a TCP socket bound to *host* and *port*; raises OSError.

    Port 0 chooses a free one. The protocol number is set as getaddrinfo says,
    because asyncio switches Nagle's algorithm off for such sockets only.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def bound_unix_socket(path: str | os.PathLike[str]) -> socket.socket:
    """Return a UNIX socket bound to *path*; raises OSError.

    A socket left there by a process that is gone is removed first; any other
    file is not, and neither is a socket on which somebody answers.
    """
    _remove_stale_socket(Path(path))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _remove_stale_socket(path: Path) -> None:
    if not path.exists() or not stat.S_ISSOCK(path.stat().st_mode):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
