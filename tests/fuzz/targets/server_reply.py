"""A server's replies, as they arrive at an outgoing connection (RFC 5321 section 4.2)."""

from __future__ import annotations

from requiretls_plugin.delivery.server_reply import ReplyReader, ServerReply
from requiretls_plugin.errors import ProtocolViolation
from tests.fuzz.parts import choice, pieces


def target(data: bytes) -> None:
    """The same replies in pieces of any size, and each can be passed on as one printable line."""
    size, stream = choice(data)
    replies, violation = read(stream, len(stream) or 1)
    assert (replies, violation) == read(stream, size + 1)
    for reply in replies:
        assert all(line.isascii() and (line.isprintable() or not line) for line in reply.lines)
        assert read(reply.quoted.encode() + b"\n", 1) == ([reply], False)
        if reply.kind != 3:
            passed_on = str(reply.as_reply())
            assert passed_on.isprintable()
            assert passed_on.startswith(str(reply.code))


def arrive(data: bytes) -> None:
    """Only read."""
    read(data, len(data))


def read(stream: bytes, size: int) -> tuple[list[ServerReply], bool]:
    """Return the replies in *stream*, read *size* octets at a time, and whether it broke the protocol."""
    reader = ReplyReader()
    replies: list[ServerReply] = []
    try:
        for piece in pieces(stream, size):
            replies.extend(reader.feed(piece))
    except ProtocolViolation:
        return replies, True
    return replies, False
