"""A relay without any host server: aiosmtpd in front, the engine behind.

    python aiosmtpd_relay.py requiretls.toml 127.0.0.1:8025

Takes mail by SMTP and forwards each message while its sender waits, so nothing
is ever queued: what cannot be delivered now is the sender's to try again.
Whoever may connect may send mail through it: let only your own servers in.
"""

from __future__ import annotations

import asyncio
import functools
import signal
import sys

from requiretls_aiosmtpd import (
    SMTPSession,
    Transaction,
    bound_tcp_socket,
    quiet_aiosmtpd,
    server_tls_context,
)
from requiretls_plugin.engine import Engine
from requiretls_plugin.errors import PluginError
from requiretls_plugin.reply import INTERNAL_ERROR, Reply
from requiretls_plugin.server_address import ServerAddress
from requiretls_plugin.settings import Settings

OK = Reply(250, "2.1.5", "OK")
# One recipient for each transaction, as SMTP has one reply for all. Clients try the others again at once.
NEXT_TIME = Reply(452, "4.5.3", "One recipient in each transaction, please")


class Forward:
    """An aiosmtpd handler that forwards."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def handle_RCPT(  # noqa: N802
        self, server: SMTPSession, session: object, envelope: Transaction, address: str, options: list[str]
    ) -> Reply:
        """Take one recipient."""
        if envelope.rcpt_tos:
            return NEXT_TIME
        envelope.rcpt_tos.append(address)
        return OK

    async def handle_DATA(self, server: SMTPSession, session: object, envelope: Transaction) -> Reply:  # noqa: N802
        """Deliver the message and answer with its outcome."""
        try:
            message = await self.engine.receive(envelope.message(server.peer_address))
        except PluginError:
            return INTERNAL_ERROR
        [outcome] = await self.engine.deliver(message, envelope.recipients)
        return outcome.reply


async def serve(settings: Settings, address: ServerAddress) -> None:
    """Serve until SIGINT or SIGTERM."""
    loop = asyncio.get_running_loop()
    receive = settings.receive
    context = None
    if receive.certificate and receive.private_key:
        context = server_tls_context(receive.certificate, receive.private_key)
    async with Engine(settings) as engine:
        session = functools.partial(
            SMTPSession,
            Forward(engine),
            advertise=receive.advertise,
            dsn=False,  # nobody here sends success notices, so the client may
            hostname=str(settings.hostname),
            tls_context=context,
            loop=loop,
        )
        server = await loop.create_server(session, sock=bound_tcp_socket(str(address.host), address.port))
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        await stopped.wait()
        server.close()


if __name__ == "__main__":
    quiet_aiosmtpd()
    asyncio.run(serve(Settings.load(sys.argv[1]), ServerAddress.parse(sys.argv[2])))
