"""Clients have their turns, however much one of them says at once."""

from __future__ import annotations

import asyncio
import re

import pytest

from requiretls_aiosmtpd import SMTPSession
from requiretls_aiosmtpd.connection import TURN
from tests.hooks.aiosmtpd.serving import Keeper
from tests.socketless import PlayedTransport, SocketlessLoop, settled


def connected() -> PlayedTransport:
    """Return a client's connection to a session of its own."""
    session = SMTPSession(Keeper(), hostname="mx.example", loop=asyncio.get_running_loop())
    return PlayedTransport(session)


@pytest.mark.parametrize("command", [b"\r\n", b"NOOP\r\n", b"EHLO x\r\n", b"MAIL\r\n"])
def test_attack_a_client_that_says_much_at_once_does_not_keep_others_waiting(command: bytes) -> None:
    """Answering a packet full of commands takes half a second of CPU; another client is answered before."""

    async def scene() -> tuple[int, bytes]:
        loud, other = connected(), connected()
        await settled()
        loud.say(command * 2000)
        other.say(b"QUIT\r\n")
        await other.closed()
        answered = len(re.findall(rb"^[0-9]{3} ", loud.heard, re.MULTILINE))
        loud.hang_up()
        await settled()
        return answered, bytes(other.heard)

    loop = SocketlessLoop()
    try:
        answered, heard = loop.run_until_complete(scene())
    finally:
        loop.close()

    assert heard.endswith(b"221 2.0.0 Bye\r\n")
    assert answered < 10 * TURN


def test_all_of_it_is_answered_all_the_same() -> None:
    """In order, and completely."""

    async def scene() -> bytes:
        client = connected()
        await settled()
        client.say(b"".join(b"VRFY %d\r\n" % number for number in range(500)) + b"QUIT\r\n")
        await client.closed()
        return bytes(client.heard)

    loop = SocketlessLoop()
    try:
        heard = loop.run_until_complete(scene())
    finally:
        loop.close()

    assert heard.count(b"252 2.5.2 ") == 500
    assert heard.endswith(b"221 2.0.0 Bye\r\n")
