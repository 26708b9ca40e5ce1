"""SMTP destinations on loopback addresses that follow a script and record what they were told."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from requiretls_lab.addresses import why_not_bound
from requiretls_lab.authority import Certificate
from requiretls_lab.channel import Channel
from requiretls_lab.smtp_record import AcceptedMessage, Connection
from requiretls_lab.smtp_script import Script
from requiretls_lab.smtp_session import Session


class Destination:
    """One mail server, listening on *address* and *port* between `start` and `stop`.

    *script* and *certificate* may be replaced at any time; new connections
    follow the new ones.
    """

    def __init__(self, name: str, address: str, port: int, certificate: Certificate, script: Script) -> None:
        self.name = name
        self.address = address
        self.port = port
        self._described = certificate, script
        self._server: asyncio.Server | None = None
        self._talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.reset()

    def reset(self) -> None:
        """Forget all connections, and follow the first certificate and script again."""
        self.certificate, self.script = self._described
        self.connections: list[Connection] = []

    async def forget(self) -> None:
        """Forget messages, and connections that have ended; nobody is disturbed."""
        self.connections = [connection for connection in self.connections if connection.open]
        for connection in self.connections:
            connection.messages.clear()
            connection.commands.clear()

    @property
    def busy(self) -> bool:
        """Whether a connection is open."""
        return any(connection.open for connection in self.connections)

    @property
    def messages(self) -> list[AcceptedMessage]:
        """Every message accepted, oldest connection first."""
        return [message for connection in self.connections for message in connection.messages]

    async def start(self) -> None:
        """Begin to listen; raises LabError if the address cannot be bound."""
        try:
            self._server = await asyncio.start_server(self._connected, self.address, self.port, backlog=512)
        except OSError as error:
            raise why_not_bound(error, self.address, self.port) from None

    async def stop(self) -> None:
        """Refuse new connections from now on and abort those that are open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        talks = dict(self._talks)
        for task, writer in talks.items():
            writer.transport.abort()
            task.cancel()
        if talks:
            await asyncio.wait(talks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks[task] = writer
        record = Connection(peer=writer.get_extra_info("peername")[0])
        self.connections.append(record)
        script = self.script
        context = self.certificate.server_context(script.minimum_version, script.maximum_version)
        context.sni_callback = _note_name
        # Only `stop` cancels; asyncio.streams would report it as a failure.
        with contextlib.suppress(asyncio.CancelledError):
            await Session(Channel(reader, writer), script, record, context, self.name).serve()
        del self._talks[task]


def _note_name(tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
    # The handshake has no other way to tell its session what the client asked for.
    tls.named_by_client = name  # type: ignore[union-attr]
