"""A long way to a server: bytes pass unchanged, each later by half a round trip.

`python -m tests.bench.slow_path ADDRESS PORT SERVER-ADDRESS SERVER-PORT ROUND-TRIP`
"""

from __future__ import annotations

import asyncio
import contextlib
import sys


async def main(address: str, port: int, server: tuple[str, int], round_trip: float) -> None:
    """Listen until killed."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(*server)
        with contextlib.suppress(OSError):
            await asyncio.gather(
                _late(reader, upstream_writer, round_trip / 2), _late(upstream_reader, writer, round_trip / 2)
            )

    listener = await asyncio.start_server(connected, address, port)
    print("ready", flush=True)
    await listener.serve_forever()


async def _late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Pass bytes on, each *delay* seconds late, without holding up what follows them."""
    loop = asyncio.get_running_loop()
    while data := await reader.read(65536):
        loop.call_later(delay, writer.write, data)
    loop.call_later(delay, writer.close)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), (sys.argv[3], int(sys.argv[4])), float(sys.argv[5])))
