"""The HTTP of a policy fetch, octets in and octets out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import PolicyFetchError
from requiretls_plugin.policy.sts_http import (
    MAX_HEAD_BYTES,
    MAX_POLICY_BYTES,
    MAX_RECEIVED_BYTES,
    PolicyRequest,
)

HOST = DomainName("mta-sts.example.org")
BODY = b"version: STSv1\nmode: none\nmax_age: 1\n"


def answer(*fields: str, status: str = "200 OK", body: bytes = BODY) -> bytes:
    """Return an HTTP answer; without *fields* the ones of a well-behaved server."""
    fields = fields or ("Content-Type: text/plain", f"Content-Length: {len(body)}")
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode("latin-1") + body


def received(wire: bytes, *, step: int = 8192, ended: bool = True) -> bytes:
    """Return what comes of *wire*, given in pieces of *step* octets."""
    request = PolicyRequest(HOST)
    pieces = [wire[start : start + step] for start in range(0, len(wire), step)]
    for piece in [*pieces, *([b""] if ended else [])]:
        if (body := request.receive(piece)) is not None:
            return body
    raise PolicyFetchError("sts-policy-fetch-error", "neither a body nor an error")


def why_refused(wire: bytes) -> str:
    with pytest.raises(PolicyFetchError) as caught:
        received(wire)
    assert caught.value.result_type == "sts-policy-fetch-error"
    return caught.value.why


@pytest.mark.requirement("8461-3.2-1", "8461-3.3-7")
def test_request_is_one_plain_get() -> None:
    """The path is the RFC's, nothing is conditional, no coding but identity is asked for."""
    head, blank, rest = PolicyRequest(HOST).request.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")

    assert line == b"GET /.well-known/mta-sts.txt HTTP/1.1"
    assert {field.lower() for field in fields} == {
        b"host: mta-sts.example.org",
        b"accept: text/plain",
        b"accept-encoding: identity",
        b"connection: close",
    }
    assert blank
    assert rest == b""


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(answer(), id="with a length"),
        pytest.param(answer("Content-Type: text/plain"), id="ended by the connection"),
        pytest.param(
            answer(
                "Content-Type: text/plain",
                "Transfer-Encoding: chunked",
                body=b"25\r\n" + BODY + b"\r\n0\r\n\r\n",
            ),
            id="in chunks",
        ),
        pytest.param(
            answer("content-type:Text/Plain; charset=iso-8859-1; x=y"), id="a content type with parameters"
        ),
        pytest.param(
            answer("Content-Type: text/plain", "Content-Encoding: identity"), id="identity said aloud"
        ),
        pytest.param(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + answer(), id="an interim answer first"),
        pytest.param(answer().replace(b"HTTP/1.1", b"HTTP/1.0"), id="HTTP/1.0"),
        pytest.param(answer().replace(b"200 OK", b"200"), id="no reason phrase"),
    ],
)
@pytest.mark.parametrize("step", [1, 8192])
@pytest.mark.requirement("8461-3.2-2", "8461-3.2-3")
def test_good_answer_gives_the_file(wire: bytes, step: int) -> None:
    """Whatever the framing, and whatever the pieces it comes in."""
    assert len(BODY) == 0x25

    assert received(wire, step=step) == BODY


@pytest.mark.parametrize(
    "status", ["201 Created", "203 x", "204 x", "206 Partial", "304 Not Modified", "404 x", "500 x"]
)
@pytest.mark.requirement("8461-3.3-5", "8461-3.3-7")
def test_only_status_200_counts(status: str) -> None:
    """A correct body under another status is a failure."""
    assert status[:3] in why_refused(answer(status=status))


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 x", "307 x", "308 x"])
@pytest.mark.requirement("8461-3.3-6")
def test_redirect_is_a_failure(status: str) -> None:
    """Following it would let a web application decide where mail goes."""
    location = "Location: https://mta-sts.example.org/other"

    assert status[:3] in why_refused(answer("Content-Type: text/plain", location, status=status))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(["Content-Type: text/html"], id="HTML"),
        pytest.param(["Content-Type: application/octet-stream"], id="octets"),
        pytest.param(["Content-Type: text/plainly"], id="a longer word"),
        pytest.param(["Content-Length: 38"], id="none"),
        pytest.param(["Content-Type: text/plain", "Content-Type: text/html"], id="two"),
        pytest.param(["Content-Type: text/html, text/plain"], id="a list"),
    ],
)
@pytest.mark.requirement("8461-3.2-2")
def test_other_content_types_are_refused(fields: list[str]) -> None:
    """A page that users can write must not become a policy."""
    assert "text/plain" in why_refused(answer(*fields))


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "identity, gzip"])
def test_attack_compressed_body_is_refused(coding: str) -> None:
    """Nothing is decompressed, so nothing can explode."""
    assert "coding" in why_refused(answer("Content-Type: text/plain", f"Content-Encoding: {coding}"))


