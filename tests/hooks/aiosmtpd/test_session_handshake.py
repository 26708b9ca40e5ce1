"""What a client said before a handshake that never ends."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from requiretls_aiosmtpd import SMTPSession
from requiretls_aiosmtpd.connection import SHUTTING_DOWN, Connection
from tests.hooks.aiosmtpd.serving import Keeper, server_context
from tests.socketless import PlayedTransport, SocketlessLoop, settled

TIMEOUT = 10.0

MESSAGE = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<b@c.example>\r\nDATA\r\nhello\r\n.\r\n"


def test_attack_what_was_said_before_a_handshake_is_not_obeyed_when_it_times_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No message is taken that nobody could be told about; the session ends, and the log says why."""
    caplog.set_level(logging.INFO, logger="root")
    keeper = Keeper()
    open_connections: set[Connection] = set()

    async def scene() -> bytes:
        session = SMTPSession(
            keeper,
            hostname="mx.example",
            tls_context=server_context(),
            timeout=TIMEOUT,
            open_connections=open_connections,
            loop=asyncio.get_running_loop(),
        )
        client = PlayedTransport(session)
        client.say(b"EHLO client.example\r\nSTARTTLS\r\nEHLO client.example\r\n" + MESSAGE)
        await client.closed()
        await settled()
        return bytes(client.heard)

    loop = SocketlessLoop()
    try:
        heard = loop.run_until_complete(scene())
    finally:
        loop.close()

    assert heard.endswith(b"Ready to start TLS\r\n")
    assert keeper.taken == []
    assert open_connections == set()
    assert [record.message for record in caplog.records if record.name == "root"] == [
        "client 192.0.2.1 said nothing for 10 seconds",
        "TLS handshake with 192.0.2.1 failed: it took too long",
    ]


class Strict(PlayedTransport):
    """Takes nothing once it is closed, as a transport inside TLS does."""

    def write(self, data: Any) -> None:
        """Take *data*."""
        assert not self.is_closing()
        super().write(data)


def test_a_client_that_is_dismissed_twice_is_told_once() -> None:
    """A TLS transport that is closed cannot be written to any more; stopping asks again until it is gone."""

    async def scene() -> bytes:
        session = SMTPSession(Keeper(), hostname="mx.example", loop=asyncio.get_running_loop())
        client = Strict(session)
        await settled()
        session.dismiss(SHUTTING_DOWN)
        session.dismiss(SHUTTING_DOWN)
        await settled()
        return bytes(client.heard)

    loop = SocketlessLoop()
    try:
        assert loop.run_until_complete(scene()).count(b"421 ") == 1
    finally:
        loop.close()
