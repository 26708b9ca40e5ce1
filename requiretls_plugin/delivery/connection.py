"""One connection to a mail server: bytes, TLS and time limits, no SMTP.

It owns its buffer, so that bytes which came before a handshake are seen and
never mistaken for ones that came after it (RFC 3207 section 4.2).
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import Any

from requiretls_plugin.delivery.server_reply import ReplyReader, ServerReply
from requiretls_plugin.errors import ProtocolViolation
from requiretls_plugin.policy.next_hop import UNIXSocket
from requiretls_plugin.server_address import IPAddress

# One flight is answered by some hundred replies at the most; a server that sends more unasked
# is after our memory.
MAX_UNREAD = 1_000

# How much content is written before the peer has to have taken some of it.
PIECE = 256 * 1024


class Connection(asyncio.Protocol):
    """A connection that replies are read from. Make one with `Connection.open`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = ReplyReader()
        self._replies: deque[ServerReply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._paused: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()

    @classmethod
    async def open(cls, address: IPAddress | UNIXSocket, port: int, *, timeout: float) -> Connection:
        """Return a connection to *address*; raises OSError, also if *timeout* seconds pass (TimeoutError)."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout):
            if isinstance(address, UNIXSocket):
                _, connection = await loop.create_unix_connection(cls, address.path)
            else:
                # An address, never a name: resolving is not the connection's affair.
                _, connection = await loop.create_connection(cls, str(address), port)
        return connection

    async def start_tls(
        self, context: ssl.SSLContext, server_name: str | None, *, timeout: float
    ) -> ssl.SSLObject:
        """Shake hands and return the TLS session.

        Raises ProtocolViolation if the server said something before the
        handshake that nobody asked for, ssl.SSLError and OSError.
        """
        if self._replies or self._reader.pending:
            raise ProtocolViolation(
                "the server sent something between its answer to STARTTLS and the handshake"
            )
        if self._failure is not None:
            raise self._failure
        assert self._transport is not None  # set before `open` returns
        async with asyncio.timeout(timeout):
            transport = await self._loop.start_tls(
                self._transport,
                self,
                context,
                server_hostname=server_name or "",
                ssl_handshake_timeout=timeout,
                ssl_shutdown_timeout=1.0,
            )
        if transport is None:
            raise ConnectionResetError("connection lost in the handshake")
        self._transport = transport
        session: ssl.SSLObject = transport.get_extra_info("ssl_object")
        return session

    @property
    def local_address(self) -> str | None:
        """Our own IP address on this connection; None on a UNIX socket."""
        place = self._transport.get_extra_info("sockname") if self._transport is not None else None
        return str(place[0]) if isinstance(place, tuple) else None

    @property
    def alive(self) -> bool:
        """Whether nothing is known against sending more. A reply nobody waits for is a farewell."""
        return self._failure is None and not self._replies

    def say(self, commands: bytes | memoryview) -> None:
        """Send *commands*; it is kept until the peer takes it.

        Raises ProtocolViolation if there is an answer already: it was made
        before the question, so no answer after it could be told from another.
        Only 421 may come at any time (RFC 5321 section 3.8).
        """
        for reply in self._replies:
            if reply.code != 421:
                raise ProtocolViolation(f"the server answered what was not asked: {reply.quoted!r}")
        self._write(commands)

    async def say_content(self, content: bytes, timeout: float) -> None:
        """Send *content*, waiting up to *timeout* seconds for each piece of it to be taken.

        Raises as `say` does, and TimeoutError. A connection that breaks is
        noticed by the reading that follows.
        """
        view = memoryview(content)
        self.say(view[:PIECE])
        for start in range(PIECE, len(content), PIECE):
            if self._paused is not None:
                async with asyncio.timeout(timeout):
                    await self._paused
            self._write(view[start : start + PIECE])

    async def read_reply(self, timeout: float) -> ServerReply:
        """Return the next reply; raises ProtocolViolation, OSError, TimeoutError after *timeout* seconds."""
        if not self._replies:
            if self._failure is not None:
                raise self._failure
            self._waiter = self._loop.create_future()
            self._set_alarm(timeout)
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._replies.popleft()

    def close(self) -> None:
        """Close the connection; what was written still goes out."""
        # In Python 3.11.2 a TLS transport that is closed twice can no longer be aborted.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()

    async def closed(self) -> None:
        """Wait until the connection is closed on our side."""
        await self._lost.wait()

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect replies and wake the reader."""
        try:
            self._replies.extend(self._reader.feed(data))
            if len(self._replies) > MAX_UNREAD:
                raise ProtocolViolation("the server does not stop answering")
        except ProtocolViolation as violation:
            self._fail(violation)
            self.abort()
            return
        if self._replies and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def eof_received(self) -> None:
        """Treat the end of the stream as the end of the connection."""
        self._fail(ConnectionResetError("connection closed by the server"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits."""
        self._fail(exc or ConnectionResetError("connection closed"))
        self._lost.set()
        if self._alarm is not None:
            self._alarm.cancel()

    def pause_writing(self) -> None:
        """Note that the peer reads slowly."""
        self._paused = self._loop.create_future()

    def resume_writing(self) -> None:
        """Note that the peer caught up."""
        if self._paused is not None and not self._paused.done():
            self._paused.set_result(None)
        self._paused = None

    def _set_alarm(self, timeout: float) -> None:
        """Let the waiting for a reply end in *timeout* seconds.

        One timer is left running from reply to reply, which is much cheaper
        than to start and cancel one for each.
        """
        self._deadline = self._loop.time() + timeout
        if self._alarm is not None and self._alarm.when() > self._deadline:
            self._alarm.cancel()
            self._alarm = None
        if self._alarm is None:
            self._alarm = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._deadline:
            self._alarm = self._loop.call_at(self._deadline, self._ring)
        else:
            self._waiter.set_exception(TimeoutError())

    def _write(self, data: bytes | memoryview) -> None:
        if self._failure is None and self._transport is not None:
            self._transport.write(data)

    def _fail(self, error: Exception) -> None:
        if self._failure is None:
            self._failure = error
        if self._waiter is not None and not self._waiter.done():
            if self._replies:
                self._waiter.set_result(None)
            else:
                self._waiter.set_exception(self._failure)
        self.resume_writing()
