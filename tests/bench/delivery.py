"""Delivery: messages per second on reused and on fresh connections, beside other SMTP clients.

All clients send the same message to the same sink in another process, over
STARTTLS with TLS 1.3 and a P-256 certificate. Only the engine verifies by
DANE, looks things up in a validating resolver and demands REQUIRETLS; the
others are told to trust anyone.
"""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import aiosmtplib

from requiretls_lab.domains import Domain, MailHost
from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.delivery.outcome import Disposition
from requiretls_plugin.engine import Engine
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.settings import Settings
from tests.bench import bare
from tests.bench.bare import CONTENT
from tests.bench.stopwatch import Figure, measured

SENDER, RECIPIENT = "a@sender.test", "b@sink.test"
DOMAIN = Domain("sink.test", (MailHost(tlsa=("3 1 1",), listening=False),))


@contextlib.contextmanager
def sink(lab: Laboratory, port: int | None = None) -> Iterator[tuple[str, int]]:
    """Run the sink where the laboratory's DNS says the host of sink.test is, or at another *port* there."""
    host = lab.destination("mx.sink.test")
    place = host.address, port or lab.port
    files = str(host.certificate.chain_file), str(host.certificate.key_file)
    with helper("tests.bench.sink", place[0], str(place[1]), *files):
        yield place


@contextlib.contextmanager
def helper(module: str, *arguments: str) -> Iterator[None]:
    """Run a module of these benchmarks in a process of its own, once it says that it is ready."""
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.communicate()


def trusting() -> ssl.SSLContext:
    """Return a context that accepts any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def engine_reused(settings: Settings, count: int, parallel: int) -> Callable[[], None]:
    """Deliver *count* messages through the engine, *parallel* at a time, over kept connections."""
    return lambda: asyncio.run(_deliver(settings, count, parallel, fresh=False))


def engine_fresh(settings: Settings, count: int, parallel: int) -> Callable[[], None]:
    """The same, each message over a connection of its own."""
    return lambda: asyncio.run(_deliver(settings, count, parallel, fresh=True))


async def _deliver(settings: Settings, count: int, parallel: int, *, fresh: bool) -> None:
    message = Message(MailAddress.parse(SENDER), CONTENT, mail_parameter=True)
    recipient = Recipient.parse(RECIPIENT)
    left = iter(range(count))

    async def worker(engine: Engine, tagged: Message) -> None:
        for _ in left:
            [outcome] = await engine.deliver(tagged, [recipient])
            if outcome.disposition is not Disposition.DELIVERED or not outcome.requiretls:
                raise RuntimeError(f"not delivered: {outcome}")
            if fresh:
                await engine.drop_idle_connections()

    async with Engine(settings) as engine:
        tagged = await engine.receive(message)
        await asyncio.gather(*(worker(engine, tagged) for _ in range(parallel)))


def smtplib_reused(place: tuple[str, int], count: int, parallel: int) -> Callable[[], None]:
    """smtplib in threads, one connection each."""

    def one(share: int) -> None:
        with _smtplib(place) as client:
            for _ in range(share):
                client.sendmail(SENDER, [RECIPIENT], CONTENT)

    return lambda: _threads(one, [count // parallel] * parallel)


def smtplib_fresh(place: tuple[str, int], count: int, parallel: int) -> Callable[[], None]:
    """smtplib in threads, a connection for each message."""

    def one(share: int) -> None:
        for _ in range(share):
            with _smtplib(place) as client:
                client.sendmail(SENDER, [RECIPIENT], CONTENT)

    return lambda: _threads(one, [count // parallel] * parallel)


_CONTEXT = trusting()


def _smtplib(place: tuple[str, int]) -> smtplib.SMTP:
    client = smtplib.SMTP(*place, local_hostname="bench.test")
    client.starttls(context=_CONTEXT)
    client.ehlo()
    return client


def _threads(work: Callable[[int], None], shares: list[int]) -> None:
    with ThreadPoolExecutor(len(shares)) as pool:
        list(pool.map(work, shares))


def aiosmtplib_reused(place: tuple[str, int], count: int, parallel: int) -> Callable[[], None]:
    """aiosmtplib tasks, one connection each."""

    async def one(share: int) -> None:
        async with _aiosmtplib(place) as client:
            for _ in range(share):
                await client.sendmail(SENDER, [RECIPIENT], CONTENT)

    return lambda: asyncio.run(_tasks(one, count, parallel))


def aiosmtplib_fresh(place: tuple[str, int], count: int, parallel: int) -> Callable[[], None]:
    """aiosmtplib tasks, a connection for each message."""

    async def one(share: int) -> None:
        for _ in range(share):
            async with _aiosmtplib(place) as client:
                await client.sendmail(SENDER, [RECIPIENT], CONTENT)

    return lambda: asyncio.run(_tasks(one, count, parallel))


def _aiosmtplib(place: tuple[str, int]) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        hostname=place[0], port=place[1], start_tls=True, tls_context=_CONTEXT, local_hostname="bench.test"
    )


async def _tasks(work: Callable[[int], Awaitable[None]], count: int, parallel: int) -> None:
    await asyncio.gather(*(work(count // parallel) for _ in range(parallel)))


Client = Callable[[int, int], Callable[[], None]]


def _clients(settings: Settings, place: tuple[str, int], kind: str) -> dict[str, Client]:
    if kind == "reused":
        return {
            "requiretls-plugin": partial(engine_reused, settings),
            "smtplib": partial(smtplib_reused, place),
            "aiosmtplib": partial(aiosmtplib_reused, place),
            "the octets alone": partial(bare.reused, place),
        }
    return {
        "requiretls-plugin": partial(engine_fresh, settings),
        "smtplib": partial(smtplib_fresh, place),
        "aiosmtplib": partial(aiosmtplib_fresh, place),
    }


def run(rounds: int = 3) -> list[Figure]:
    """Measure everything and return the figures."""
    figures = []
    with Laboratory([DOMAIN]) as lab, sink(lab) as place:
        for parallel in (1, 20):
            settings = lab.settings(delivery={"max_connections_per_host": parallel, "max_connections": 50})
            for kind, count in (("reused", 4000), ("fresh", 400)):
                works = {
                    f"{kind}, {parallel} at once: {name}": client(count, parallel)
                    for name, client in _clients(settings, place, kind).items()
                }
                figures += measured(works, count, rounds)
    return figures
