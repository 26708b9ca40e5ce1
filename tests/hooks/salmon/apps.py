"""Run Salmon apps as their operators do: `salmon start` in the app's folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FORWARDER = ROOT / "examples" / "salmon_forwarder"
SALMON = Path(sys.executable).with_name("salmon")
START_SECONDS = 120.0


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server((address, 0)) as probe:
        return int(probe.getsockname()[1])


def copy_of(app: Path, folder: Path) -> Path:
    """Copy an app into *folder*, so that its logs and queues are the test's own."""
    return Path(shutil.copytree(app, folder / app.name, ignore=shutil.ignore_patterns("__pycache__")))


class RunningApp:
    """A Salmon process that accepts connections on *port*."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, port: int) -> None:
        self.process = process
        self.folder = folder
        self.port = port

    @property
    def log(self) -> str:
        """What the app logged so far."""
        return "".join(path.read_text() for path in self.folder.glob("logs/salmon.*"))

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(20)


@contextlib.contextmanager
def running(
    folder: Path, port: int, *arguments: str, settings: Path, wait: bool = True, **environment: str
) -> Iterator[RunningApp]:
    """Run `salmon start` in *folder* until the block ends; *port* is where it listens."""
    command = [str(SALMON), "start", "--boot", "config.boot", "--no-daemon", *arguments]
    variables = {
        **os.environ,
        "REQUIRETLS_CONFIG": str(settings),
        "SALMON_LISTEN": f"127.0.0.1:{port}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "hooks")]),
        **environment,
    }
    (folder / "logs").mkdir(exist_ok=True)
    output = (folder / "logs" / "salmon.console").open("wb")
    process = subprocess.Popen(command, cwd=folder, env=variables, stdout=output, stderr=subprocess.STDOUT)
    app = RunningApp(process, folder, port)
    try:
        if wait:
            _wait_for(app)
        yield app
    finally:
        output.close()
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait_for(app: RunningApp) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and app.process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", app.port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"the app does not accept connections:\n{app.log}")


def accepts(port: int) -> bool:
    """Return whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def alive(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def wait_until(true: Callable[[], bool], folder: Path, seconds: float = 20) -> None:
    """Wait for something to become true; the logs in *folder* tell why it did not."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError("\n".join(path.read_text() for path in folder.glob("logs/salmon.*")))
        time.sleep(0.005)
