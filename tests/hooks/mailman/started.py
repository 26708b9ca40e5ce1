"""A started Mailman: the master and its runners as processes, set up by the example mailman.cfg."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import requests

from requiretls_lab.laboratory import Laboratory
from tests.hooks.salmon.apps import free_port

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "mailman" / "mailman.cfg"
PROGRAMS = Path(sys.executable).parent

# Not needed here, and every runner takes its time to start.
IDLE = ("archive", "bounces", "command", "retry", "task")
START_SECONDS = 240.0


def until(true: Callable[[], object], seconds: float = START_SECONDS) -> None:
    """Wait until *true* returns something true; raises AssertionError after *seconds*."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


class StartedMailman:
    """Mailman as its operator starts it."""

    def __init__(self, folder: Path, lab: Laboratory) -> None:
        self.folder = folder
        self.lab = lab
        self.lmtp_port, self.rest_port = free_port(), free_port()
        self.cfg = folder / "mailman.cfg"
        self.cfg.write_text(self._configuration(lab.write_settings(folder / "requiretls.toml")))

    def _configuration(self, settings: Path) -> str:
        """Return the example with its places changed and no line of it left out."""
        text = EXAMPLE.read_text()
        for old, new in (
            ("configuration: .*requiretls.toml", f"configuration: {settings}"),
            (r"incoming: mailman\.mta\.postfix\.LMTP", "incoming: mailman.mta.null.NullMTA"),
            ("lmtp_port: 8024", f"lmtp_port: {self.lmtp_port}"),
            ("site_owner: .*", "site_owner: site@sender.test\nlayout: test"),
        ):
            text, count = re.subn(old, new, text)
            assert count == 1, old
        return text + (
            f"\n[paths.test]\nvar_dir: {self.folder}/var\n[webservice]\nport: {self.rest_port}\nworkers: 1\n"
        )

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of every program."""
        return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "hooks")])}

    def command(self, *arguments: str, code: int = 0) -> str:
        """Run `mailman` with *arguments* and return its output."""
        command = [str(PROGRAMS / "mailman"), "--run-as-root", "-C", str(self.cfg), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run the master with the runners."""
        with (self.folder / "master.log").open("wb") as log:
            self.master = subprocess.Popen(
                [str(PROGRAMS / "master"), "-C", str(self.cfg)],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            until(lambda: self._answers(self.lmtp_port) and self._answers(self.rest_port))
            yield
        finally:
            self._stop()

    def _stop(self) -> None:
        if self.master.poll() is not None:
            return
        runners = psutil.Process(self.master.pid).children(recursive=True)
        self.master.terminate()
        _, alive = psutil.wait_procs(runners, timeout=20)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.master.kill()
        self.master.wait()

    def _answers(self, port: int) -> bool:
        assert self.master.poll() is None, self.log
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    @property
    def log(self) -> str:
        """What the processes said and logged."""
        files = [self.folder / "master.log", *sorted((self.folder / "var" / "logs").glob("*.log"))]
        return "\n".join(f"--- {file.name}\n{file.read_text()[-4000:]}" for file in files)

    def kill(self, name: str) -> None:
        """Kill a runner and wait until the master has started another."""
        [pid] = self._runners(name)
        os.kill(pid, signal.SIGKILL)
        until(lambda: self._runners(name) - {pid})

    def _runners(self, name: str) -> set[int]:
        found = set()
        for child in psutil.Process(self.master.pid).children():
            with contextlib.suppress(psutil.Error):
                if f"--runner={name}:0:1" in child.cmdline():
                    found.add(child.pid)
        return found

    def post(self, sender: str, to: str, text: str, *options: str) -> None:
        """Send a message by LMTP inside TLS."""
        context = ssl.create_default_context(cafile=str(self.lab.authority.ca_file))
        context.check_hostname = False
        with smtplib.LMTP("127.0.0.1", self.lmtp_port, local_hostname="mta.test") as client:
            client.ehlo()
            client.starttls(context=context)
            client.ehlo()
            assert client.sendmail(sender, [to], text, options) == {}

    def rest(self, path: str, **data: str) -> dict[str, Any]:
        """Ask the REST API, or tell it *data*."""
        url = f"http://localhost:{self.rest_port}/3.1/{path}"
        method = "POST" if data else "GET"
        answer = requests.request(method, url, data=data or None, auth=("restadmin", "restpass"), timeout=30)
        answer.raise_for_status()
        return dict(answer.json()) if answer.content else {}

    def waiting(self, queue: str, suffix: str = "pck") -> list[Path]:
        """Return the files in a queue."""
        return list((self.folder / "var" / "queue" / queue).glob(f"*.{suffix}"))
