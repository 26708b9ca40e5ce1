"""What a new message asks of TLS, on its own account or because of another one."""

from __future__ import annotations

import email
import email.policy
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from requiretls_plugin.errors import ConflictingRequirement
from requiretls_plugin.reorigination import (
    NOT_INHERITED,
    inherit_into,
    inherited,
    merged,
    originated,
    tag_without_envelope,
)
from requiretls_plugin.requirement import Origin, Requirement, Tag

REQUIRED = Tag(Requirement.REQUIRED, Origin.MAIL_PARAMETER)
OPTIONAL = Tag(Requirement.OPTIONAL, Origin.HEADER_FIELD)
UNSTATED = Tag()
APP_REQUIRED = Tag(Requirement.REQUIRED, Origin.APP)
APP_OPTIONAL = Tag(Requirement.OPTIONAL, Origin.APP)

REPLY = b"Subject: Re: the merger\r\n\r\nI am away.\r\n"


def fields(content: bytes) -> list[str]:
    """Return the TLS-Required fields as Python's email package sees them."""
    return email.message_from_bytes(content, policy=email.policy.default).get_all("TLS-Required", [])


@pytest.mark.requirement("8689-6-1", "8689-6-2", "8689-6-3")
@pytest.mark.parametrize("cause", [REQUIRED, OPTIONAL, UNSTATED], ids=lambda tag: tag.requirement.value)
def test_a_message_inherits_what_its_cause_asked(cause: Tag) -> None:
    """In both directions, and with who asked for it."""
    assert inherited(cause) == cause


@pytest.mark.requirement("8689-6-1")
@pytest.mark.parametrize(
    ("cause", "own", "result"),
    [
        (UNSTATED, APP_REQUIRED, APP_REQUIRED),
        (OPTIONAL, APP_REQUIRED, APP_REQUIRED),
        (REQUIRED, APP_OPTIONAL, REQUIRED),
        (UNSTATED, APP_OPTIONAL, UNSTATED),
        (REQUIRED, APP_REQUIRED, REQUIRED),
    ],
    ids=["asks first", "asks more", "asks less", "relaxes what was not relaxed", "asks the same"],
)
def test_a_message_may_ask_for_more_than_its_cause_but_not_for_less(
    cause: Tag, own: Tag, result: Tag
) -> None:
    """The stronger of the two counts."""
    assert inherited(cause, own) == result


def test_what_has_nothing_of_its_cause_in_it_need_not_inherit() -> None:
    """The author has to say so by name."""
    assert NOT_INHERITED.requirement is Requirement.UNSTATED


@pytest.mark.requirement("8689-6-2", "8689-6-3")
def test_a_digest_is_as_strong_as_its_strongest_member() -> None:
    """Whatever the order of its members."""
    for members in itertools.permutations([OPTIONAL, UNSTATED, REQUIRED]):
        assert merged(members) == REQUIRED
    assert merged([OPTIONAL, UNSTATED]) == UNSTATED
    assert merged([OPTIONAL, OPTIONAL]) == OPTIONAL
    assert merged([]) == UNSTATED


@pytest.mark.requirement("8689-6-1", "8689-3-3")
@pytest.mark.parametrize(
    "before",
    [b"", b"TLS-Required: No\r\n", b"TLS-Required: No\r\nTLS-Required: No\r\n", b"TLS-Required: Yes\r\n"],
    ids=["none", "one", "two", "another value"],
)
def test_an_optional_message_gets_exactly_one_field(before: bytes) -> None:
    """Its own body and other fields stay."""
    content = inherit_into(before + REPLY, OPTIONAL)

    assert fields(content) == ["No"]
    assert content.endswith(REPLY)


@pytest.mark.requirement("8689-5-9")
def test_a_required_message_has_no_field() -> None:
    """A handler that copied the header of a message with both switches copied the field with it."""
    assert inherit_into(b"TLS-Required: No\r\n" + REPLY, REQUIRED) == REPLY


def test_an_unstated_message_stays_as_it_is() -> None:
    """Nothing is inherited, nothing is touched."""
    content = b"tls-required:  NO\r\n" + REPLY

    assert inherit_into(content, UNSTATED) is content


@pytest.mark.parametrize("blank", [b" ", b"\t"], ids=["blank", "tab"])
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
def test_attack_a_message_that_begins_with_a_blank_does_not_continue_our_field(
    blank: bytes, line_end: bytes
) -> None:
    """Its first line would otherwise become part of the value."""
    content = blank + b"or rather Yes" + line_end

    assert fields(inherit_into(content, OPTIONAL)) == ["No"]


@settings(deadline=None)
@given(content=st.binary(max_size=200))
def test_inheriting_twice_is_inheriting_once(content: bytes) -> None:
    """For any bytes, with any tag."""
    for tag in (REQUIRED, OPTIONAL, UNSTATED):
        once = inherit_into(content, tag)
        assert inherit_into(once, tag) == once


@pytest.mark.requirement("8689-6-4")
@pytest.mark.parametrize(
    ("header", "requirement"),
    [
        (b"", Requirement.REQUIRED),
        (b"TLS-Required: No\r\n", Requirement.OPTIONAL),
        (b"TLS-Required: Nope\r\n", Requirement.REQUIRED),
        (b"TLS-Required: No\r\nTLS-Required: No\r\n", Requirement.REQUIRED),
    ],
    ids=["unmarked", "marked", "marked wrongly", "marked twice"],
)
def test_a_filter_without_envelope_requires_tls_unless_the_header_says_no(
    header: bytes, requirement: Requirement
) -> None:
    """It cannot see REQUIRETLS, so it assumes it."""
    assert tag_without_envelope(header + REPLY).requirement is requirement


def test_an_author_may_give_one_switch_or_none() -> None:
    """The tag says who gave it."""
    assert originated(require_tls=True, header_says_no=False) == APP_REQUIRED
    assert originated(require_tls=False, header_says_no=True) == APP_OPTIONAL
    assert originated(require_tls=False, header_says_no=False) == UNSTATED
    assert (
        originated(require_tls=True, header_says_no=False, origin=Origin.LIST_RULE).origin is Origin.LIST_RULE
    )


def test_an_author_may_not_give_both_switches() -> None:
    """What arrives with both is REQUIRED; who writes with both has to decide."""
    with pytest.raises(ConflictingRequirement):
        originated(require_tls=True, header_says_no=True)
