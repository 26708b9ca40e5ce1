"""The REQUIRETLS keyword and parameter, EHLO replies and ESMTP parameters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.errors import InvalidParameter
from requiretls_plugin.smtp_extension import (
    MAIL_LINE_INCREMENT,
    MAX_EHLO_LINES,
    Extensions,
    may_be_offered,
    parse_parameters,
    refuse_unknown,
    take_mail_parameter,
)


def refusal_of(text: str, *, tls: bool = True, offered: bool = True) -> str | None:
    """Return the codes with which MAIL with these parameters is refused, None if it is not."""
    try:
        parameters = parse_parameters(text)
        take_mail_parameter(parameters, tls=tls, offered=offered)
        refuse_unknown(parameters)
    except InvalidParameter as error:
        return f"{error.reply.code} {error.reply.status}"
    return None


@pytest.mark.requirement("8689-2-2")
def test_the_keyword_is_offered_inside_tls_only_and_only_if_switched_on() -> None:
    """In cleartext the option could not be used."""
    assert may_be_offered(tls=True, advertise=True)
    assert not may_be_offered(tls=False, advertise=True)
    assert not may_be_offered(tls=True, advertise=False)


@pytest.mark.requirement("8689-2-5")
@pytest.mark.parametrize(
    "text", ["REQUIRETLS", "SIZE=1 requiretls", "RequireTLS BODY=8BITMIME", "  REQUIRETLS  "]
)
def test_the_parameter_is_taken_in_any_case_and_place(text: str) -> None:
    """It is taken out, so that what is left can be refused."""
    parameters = parse_parameters(text)
    assert take_mail_parameter(parameters, tls=True, offered=True)
    assert "REQUIRETLS" not in parameters


@pytest.mark.parametrize(
    ("text", "tls", "offered", "refusal"),
    [
        pytest.param(
            "REQUIRETLS", False, True, "530 5.7.10", marks=pytest.mark.requirement("8689-2-3"), id="cleartext"
        ),
        pytest.param(
            "REQUIRETLS=1", True, True, "501 5.5.4", marks=pytest.mark.requirement("8689-2-4"), id="value"
        ),
        pytest.param(
            "REQUIRETLS=", True, True, "501 5.5.4", marks=pytest.mark.requirement("8689-2-4"), id="empty"
        ),
        pytest.param("REQUIRETLS=", False, True, "501 5.5.4", id="empty in cleartext"),
        pytest.param(
            "REQUIRETLS requiretls",
            True,
            True,
            "501 5.5.4",
            marks=pytest.mark.requirement("8689-2-6"),
            id="twice",
        ),
        pytest.param(
            "REQUIRETLS",
            True,
            False,
            "555 5.5.4",
            marks=pytest.mark.requirement("8689-2-8"),
            id="switched off",
        ),
        pytest.param("REQUIRETLS", False, False, "555 5.5.4", id="switched off, cleartext"),
        pytest.param(
            "X-Y=1", True, True, "555 5.5.4", marks=pytest.mark.requirement("5321-4.1.1.11-1"), id="unknown"
        ),
        pytest.param("A=b=c", True, True, "501 5.5.4", id="two equals signs"),
        pytest.param("-A", True, True, "501 5.5.4", id="begins with a hyphen"),
        pytest.param("A\tB", True, True, "501 5.5.4", id="a tab"),
        pytest.param("A=ü", True, True, "501 5.5.4", id="not ASCII"),
        pytest.param("REQUIRETLS\u2028", True, True, "501 5.5.4", id="an odd line end"),
    ],
)
def test_what_cannot_be_honoured_is_refused(text: str, tls: bool, offered: bool, refusal: str) -> None:
    """The error knows the reply to give."""
    assert refusal_of(text, tls=tls, offered=offered) == refusal


def test_absent_is_absent() -> None:
    """Without the parameter nothing is asked and nothing refused, in cleartext too."""
    assert refusal_of("", tls=False) is None
    assert take_mail_parameter({}, tls=False, offered=False) is False


@pytest.mark.requirement("8689-2-9")
def test_the_increment_is_a_blank_and_ten_letters() -> None:
    """RFC 8689 section 2."""
    assert len(" REQUIRETLS") == MAIL_LINE_INCREMENT


@given(st.text(max_size=60))
def test_any_text_gives_parameters_or_our_error(text: str) -> None:
    """Keywords come in capitals, and a refusal has a reply."""
    try:
        parameters = parse_parameters(text)
    except InvalidParameter as error:
        parameters = {}
        code = error.reply.code
    else:
        code = 501
    assert code == 501
    assert all(keyword == keyword.upper() for keyword in parameters)


REPLY = [
    "mx.example greets client",
    "PIPELINING",
    "size 10240000",
    "Auth PLAIN login",
    "STARTTLS",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "REQUIRETLS",
]


def test_extensions_are_read_without_regard_to_case() -> None:
    """Each property says whether its keyword was listed."""
    extensions = Extensions.parse(REPLY)

    assert extensions.starttls
    assert extensions.requiretls
    assert extensions.pipelining
    assert extensions.eightbitmime
    assert extensions.smtputf8
    assert extensions.dsn
    assert extensions.enhancedstatuscodes
    assert extensions.size == 10_240_000
    assert extensions.auth_mechanisms == {"PLAIN", "LOGIN"}
    assert "pipelining" in extensions


def test_nothing_is_offered_by_a_reply_of_one_line() -> None:
    """The first line names the server, be it called what it may."""
    for lines in ([], ["mx.example"], ["REQUIRETLS"]):
        assert not Extensions.parse(lines).requiretls


@pytest.mark.requirement("8689-2-1")
@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["REQUIRETLS yes"], id="with an argument"),
        pytest.param(["REQUIRETLS=yes"], id="with a value"),
        pytest.param(["REQUIRETLS", "REQUIRETLS no"], id="bare, then with an argument"),
        pytest.param(["XREQUIRETLS"], id="a longer name"),
        pytest.param([" REQUIRETLS"], id="indented"),
        pytest.param(["REQUIRETLS\0"], id="with a NUL"),
        pytest.param(["SIZE 1\rREQUIRETLS"], id="behind a carriage return"),
    ],
)
def test_attack_requiretls_counts_as_the_bare_keyword_only(lines: list[str]) -> None:
    """Whatever else a server meant, it is not RFC 8689."""
    assert not Extensions.parse(["mx.example", *lines]).requiretls


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("SIZE", None),
        ("SIZE 0", None),
        ("SIZE x", None),
        ("SIZE -1", None),
        ("SIZE " + "9" * 5000, None),
        ("SIZE 7", 7),
    ],
)
def test_a_size_that_is_no_number_is_no_limit(line: str, size: int | None) -> None:
    """RFC 1870: zero and nothing are no limit; anything odd is taken as nothing."""
    assert Extensions.parse(["mx.example", line]).size == size


def test_attack_an_endless_reply_is_cut() -> None:
    """Memory is ours, not the server's."""
    extensions = Extensions.parse(["mx.example", *(f"X{number}" for number in range(100_000))])
    assert len(extensions.keywords) < MAX_EHLO_LINES


@given(st.lists(st.text(max_size=40), max_size=10))
def test_any_reply_gives_extensions(lines: list[str]) -> None:
    """Nothing a server says raises anything."""
    extensions = Extensions.parse(lines)
    assert extensions.size is None or extensions.size > 0
    assert isinstance(extensions.auth_mechanisms, frozenset)
