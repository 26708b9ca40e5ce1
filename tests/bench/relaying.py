"""From a client through the Salmon example app to an MX host: STARTTLS in, DANE and REQUIRETLS out.

Client, app and host have a process each on the same machine, so the figure is
what all three manage together; the CPU time is the app's alone.
"""

from __future__ import annotations

import contextlib
import ssl
import statistics
import tempfile
import threading
import time
from pathlib import Path

from requiretls_lab.domains import Domain, MailHost
from requiretls_lab.laboratory import Laboratory
from tests.bench.receiving import Figure, connected, cpu_seconds, say
from tests.hooks.salmon.apps import FORWARDER, copy_of, free_port, running

CLIENTS = 4
MESSAGES = 150
SIZE = 4096


def run(rounds: int = 3) -> Figure:
    """Return the medians of *rounds*."""
    domain = Domain("receiver.test", (MailHost(tlsa=("3 1 1",)),))
    with (
        Laboratory([domain]) as lab,
        tempfile.TemporaryDirectory() as folder,
        contextlib.ExitStack() as stack,
    ):
        settings = lab.write_settings(Path(folder) / "requiretls.toml")
        app_folder = copy_of(FORWARDER, Path(folder))
        _quiet(app_folder)
        app = stack.enter_context(running(app_folder, free_port(), settings=settings))
        results = [_round(app.process.pid, app.port) for _ in range(rounds + 1)][1:]
        taken = lab.destination("mx.receiver.test").messages
        assert len(taken) == CLIENTS * MESSAGES * (rounds + 1)
        assert all(message.requiretls for message in taken)
    rate, cpu = (statistics.median(column) for column in zip(*results, strict=True))
    return Figure("Salmon forwarder", "4 kB, TLS in, DANE and REQUIRETLS out", rate, cpu, 0.0)


def _quiet(app_folder: Path) -> None:
    """Log as in production, not every step of the Router."""
    config = app_folder / "config" / "logging.conf"
    config.write_text(config.read_text().replace("level=DEBUG", "level=INFO"))


def _round(pid: int, port: int) -> tuple[float, float]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    clients = [threading.Thread(target=_client, args=(port, context)) for _ in range(CLIENTS)]
    wall, cpu = time.perf_counter(), cpu_seconds(pid)
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    messages = CLIENTS * MESSAGES
    return messages / (time.perf_counter() - wall), (cpu_seconds(pid) - cpu) * 1000 / messages


def _client(port: int, context: ssl.SSLContext) -> None:
    body = b"Subject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * (SIZE // 72) + b".\r\n"
    with connected(port, context) as connection:
        for _ in range(MESSAGES):
            for command in (b"MAIL FROM:<a@sender.test> REQUIRETLS", b"RCPT TO:<b@receiver.test>", b"DATA"):
                say(connection, command + b"\r\n")
            say(connection, body)
