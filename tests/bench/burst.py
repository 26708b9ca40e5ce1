"""Delivery where it is hard: a long path, many domains, and the bare cost of a handshake."""

from __future__ import annotations

import asyncio
import gc
import re
import resource
import subprocess
import time
from collections.abc import Iterator

from requiretls_lab.domains import Domain
from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.delivery.outcome import Disposition
from requiretls_plugin.engine import Engine
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.settings import Settings
from tests.bench.bare import CONTENT
from tests.bench.delivery import DOMAIN, RECIPIENT, SENDER, helper, sink

ROUND_TRIP = 0.050
RECIPIENTS_PER_DOMAIN = 20

# Any name below is a domain of its own, all with the sink as their host.
MANY = Domain("many.test", records=("* MX 10 mx.sink.test.",))

Row = tuple[str, str]


def run() -> list[Row]:
    """Measure everything; return rows of what and how much."""
    with Laboratory([DOMAIN, MANY]) as lab:
        with sink(lab) as place:
            rows = [*_many_domains(lab), _handshakes(lab, place)]
        return [*rows, _long_path(lab)]


def _message() -> Message:
    return Message(MailAddress.parse(SENDER), CONTENT, mail_parameter=True)


def _long_path(lab: Laboratory) -> Row:
    """Round trips that a message takes on a kept connection."""

    async def work(settings: Settings) -> float:
        async with Engine(settings) as engine:
            message = await engine.receive(_message())
            await engine.deliver(message, [Recipient.parse(RECIPIENT)])
            count, started = 20, time.perf_counter()
            for _ in range(count):
                [outcome] = await engine.deliver(message, [Recipient.parse(RECIPIENT)])
                if not outcome.requiretls:
                    raise RuntimeError(f"not delivered: {outcome}")
            return (time.perf_counter() - started) / count

    with (
        sink(lab, port=lab.policy_port) as (address, port),
        helper("tests.bench.slow_path", address, str(lab.port), address, str(port), str(ROUND_TRIP)),
    ):
        took = asyncio.run(work(lab.settings()))
    return (
        "kept connection, 50 ms round trip",
        f"{took * 1000:.0f} ms a message = {took / ROUND_TRIP:.2f} round trips",
    )


def _many_domains(lab: Laboratory) -> Iterator[Row]:
    """One message to ever more recipients, each domain judged alone."""

    async def work(settings: Settings, domains: int) -> tuple[float, int]:
        recipients = [
            Recipient.parse(f"r{number}@d{domain}.many.test")
            for domain in range(domains)
            for number in range(RECIPIENTS_PER_DOMAIN)
        ]
        async with Engine(settings) as engine:
            message = await engine.receive(_message())
            gc.collect()
            before, started = _peak(), time.perf_counter()
            outcomes = await engine.deliver(message, recipients)
            took = time.perf_counter() - started
        if any(outcome.disposition is not Disposition.DELIVERED for outcome in outcomes):
            raise RuntimeError("not everything was delivered")
        return took, _peak() - before

    settings = lab.settings(
        delivery={"max_connections_per_host": 20, "max_connections": 50, "total_timeout": 600.0}
    )
    for domains in (1250, 2500, 5000):
        took, grown = asyncio.run(work(settings, domains))
        recipients = domains * RECIPIENTS_PER_DOMAIN
        yield (
            f"{recipients:,} recipients in {domains:,} domains",
            f"{took:.1f} s = {took / domains * 1000:.2f} ms a domain; peak memory grew by "
            f"{grown / recipients:,.0f} bytes a recipient",
        )


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _handshakes(lab: Laboratory, place: tuple[str, int]) -> Row:
    """What OpenSSL's own client needs for TLS handshakes with the same certificate, per second of CPU."""
    certificate = lab.destination("mx.sink.test").certificate
    port = str(lab.policy_port)
    files = "-cert", str(certificate.chain_file), "-key", str(certificate.key_file)
    server = subprocess.Popen(
        ["openssl", "s_server", "-quiet", "-www", "-accept", f"{place[0]}:{port}", *files],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(0.5)
        command = ["openssl", "s_time", "-connect", f"{place[0]}:{port}", "-new", "-time", "3"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    finally:
        server.kill()
        server.communicate()
    found = re.search(r"([\d.]+) connections/user sec", said)
    rate = float(found[1]) if found else float("nan")
    return "openssl s_time, new handshakes", f"{rate:,.0f} per user CPU second = {1000 / rate:.2f} ms each"
