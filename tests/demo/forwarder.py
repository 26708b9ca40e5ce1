"""examples/salmon_forwarder, really started: `salmon start` in a copy of its folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from requiretls_lab.errors import LabError

EXAMPLE = Path(__file__).parents[2] / "examples" / "salmon_forwarder"


@dataclass(frozen=True, slots=True)
class Forwarder:
    """A running forwarder: where it listens, its process, and the copy of its folder."""

    address: str
    port: int
    process: subprocess.Popen[bytes]
    folder: Path

    def log(self) -> str:
        """Return what it logged and printed so far."""
        files = [self.folder / "logs" / "salmon.log", self.folder / "output"]
        return "\n".join(file.read_text(errors="replace") for file in files if file.exists())


@contextlib.contextmanager
def forwarder(
    folder: Path, settings: Path, *, address: str = "127.0.0.1", port: int = 0, protocol: str = "smtp"
) -> Iterator[Forwarder]:
    """Run the example in a copy below *folder* with the settings file *settings*.

    *port* 0 finds a free one. Raises LabError with its log if it does not come up.
    """
    home = folder / "salmon_forwarder"
    shutil.copytree(EXAMPLE, home)
    port = port or _free_port(address)
    environment = {
        **os.environ,
        "SALMON_LISTEN": f"{address}:{port}",
        "SALMON_PROTOCOL": protocol,
        "REQUIRETLS_CONFIG": str(settings),
    }
    program = Path(sys.executable).with_name("salmon")
    with (home / "output").open("wb") as output:
        process = subprocess.Popen(
            [program, "start", "--boot", "config.boot", "--no-daemon"],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    running = Forwarder(address, port, process, home)
    try:
        _wait_for(running)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port(address: str) -> int:
    with socket.create_server((address, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_for(running: Forwarder, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and running.process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((running.address, running.port), 1):
            return
        time.sleep(0.05)
    raise LabError(f"salmon start did not come up:\n{running.log()}")
