"""Serve one page over HTTP from the loop that is running, without a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import h11

from requiretls_plugin.server_address import ServerAddress

# Seconds for a whole request; a scraper is next door.
_TIMEOUT = 5.0

# A request without a body fits easily.
_MAX_REQUEST = 16 * 1024

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsServer:
    """Answers GET /metrics with what *page* returns; everything else gets 404 or 405."""

    def __init__(self, page: Callable[[], bytes]) -> None:
        self._page = page
        self._server: asyncio.Server | None = None

    async def open(self, place: ServerAddress) -> None:
        """Listen at *place*; raises OSError."""
        self._server = await asyncio.start_server(self._serve, str(place.host), place.port)

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_REQUEST)
        try:
            async with asyncio.timeout(_TIMEOUT):
                request = await _read_request(connection, reader)
                if request is not None:
                    writer.write(self._answer(connection, request))
                    await writer.drain()
        except (OSError, h11.ProtocolError):
            pass  # whoever asked went away, or does not speak HTTP
        finally:
            writer.close()

    def _answer(self, connection: h11.Connection, request: h11.Request) -> bytes:
        status, body = 200, b""
        if request.target.partition(b"?")[0] != b"/metrics":
            status = 404
        elif request.method not in (b"GET", b"HEAD"):
            status = 405
        else:
            body = self._page()
        headers = [
            ("Content-Type", _CONTENT_TYPE),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        sent = connection.send(h11.Response(status_code=status, headers=headers)) or b""
        if request.method != b"HEAD":
            sent += connection.send(h11.Data(data=body)) or b""
        return sent + (connection.send(h11.EndOfMessage()) or b"")


async def _read_request(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_MAX_REQUEST))
        else:
            return None
