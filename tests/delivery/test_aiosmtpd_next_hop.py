"""A server that somebody else wrote as the next hop: aiosmtpd, as it is and without PIPELINING."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, Envelope, Session

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.delivery.outcome import Outcome
from requiretls_plugin.engine import Engine
from requiretls_plugin.policy.next_hop import NamedHop, Protocol
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.server_address import ServerAddress
from tests.delivery.delivering import CONTENT, delivered_by, in_words, message, plugins

HOST = "mx.dnssec-pkix.test"
REQUIRED, UNSTATED = Requirement.REQUIRED, Requirement.UNSTATED


class Keeper(Sink):
    """Keeps what arrives, and does not know one of the recipients."""

    def __init__(self) -> None:
        self.kept: list[Envelope] = []

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return "550 5.1.1 unknown"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        self.kept.append(envelope)
        return "250 2.0.0 kept"


@contextlib.asynccontextmanager
async def aiosmtpd_at(lab: Laboratory, keeper: Keeper) -> AsyncIterator[NamedHop]:
    """Run aiosmtpd with the certificate of HOST, at another port of its address."""
    host = lab.destination(HOST)
    context = host.certificate.server_context()

    def session() -> SMTP:
        return SMTP(keeper, hostname=HOST, tls_context=context, require_starttls=True)

    server = await asyncio.get_running_loop().create_server(session, host.address, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield NamedHop(ServerAddress.parse(f"{HOST}:{port}"), protocol=Protocol.SMTP)


def outcomes(lab: Laboratory, keeper: Keeper, requirement: Requirement, *to: str) -> list[Outcome]:
    async def run() -> list[Outcome]:
        async with aiosmtpd_at(lab, keeper) as hop, Engine(lab.settings(), plugins()) as engine:
            sent = message(requirement, next_hop=hop)
            return [
                outcome for _ in range(2) for outcome in await delivered_by(engine, sent, *to)
            ]  # the second one in the same session

    return asyncio.run(run())


def test_aiosmtpd_takes_ordinary_mail_over_tls(lab: Laboratory) -> None:
    """Two messages in one session, one recipient of two known."""
    keeper = Keeper()

    ends = outcomes(lab, keeper, UNSTATED, "u@here.test", "nobody@here.test")

    assert [in_words(outcome) for outcome in ends] == ["delivered encrypted", "failed 550 5.1.1 rejected"] * 2
    assert [envelope.rcpt_tos for envelope in keeper.kept] == [["u@here.test"]] * 2
    assert [envelope.content for envelope in keeper.kept] == [CONTENT] * 2


@pytest.mark.requirement("8689-4.2.1-9")
def test_aiosmtpd_gets_no_required_mail(lab: Laboratory) -> None:
    """It does not know REQUIRETLS."""
    keeper = Keeper()

    ends = outcomes(lab, keeper, REQUIRED, "u@here.test")

    assert {in_words(outcome) for outcome in ends} == {"failed 550 5.7.30 requiretls-not-offered"}
    assert keeper.kept == []
