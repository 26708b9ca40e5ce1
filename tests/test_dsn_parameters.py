"""RET, ENVID, NOTIFY and ORCPT are read strictly and written as they came."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.dsn_parameters import (
    MAIL_LINE_INCREMENT,
    RCPT_LINE_INCREMENT,
    decode_xtext,
    encode_xtext,
    mail_parameters,
    rcpt_parameters,
    take_mail_parameters,
    take_rcpt_parameters,
)
from requiretls_plugin.errors import InvalidParameter
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Notify, Recipient, Ret
from requiretls_plugin.smtp_extension import parse_parameters


@pytest.mark.parametrize(
    ("text", "ret", "envid"),
    [
        pytest.param("", None, None, id="neither"),
        pytest.param(
            "RET=full", Ret.FULL, None, marks=pytest.mark.requirement("3461-4.3-1"), id="RET in any case"
        ),
        pytest.param(
            "ENVID=a+2Bb", None, "a+b", marks=pytest.mark.requirement("3461-4.4-1"), id="ENVID decoded"
        ),
        pytest.param("envid=" + "x" * 100 + " ret=HDRS", Ret.HDRS, "x" * 100, id="the longest ENVID"),
    ],
)
def test_mail_parameters_are_taken_out(text: str, ret: Ret | None, envid: str | None) -> None:
    """What is left belongs to others."""
    parameters = parse_parameters(text + " OTHER=1")
    assert take_mail_parameters(parameters) == (ret, envid)
    assert parameters == {"OTHER": "1"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("RET", marks=pytest.mark.requirement("3461-4.3-1"), id="RET without a value"),
        pytest.param("RET=", marks=pytest.mark.requirement("3461-4.3-1"), id="RET with an empty value"),
        pytest.param("RET=BODY", marks=pytest.mark.requirement("3461-4.3-1"), id="unknown RET"),
        pytest.param("RET=HDRS RET=FULL", marks=pytest.mark.requirement("3461-4.5-1"), id="RET twice"),
        pytest.param("ENVID", marks=pytest.mark.requirement("3461-4.4-1"), id="ENVID without a value"),
        pytest.param("ENVID=a+2b", marks=pytest.mark.requirement("3461-4.4-1"), id="lower-case hex"),
        pytest.param("ENVID=a=b", marks=pytest.mark.requirement("3461-4.4-1"), id="an equals sign"),
        pytest.param("ENVID=a+0Ab", id="encodes a line end"),
        pytest.param("ENVID=a+FF", id="encodes an octet beyond ASCII"),
        pytest.param("ENVID=" + "x" * 101, id="ENVID too long"),
        pytest.param("ENVID=a ENVID=a", marks=pytest.mark.requirement("3461-4.5-1"), id="ENVID twice"),
    ],
)
def test_bad_mail_parameters_get_501(text: str) -> None:
    """Taking one half of what was said would be worse."""
    with pytest.raises(InvalidParameter) as refused:
        take_mail_parameters(parse_parameters(text))
    assert (refused.value.reply.code, refused.value.reply.status) == (501, "5.5.4")


@pytest.mark.parametrize(
    ("text", "notify", "orcpt"),
    [
        pytest.param("", None, None, id="neither"),
        pytest.param("NOTIFY=never", {Notify.NEVER}, None, id="NEVER alone"),
        pytest.param(
            "NOTIFY=success,FAILURE",
            {Notify.SUCCESS, Notify.FAILURE},
            None,
            marks=pytest.mark.requirement("3461-4.1-1"),
            id="two wishes",
        ),
        pytest.param(
            "ORCPT=rfc822;Bob+2B1@x.example", None, "rfc822;Bob+2B1@x.example", id="ORCPT stays xtext"
        ),
    ],
)
def test_rcpt_parameters_are_taken_out(text: str, notify: set[Notify] | None, orcpt: str | None) -> None:
    """ORCPT is passed on as it is."""
    parameters = parse_parameters(text)
    assert take_rcpt_parameters(parameters) == (frozenset(notify) if notify else None, orcpt)
    assert parameters == {}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("NOTIFY", marks=pytest.mark.requirement("3461-4.1-1"), id="NOTIFY without a value"),
        pytest.param("NOTIFY=", marks=pytest.mark.requirement("3461-4.1-1"), id="NOTIFY with an empty value"),
        pytest.param(
            "NOTIFY=NEVER,FAILURE", marks=pytest.mark.requirement("3461-4.1-1"), id="NEVER with another"
        ),
        pytest.param("NOTIFY=SUCCESS,", id="an empty wish"),
        pytest.param("NOTIFY=ALWAYS", id="an unknown wish"),
        pytest.param(
            "NOTIFY=SUCCESS NOTIFY=FAILURE", marks=pytest.mark.requirement("3461-4.5-1"), id="twice"
        ),
        pytest.param("ORCPT", id="ORCPT without a value"),
        pytest.param("ORCPT=bob", id="ORCPT without a type"),
        pytest.param("ORCPT=;bob", id="an empty type"),
        pytest.param("ORCPT=rfc822;", id="an empty address"),
        pytest.param("ORCPT=rfc822;a+0D+0AX:y", id="encodes a line end"),
        pytest.param("ORCPT=rfc822;" + "x" * 501, id="too long"),
    ],
)
def test_bad_rcpt_parameters_get_501(text: str) -> None:
    """The recipient is not added with half of what was said."""
    with pytest.raises(InvalidParameter) as refused:
        take_rcpt_parameters(parse_parameters(text))
    assert refused.value.reply.code == 501


def test_parameters_are_written_for_the_next_server() -> None:
    """They mean the same there."""
    recipient = Recipient(
        MailAddress.parse("b@x.example"), frozenset({Notify.DELAY, Notify.SUCCESS}), "rfc822;b+2Bc@x.example"
    )
    assert mail_parameters(Ret.HDRS, "a b+") == ["RET=HDRS", "ENVID=a+20b+2B"]
    assert rcpt_parameters(recipient) == ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;b+2Bc@x.example"]
    assert mail_parameters(None, None) == rcpt_parameters(Recipient.parse("b@x.example")) == []


def test_the_increments_hold_the_longest_parameters() -> None:
    """A command that uses them all fits."""
    longest = Recipient(
        MailAddress.parse("b@x.example"),
        frozenset({Notify.DELAY, Notify.SUCCESS, Notify.FAILURE}),
        "rfc822;" + "x" * (500 - len("rfc822;")),
    )
    assert len(" " + " ".join(mail_parameters(Ret.FULL, "x" * 100))) <= MAIL_LINE_INCREMENT
    assert len(" " + " ".join(rcpt_parameters(longest))) <= RCPT_LINE_INCREMENT


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1))
def test_xtext_means_what_it_was_made_of(text: str) -> None:
    """Encoding and decoding undo each other, and xtext has no blank, plus or equals sign of its own."""
    xtext = encode_xtext(text)
    assert decode_xtext(xtext) == text
    assert " " not in xtext
    assert "=" not in xtext


@given(st.text(max_size=30))
def test_any_text_decodes_to_printable_ascii_or_an_error(text: str) -> None:
    """No xtext smuggles a line end."""
    try:
        decoded = decode_xtext(text)
    except ValueError:
        return
    assert decoded.isascii()
    assert decoded.isprintable()
