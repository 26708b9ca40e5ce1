"""A message's content on the wire: nothing changed that need not be, and only one end."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.delivery.content import Content


def received(wire: bytes) -> bytes:
    """Return what a server that follows RFC 5321 to the letter takes out of *wire*; nothing may be left."""
    lines: list[bytes] = []
    while True:
        line, end, wire = wire.partition(b"\r\n")
        assert end, "the content never ends"
        if line == b".":
            assert wire == b"", "something follows the end of the content"
            return b"".join(lines)
        lines.append(line.removeprefix(b".") + end)


def normalised(content: bytes) -> bytes:
    """Return *content* with CRLF line ends and a last one, the slow way."""
    lines = re.split(rb"\r\n|\r|\n", content)
    if lines[-1] == b"":
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        pytest.param(b"a: b\r\n\r\nbody\r\n", b"a: b\r\n\r\nbody\r\n.\r\n", id="CRLF stays"),
        pytest.param(b"a\nb\n", b"a\r\nb\r\n.\r\n", id="LF becomes CRLF"),
        pytest.param(b"a\rb\r", b"a\r\nb\r\n.\r\n", id="CR becomes CRLF"),
        pytest.param(b"a\r\r\nb\r\n", b"a\r\n\r\nb\r\n.\r\n", id="CR before CRLF"),
        pytest.param(b"a\n\r\nb\r\n", b"a\r\n\r\nb\r\n.\r\n", id="LF before CRLF"),
        pytest.param(b"a", b"a\r\n.\r\n", id="last line end added"),
        pytest.param(b"", b".\r\n", id="nothing at all"),
        pytest.param(b".\r\n", b"..\r\n.\r\n", id="dot at the very beginning"),
        pytest.param(b"a\r\n.b\r\n..\r\n", b"a\r\n..b\r\n...\r\n.\r\n", id="dots at line beginnings"),
        pytest.param(b"a.b\r\n", b"a.b\r\n.\r\n", id="dot within a line"),
        pytest.param(b"\xff\x00\r\n", b"\xff\x00\r\n.\r\n", id="octets of all kinds"),
    ],
)
def test_content_goes_out_as(content: bytes, wire: bytes) -> None:
    """Line ends, dots, end."""
    assert Content.of(content).wire == wire


SMUGGLING = [
    b"a\n.\nMAIL FROM:<evil@example>\n",
    b"a\n.\r\nMAIL FROM:<evil@example>\r\n",
    b"a\r\n.\nMAIL FROM:<evil@example>\r\n",
    b"a\r.\rMAIL FROM:<evil@example>\r",
    b"a\r\n.\rMAIL FROM:<evil@example>\r\n",
    b"a\r.\r\nMAIL FROM:<evil@example>\r\n",
    b"a\r\n.\r\nMAIL FROM:<evil@example>\r\n",
    b".\r\nMAIL FROM:<evil@example>\r\n",
    b".\nMAIL FROM:<evil@example>\n",
    b"a\r\n\x00.\r\n.\r\nMAIL FROM:<evil@example>\r\n",
]


@pytest.mark.parametrize("content", SMUGGLING)
def test_attack_smuggled_end_of_data(content: bytes) -> None:
    """No server, however it reads line ends, sees an end before the end."""
    wire = Content.of(content).wire

    ends = re.findall(rb"(?:^|\r\n|\n|\r)\.(?=\r\n|\r|\n)", wire)
    assert ends == [b"\r\n."]
    assert wire.endswith(b"\r\n.\r\n")
    assert b"evil@example" in received(wire)


@given(st.binary(max_size=200))
def test_any_content_arrives(content: bytes) -> None:
    """Un-stuffed by the letter of RFC 5321 it is what was sent, with its line ends made whole."""
    assert received(Content.of(content).wire) == normalised(content)


pieces = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a", b"\x00", b"\xff"]), max_size=30)


@given(pieces)
def test_any_mixture_of_dots_and_line_ends_arrives(parts: list[bytes]) -> None:
    """The same, where it is hardest."""
    content = b"".join(parts)

    assert received(Content.of(content).wire) == normalised(content)


lines = st.lists(st.binary(max_size=20).map(lambda line: re.sub(rb"[\r\n]", b"", line)), max_size=10)


@given(lines)
def test_content_with_crlf_line_ends_leaves_unchanged(parts: list[bytes]) -> None:
    """A signature made over it still holds (RFC 6376 section 3.4)."""
    content = b"".join(line + b"\r\n" for line in parts)

    assert received(Content.of(content).wire) == content


@given(pieces)
def test_size_is_what_rfc_1870_counts(parts: list[bytes]) -> None:
    """With line ends as they travel, without doubled dots and without the end."""
    content = b"".join(parts)

    assert Content.of(content).size == len(normalised(content))


def test_eight_bit_content_is_known_as_such() -> None:
    """BODY=8BITMIME depends on it."""
    assert Content.of("Grüße\r\n".encode()).eight_bit
    assert not Content.of(b"Gruss\r\n").eight_bit


@pytest.mark.parametrize("line", [b"x" * 70 + b"\r\n", b"x" * 70 + b"\n", b".\r\n", b"\r", b"\n."])
def test_fifty_megabytes_take_no_more_than_seconds(line: bytes) -> None:
    """Linear in the size, whatever the lines are like."""
    content = line * (50_000_000 // len(line) if len(line) > 10 else 2_000_000)

    started = time.process_time()
    Content.of(content)

    assert time.process_time() - started < 5.0
