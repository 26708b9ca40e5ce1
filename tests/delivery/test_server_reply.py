"""A server's replies: any bytes give replies or our error, never anything else."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from requiretls_plugin.delivery.server_reply import MAX_LINE, MAX_LINES, ReplyReader, ServerReply
from requiretls_plugin.errors import ProtocolViolation


def replies_in(*chunks: bytes) -> tuple[list[ServerReply], str | None]:
    """Return the replies in *chunks*, and the violation that ended the reading, if any."""
    reader = ReplyReader()
    found: list[ServerReply] = []
    try:
        for chunk in chunks:
            found.extend(reader.feed(chunk))
    except ProtocolViolation as violation:
        return found, str(violation)
    return found, None


@pytest.mark.parametrize(
    ("data", "code", "lines"),
    [
        pytest.param(b"250 ok\r\n", 250, ("ok",), id="one line"),
        pytest.param(b"250\r\n", 250, ("",), id="code alone"),
        pytest.param(b"250 \r\n", 250, ("",), id="code and a blank"),
        pytest.param(b"250 ok\n", 250, ("ok",), id="LF alone"),
        pytest.param(b"250-a\r\n250-b\r\n250 c\r\n", 250, ("a", "b", "c"), id="three lines"),
        pytest.param(b"250-a\r\n250\r\n", 250, ("a", ""), id="last line without text"),
        pytest.param(b"250 gr\xfc\xdfe\r\n", 250, ("gr??e",), id="eight bits"),
        pytest.param(b"250 a\tb\r\n", 250, ("a b",), id="tab"),
        pytest.param(b"250 \x1b[2Jgone\x07\r\n", 250, ("?[2Jgone?",), id="escape sequence"),
    ],
)
def test_a_reply_is_read(data: bytes, code: int, lines: tuple[str, ...]) -> None:
    """Lines as RFC 5321 section 4.2 writes them, and a little less strict."""
    assert replies_in(data) == ([ServerReply(code, lines)], None)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"hello\r\n", id="no code"),
        pytest.param(b"25 ok\r\n", id="two digits"),
        pytest.param(b"2500 ok\r\n", id="four digits"),
        pytest.param(b"150 ok\r\n", id="1yz"),
        pytest.param(b"650 ok\r\n", id="6yz"),
        pytest.param(b"250_ok\r\n", id="other separator"),
        pytest.param(b"\r\n", id="empty line"),
        pytest.param(b"\n", id="empty line that ends with LF"),
        pytest.param(b"250-a\r\n251 b\r\n", id="two codes in one reply"),
        pytest.param(b"250-a\r\nb\r\n", id="line without code in a reply"),
        pytest.param(b"250 a\x00b\r\n", id="NUL"),
        pytest.param(b"250 a\rb\r\n", id="CR within a line"),
        pytest.param(b"250 a\r\r\n", id="CR before CRLF"),
        pytest.param("250 ok\r\n".encode("utf-16"), id="UTF-16"),
        pytest.param(b"\x15\x03\x03\x00\x02\x02\x28\n", id="a TLS alert"),
        pytest.param("\uff12\uff15\uff10 ok\r\n".encode(), id="digits that are no ASCII"),
        pytest.param(b"250 " + b"x" * MAX_LINE, id="a line without end"),
        pytest.param(b"250-x\r\n" * MAX_LINES, id="a reply without end"),
    ],
)
def test_attack_what_is_no_reply_ends_the_session(data: bytes) -> None:
    """There is no guessing what it might have meant."""
    found, violation = replies_in(data)

    assert found == []
    assert violation


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(b"hello\x1b\r\n", "this is no SMTP reply: 'hello?'", id="no code"),
        pytest.param(b"x" * 61 + b"\r\n", f"this is no SMTP reply: '{'x' * 60}'", id="a long line"),
        pytest.param(
            b"250-a\r\n251 b\r\n", "the lines of one reply have different codes: '251 b'", id="two codes"
        ),
        pytest.param(b"2" * MAX_LINE, f"a reply line is longer than {MAX_LINE} octets", id="no line end"),
        pytest.param(b"250-x\r\n" * 101, "a reply has more than 100 lines", id="too many lines"),
    ],
)
def test_a_violation_quotes_what_was_said_in_printable_ascii(data: bytes, why: str) -> None:
    """No more of it than a log line has room for."""
    assert replies_in(data) == ([], why)


def test_the_longest_line_and_the_longest_reply_are_read() -> None:
    """The limits are limits, not one less."""
    line = b"250 " + b"x" * (MAX_LINE - 4 - 1)
    reply = b"250-x\r\n" * (MAX_LINES - 1) + b"250 x\r\n"

    assert replies_in(line + b"\n")[1] is None
    assert replies_in(line + b"x\n") == ([], f"a reply line is longer than {MAX_LINE} octets")
    assert len(replies_in(reply)[0][0].lines) == MAX_LINES


def test_replies_before_a_violation_count() -> None:
    """A server that says 250 and then nonsense did say 250."""
    found, violation = replies_in(b"250 ok\r\nnonsense\r\n")

    assert [reply.code for reply in found] == [250]
    assert violation


@pytest.mark.parametrize("chunk", [b"2", b"250 o", b"250-a\r\n", b"250-a\r\n25"])
def test_an_incomplete_reply_is_pending(chunk: bytes) -> None:
    """Which is how plaintext injected before a handshake is seen."""
    reader = ReplyReader()

    assert list(reader.feed(chunk)) == []
    assert reader.pending


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (ServerReply(550, ("5.7.30 no REQUIRETLS",)), "550 5.7.30 no REQUIRETLS"),
        (ServerReply(550, ("5.1.1 unknown", "5.1.1 user")), "550 5.1.1 unknown user"),
        (ServerReply(550, ("unknown user",)), "550 5.0.0 unknown user"),
        (ServerReply(450, ("5.1.1 wrong class",)), "450 4.0.0 5.1.1 wrong class"),
        (ServerReply(550, ("5.01.1 leading zero",)), "550 5.0.0 leading zero"),
        (ServerReply(250, ("",)), "250 2.0.0"),
    ],
)
def test_a_reply_is_passed_on_with_its_enhanced_status(reply: ServerReply, shown: str) -> None:
    """The server's, where it is one; else the class alone (RFC 3463)."""
    assert str(reply.as_reply()) == shown


