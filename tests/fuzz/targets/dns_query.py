"""Datagrams and streams from a resolver, as they arrive at the stub (RFC 1035 section 4.2, RFC 7766)."""

from __future__ import annotations

import asyncio
import functools

import dns.flags
import dns.message

from requiretls_plugin.policy.dns_query import PlainServer, Reply, Unanswered
from requiretls_plugin.server_address import Nameserver
from tests.fuzz.parts import SEPARATOR, parts
from tests.policy.dns_messages import query_for
from tests.socketless import PlayedTransport, SocketlessLoop

PATIENCE = 5.0


def target(data: bytes) -> None:
    """A reply to the question or the reason why there is none, whatever comes, and never later than asked.

    The first part is the stream after a truncated datagram, the others are datagrams. An
    id of zero stands for that of the question.
    """
    stream, datagrams = parts(data, 2)
    query = query_for("a.test", "TLSA")
    query.id = 0
    server = played(stream, datagrams.split(SEPARATOR))
    reply = server.run_until_complete(asked(query))
    if isinstance(reply, Unanswered):
        assert reply.why.isprintable()
    else:
        assert query.is_response(reply)
    server.close()


def arrive(data: bytes) -> None:
    """One datagram, and a stream after it."""
    truncated = query_for("a.test", "TLSA")
    truncated.id = 0
    truncated.flags |= dns.flags.QR | dns.flags.TC
    one = data.replace(SEPARATOR, b"")
    target(one + SEPARATOR + one + SEPARATOR + truncated.to_wire())


async def asked(query: dns.message.Message) -> Reply:
    """Return what the stub makes of it."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await PlainServer(Nameserver.parse("192.0.2.1")).ask(query)
    except TimeoutError:
        return Unanswered("no reply")


def played(stream: bytes, datagrams: list[bytes]) -> SocketlessLoop:
    """Return a loop in which the resolver answers every question the same."""

    def connect(protocol: asyncio.BaseProtocol, address: str) -> asyncio.BaseTransport:
        if isinstance(protocol, asyncio.DatagramProtocol):
            return DatagramResolver(protocol, datagrams)
        transport = PlayedTransport(protocol)
        loop = asyncio.get_running_loop()
        loop.call_soon(transport.say, stream)
        loop.call_soon(transport.hang_up)
        return transport

    return SocketlessLoop(connect)


class DatagramResolver(asyncio.DatagramTransport):
    """The near end of a connected UDP socket; each datagram sent is answered by all of *answers*."""

    def __init__(self, protocol: asyncio.DatagramProtocol, answers: list[bytes]) -> None:
        super().__init__()
        self._protocol = protocol
        self._answers = answers
        protocol.connection_made(self)

    def sendto(self, data: object, addr: object = None) -> None:
        loop = asyncio.get_running_loop()
        for answer in self._answers:
            loop.call_soon(functools.partial(self._protocol.datagram_received, answer, ("192.0.2.1", 53)))

    def close(self) -> None:
        self._protocol.connection_lost(None)
