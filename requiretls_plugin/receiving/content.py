"""Read the message that follows DATA in large pieces (RFC 5321 sections 4.1.1.4 and 4.5.2)."""

from __future__ import annotations

import asyncio

from requiretls_plugin.line_ends import has_leading_dot, with_whole_line_ends
from requiretls_plugin.receiving.command_arguments import TOO_LARGE
from requiretls_plugin.receiving.message_memory import MessageShare
from requiretls_plugin.reply import Reply

# RFC 5321 section 4.3.2 lists the code among the answers to a message.
NO_ROOM = Reply(452, "4.3.1", "No room for so large a message now, try again later")

END = b"\r\n.\r\n"


async def read_message(reader: asyncio.StreamReader, limit: int | None, share: MessageShare) -> bytes | Reply:
    """Return the message, dots unstuffed, or the reply to refuse it with, having read all of it.

    It is refused if it has more than *limit* octets, doubled dots not counted
    (RFC 1870 section 4), or if *share* has no room for it. Only CR LF dot CR LF
    ends it, so nobody can smuggle a second message past us; a lone CR or LF
    becomes CR LF, so that nobody behind us can see one. Raises
    IncompleteReadError if the connection ends first.
    """
    # A line that begins with a dot has three octets or more, and came with one more.
    most = None if limit is None else limit + limit // 3
    # A lone dot in the first line ends the message too: let it follow a line end like any other.
    reader._buffer[:0] = b"\r\n"  # type: ignore[attr-defined] # asyncio offers no way to push back
    pieces: list[bytes] = []
    size = -len(END)
    refusal: Reply | None = None
    ended = False
    while not ended:
        try:
            piece = await reader.readuntil(END)
            ended = True
        except asyncio.LimitOverrunError as overrun:
            piece = await reader.read(overrun.consumed)
        size += len(piece)
        if most is not None and size > most:
            refusal = TOO_LARGE
        elif refusal is None and not share.grow(len(piece)):
            refusal = NO_ROOM
        if refusal is None:
            pieces.append(piece)
        elif pieces:
            pieces.clear()
            share.drop()
    if refusal is not None:
        return refusal
    message = _unstuffed(b"".join(pieces))
    if limit is not None and len(message) > limit:
        return TOO_LARGE
    return message if share.grow(max(0, len(message) - size)) else NO_ROOM


def _unstuffed(raw: bytes) -> bytes:
    """Return the message between the line end put before it and the final dot."""
    # Line ends first, because clients that end lines with LF alone have doubled the dots after them too.
    lines = with_whole_line_ends(raw[: -len(b".\r\n")])
    if has_leading_dot(lines):
        lines = lines.replace(b"\r\n.", b"\r\n")
    return lines[len(b"\r\n") :]