def test_a_reply_is_quoted_as_it_was_given() -> None:
    """For Diagnostic-Code in notices (RFC 3464 section 2.3.6)."""
    assert ServerReply(550, ("no", "never")).quoted == "550-no\n550 never"


smtp_like = st.lists(
    st.sampled_from(
        [b"2", b"5", b"0", b"250", b"354", b"550", b" ", b"-", b"\r", b"\n", b"\r\n", b"x", b"\x00", b"\xff"]
    ),
    max_size=40,
).map(b"".join)


@given(data=st.one_of(smtp_like, st.binary(max_size=100)), cuts=st.lists(st.integers(0, 100), max_size=10))
@example(data=b"250-a\r\n250 b\r\n421 c\r\n", cuts=[1, 2, 7, 8])
def test_chunks_do_not_matter(data: bytes, cuts: list[int]) -> None:
    """Whatever the bytes and however the network cuts them: the same replies, the same end."""
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[start:end] for start, end in itertools.pairwise(edges)]

    assert replies_in(*chunks) == replies_in(data)


@given(st.one_of(smtp_like, st.binary(max_size=100)))
def test_attack_no_reply_carries_what_could_steer_its_reader(data: bytes) -> None:
    """Printable ASCII only: no line can be added to a log, a notice or a session."""
    for reply in replies_in(data)[0]:
        assert 200 <= reply.code <= 599
        assert all(line.isascii() and (line.isprintable() or not line) for line in reply.lines)
        if reply.kind != 3:
            assert "\n" not in str(reply.as_reply())
