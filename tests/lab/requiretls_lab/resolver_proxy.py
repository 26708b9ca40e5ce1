"""A middlebox in front of the resolver: late answers, lost answers, answers without AD."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

_QUESTION = 12  # where a message's first name begins (RFC 1035 section 4.1)
_AD = 0x20  # in the fourth octet of a DNS message (RFC 4035 section 3.2.3)


@dataclass(frozen=True, slots=True)
class Middlebox:
    """What happens to answers: *delay* in seconds, AD cleared, none given at all, or none about the root."""

    delay: float = 0.0
    strip_ad: bool = False
    silent: bool = False
    rootless: bool = False


class ResolverProxy:
    """Passes DNS over UDP and TCP on to the resolver at *upstream*, as *middlebox* says.

    *middlebox* may be replaced at any time. *questions* counts what was asked.
    """

    def __init__(self, address: str, port: int, upstream: tuple[str, int], middlebox: Middlebox) -> None:
        self.address = address
        self.port = port
        self.middlebox = middlebox
        self.questions = 0
        self._upstream = upstream
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def resolver(self) -> str:
        """Where it listens, as `dns.nameservers` names it."""
        return f"{self.address}:{self.port}"

    async def start(self) -> None:
        """Begin to listen."""
        loop = asyncio.get_running_loop()
        place = (self.address, self.port)
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=place)
        self._tcp = await asyncio.start_server(self._stream, *place)

    async def stop(self) -> None:
        """Stop listening and forget what is under way."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        for task in self._tasks:
            task.cancel()

    def answer_datagram(self, query: bytes, client: tuple[str, int]) -> None:
        """Pass *query* on and its answer back to *client*, later."""
        task = asyncio.ensure_future(self._pass_datagram(query, client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_datagram(self, query: bytes, client: tuple[str, int]) -> None:
        answer = await self._ask(query)
        if answer is None or self._udp is None:
            return
        # What does not fit a datagram is marked as truncated and asked for again over TCP.
        if len(answer) > 1232:
            answer = answer[:2] + bytes([answer[2] | 0x02]) + answer[3:6] + bytes(4) + query[10:]
        self._udp.sendto(answer, client)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            while True:
                answer = await self._ask(await _read_message(reader))
                if answer is not None:
                    writer.write(len(answer).to_bytes(2, "big") + answer)
                    await writer.drain()

    async def _ask(self, query: bytes) -> bytes | None:
        self.questions += 1
        middlebox = self.middlebox
        await asyncio.sleep(middlebox.delay)
        if middlebox.silent or (middlebox.rootless and query[_QUESTION:].startswith(b"\0")):
            return None
        try:
            reader, writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            return None
        with contextlib.closing(writer):
            writer.write(len(query).to_bytes(2, "big") + query)
            answer = await _read_message(reader)
        return answer[:3] + bytes([answer[3] & ~_AD]) + answer[4:] if middlebox.strip_ad else answer


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, proxy: ResolverProxy) -> None:
        self._proxy = proxy

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._proxy.answer_datagram(data, addr)


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    size = int.from_bytes(await reader.readexactly(2), "big")
    return await reader.readexactly(size)
