"""The installation's own receiver, on a loopback address, with the tag of everything it takes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
from collections.abc import Iterator, Set

from requiretls_aiosmtpd import SMTPSession, Transaction, bound_tcp_socket, server_tls_context
from requiretls_aiosmtpd.connection import Connection
from requiretls_lab.background_loop import BackgroundLoop
from requiretls_lab.selftest.receiving.target import Server, looked_at
from requiretls_plugin.engine import Engine
from requiretls_plugin.message import Message
from requiretls_plugin.settings import Settings


class _Keeper:
    """A handler that tags messages as a host server does, and keeps them."""

    def __init__(self, settings: Settings) -> None:
        self._engine = Engine(settings)
        self.taken: list[Message] = []

    async def handle_DATA(self, server: SMTPSession, session: object, transaction: Transaction) -> str:
        """Tag and keep one message."""
        self.taken.append(await self._engine.receive(transaction.message(server.peer_address)))
        return "250 2.0.0 OK"


@contextlib.contextmanager
def own_receiver(settings: Settings) -> Iterator[Server]:
    """Run one as the section `receive` of the laboratory's *settings* says; raises PluginError."""
    receive = settings.receive
    assert receive.certificate is not None
    assert receive.private_key is not None
    tls = server_tls_context(receive.certificate, receive.private_key)
    keeper = _Keeper(settings)
    listener = bound_tcp_socket("127.0.0.1", 0)
    connections: set[Connection] = set()
    loop = BackgroundLoop()

    async def serve() -> asyncio.Server:
        running = asyncio.get_running_loop()
        session = functools.partial(
            SMTPSession,
            keeper,
            advertise=receive.advertise,
            hostname=str(settings.hostname),
            tls_context=tls,
            open_connections=connections,
            loop=running,
        )
        return await running.create_server(session, sock=listener)

    loop.start()
    try:
        server = loop.run(serve())
        try:
            host, port = listener.getsockname()
            yield looked_at(
                Server(
                    host=host,
                    port=port,
                    sender="alice@client.test",
                    recipient=f"bob@{settings.hostname}",
                    must_offer=receive.advertise,
                    name=str(settings.hostname),
                    verifying=ssl.create_default_context(cafile=settings.tls.ca_file),
                    taken=keeper.taken,
                )
            )
        finally:
            loop.run(_end(server, connections))
    finally:
        loop.stop()


async def _end(server: asyncio.Server, connections: Set[Connection]) -> None:
    """Stop listening, hang up on all *connections*, and return once they have taken note of it."""
    server.close()
    for connection in list(connections):
        if connection.transport is not None:
            connection.transport.close()
    with contextlib.suppress(TimeoutError):  # a leftover is no reason to lose what was found
        async with asyncio.timeout(5):
            while connections:  # noqa: ASYNC110 - a connection that ends tells its set and nobody else
                await asyncio.sleep(0.01)
