"""A reply is a code, a status that agrees with it, and a text that cannot add a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.reply import MAX_TEXT, REQUIRETLS_NOT_SUPPORTED, Reply


def test_a_reply_reads_as_it_is_sent() -> None:
    """Code, status, text."""
    assert (
        str(Reply(550, "5.7.30", "REQUIRETLS support required")) == "550 5.7.30 REQUIRETLS support required"
    )


def test_a_reply_without_text_ends_with_its_status() -> None:
    """No blank hangs at the end."""
    assert str(Reply(250, "2.0.0", "")) == "250 2.0.0"


@pytest.mark.requirement("8689-7-1", "8689-4.2.1-15")
def test_the_reply_to_a_host_without_requiretls_is_the_rfcs() -> None:
    """RFC 8689 section 7 registers 5.7.30."""
    assert (REQUIRETLS_NOT_SUPPORTED.code, REQUIRETLS_NOT_SUPPORTED.status) == (550, "5.7.30")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        pytest.param(550, "4.7.0", id="permanent code, temporary status"),
        pytest.param(451, "5.7.0", id="temporary code, permanent status"),
        pytest.param(250, "5.0.0", id="success code, failure status"),
        pytest.param(354, "3.0.0", id="an intermediate reply"),
        pytest.param(150, "1.0.0", id="a preliminary reply"),
        pytest.param(600, "6.0.0", id="a code above 599"),
        pytest.param(550, "5.7", id="two numbers"),
        pytest.param(550, "5.07.1", id="a leading zero"),
        pytest.param(550, "5.7.1000", id="four digits"),
        pytest.param(550, "5.7.1 ", id="a blank behind it"),
        pytest.param(550, "5.7.1\r\n250 2.0.0", id="a second line"),
        pytest.param(550, "5.7.1\u0663", id="a digit that is not ASCII"),
        pytest.param(550, "", id="nothing"),
    ],
)
def test_codes_that_are_malformed_or_disagree_are_refused(code: int, status: str) -> None:
    """RFC 3463 section 2: the class is the same in both."""
    with pytest.raises(ValueError, match=r"code|status"):
        Reply(code, status, "")


@pytest.mark.parametrize(
    ("given_text", "text"),
    [
        pytest.param("no\r\n250 2.0.0 ok", "no 250 2.0.0 ok", id="CR LF"),
        pytest.param("no\n250 ok", "no 250 ok", id="LF"),
        pytest.param("no\r250 ok", "no 250 ok", id="CR"),
        pytest.param("a\0b", "a b", id="NUL"),
        pytest.param("a\x85b\u2028c", "a b c", id="line ends of Unicode"),
        pytest.param("Grüße", "Gr e", id="beyond ASCII"),
        pytest.param("\x1b[31mred", "[31mred", id="an escape sequence"),
        pytest.param("\ud800", "", id="a surrogate"),
    ],
)
def test_attack_no_text_adds_a_line(given_text: str, text: str) -> None:
    """Whatever a plugin, a server or an exception puts there."""
    assert Reply(550, "5.0.0", given_text).text == text


def test_attack_an_endless_text_is_cut() -> None:
    """RFC 5321 section 4.5.3.1.5: a reply line has at most 512 octets, CR LF included."""
    assert len(str(Reply(550, "5.0.0", "x" * 100_000))) + 2 <= 512
    assert len(Reply(550, "5.0.0", "x" * 100_000).text) == MAX_TEXT


@given(st.text())
def test_any_text_gives_one_line_of_printable_ascii(text: str) -> None:
    """So a reply can be sent as it is."""
    line = str(Reply(451, "4.3.0", text))
    assert line.isascii()
    assert line.isprintable()


@given(st.integers(200, 599).filter(lambda code: code // 100 != 3), st.integers(0, 999), st.integers(0, 999))
def test_any_registered_form_of_code_and_status_is_taken(code: int, subject: int, detail: int) -> None:
    """RFC 3463 section 2: up to three digits each."""
    reply = Reply(code, f"{code // 100}.{subject}.{detail}", "")
    assert reply.permanent is (code >= 500)


def test_another_text_keeps_the_codes_and_is_as_safe() -> None:
    """`with_text` is the way to say more."""
    reply = REQUIRETLS_NOT_SUPPORTED.with_text("not\r\nhere")
    assert str(reply) == "550 5.7.30 not here"
