"""A mail sink that does as little as it can, in a process of its own: `python -m tests.bench.sink`.

Arguments: ADDRESS PORT CERTIFICATE KEY. It speaks EHLO, STARTTLS, MAIL, RCPT,
DATA, RSET, NOOP and QUIT, offers PIPELINING and REQUIRETLS, and throws every
message away.
"""

from __future__ import annotations

import asyncio
import ssl
import sys

_CLEAR = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-STARTTLS\r\n250 SIZE\r\n"
_SECURE = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-REQUIRETLS\r\n250 SIZE\r\n"
_END = b"\r\n.\r\n"


class Sink(asyncio.Protocol):
    """One connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._buffer = bytearray()
        self._in_data = False
        self._secure = False
        self._shaking_hands = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, unless this is the same connection inside TLS."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._secure:
            transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer every command, and every message, that is complete."""
        self._buffer += data
        if not self._shaking_hands:
            self._serve()

    def _serve(self) -> None:
        answers: list[bytes] = []
        while True:
            if self._in_data:
                end = self._buffer.find(_END)
                if end < 0:
                    break
                del self._buffer[: end + len(_END)]
                self._in_data = False
                answers.append(b"250 2.0.0 taken\r\n")
                continue
            end = self._buffer.find(b"\r\n")
            if end < 0:
                break
            verb = bytes(self._buffer[:4]).upper()
            del self._buffer[: end + 2]
            if verb == b"STAR":
                self._secure = self._shaking_hands = True
                self._transport.pause_reading()  # what comes now is for TLS
                self._transport.write(b"220 go\r\n")
                self._task = asyncio.ensure_future(self._start_tls())
                return
            answers.append(self._answer(verb))
        self._transport.write(b"".join(answers))

    def _answer(self, verb: bytes) -> bytes:
        if verb in (b"EHLO", b"HELO"):
            return _SECURE if self._secure else _CLEAR
        if verb == b"DATA":
            self._in_data = True
            # What was pipelined behind DATA is the message; its first line may be the end already.
            self._buffer[:0] = b"\r\n"
            return b"354 go on\r\n"
        if verb == b"QUIT":
            asyncio.get_running_loop().call_soon(self._transport.close)
            return b"221 bye\r\n"
        return b"250 2.1.0 fine\r\n"

    async def _start_tls(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(self._transport, self, self._context, server_side=True)
        except OSError:
            self._transport.abort()
            return
        if transport is not None:
            self._transport = transport
        # The client's first command may have come with the last message of its handshake.
        self._shaking_hands = False
        self._serve()


async def main(address: str, port: int, certificate: str, key: str) -> None:
    """Listen until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Sink(context), address, port, backlog=512)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]))
