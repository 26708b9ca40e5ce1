"""The end of a session: QUIT, without keeping anybody waiting for the answer."""

from __future__ import annotations

import asyncio
import contextlib

from requiretls_plugin.delivery.connection import Connection
from requiretls_plugin.errors import ProtocolViolation

# How long to wait for the answer to QUIT and the end of TLS, in seconds; nothing depends on it.
PATIENCE = 5.0


class Farewells:
    """Ends connections, and knows those whose end is still awaited."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def say(self, connection: Connection) -> asyncio.Task[None]:
        """Say QUIT now if there is anybody to hear it; close when it is answered (RFC 5321 section 4.1.1.10).

        The task ends with the connection; it need not be waited for.
        """
        heard = connection.alive
        if heard:
            connection.say(b"QUIT\r\n")
        task = asyncio.get_running_loop().create_task(_end(connection, heard=heard))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def all_said(self) -> None:
        """Wait until every connection is closed."""
        while self._tasks:
            await asyncio.wait(self._tasks)


async def _end(connection: Connection, *, heard: bool) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            if heard:
                with contextlib.suppress(ProtocolViolation, OSError):
                    await connection.read_reply(PATIENCE)
            connection.close()
            await connection.closed()
    except TimeoutError:
        pass
    finally:
        connection.abort()
