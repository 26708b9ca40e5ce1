"""From a foreign client that asks for REQUIRETLS to a foreign server that is told of it, with us between."""

from __future__ import annotations

import asyncio

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.delivery.outcome import Outcome
from requiretls_plugin.engine import Engine
from requiretls_plugin.message import Message
from requiretls_plugin.settings import Settings
from tests.delivery.delivering import delivered_by, in_words, plugins
from tests.interop.clients import Client, Letter, by_aiosmtplib, by_nodemailer, by_smtplib
from tests.interop.next_hop import NextHop, subjects, wait_for
from tests.interop.receiver import receiving
from tests.interop.smtp_server import SMTPServer


def passed_on(message: Message, settings: Settings, to: str) -> Outcome:
    async def run() -> Outcome:
        async with Engine(settings, plugins()) as engine:
            [outcome] = await delivered_by(engine, message, to)
            return outcome

    return asyncio.run(run())


@pytest.mark.requirement("8689-4.1-1", "8689-4.2.1-20")
@pytest.mark.parametrize(
    "client",
    [
        pytest.param(by_nodemailer, id="nodemailer"),
        pytest.param(by_smtplib, id="smtplib"),
        pytest.param(by_aiosmtplib, id="aiosmtplib"),
    ],
)
def test_the_tag_is_kept_from_client_to_server(
    foreign_lab: Laboratory, trust: str, smtp_server_on: SMTPServer, client: Client
) -> None:
    """The last server's own words are `requireTLS: true`."""
    subject = f"through us from {client.__name__}"
    with receiving() as receiver:
        text = f"From: a@sender.test\r\nSubject: {subject}\r\n\r\nhello\r\n"
        client(Letter(receiver.port, trust, requiretls=True, text=text))
        taken = receiver.wait()

    outcome = passed_on(taken.message, foreign_lab.settings(), "u@smtp-server.test")

    assert in_words(outcome) == "delivered dane requiretls"
    assert wait_for(smtp_server_on, subject).requiretls


@pytest.mark.requirement("8689-4.1-1", "8689-4.2.1-13", "8689-4.2.1-15")
def test_the_tag_stops_the_message_where_it_cannot_be_kept(
    foreign_lab: Laboratory, trust: str, hop_without_requiretls: NextHop
) -> None:
    """nodemailer's message comes as far as us."""
    with receiving() as receiver:
        text = "From: a@sender.test\r\nSubject: not to pass\r\n\r\nhello\r\n"
        by_nodemailer(Letter(receiver.port, trust, requiretls=True, text=text))
        taken = receiver.wait()

    to = f"u@{hop_without_requiretls.place.name.removeprefix('mx.')}"
    outcome = passed_on(taken.message, foreign_lab.settings(), to)

    assert in_words(outcome) == "failed 550 5.7.30 requiretls-not-offered"
    assert "not to pass" not in subjects(hop_without_requiretls)