@pytest.mark.requirement("8461-3.3-9")
def test_body_of_64_kilobytes_is_the_limit() -> None:
    """The limit itself is fine; one octet more is not."""
    limit = b"x" * (MAX_POLICY_BYTES - 1) + b"\n"

    assert received(answer(body=limit)) == limit
    assert "larger" in why_refused(answer(body=b"x" + limit))


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(answer("Content-Type: text/plain") + b"x" * 2_000_000, id="a body without end"),
        pytest.param(
            answer("Content-Type: text/plain", "Transfer-Encoding: chunked", body=b"1\r\nx\r\n" * 400_000),
            id="chunks without end",
        ),
        pytest.param(
            answer("Content-Type: text/plain", "Transfer-Encoding: chunked", body=b"1;" + b"x" * 2_000_000),
            id="a chunk extension without end",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 400_000, id="header fields without end"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2_000_000, id="a header field without end"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 400_000, id="interim answers without end"),
        pytest.param(b"\r\n" * 400_000, id="empty lines without end"),
    ],
)
@pytest.mark.requirement("8461-3.3-9")
def test_attack_answer_without_end_is_cut_off(wire: bytes) -> None:
    """It ends after a bounded number of octets, wherever the server puts them."""
    request = PolicyRequest(HOST)
    pieces = (wire[start : start + 8192] for start in range(0, len(wire), 8192))
    taken = 0

    def feed() -> None:
        nonlocal taken
        for piece in pieces:
            taken += len(piece)
            request.receive(piece)

    with pytest.raises(PolicyFetchError):
        feed()

    assert taken <= MAX_RECEIVED_BYTES + 8192
    assert MAX_HEAD_BYTES < MAX_RECEIVED_BYTES


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 O", id="within the status line"),
        pytest.param(answer()[:60], id="within the header"),
        pytest.param(answer()[:-1], id="within the body"),
        pytest.param(
            answer("Content-Type: text/plain", "Transfer-Encoding: chunked", body=b"25\r\n" + BODY),
            id="within a chunk",
        ),
    ],
)
def test_answer_cut_short_is_a_failure(wire: bytes) -> None:
    """Half an answer is none."""
    why_refused(wire)


@pytest.mark.parametrize("kept", [b"max_age: 604800\nmx: *.example.co", b"mx: *.example.com\nmax_age: 6"])
def test_attack_body_cut_within_a_line_is_refused(kept: bytes) -> None:
    """Without a length, whoever ends the connection early could change what the last line says."""
    assert "cut short" in why_refused(answer("Content-Type: text/plain", body=kept))


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(b"220 mx.example.org ESMTP\r\n", id="SMTP"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", id="SSH"),
        pytest.param(b"HTTP/2.0 200 OK\r\n\r\n", id="another version"),
        pytest.param(
            answer("Content-Type: text/plain", "Content-Length: 38", "Content-Length: 39"), id="two lengths"
        ),
        pytest.param(answer("Content-Type: text/plain", "Content-Length: -1"), id="negative length"),
        pytest.param(
            answer("Content-Type: text/plain", "Transfer-Encoding: gzip, chunked"), id="transfer coding"
        ),
        pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", id="switching protocols"),
    ],
)
def test_attack_what_is_not_http_is_refused(wire: bytes) -> None:
    """It comes out as a failed fetch, no traceback."""
    why_refused(wire)


@pytest.mark.parametrize(
    "wire",
    [
        answer("Content-Type: text/x\x1b[31m\x7f"),
        answer("Content-Type: " + "x" * 5000),
        b"HTTP/1.1 200 OK\r\nX\x00: evil\nstatus=sent\r\n\r\n",
        answer("Content-Type: text/plain", "Content-Encoding: \x9bevil"),
    ],
)
def test_attack_server_cannot_write_into_the_log(wire: bytes) -> None:
    """The reason is one short printable line."""
    why = why_refused(wire)

    assert why.isascii()
    assert why.isprintable()
    assert len(why) <= 200


@settings(deadline=None)
@given(
    st.lists(
        st.binary(max_size=40)
        | st.sampled_from(
            [
                b"HTTP/1.1 200 OK\r\n",
                b"HTTP/1.1 100 x\r\n",
                b"Content-Type: text/plain\r\n",
                b"Content-Length: 3\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"\r\n",
                b"3\r\nabc\r\n",
                b"0\r\n\r\n",
            ]
        ),
        max_size=12,
    ),
    st.integers(1, 50),
)
def test_attack_any_octets_give_a_body_or_our_error(parts: list[bytes], step: int) -> None:
    """A stranger's server cannot raise anything else."""
    try:
        body = received(b"".join(parts), step=step)
    except PolicyFetchError:
        return
    assert len(body) <= MAX_POLICY_BYTES


def in_chunks(body: bytes, size: int) -> bytes:
    """Return a good answer in chunks of *size* octets."""
    chunks = (body[start : start + size] for start in range(0, len(body), size))
    coded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    head = answer("Content-Type: text/plain", "Transfer-Encoding: chunked", body=b"")
    return head + coded + b"0\r\n\r\n"


def test_attack_a_policy_in_thousands_of_chunks_is_refused() -> None:
    """Each costs as much as a large one: ten thousand of an octet take as long as a hundred messages."""
    lines = BODY + b"comment: x\n" * 400

    assert received(in_chunks(lines, 3)) == lines
    assert "pieces" in why_refused(in_chunks(lines, 1))


def test_attack_interim_responses_count_as_pieces() -> None:
    """They are small, and there is no end to them."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"

    assert received(interim * 1000 + answer()) == BODY
    assert "pieces" in why_refused(interim * 3000 + answer())
