"""One question to one resolver: over UDP and TCP, or over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import dns.exception
import dns.message

from requiretls_plugin.policy.dns_wire import is_truncated, read_message
from requiretls_plugin.server_address import Nameserver

# A datagram lost on the way is sent again this many seconds later.
RESEND_AFTER = 1.5

# Connections to a DNS over TLS server that are kept for the next questions.
MAX_IDLE = 8


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The resolver gave no reply that could be read."""

    why: str


Reply = dns.message.Message | Unanswered

# Whatever a dead or hostile server makes the socket, TLS and DNS libraries raise.
_NO_REPLY = (OSError, EOFError, ValueError, dns.exception.DNSException)


class Server(Protocol):
    """A resolver that can be asked."""

    async def ask(self, query: dns.message.Message) -> Reply:
        """Return the reply to *query*, waiting for as long as the caller does."""

    def close(self) -> None:
        """Close what is open; nothing can be asked any more."""


def server_at(place: Nameserver, ca_file: Path | None) -> Server:
    """Return the resolver at *place*; nothing is connected to yet."""
    return TLSServer(place, ca_file) if place.tls_name else PlainServer(place)


class PlainServer:
    """A resolver asked over UDP, and over TCP where the reply is truncated (RFC 7766)."""

    def __init__(self, place: Nameserver) -> None:
        self._address = str(place.address)
        self._port = place.port

    async def ask(self, query: dns.message.Message) -> Reply:
        try:
            reply = await self._over_udp(query)
            if not isinstance(reply, Unanswered) and is_truncated(reply):
                return await self._over_tcp(query)
            return reply
        except _NO_REPLY as error:
            return Unanswered(_words(error))

    def close(self) -> None:
        pass

    async def _over_udp(self, query: dns.message.Message) -> Reply:
        """Ask until the caller's patience ends.

        The socket is connected: the kernel keeps strangers' datagrams away and
        reports a closed port.
        """
        transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(query), remote_addr=(self._address, self._port)
        )
        try:
            while True:
                transport.sendto(query.to_wire())
                done, _ = await asyncio.wait((protocol.reply,), timeout=RESEND_AFTER)
                if done:
                    return protocol.reply.result()
        finally:
            transport.close()

    async def _over_tcp(self, query: dns.message.Message) -> dns.message.Message:
        stream = _Stream(*await asyncio.open_connection(self._address, self._port))
        try:
            return await stream.ask(query)
        finally:
            stream.close()


class _Datagrams(asyncio.DatagramProtocol):
    """What comes back for *query*. Malformed datagrams and answers to something else
    are passed over: whoever guesses the port can send them."""

    def __init__(self, query: dns.message.Message) -> None:
        self._query = query
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        with contextlib.suppress(ValueError, dns.exception.DNSException):
            self._settle(read_message(data, self._query))

    def error_received(self, exc: Exception) -> None:
        self._settle(Unanswered(_words(exc)))

    def _settle(self, reply: Reply) -> None:
        if not self.reply.done():
            self.reply.set_result(reply)


class TLSServer:
    """A resolver asked over TLS, its certificate verified (RFC 7858, RFC 8310).

    Connections are used again, each by one question at a time.
    """

    def __init__(self, place: Nameserver, ca_file: Path | None) -> None:
        self._place = place
        self._context = _context(ca_file)
        self._idle: list[_Stream] = []

    async def ask(self, query: dns.message.Message) -> Reply:
        try:
            while self._idle:
                try:
                    return await self._over(self._idle.pop(), query)
                except (OSError, EOFError):
                    continue  # closed by the server meanwhile
            return await self._over(await self._connect(), query)
        except _NO_REPLY as error:
            return Unanswered(_words(error))

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    async def _connect(self) -> _Stream:
        return _Stream(
            *await asyncio.open_connection(
                str(self._place.address),
                self._place.port,
                ssl=self._context,
                server_hostname=str(self._place.tls_name),
            )
        )

    async def _over(self, stream: _Stream, query: dns.message.Message) -> dns.message.Message:
        try:
            reply = await stream.ask(query)
        except BaseException:
            # Also if the caller stopped waiting: a late reply would meet the next question.
            stream.close()
            raise
        if len(self._idle) < MAX_IDLE:
            self._idle.append(stream)
        else:
            stream.close()
        return reply


class _Stream:
    """DNS messages over a stream, each after its length (RFC 1035 section 4.2.2)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, query: dns.message.Message) -> dns.message.Message:
        self._writer.write(query.to_wire(prepend_length=True))
        await self._writer.drain()
        length = int.from_bytes(await self._reader.readexactly(2), "big")
        return read_message(await self._reader.readexactly(length), query)

    def close(self) -> None:
        self._writer.transport.abort()


def _context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False
    context.set_alpn_protocols(["dot"])
    if ca_file is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(ca_file)
    return context


def _words(error: BaseException) -> str:
    # One line, whatever is in it: it goes into logs and replies.
    return " ".join(str(error).split()) or type(error).__name__
