"""500 slow-drip connections in, and 500 out: `python -m tests.faults.drips [CONNECTIONS]`.

In: clients inside TLS that send a message octet by octet. Out: mail hosts that
greet octet by octet. What others get meanwhile, and what it costs, is printed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import smtplib
import socket
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from requiretls_lab.domains import Domain, MailHost
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_script import Drip, Script
from requiretls_plugin.delivery.pool import KEPT_FREE
from requiretls_plugin.engine import Engine
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.settings import Settings
from tests.delivery.delivering import delivered_by, in_words, message, plugins
from tests.faults.process_figures import Figures, figures_of
from tests.faults.waiting import until
from tests.hooks.salmon.apps import FORWARDER, copy_of, free_port, running, wait_until

GOOD = Domain("good.test", (MailHost(tlsa=("3 1 1",)),), meaning="answers at once")
NEW = Domain(
    "new.test", (MailHost(tlsa=("3 1 1",)),), meaning="answers at once, and was never sent to before"
)
TARPITS = 10
_TARPIT = Script(replies={"greeting": Drip("220 " + "x" * 490, 0.5)})
DOMAINS = (
    GOOD,
    NEW,
    *(Domain(f"tarpit{number}.test", (MailHost(script=_TARPIT),)) for number in range(TARPITS)),
)


def allow_descriptors(count: int) -> None:
    """Let this process, and those it starts, open *count* files; raises ValueError if that is too much."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))


# In


@dataclass(frozen=True, slots=True)
class DripsIn:
    """What so many dripping clients cost a server.

    *refused* were sent away at once. *seconds* is how long a message of somebody
    else took meanwhile, None if he was sent away, too. *after* tells whether
    the server serves when they are gone.
    """

    connections: int
    refused: int
    seconds: float | None
    before: Figures
    meanwhile: Figures
    after: bool


def drips_in(lab: Laboratory, folder: Path, count: int, *, tls: bool = True) -> DripsIn:
    """Let *count* clients drip into a forwarder."""
    settings = lab.write_settings(folder / "requiretls.toml")
    app_folder, port = copy_of(FORWARDER, folder), free_port()
    with running(app_folder, port, settings=settings) as app, contextlib.ExitStack() as stack:
        pid = app.process.pid
        send(port)
        before = figures_of(pid)
        clients, refused = [], 0
        for _ in range(count):
            client = _dripping(stack, port, tls=tls)
            refused += client is None
            clients += [client] if client else []
        for _ in range(10):
            for client in clients:
                client.sendall(b"x")
        seconds = _seconds_of(port)
        meanwhile = figures_of(pid)
        stack.pop_all().close()
        wait_until(lambda: figures_of(pid).descriptors <= before.descriptors, app_folder)
        after = _seconds_of(port) is not None
    return DripsIn(count, refused, seconds, before, meanwhile, after)


