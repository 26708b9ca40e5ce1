"""Scripted servers where a Destination cannot be: behind a UNIX socket, at another port, in TLS at once."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from requiretls_lab.authority import Certificate
from requiretls_lab.channel import Channel
from requiretls_lab.destination import Destination
from requiretls_lab.smtp_record import Connection
from requiretls_lab.smtp_script import Script
from requiretls_lab.smtp_session import Session


@dataclasses.dataclass(frozen=True, slots=True)
class AsksForACertificate(Certificate):
    """A server that refuses clients without a certificate, which TLS 1.3 does after the handshake."""

    @classmethod
    def like(cls, certificate: Certificate) -> AsksForACertificate:
        """Return such a server's certificate, the same as *certificate* otherwise."""
        fields = dataclasses.fields(Certificate)
        return cls(**{field.name: getattr(certificate, field.name) for field in fields})

    def server_context(
        self,
        minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
        maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> ssl.SSLContext:
        context = Certificate.server_context(self, minimum, maximum)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.chain_file)
        return context


class OtherServer:
    """Follows *script* with the certificate of *host*; *connections* has what it was told."""

    def __init__(self, host: Destination, script: Script) -> None:
        self._host = host
        self._script = script
        self.connections: list[Connection] = []

    @contextlib.asynccontextmanager
    async def at_port(self, *, implicit_tls: bool = False) -> AsyncIterator[int]:
        """Listen at a free port of the host's address; yields it."""
        context = self._host.certificate.server_context() if implicit_tls else None
        server = await asyncio.start_server(self._connected, self._host.address, 0, ssl=context)
        async with server:
            yield server.sockets[0].getsockname()[1]

    @contextlib.asynccontextmanager
    async def at_path(self, path: Path) -> AsyncIterator[None]:
        """Listen at a UNIX socket."""
        async with await asyncio.start_unix_server(self._connected, path):
            yield

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        record = Connection(peer="")
        self.connections.append(record)
        if (tls := writer.get_extra_info("ssl_object")) is not None:
            record.tls_version = tls.version()
        context = self._host.certificate.server_context()
        await Session(Channel(reader, writer), self._script, record, context, self._host.name).serve()
