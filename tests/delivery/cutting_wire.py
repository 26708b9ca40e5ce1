"""A wire between a client and a mail server that breaks after so many octets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable

from requiretls_lab.destination import Destination


class CuttingWire:
    """Listens where *server* would and passes on to where it really is, at *port* of its address.

    The first connection breaks after the first of *limits* octets from the
    server, the second after the second, and so on; then the wire is whole.
    *passed* is how many octets the last connection got from the server.
    """

    def __init__(self, server: Destination, port: int, limits: Iterable[int]) -> None:
        self._server = server
        self._port = port
        self._limits = iter(limits)
        self.passed = 0

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator[CuttingWire]:
        """Lay the wire for the time of the block."""
        listening = await asyncio.start_server(self._connected, self._server.address, self._server.port)
        async with listening:
            yield self

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limit = next(self._limits, None)
        self.passed = 0
        up_reader, up_writer = await asyncio.open_connection(self._server.address, self._port)
        try:
            sending = asyncio.ensure_future(_pass(reader, up_writer))
            while limit is None or self.passed < limit:
                data = await up_reader.read(65_536 if limit is None else limit - self.passed)
                if not data:
                    break
                self.passed += len(data)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            sending.cancel()
            up_writer.close()
            writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


def free_port(address: str) -> int:
    """Return a TCP port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port
