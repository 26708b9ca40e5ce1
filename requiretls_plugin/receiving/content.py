"""Read the message that follows DATA in large pieces (RFC 5321 sections 4.1.1.4 and 4.5.2)."""

from __future__ import annotations

import asyncio

from requiretls_plugin.line_ends import has_leading_dot, with_whole_line_ends

END = b"\r\n.\r\n"


async def read_message(reader: asyncio.StreamReader, limit: int | None) -> bytes | None:
    """Return the message, dots unstuffed, or None if it has more than *limit* octets.

    Only CR LF dot CR LF ends it, so nobody can smuggle a second message past
    us; a lone CR or LF becomes CR LF, so that nobody behind us can see one.
    Raises IncompleteReadError if the connection ends first.
    """
    # A lone dot in the first line ends the message too: let it follow a line end like any other.
    reader._buffer[:0] = b"\r\n"  # type: ignore[attr-defined] # asyncio offers no way to push back
    pieces: list[bytes] = []
    size = -len(END)
    ended = False
    while not ended:
        try:
            piece = await reader.readuntil(END)
            ended = True
        except asyncio.LimitOverrunError as overrun:
            piece = await reader.read(overrun.consumed)
        size += len(piece)
        if limit is None or size <= limit:
            pieces.append(piece)
        else:
            pieces.clear()
    if limit is not None and size > limit:
        return None
    return _unstuffed(b"".join(pieces))


def _unstuffed(raw: bytes) -> bytes:
    """Return the message between the line end put before it and the final dot."""
    # Line ends first, because clients that end lines with LF alone have doubled the dots after them too.
    lines = with_whole_line_ends(raw[: -len(b".\r\n")])
    if has_leading_dot(lines):
        lines = lines.replace(b"\r\n.", b"\r\n")
    return lines[len(b"\r\n") :]
