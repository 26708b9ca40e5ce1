"""Debian's redis-server, for the tests that need a real one."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from requiretls_lab.authority import Certificate


class RedisServer:
    """A redis-server on a free loopback port; nothing of it outlives the context.

    With *certificate* it speaks TLS only. Raises FileNotFoundError if Redis is
    not installed, RuntimeError if it does not start.
    """

    def __init__(self, folder: Path, certificate: Certificate | None = None) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise FileNotFoundError("redis-server is missing: apt-get install redis-server")
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._log = folder / "redis.log"
        self._command = [
            *(
                program,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
                str(folder),
                "--logfile",
                str(self._log),
            ),
            *_listening(self.port, certificate),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, on the same port each time, with nothing in it."""
        self._process = subprocess.Popen(self._command)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        self.stop()
        raise RuntimeError(f"redis-server does not start, see {self._log}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the server by a signal."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def _free_port() -> int:
    """Return a port that no client gets by chance while the server is down."""
    while True:
        port = random.randrange(10_240, 32_768)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _listening(port: int, certificate: Certificate | None) -> list[str]:
    if certificate is None:
        return ["--port", str(port)]
    files = ["--tls-cert-file", str(certificate.chain_file), "--tls-key-file", str(certificate.key_file)]
    no_clients = ["--tls-ca-cert-file", str(certificate.chain_file), "--tls-auth-clients", "no"]
    return ["--port", "0", "--tls-port", str(port), *files, *no_clients]
