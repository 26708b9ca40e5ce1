"""The limit: a client that writes the octets of each message and counts the lines of the answers.

It looks nothing up, verifies nothing, reads no reply and keeps no time: what
asyncio and TLS cost alone, with the same two flights for each message.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

FLIGHT = b"MAIL FROM:<a@sender.test> REQUIRETLS\r\nRCPT TO:<b@sink.test>\r\nDATA\r\n"
CONTENT = b"Subject: bench\r\n\r\n" + b"".join(b"%076d\r\n" % n for n in range(128))


def reused(place: tuple[str, int], count: int, parallel: int) -> Callable[[], None]:
    """Send *count* messages over *parallel* connections."""
    return lambda: asyncio.run(_send(place, count, parallel))


async def _send(place: tuple[str, int], count: int, parallel: int) -> None:
    left = iter(range(count))

    async def worker() -> None:
        client = await _Client.open(place)
        for _ in left:
            await client.ask(FLIGHT, 3)
            await client.ask(CONTENT + b".\r\n", 1)
        client.transport.abort()

    await asyncio.gather(*(worker() for _ in range(parallel)))


class _Client(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self) -> None:
        self._answered: asyncio.Future[None] | None = None
        self._lines = self._wanted = 0

    @classmethod
    async def open(cls, place: tuple[str, int]) -> _Client:
        loop = asyncio.get_running_loop()
        transport, client = await loop.create_connection(cls, *place)
        await client.ask(b"EHLO bench.test\r\n", 6)  # and the greeting
        await client.ask(b"STARTTLS\r\n", 1)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        secured = await loop.start_tls(transport, client, context)
        assert secured is not None
        client.transport = secured
        await client.ask(b"EHLO bench.test\r\n", 5)
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._lines += data.count(b"\n")
        if self._lines >= self._wanted and self._answered is not None:
            self._lines, answered, self._answered = 0, self._answered, None
            answered.set_result(None)

    async def ask(self, octets: bytes, lines: int) -> None:
        self._wanted = lines
        answered = self._answered = asyncio.get_running_loop().create_future()
        self.transport.write(octets)
        await answered
