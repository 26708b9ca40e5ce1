"""A whole incoming SMTP or LMTP session: command lines, messages, and TLS that is none."""

from __future__ import annotations

import asyncio
import functools
import re

from aiosmtpd.smtp import TLSSetupException

from requiretls_aiosmtpd import LMTPSession, SMTPSession, Transaction
from requiretls_aiosmtpd.connection import TURN
from tests.fuzz.parts import choice, pieces
from tests.hooks.aiosmtpd.serving import server_context
from tests.socketless import PlayedTransport, SocketlessLoop, settled

GO = b"220 2.0.0 Ready to start TLS\r\n"
REPLY_LINE = re.compile(rb"[2-5][0-9]{2}[ -][\x20-\x7e]*")


def target(data: bytes) -> None:
    """Every line said is one of a reply, no error is hidden in one, and a requirement is taken in TLS only.

    Bits of the first octet: inside TLS from the start, LMTP, octet by octet.
    """
    bits, stream = choice(data)
    loop = SocketlessLoop()
    try:
        loop.run_until_complete(
            served(stream, tls=bool(bits & 1), lmtp=bool(bits & 2), slowly=bool(bits & 4))
        )
    finally:
        loop.close()


class Keeper:
    """A handler that takes every message, and keeps it and errors."""

    def __init__(self) -> None:
        self.taken: list[Transaction] = []
        self.errors: list[Exception] = []

    async def handle_DATA(self, server: object, session: object, envelope: Transaction) -> str:
        self.taken.append(envelope)
        return "250 2.0.0 taken"


async def served(stream: bytes, *, tls: bool, lmtp: bool, slowly: bool) -> None:
    """Let a client say *stream*, and judge what it was told."""
    keeper = Keeper()
    session = session_for(keeper, lmtp=lmtp)
    transport = PlayedTransport(session, tls=object() if tls else None)
    await settled()
    for piece in pieces(stream, 1 if slowly else len(stream)):
        transport.say(piece)
        await asyncio.sleep(0)
    for _ in range(len(stream) // TURN):
        await asyncio.sleep(0)
    await settled()
    transport.hang_up()
    await settled()
    assert keeper.errors == []
    assert SMTPSession.message_memory.held == 0
    said = bytes(transport.heard)
    # Behind this comes what is no SMTP: TLS, or its end.
    clear = said[: said.index(GO) + len(GO)] if GO in said else said
    assert clear.endswith(b"\r\n")
    lines = clear[:-2].split(b"\r\n")
    assert all(REPLY_LINE.fullmatch(line) for line in lines), lines
    listed = [line for line in lines if line[4:] == b"REQUIRETLS"]
    assert tls or not listed
    for transaction in keeper.taken:
        assert tls or not transaction.mail_parameter
        assert transaction.recipients
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n", transaction.message(None).content)


@functools.cache
def telling(base: type[SMTPSession]) -> type[SMTPSession]:
    """Return a class of sessions whose handler is told of errors that are not the client's."""

    class Telling(base):  # type: ignore[valid-type, misc] # a base chosen at run time
        async def handle_exception(self, error: Exception) -> str:
            if not isinstance(error, TLSSetupException):
                self.event_handler.errors.append(error)
            return str(await super().handle_exception(error))

    return Telling


def session_for(handler: Keeper, *, lmtp: bool) -> SMTPSession:
    """Return a session of ours."""
    return telling(LMTPSession if lmtp else SMTPSession)(
        handler,
        hostname="mx.example",
        tls_context=server_context(),
        enable_SMTPUTF8=True,
        data_size_limit=100_000,
        loop=asyncio.get_running_loop(),
    )


def arrive(data: bytes) -> None:
    """What is answered while others wait for their turn, and some more."""
    loop = SocketlessLoop()
    try:
        loop.run_until_complete(some_turns(data))
    finally:
        loop.close()


async def some_turns(data: bytes) -> None:
    """Answer what *data* says for a while."""
    transport = PlayedTransport(session_for(Keeper(), lmtp=False), tls=object())
    await settled()
    transport.say(data)
    await settled()
    transport.hang_up()
    await settled()
