"""One question to one resolver: over UDP and TCP, or over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import dns.entropy
import dns.exception
import dns.message

from requiretls_plugin.policy.dns_wire import is_truncated, read_message
from requiretls_plugin.server_address import Nameserver

# A datagram lost on the way is sent again this many seconds later.
RESEND_AFTER = 1.5

_HEADER = 12  # octets: no message is shorter (RFC 1035 section 4.1.1)


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
        _, stream = await asyncio.get_running_loop().create_connection(_Stream, self._address, self._port)
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

    All questions share one connection, which is made anew when the server has closed it.
    """

    def __init__(self, place: Nameserver, ca_file: Path | None) -> None:
        self._place = place
        self._context = _context(ca_file)
        self._stream: _Stream | None = None
        self._connecting = asyncio.Lock()

    async def ask(self, query: dns.message.Message) -> Reply:
        try:
            kept = self._stream
            if kept is not None and kept.is_open:
                # The server may close it just now; that says nothing about the next one.
                with contextlib.suppress(OSError, EOFError):
                    return await kept.ask(query)
            return await (await self._connected()).ask(query)
        except _NO_REPLY as error:
            return Unanswered(_words(error))

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()

    async def _connected(self) -> _Stream:
        async with self._connecting:
            if self._stream is None or not self._stream.is_open:
                _, self._stream = await asyncio.get_running_loop().create_connection(
                    _Stream,
                    str(self._place.address),
                    self._place.port,
                    ssl=self._context,
                    server_hostname=str(self._place.tls_name),
                )
            return self._stream


class _Stream(asyncio.Protocol):
    """DNS messages over a stream, each after its length (RFC 1035 section 4.2.2).

    Replies may come in any order (RFC 7766 section 6.2.1.1); their ids tell
    whose they are. One that nobody waits for (any more) is passed over; one that
    is too short to be a message ends the connection.
    """

    def __init__(self) -> None:
        self._received = bytearray()
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        """Whether something can be asked."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, query: dns.message.Message) -> dns.message.Message:
        """Return the reply to *query*, whose id changes if another question has it."""
        if self._transport is None:
            raise EOFError("the connection is closed")
        while query.id in self._waiting:
            query.id = dns.entropy.random_16()
        arrival = asyncio.get_running_loop().create_future()
        self._waiting[query.id] = arrival
        try:
            self._transport.write(query.to_wire(prepend_length=True))
            return read_message(await arrival, query)
        finally:
            self._waiting.pop(query.id, None)

    def close(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        start = 0
        while start + 2 <= len(received):
            end = start + 2 + int.from_bytes(received[start : start + 2], "big")
            if end > len(received):
                break
            if end - start < 2 + _HEADER:
                # Who sends that speaks no DNS, and could keep us busy with nothing.
                self.close()
                return
            self._arrived(bytes(received[start + 2 : end]))
            start = end
        del received[:start]

    def _arrived(self, wire: bytes) -> None:
        arrival = self._waiting.get(int.from_bytes(wire[:2], "big"))
        if arrival is not None and not arrival.done():
            arrival.set_result(wire)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        for arrival in self._waiting.values():
            if not arrival.done():
                arrival.set_exception(exc or EOFError("the connection was closed"))


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
