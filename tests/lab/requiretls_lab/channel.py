"""Octets to and from a client, in cleartext and then inside TLS.

asyncio's own TLS drops the alert when a server fails a handshake. Real servers
send it, and clients draw conclusions from it, so the record layer is driven here.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from typing import TypeVar

_CHUNK = 65_536

Result = TypeVar("Result")


class Channel:
    """One accepted connection. Everything raises OSError when the connection or TLS fails."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._received = b""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None

    async def receive(self) -> bytes:
        """Return some octets, none if the client has ended."""
        if self._received:
            received, self._received = self._received, b""
            return received
        if self._tls is None:
            return await self._reader.read(_CHUNK)
        tls = self._tls
        try:
            return await self._until_done(lambda: tls.read(_CHUNK))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def line(self) -> bytes:
        """Return the next line with its `\\n`; what is left of one if the client has ended."""
        line = b""
        while b"\n" not in line:
            part = await self.receive()
            if not part:
                return line
            line += part
        end = line.index(b"\n") + 1
        self._received = line[end:]
        return line[:end]

    async def send(self, data: bytes) -> None:
        """Send *data*."""
        if self._writer.transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        if self._tls is None:
            self._writer.write(data)
            await self._writer.drain()
        elif data:
            tls = self._tls
            await self._until_done(lambda: tls.write(data))

    async def start_tls(self, context: ssl.SSLContext) -> ssl.SSLObject:
        """Do a handshake as the server; raises ssl.SSLError after the alert was sent."""
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        await self._until_done(tls.do_handshake)
        self._tls = tls
        return tls

    def take_early(self) -> bytes:
        """Return what the client has sent without waiting for the last reply, and forget it."""
        early, self._received = self._received, b""
        return early

    def close(self) -> None:
        """Close the connection, TLS in good order (RFC 8446 section 6.1)."""
        if self._tls is not None:
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._writer.write(self._outgoing.read())
        self._writer.close()

    def reset(self) -> None:
        """Tear the connection down with a TCP reset."""
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def _until_done(self, operation: Callable[[], Result]) -> Result:
        """Repeat a TLS operation until it needs no more octets from the client."""
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                await self._flush()
                if data := await self._reader.read(_CHUNK):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            finally:
                await self._flush()

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            self._writer.write(data)
            await self._writer.drain()
