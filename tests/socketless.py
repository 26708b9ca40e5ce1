"""An event loop without sockets: the test plays the far end of connections, and no time is waited for."""

from __future__ import annotations

import asyncio
import selectors
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, cast


class PlayedTransport(asyncio.Transport):
    """The near end of a connection; `say` and `hang_up` are the far end's, and *heard* is what it heard.

    *listener* is called with what the near end writes. With *tls* the near end
    takes the connection for one inside TLS.
    """

    def __init__(
        self,
        protocol: asyncio.BaseProtocol,
        *,
        listener: Callable[[bytes], None] | None = None,
        tls: object | None = None,
        peer: tuple[str, int] = ("192.0.2.1", 25),
    ) -> None:
        super().__init__({"ssl_object": tls, "peername": peer, "sockname": ("192.0.2.99", 40_000)})
        self.heard = bytearray()
        self.ended = False
        """Whether the near end closed the connection, or the far end hung up."""
        self._protocol = protocol
        self._listener = listener
        self._closed = asyncio.Event()
        self._paused = False
        self._undelivered: deque[bytes] = deque()
        self._loop = asyncio.get_running_loop()
        protocol.connection_made(self)

    # The far end

    def say(self, data: bytes) -> None:
        """Let *data* arrive at the near end, at once or when it reads on."""
        self._undelivered.append(data)
        self._deliver()

    def hang_up(self, error: Exception | None = None) -> None:
        """End the connection, properly or by *error*."""
        if not self.ended and error is None:
            cast(asyncio.Protocol, self._protocol).eof_received()
        if not self.ended:
            self._end(error)

    async def closed(self) -> None:
        """Wait for the end of the connection, whoever brings it about."""
        await self._closed.wait()

    def _deliver(self) -> None:
        while self._undelivered and not self._paused and not self.ended:
            data = self._undelivered.popleft()
            if isinstance(self._protocol, asyncio.BufferedProtocol):
                self._fill(self._protocol, data)
            else:
                cast(asyncio.Protocol, self._protocol).data_received(data)

    @staticmethod
    def _fill(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
        while data:
            buffer = memoryview(cast(bytearray, protocol.get_buffer(len(data))))
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            protocol.buffer_updated(size)
            data = data[size:]

    def _end(self, error: Exception | None) -> None:
        self.ended = True
        self._closed.set()
        self._loop.call_soon(self._protocol.connection_lost, error)

    def set_tls(self, session: object) -> None:
        """Let the near end take the connection for one inside TLS."""
        self._extra: dict[str, Any]
        self._extra["ssl_object"] = session

    # asyncio.Transport

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self.ended:
            return
        self.heard += data
        if self._listener is not None:
            self._listener(bytes(data))

    def close(self) -> None:
        if not self.ended:
            self._end(None)

    abort = close

    def _force_close(self, error: Exception | None) -> None:
        """What asyncio's TLS calls where a handshake fails."""
        self.hang_up(error)

    def is_closing(self) -> bool:
        return self.ended

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._loop.call_soon(self._deliver)

    def is_reading(self) -> bool:
        return not self._paused

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


class SocketlessLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to whatever is waited for.

    *connect* plays the server of each connection that is made: it gets the
    protocol and the address, and returns the transport, or raises OSError.
    *shake_hands* plays the TLS handshake of a client: it returns the TLS session,
    or raises. RuntimeError means that somebody waits for what will never come.
    """

    def __init__(
        self,
        connect: Callable[[asyncio.BaseProtocol, str], asyncio.BaseTransport] | None = None,
        shake_hands: Callable[[PlayedTransport, ssl.SSLContext], Awaitable[object]] | None = None,
    ) -> None:
        self.now = 0.0
        self._connect = connect
        self._shake_hands = shake_hands
        super().__init__(selector=_JumpingSelector(self))

    def time(self) -> float:
        return self.now

    async def create_connection(self, protocol_factory: Any, *place: Any, **options: Any) -> Any:
        return self._made(protocol_factory(), place)

    async def create_datagram_endpoint(self, protocol_factory: Any, *place: Any, **options: Any) -> Any:
        return self._made(protocol_factory(), options["remote_addr"])

    async def start_tls(  # type: ignore[override] # mypy knows it with all its keywords
        self, transport: PlayedTransport, protocol: object, sslcontext: ssl.SSLContext, **options: Any
    ) -> PlayedTransport:
        assert self._shake_hands is not None
        transport.set_tls(await self._shake_hands(transport, sslcontext))
        return transport

    def _made(
        self, protocol: asyncio.BaseProtocol, place: tuple[str, int]
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        assert self._connect is not None
        return self._connect(protocol, place[0]), protocol


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: SocketlessLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever come")
        self._loop.now += timeout
        return super().select(0)


async def settled() -> None:
    """Let every task go on until it waits for something."""
    for _ in range(20):
        await asyncio.sleep(0)
