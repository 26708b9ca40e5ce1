"""A message is read to its one true end, in pieces of any size."""

from __future__ import annotations

import asyncio
import re

from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.delivery.content import Content
from requiretls_plugin.receiving.command_arguments import TOO_LARGE
from requiretls_plugin.receiving.content import NO_ROOM, read_message
from requiretls_plugin.receiving.message_memory import FREE_OCTETS, LARGEST_MESSAGES, MessageMemory
from requiretls_plugin.receiving.trace import MAX_RECEIVED, loops, received_field
from requiretls_plugin.reply import Reply


def read(
    wire: bytes, *, limit: int | None = None, buffered: int = 64, memory: MessageMemory | None = None
) -> tuple[bytes | Reply, bytes]:
    """Return the message, or the reply that refuses it, and what follows it."""

    async def reading() -> tuple[bytes | Reply, bytes]:
        reader = asyncio.StreamReader(limit=buffered)
        reader.feed_data(wire)
        reader.feed_eof()
        with (memory or MessageMemory()).share(limit) as share:
            return await read_message(reader, limit, share), await reader.read()

    return asyncio.run(reading())


OCTETS = st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\0", b"\xff", b"long" * 30]), max_size=40).map(
    b"".join
)


@given(OCTETS, st.integers(16, 200))
def test_what_our_sender_writes_our_receiver_reads(content: bytes, buffered: int) -> None:
    """Whatever the octets, with what follows left alone."""
    expected = re.sub(rb"\r\n|\r|\n", b"\r\n", content)
    if expected and not expected.endswith(b"\r\n"):
        expected += b"\r\n"

    assert read(Content.of(content).wire + b"NOOP\r\n", buffered=buffered) == (expected, b"NOOP\r\n")


@given(OCTETS)
def test_attack_no_lone_line_end_survives(octets: bytes) -> None:
    """Nobody behind us sees a line end where we saw none."""
    message, _ = read(octets + b"\r\n.\r\n")
    assert isinstance(message, bytes)
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", message)


def test_the_limit_counts_the_octets_of_the_message() -> None:
    """At the limit is not over it, and the rest of the session is in step either way."""
    assert read(b"x" * 8 + b"\r\n.\r\nNOOP\r\n", limit=10) == (b"x" * 8 + b"\r\n", b"NOOP\r\n")
    assert read(b"x" * 9 + b"\r\n.\r\nNOOP\r\n", limit=10) == (TOO_LARGE, b"NOOP\r\n")


def test_the_limit_counts_no_doubled_dots() -> None:
    """A message of nothing but dots may have as many octets as another (RFC 1870 section 4)."""
    dots = 40 * b"..\r\n"

    assert read(dots + b".\r\nNOOP\r\n", limit=120) == (40 * b".\r\n", b"NOOP\r\n")
    assert read(dots + b".\r\nNOOP\r\n", limit=119) == (TOO_LARGE, b"NOOP\r\n")
    assert read(dots + dots + b".\r\nNOOP\r\n", limit=119) == (TOO_LARGE, b"NOOP\r\n")


def test_attack_a_message_of_lone_line_ends_does_not_outgrow_the_limit() -> None:
    """Each of them becomes two octets, which count against the limit and need room."""
    lone = 99 * b"\n" + b"\r\n.\r\nNOOP\r\n"

    assert read(lone, limit=200) == (100 * b"\r\n", b"NOOP\r\n")
    assert read(lone, limit=199) == (TOO_LARGE, b"NOOP\r\n")

    limit = 2 * FREE_OCTETS
    memory = MessageMemory()
    assert memory.take(LARGEST_MESSAGES * limit - 1000, None)
    many = FREE_OCTETS * b"\n"
    assert read(many[3:] + b"\r\n.\r\nNOOP\r\n", limit=limit, memory=memory) == (NO_ROOM, b"NOOP\r\n")
    assert memory.held == LARGEST_MESSAGES * limit - 1000


def test_a_message_without_room_is_read_to_its_end_and_refused_for_now() -> None:
    """And nothing of it is held afterwards; one that is too large anyway is refused for good."""
    limit = 2 * FREE_OCTETS
    memory = MessageMemory()
    assert memory.take(LARGEST_MESSAGES * limit - 1000, None)
    large = b"x" * (limit - 2) + b"\r\n.\r\nNOOP\r\n"

    assert read(large, limit=limit, memory=memory) == (NO_ROOM, b"NOOP\r\n")
    assert read(b"x" * limit + large, limit=limit, memory=memory) == (TOO_LARGE, b"NOOP\r\n")
    assert memory.held == LARGEST_MESSAGES * limit - 1000
    message, _ = read(b"x" * 1000 + b"\r\n.\r\n", limit=limit, memory=memory)
    assert message == b"x" * 1000 + b"\r\n"


@given(st.text(max_size=300))
def test_attack_no_name_of_a_client_breaks_the_trace(name: str) -> None:
    """Three lines, whatever it calls itself."""
    field = received_field(helo=name, peer="192.0.2.1", hostname="mx.example", protocol="ESMTP")
    assert field.count(b"\n") == 3
    assert field.count(b"(") == field.count(b")") == 1
    assert field.isascii()


def test_only_trace_fields_of_the_header_count_as_circles() -> None:
    """A message may quote as many as it likes."""
    received = b"Received: x\r\n"
    assert not loops(received * MAX_RECEIVED + b"\r\n" + received * 50)
    assert loops(received * (MAX_RECEIVED + 1) + b"\r\n")
