"""A nameserver on a free port of 127.0.0.1 that answers what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import cast

import dns.message

Answers = Iterable[bytes]
Script = Callable[[dns.message.Message], Answers]


def silence(query: dns.message.Message) -> Answers:
    """Answer nothing."""
    return ()


@dataclass
class Talk:
    """What happened at a scripted nameserver."""

    port: int
    over_udp: list[dns.message.Message] = field(default_factory=list)
    over_stream: list[dns.message.Message] = field(default_factory=list)
    connections: int = 0
    on_datagram: Callable[[object], None] = lambda sender: None
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def hang_up(self) -> None:
        """Close all connections."""
        for writer in self.writers:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def scripted_nameserver(
    udp: Script = silence, stream: Script = silence, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Talk]:
    """Serve UDP and TCP (with *tls*: TLS) on one port; each script returns the messages to send back.

    Messages over a stream get their length put before them.
    """
    listener = _listener()
    talk = Talk(listener.getsockname()[1])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk.connections += 1
        talk.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                query = dns.message.from_wire(await reader.readexactly(length))
                talk.over_stream.append(query)
                for wire in stream(query):
                    writer.write(len(wire).to_bytes(2, "big") + wire)
        writer.transport.abort()

    server = await asyncio.start_server(serve, sock=listener, ssl=tls)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(udp, talk), local_addr=("127.0.0.1", talk.port)
    )
    try:
        yield talk
    finally:
        transport.close()
        server.close()
        for writer in talk.writers:
            writer.transport.abort()
        # A server task sees the end of its connection on a later turn of the loop.
        await asyncio.sleep(0.01)


def _listener() -> socket.socket:
    """Return a TCP socket whose port is free for UDP, too."""
    while True:
        tcp = socket.socket()
        tcp.bind(("127.0.0.1", 0))
        with socket.socket(type=socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            probe.bind(tcp.getsockname())
            return tcp
        tcp.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, script: Script, talk: Talk) -> None:
        self._script = script
        self._talk = talk

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        query = dns.message.from_wire(data)
        self._talk.over_udp.append(query)
        self._talk.on_datagram(addr)
        for wire in self._script(query):
            self._transport.sendto(wire, addr)
