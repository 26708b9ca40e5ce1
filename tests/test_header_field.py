"""TLS-Required is read strictly, written once, and fields go without a trace."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.errors import InvalidHeaderField
from requiretls_plugin.header_field import (
    body_offset,
    field_values,
    prepend_field,
    read_tls_required,
    says_require_tls_esmtp,
    strip_fields,
    with_tls_required_no,
)

REST = b"From: a@sender.example\r\nSubject: x\r\n\r\nTLS-Required: No\r\n"

HONOURED = [
    pytest.param(b"TLS-Required: No\r\n", id="as the RFC writes it"),
    pytest.param(b"tls-required:no\r\n", id="lower case, no blank"),
    pytest.param(b"TLS-REQUIRED:   NO\r\n", id="upper case, three blanks"),
    pytest.param(b"TLS-Required:\tNo\r\n", id="a tab"),
    pytest.param(b"TLS-Required:\r\n No\r\n", id="folded"),
    pytest.param(b"TLS-Required: \t\r\n\tNo\r\n", id="blanks, then folded"),
    pytest.param(b"TLS-Required: No\n", id="LF"),
]


@pytest.mark.requirement("8689-3-5", "8689-4.1-2")
@pytest.mark.parametrize("field", HONOURED)
def test_no_is_honoured_in_every_spelling_of_the_grammar(field: bytes) -> None:
    """Case does not count, and neither does the white space before the word."""
    assert read_tls_required(field + REST)
    assert read_tls_required(REST.replace(b"\r\n\r\n", b"\r\n" + field + b"\r\n"))


NOT_HONOURED = [
    pytest.param(b"TLS-Required: Yes", id="another value"),
    pytest.param(b"TLS-Required:", id="empty"),
    pytest.param(b"TLS-Required: Nope", id="a longer word"),
    pytest.param(b"TLS-Required: No; x=1", id="a parameter"),
    pytest.param(b"TLS-Required: No (please)", id="a comment"),
    pytest.param(b"TLS-Required: (really) No", id="a comment before"),
    pytest.param(b'TLS-Required: "No"', id="quotes"),
    pytest.param(b"TLS-Required: N\xc3\xb6", id="not ASCII"),
    pytest.param(b"TLS-Required: =?utf-8?q?No?=", id="an encoded word"),
    pytest.param(b"TLS-Required:\r\n \r\n No", id="obsolete folding"),
    pytest.param(b"TLS-Required: N\r\n o", id="folded inside the word"),
    pytest.param(b"TLS-Required: No\r\n ", id="a blank line of a continuation"),
]


@pytest.mark.requirement("8689-3-6")
@pytest.mark.parametrize("field", NOT_HONOURED)
def test_anything_else_is_an_error_so_that_nothing_is_relaxed(field: bytes) -> None:
    """The caller learns that something stood there, and can log it."""
    with pytest.raises(InvalidHeaderField):
        read_tls_required(field + b"\r\n" + REST)


@pytest.mark.requirement("8689-3-7")
@pytest.mark.parametrize("field", [b"TLS-Required: No ", b"TLS-Required: No\t", b"TLS-Required : No"])
def test_blanks_outside_the_grammar_are_not_honoured_and_not_removed(field: bytes) -> None:
    """Trailing blanks and a blank before the colon relax nothing; the bytes stay as they are."""
    content = field + b"\r\n" + REST
    quoted = re.escape(repr(field.partition(b":")[2]))
    with pytest.raises(InvalidHeaderField, match=f"says {quoted}, only No"):
        read_tls_required(content)
    assert strip_fields(content, ["X-Other"]) is content


def test_the_error_quotes_the_beginning_of_what_stood_there() -> None:
    """Enough to find the message by; a stranger's long line does not fill the log."""
    with pytest.raises(InvalidHeaderField, match=r"b' Yes \(please\)', only No"):
        read_tls_required(b"TLS-Required: Yes (please)\r\n" + REST)
    with pytest.raises(InvalidHeaderField, match=f"b'{'X' * 40}', only No"):
        read_tls_required(b"TLS-Required:" + b"X" * 41 + b"\r\n" + REST)


@pytest.mark.requirement("8689-3-4")
@pytest.mark.parametrize("second", [b"Yes", b"No", b"no"])
def test_attack_several_fields_relax_nothing(second: bytes) -> None:
    """Neither the first nor the last counts, whatever they say."""
    with pytest.raises(InvalidHeaderField, match="2 TLS-Required fields where one is allowed"):
        read_tls_required(b"TLS-Required: No\r\nTLS-Required: " + second + b"\r\n" + REST)


@pytest.mark.requirement("8689-3-8")
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(REST, id="in the body"),
        pytest.param(b"\r\nTLS-Required: No\r\n\r\n", id="no header at all"),
        pytest.param(
            b"Content-Type: message/rfc822\r\n\r\nTLS-Required: No\r\nFrom: a@b.example\r\n\r\nx",
            id="in an attached message",
        ),
        pytest.param(b"Subject: x\r\n TLS-Required: No\r\n\r\n", id="in a continuation line"),
        pytest.param(b"X-TLS-Required: No\r\n\r\n", id="a longer name"),
        pytest.param(b"Subject: x\rTLS-Required: No\r\n\r\n", id="behind a lone carriage return"),
    ],
)
def test_only_the_header_of_the_message_itself_counts(content: bytes) -> None:
    """What looks like the field elsewhere is no field."""
    assert read_tls_required(content) is False


