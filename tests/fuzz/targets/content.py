"""A message after DATA (RFC 5321 section 4.5.2), as a receiver reads it."""

from __future__ import annotations

import asyncio
import re

from requiretls_plugin.delivery.content import Content
from requiretls_plugin.receiving.content import END, read_message
from requiretls_plugin.receiving.message_memory import MessageMemory
from requiretls_plugin.receiving.trace import loops
from requiretls_plugin.reply import Reply
from tests.fuzz.parts import choice, pieces
from tests.socketless import SocketlessLoop

LIMIT = 1_000


def target(data: bytes) -> None:
    """What our sender writes our receiver reads, in pieces of any size; no lone line end survives."""
    size, content = choice(data)
    loops(content)
    loop = SocketlessLoop()
    try:
        sent = Content.of(content)
        expected = re.sub(rb"\r\n|\r|\n", b"\r\n", content)
        if expected and not expected.endswith(b"\r\n"):
            expected += b"\r\n"
        assert sent.size == len(expected)
        read = loop.run_until_complete(arrived(sent.wire + b"NOOP\r\n", size + 1, None))
        assert read == (expected, b"NOOP\r\n")
        message, rest = loop.run_until_complete(arrived(content + END, size + 1, LIMIT))
        if isinstance(message, bytes):
            assert len(message) <= LIMIT
            assert not re.search(rb"\r(?!\n)|(?<!\r)\n", message)
        assert (content + END).endswith(rest)
    finally:
        loop.close()


def arrive(data: bytes) -> None:
    """As much at once as a socket has."""
    loop = SocketlessLoop()
    try:
        loop.run_until_complete(arrived(data + END, len(data), None))
    finally:
        loop.close()
    loops(data)
    Content.of(data)


async def arrived(wire: bytes, size: int, limit: int | None) -> tuple[bytes | Reply, bytes]:
    """Return the message in *wire* and what follows it, when *size* octets come at a time."""
    reader = asyncio.StreamReader(limit=64)
    with MessageMemory().share(limit) as share:
        reading = asyncio.ensure_future(read_message(reader, limit, share))
        for piece in pieces(wire, size):
            reader.feed_data(piece)
            await asyncio.sleep(0)
        reader.feed_eof()
        return await reading, await reader.read()
