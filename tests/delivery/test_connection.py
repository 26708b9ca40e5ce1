"""One connection: its limits in time and in memory, and what it makes of a peer that breaks them."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from requiretls_plugin.delivery.connection import MAX_UNREAD, Connection
from requiretls_plugin.errors import ProtocolViolation

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

LOOPBACK = ipaddress.ip_address("127.0.0.1")


@contextlib.asynccontextmanager
async def connected_to(serve: Serve) -> AsyncIterator[Connection]:
    """Yield a connection to a server that does what *serve* says."""
    done = asyncio.Event()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await serve(reader, writer)
            await done.wait()
        writer.transport.abort()

    server = await asyncio.start_server(served, str(LOOPBACK), 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        connection = await Connection.open(LOOPBACK, port, timeout=5)
        try:
            yield connection
        finally:
            done.set()
            connection.abort()
            await connection.closed()


async def nothing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Say nothing, read nothing."""


def saying(*chunks: bytes, pause: float = 0.0) -> Serve:
    """Say *chunks*, with a pause before each."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for chunk in chunks:
            await asyncio.sleep(pause)
            writer.write(chunk)
            await writer.drain()

    return serve


def run(serve: Serve, scene: Callable[[Connection], Awaitable[None]]) -> None:
    async def play() -> None:
        async with connected_to(serve) as connection:
            await scene(connection)

    asyncio.run(play())


def elapsed(since: float) -> float:
    return asyncio.get_running_loop().time() - since


def test_waiting_for_a_reply_ends_in_time() -> None:
    """Each time anew, for as long as was said."""

    async def scene(connection: Connection) -> None:
        for timeout in (0.05, 0.15):
            start = asyncio.get_running_loop().time()
            with pytest.raises(TimeoutError):
                await connection.read_reply(timeout)
            assert timeout * 0.9 <= elapsed(start) < timeout + 1

    run(nothing, scene)


def test_a_short_wait_after_a_long_one_is_short() -> None:
    """The reply to one command may take minutes, that to QUIT not."""

    async def scene(connection: Connection) -> None:
        await connection.read_reply(600)
        start = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await connection.read_reply(0.05)
        assert elapsed(start) < 5

    run(saying(b"220 hi\r\n"), scene)


def test_a_long_wait_after_a_short_one_is_long() -> None:
    """What is left of an earlier limit cuts nothing short."""

    async def scene(connection: Connection) -> None:
        await connection.read_reply(0.4)
        reply = await connection.read_reply(60)
        assert reply.code == 250

    run(saying(b"220 hi\r\n", b"250 late\r\n", pause=0.3), scene)


def test_no_timer_outlives_a_connection() -> None:
    """An engine that runs for years leaves nothing behind."""

    async def scene(connection: Connection) -> None:
        await connection.read_reply(600)
        connection.abort()
        await connection.closed()

        loop = asyncio.get_running_loop()
        assert not [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]

    run(saying(b"220 hi\r\n"), scene)


def test_attack_a_peer_that_does_not_stop_answering_is_cut_off() -> None:
    """Also while nobody reads: what it says is kept only up to a bound."""

    async def scene(connection: Connection) -> None:
        await asyncio.wait_for(connection.closed(), 5)
        assert not connection.alive
        for _ in range(2 * MAX_UNREAD):
            try:
                await connection.read_reply(1)
            except ProtocolViolation:
                return
        raise AssertionError("everything it said was kept")

    run(saying(*[b"250 x\r\n" * 100] * 100), scene)


def test_attack_a_peer_that_does_not_read_costs_little_memory() -> None:
    """Content is handed out in pieces, and waits where the peer does not take them."""
    content = b"x" * 50_000_000

    async def scene(connection: Connection) -> None:
        transport = connection._transport
        assert transport is not None
        with pytest.raises(TimeoutError):
            await connection.say_content(content, timeout=0.2)
        assert transport.get_write_buffer_size() < 2_000_000

    run(nothing, scene)


def test_a_peer_that_breaks_off_in_the_content_is_noticed() -> None:
    """By the reading that follows."""

    async def breaking_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.transport.abort()

    async def scene(connection: Connection) -> None:
        await connection.say_content(b"x" * 50_000_000, timeout=5)
        with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe, as the kernel sees it
            await connection.read_reply(5)

    run(breaking_off, scene)


def test_replies_that_came_before_the_end_are_read_before_the_end() -> None:
    """A server that answers and hangs up did answer."""

    async def hanging_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"250 taken\r\n421 bye\r\n")
        writer.close()

    async def scene(connection: Connection) -> None:
        await asyncio.wait_for(connection.closed(), 5)
        assert (await connection.read_reply(1)).code == 250
        assert (await connection.read_reply(1)).code == 421
        with pytest.raises(ConnectionResetError):
            await connection.read_reply(1)

    run(hanging_up, scene)


async def answered(connection: Connection) -> None:
    """Wait until there is a reply that nobody asked for."""
    async with asyncio.timeout(5):
        while connection.alive:  # noqa: ASYNC110 - it has no event for what nobody waits for
            await asyncio.sleep(0)


def test_attack_nothing_is_said_over_an_answer_that_is_there_already() -> None:
    """It was made up before the question."""

    async def scene(connection: Connection) -> None:
        await answered(connection)
        with pytest.raises(ProtocolViolation):
            connection.say(b"EHLO x\r\n")

    run(saying(b"250 what?\r\n"), scene)


def test_a_farewell_may_come_at_any_time() -> None:
    """421 (RFC 5321 section 3.8) is then the answer to what is said."""

    async def scene(connection: Connection) -> None:
        await answered(connection)
        connection.say(b"EHLO x\r\n")
        assert (await connection.read_reply(1)).code == 421

    run(saying(b"421 bye\r\n"), scene)


def test_connecting_ends_in_time() -> None:
    """A network that swallows packets costs no more than the settings say."""
    with socket.socket() as full:
        full.bind((str(LOOPBACK), 0))
        full.listen(0)
        port = full.getsockname()[1]

        async def fill_up_and_connect() -> None:
            # With the backlog full, the kernel drops what comes.
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex((str(LOOPBACK), port))
            try:
                with pytest.raises(TimeoutError):
                    await Connection.open(LOOPBACK, port, timeout=0.2)
            finally:
                for filler in fillers:
                    filler.close()

        asyncio.run(fill_up_and_connect())


class ForgetfulTransport(asyncio.Transport):
    """A transport that, as TLS in Python 3.11.2, cannot be aborted after it was closed twice."""

    def __init__(self) -> None:
        super().__init__()
        self.closings = 0

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.closings > 0

    def close(self) -> None:
        """Close, or forget what there was to close."""
        self.closings += 1

    def abort(self) -> None:
        """Fail if there is nothing left to abort."""
        assert self.closings < 2


def test_a_connection_may_be_closed_again_before_it_is_dropped() -> None:
    """Its transport hears of the first time only."""

    async def scene() -> None:
        connection, transport = Connection(), ForgetfulTransport()
        connection.connection_made(transport)
        connection.close()
        connection.close()
        connection.abort()
        assert transport.closings == 1

    asyncio.run(scene())
