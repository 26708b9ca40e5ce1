"""How fast messages come in: Salmon's receiver, ours with and without TLS, and aiosmtpd alone.

Each server has a process of its own. The clients are raw sockets, in two
processes of four threads each; the CPU time is the server's.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROCESSES = 2
THREADS = 4
TICKS = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Load:
    """What one client thread does: *messages* of *size* octets, over one connection or over one each."""

    name: str
    messages: int
    size: int = 1000
    reuse: bool = True
    user: str = "b"


@dataclass(frozen=True, slots=True)
class Figure:
    """One server under one load.

    *cpu_ms* is the server's, per message; *wait_ms* is how long another client
    waits for the answer to a command meanwhile.
    """

    server: str
    load: str
    per_second: float
    cpu_ms: float
    wait_ms: float


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server, and how clients speak to it."""

    name: str
    kind: str
    tls: bool = False


CONTESTANTS = (
    Contestant("stock SMTPReceiver", "stock"),
    Contestant("ours", "ours"),
    Contestant("ours, STARTTLS", "ours", tls=True),
    Contestant("our session alone", "session"),
    Contestant("aiosmtpd alone", "aiosmtpd"),
)

LOADS = (
    Load("1 kB, fresh", 60, reuse=False),
    Load("1 kB, reused", 600),
    Load("100 kB, reused", 60, size=100_000),
    Load("50 ms handler", 12, user="slow"),
)


def run(rounds: int = 3) -> Iterator[Figure]:
    """Yield a figure for every server and load, the medians of *rounds*."""
    for contestant in CONTESTANTS:
        with _serving(contestant.kind) as (process, port):
            for load in LOADS:
                if contestant.kind in {"aiosmtpd", "session"} and load.user == "slow":
                    continue
                fewer = 10 if contestant.kind == "stock" and not load.reuse else load.messages
                now = Load(load.name, fewer, load.size, load.reuse, load.user)
                results = [_measure(process.pid, port, now, contestant.tls) for _ in range(rounds + 1)][1:]
                rate, cpu, wait = (statistics.median(column) for column in zip(*results, strict=True))
                yield Figure(contestant.name, load.name, rate, cpu, wait)


@contextlib.contextmanager
def _serving(kind: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.receiving_server", kind, str(port)]
    path = os.pathsep.join([str(ROOT), str(ROOT / "hooks")])
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path})
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
                if probe.recv(3) == b"220":
                    break
            time.sleep(0.05)
        yield process, port
    finally:
        process.kill()
        process.wait()


def _measure(pid: int, port: int, load: Load, tls: bool) -> tuple[float, float, float]:
    """Return messages per second, the server's CPU per message, and another client's median wait."""
    ready = multiprocessing.Barrier(PROCESSES + 1)
    workers = [
        multiprocessing.Process(target=_client_process, args=(port, load, tls, ready))
        for _ in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    ready.wait()
    wall, cpu = time.perf_counter(), cpu_seconds(pid)
    waits = _watch(port, workers)
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - wall
    messages = PROCESSES * THREADS * load.messages
    return messages / seconds, (cpu_seconds(pid) - cpu) * 1000 / messages, statistics.median(waits or [0.0])


def _watch(port: int, workers: list[multiprocessing.Process]) -> list[float]:
    """Return how long a further client waited for an answer, in ms, again and again."""
    waits: list[float] = []
    with contextlib.suppress(OSError):
        connection = socket.create_connection(("127.0.0.1", port), 10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.recv(4096)
        while any(worker.is_alive() for worker in workers):
            began = time.perf_counter()
            connection.sendall(b"NOOP\r\n" if waits else b"EHLO w.test\r\n")
            connection.recv(4096)
            waits.append((time.perf_counter() - began) * 1000)
            time.sleep(0.05)
        connection.close()
    return waits


def cpu_seconds(pid: int) -> float:
    """Return the CPU time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _client_process(port: int, load: Load, tls: bool, ready: threading.Barrier) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    threads = [
        threading.Thread(target=_client, args=(port, load, context if tls else None)) for _ in range(THREADS)
    ]
    ready.wait()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _client(port: int, load: Load, context: ssl.SSLContext | None) -> None:
    body = b"Subject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * (load.size // 72) + b".\r\n"
    if load.reuse:
        with connected(port, context) as connection:
            for _ in range(load.messages):
                _send(connection, load.user, body)
    else:
        for _ in range(load.messages):
            with connected(port, context) as connection:
                _send(connection, load.user, body)


@contextlib.contextmanager
def connected(port: int, context: ssl.SSLContext | None) -> Iterator[socket.socket]:
    """Yield a connection that has greeted, inside TLS if there is a context."""
    connection: socket.socket = socket.create_connection(("127.0.0.1", port), 60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _reply(connection)
    say(connection, b"EHLO client.test\r\n")
    if context is not None:
        say(connection, b"STARTTLS\r\n")
        connection = context.wrap_socket(connection)
        say(connection, b"EHLO client.test\r\n")
    try:
        yield connection
    finally:
        connection.close()


def _send(connection: socket.socket, user: str, body: bytes) -> None:
    for command in (b"MAIL FROM:<a@sender.test>", b"RCPT TO:<%s@receiver.test>" % user.encode(), b"DATA"):
        say(connection, command + b"\r\n")
    say(connection, body)


def say(connection: socket.socket, octets: bytes) -> None:
    """Send *octets* and read a positive reply."""
    connection.sendall(octets)
    _reply(connection)


def _reply(connection: socket.socket) -> None:
    reply = b""
    while not reply.endswith(b"\r\n") or reply.splitlines()[-1][3:4] == b"-":
        more = connection.recv(4096)
        if not more:
            raise ConnectionError("the server hung up")
        reply += more
    if reply[:1] not in b"23":
        raise ConnectionError(reply.decode("ascii", "replace"))