def send(port: int) -> None:
    """Send a message that is delivered; raises SMTPException or OSError."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.sendmail("a@sender.test", "b@good.test", "Subject: x\n\nx\n")


def _seconds_of(port: int) -> float | None:
    began = time.monotonic()
    try:
        send(port)
    except smtplib.SMTPConnectError:
        return None
    return time.monotonic() - began


def _dripping(stack: contextlib.ExitStack, port: int, *, tls: bool) -> socket.socket | None:
    """Return a connection in the middle of a message, None if it was refused."""
    connection: socket.socket = stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
    if not _said(connection).startswith(b"220"):
        return None
    _say(connection, b"EHLO drip.test")
    if tls:
        _say(connection, b"STARTTLS")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = stack.enter_context(context.wrap_socket(connection))
        _say(connection, b"EHLO drip.test")
    for command in (b"MAIL FROM:<a@sender.test>", b"RCPT TO:<b@good.test>", b"DATA"):
        _say(connection, command)
    return connection


def _say(connection: socket.socket, command: bytes) -> None:
    connection.sendall(command + b"\r\n")
    _said(connection)


def _said(connection: socket.socket) -> bytes:
    reply = b""
    while not reply.endswith(b"\r\n") or reply.splitlines()[-1][3:4] == b"-":
        more = connection.recv(4096)
        if not more:
            break
        reply += more
    return reply


# Out


@dataclass(frozen=True, slots=True)
class DripsOut:
    """What so many deliveries to dripping hosts cost, and others meanwhile.

    *known* is how long a message took to a host that was prompt before, with
    what came of it, while *held_up* deliveries were still waiting for hosts that
    drip. *unknown* is the same for a host never sent to, and *outcomes* counts
    what came of the others in the end.
    """

    deliveries: int
    known: tuple[float, str]
    held_up: int
    unknown: tuple[float, str]
    outcomes: Counter[str]
    before: Figures
    meanwhile: Figures
    after: Figures


@contextlib.asynccontextmanager
async def tarpits(engine: Engine, count: int) -> AsyncIterator[list[asyncio.Task[tuple[float, str]]]]:
    """Send *count* messages to hosts that drip, and go on when those have all the connections they get."""
    await timed(engine, "good.test")
    tasks = [asyncio.create_task(timed(engine, f"tarpit{number % TARPITS}.test")) for number in range(count)]
    limit = engine.settings.delivery.max_connections
    pool = engine.watched.pool
    try:
        await until(lambda: pool.counts.busy >= min(count, limit - limit // KEPT_FREE))
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def timed(engine: Engine, domain: str) -> tuple[float, str]:
    """Deliver a message, and return how long that took and what came of it."""
    began = time.monotonic()
    [outcome] = await delivered_by(engine, message(Requirement.UNSTATED), f"u@{domain}")
    return time.monotonic() - began, in_words(outcome)


def settings_for(lab: Laboratory, max_connections: int, total_timeout: float) -> Settings:
    """Return settings with which each tarpit may take its share of all connections."""
    return lab.settings(
        delivery={
            "max_connections": max_connections,
            "max_connections_per_host": max(1, max_connections // TARPITS),
            "total_timeout": total_timeout,
            "command_timeout": total_timeout,
        }
    )


async def drips_out(settings: Settings, count: int) -> DripsOut:
    """Send *count* messages at once to hosts that drip, and one each to a host known and one unknown."""
    before = figures_of(os.getpid())
    async with Engine(settings, plugins()) as engine:
        async with tarpits(engine, count) as tasks:
            unknown = asyncio.create_task(timed(engine, "new.test"))
            known = await timed(engine, "good.test")
            held_up = sum(not task.done() for task in tasks)
            meanwhile = figures_of(os.getpid())
            outcomes = Counter(words for _, words in await asyncio.gather(*tasks))
        new = await unknown
    # The hosts are in this process, too, and notice later.
    with contextlib.suppress(TimeoutError):
        await until(lambda: figures_of(os.getpid()).descriptors <= before.descriptors, 20.0)
    after = figures_of(os.getpid())
    return DripsOut(count, known, held_up, new, outcomes, before, meanwhile, after)


def lines_in(seen: DripsIn) -> Iterator[str]:
    """Say what was seen."""
    taken = seen.connections - seen.refused
    grown = (seen.meanwhile.rss - seen.before.rss) / 1024
    others = "refused with 421" if seen.seconds is None else f"{seen.seconds:.2f} s"
    yield f"{seen.connections} in: {taken} taken, {seen.refused} refused; another client's message: {others}"
    yield f"  memory {grown:+.1f} MiB = {grown * 1024 / max(1, taken):.0f} KiB each"
    yield f"  afterwards {'it serves' if seen.after else 'IT DOES NOT SERVE'}"


def lines_out(seen: DripsOut) -> Iterator[str]:
    """Say what was seen."""
    outcomes = ", ".join(f"{count} {words}" for words, count in seen.outcomes.items())
    yield f"{seen.deliveries} out: {outcomes}"
    for who, (seconds, words) in (("known", seen.known), ("unknown", seen.unknown)):
        yield f"  to a host that is {who}: {seconds:.2f} s, {words}"
    counts = (each.descriptors for each in (seen.before, seen.meanwhile, seen.after))
    yield "  descriptors of both ends: {} before, {} meanwhile, {} afterwards".format(*counts)


def main(count: int = 500) -> int:
    """Run both and print the figures; return the exit status."""
    allow_descriptors(4 * count + 200)
    with Laboratory(DOMAINS) as lab, tempfile.TemporaryDirectory(prefix="requiretls-drips-") as folder:
        for number, connections in enumerate((count - 1, count + 50)):
            (place := Path(folder) / str(number)).mkdir()
            seen_in = drips_in(lab, place, connections)
            print(*lines_in(seen_in), sep="\n", flush=True)
        for deliveries, limit in ((50, 50), (count, count)):
            seen_out = asyncio.run(drips_out(settings_for(lab, limit, 60.0), deliveries))
            print(*lines_out(seen_out), sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
