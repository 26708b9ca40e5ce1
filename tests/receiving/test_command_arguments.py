"""What MAIL and RCPT say is parsed strictly, whatever a stranger writes."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.errors import InvalidParameter
from requiretls_plugin.receiving.command_arguments import MAIL_LINE, Offered, parse_mail, parse_rcpt

INSIDE_TLS = Offered(extended=True, tls=True, requiretls=True, size=1000)


def mail_refusal(argument: str, offered: Offered = INSIDE_TLS) -> str:
    """Return the codes MAIL is refused with."""
    with pytest.raises(InvalidParameter) as refused:
        parse_mail(argument, offered)
    return f"{refused.value.reply.code} {refused.value.reply.status}"


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("<a@sender.example>", "a@sender.example"),
        ("<>", None),
        ("<@one.example,@two.example:a@sender.example>", "a@sender.example"),
        ('<"a>b c"@sender.example>', '"a>b c"@sender.example'),
        (" <a@[192.0.2.1]> ", "a@[192.0.2.1]"),
    ],
    ids=["plain", "null", "source route", "quoted bracket", "blanks around a literal"],
)
def test_paths_are_read_as_the_rfc_writes_them(path: str, address: str | None) -> None:
    """The null path is None; a source route is cut off."""
    command = parse_mail(f"FROM:{path}", INSIDE_TLS)
    assert (str(command.return_path) if command.return_path else None) == address


def test_parameters_after_helo_are_unknown() -> None:
    """Nothing was offered to such a client."""
    plain = Offered(extended=False, tls=True, requiretls=True)
    assert mail_refusal("FROM:<a@sender.example> REQUIRETLS", plain) == "555 5.5.4"
    assert parse_mail("FROM:<a@sender.example>", plain).mail_parameter is False


def test_smtputf8_is_a_bare_keyword_where_it_is_offered() -> None:
    """And unknown elsewhere."""
    offered = Offered(extended=True, tls=True, requiretls=True, smtputf8=True)
    assert parse_mail("FROM:<grüße@sender.example> SMTPUTF8", offered).smtputf8
    assert mail_refusal("FROM:<a@sender.example> SMTPUTF8=1", offered) == "501 5.5.4"
    assert mail_refusal("FROM:<a@sender.example> SMTPUTF8") == "555 5.5.4"


def test_a_size_over_the_limit_is_refused_before_the_message_is_sent() -> None:
    """RFC 1870; a limit of 0 is none."""
    assert mail_refusal("FROM:<a@sender.example> SIZE=1001") == "552 5.3.4"
    parse_mail("FROM:<a@sender.example> SIZE=1000", INSIDE_TLS)
    parse_mail(
        "FROM:<a@sender.example> SIZE=99999", Offered(extended=True, tls=True, requiretls=True, size=0)
    )


@pytest.mark.requirement("8689-2-9")
def test_the_longest_command_of_all_extensions_fits() -> None:
    """Each has its own increment."""
    longest = "SIZE=" + "9" * 20 + " BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=FULL ENVID=" + "x" * 100
    assert 510 + 1 + len(longest) <= MAIL_LINE


def test_a_recipient_needs_a_domain_unless_it_is_postmaster() -> None:
    """In any case of its letters."""
    assert str(parse_rcpt("TO:<POSTMASTER>", INSIDE_TLS, "mx.example").recipient) == "POSTMASTER@mx.example"
    for argument in ("TO:<bob>", "TO:<>", "TO:<postmaster@>"):
        with pytest.raises(InvalidParameter) as refused:
            parse_rcpt(argument, INSIDE_TLS, "mx.example")
        assert refused.value.reply.code == 553


ARGUMENTS = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(
            ["FROM:", "TO:", "<", ">", '"', "\\", "a@b.example", " ", "REQUIRETLS", "=", "\r", "\n", "ü"]
        ),
        max_size=15,
    ).map("".join),
)


@given(ARGUMENTS)
def test_any_argument_gives_a_command_or_a_reply(argument: str) -> None:
    """And no address that could add a line to another session."""
    for parse in (parse_mail, functools.partial(parse_rcpt, hostname="mx.example")):
        try:
            command = parse(argument, INSIDE_TLS)
        except InvalidParameter:
            continue
        assert not set("\r\n\0") & set(repr(command).replace("\\r", "\r").replace("\\n", "\n"))