@pytest.mark.requirement("8689-3-3", "8689-4.3-4")
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(REST, id="none"),
        pytest.param(b"TLS-Required: No\r\n" + REST, id="one"),
        pytest.param(b"tls-required: no\r\nTLS-Required: No\r\n" + REST, id="two"),
        pytest.param(b"TLS-Required:\r\n Yes\r\n" + REST, id="another value"),
        pytest.param(REST.replace(b"\r\n", b"\n"), id="LF"),
        pytest.param(b"", id="empty message"),
        pytest.param(b" starts with a blank\r\n", id="no header"),
    ],
)
def test_marking_a_message_gives_it_exactly_one_field(content: bytes) -> None:
    """Marking it again changes nothing."""
    marked = with_tls_required_no(content)

    assert read_tls_required(marked)
    assert with_tls_required_no(marked) is marked


def test_the_field_is_written_as_the_rfc_writes_it() -> None:
    """Its value has no case, but other software may compare more simply."""
    assert with_tls_required_no(REST) == b"TLS-Required: No\r\n" + REST


def test_a_message_that_is_marked_already_stays_as_it_is() -> None:
    """Its signatures hold."""
    content = b"tls-required:no\r\n" + REST
    assert with_tls_required_no(content) is content


def test_stripping_removes_all_spellings_and_continuations_and_nothing_else() -> None:
    """Every other byte stays, a trailing blank in another field too."""
    content = (
        b"A: 1 \r\nX-Tag: one\r\n two\r\n\tthree\r\nB: 2\r\nx-tag : four\r\nX-Tagged: 5\r\n"
        b"X-TAG:\r\n\r\nX-Tag: body\r\n"
    )
    assert strip_fields(content, ["X-Tag"]) == b"A: 1 \r\nB: 2\r\nX-Tagged: 5\r\n\r\nX-Tag: body\r\n"


def test_attack_a_forged_field_on_the_last_line_without_a_body_is_stripped() -> None:
    """A message need not have a blank line."""
    assert strip_fields(b"A: 1\r\nX-Tag: x", ["X-Tag"]) == b"A: 1\r\n"


def test_require_tls_esmtp_is_read_in_any_case() -> None:
    """Whether it is believed is decided elsewhere."""
    assert says_require_tls_esmtp(b"Require-TLS-ESMTP: yes\r\n" + REST)
    assert says_require_tls_esmtp(b"require-tls-esmtp:YES\r\n" + REST)
    assert says_require_tls_esmtp(b"Require-TLS-ESMTP:\r\n yes\r\n" + REST)
    assert not says_require_tls_esmtp(b"Require-TLS-ESMTP: no\r\n" + REST)
    assert not says_require_tls_esmtp(b"Require-TLS-ESMTP: y\r\n es\r\n" + REST)
    assert not says_require_tls_esmtp(REST)


def test_attack_require_tls_esmtp_in_the_body_is_no_field() -> None:
    """Who writes a body says nothing for the server that queued it."""
    assert not says_require_tls_esmtp(REST + b"Require-TLS-ESMTP: yes\r\n")


def test_a_field_is_prepended_with_the_line_end_of_the_message() -> None:
    """So it stands above every signature and every trace field."""
    assert prepend_field(b"A: 1\r\n\r\n", "N", "v") == b"N: v\r\nA: 1\r\n\r\n"
    assert prepend_field(b"A: 1\n\n", "N", "v") == b"N: v\nA: 1\n\n"
    assert prepend_field(b"A: 1\r\n\r\nx\n", "N", "v") == b"N: v\r\nA: 1\r\n\r\nx\n"
    assert prepend_field(b"\nx\r\n", "N", "v") == b"N: v\n\nx\r\n"
    assert prepend_field(b"A:\r1", "N", "v") == b"N: v\nA:\r1"


FRAGMENTS = st.sampled_from(
    [
        b"TLS-Required",
        b"tls-required",
        b":",
        b" ",
        b"\t",
        b"\r\n",
        b"\n",
        b"\r",
        b"No",
        b"no",
        b"Yes",
        b"x",
        b"\0",
    ]
)
CONTENT = st.one_of(st.binary(max_size=200), st.lists(FRAGMENTS, max_size=30).map(b"".join))


@given(CONTENT)
def test_any_bytes_give_a_verdict_or_our_error(content: bytes) -> None:
    """A stranger's header never raises anything else, and marking always works."""
    try:
        verdict = read_tls_required(content)
    except InvalidHeaderField:
        verdict = False
    assert verdict in (True, False)
    assert read_tls_required(with_tls_required_no(content))


@given(CONTENT)
def test_stripped_fields_are_gone_and_the_body_is_not(content: bytes) -> None:
    """Stripping twice is stripping once, whatever the bytes."""
    stripped = strip_fields(content, ["TLS-Required"])

    assert field_values(stripped, "TLS-Required") == []
    assert stripped.endswith(content[body_offset(content) :])
    assert strip_fields(stripped, ["TLS-Required"]) is stripped
