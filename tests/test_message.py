"""A message is its envelope and its bytes, and does not change."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from requiretls_plugin.errors import InvalidMailAddress
from requiretls_plugin.header_field import read_tls_required
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.requirement import Origin, Requirement, Tag

SENDER = MailAddress.parse("alice@sender.example")


@pytest.mark.parametrize(
    ("content", "header"),
    [
        pytest.param(b"A: 1\r\nB: 2\r\n\r\nbody", b"A: 1\r\nB: 2", id="CRLF"),
        pytest.param(b"A: 1\nB: 2\n\nbody", b"A: 1\nB: 2", id="LF"),
        pytest.param(b"A: 1\r\n", b"A: 1\r\n", id="no blank line"),
        pytest.param(b"\r\nA: 1\r\n\r\n", b"", id="a blank line first"),
        pytest.param(b"", b"", id="nothing"),
        pytest.param(b"A: 1\r\n\r\nTLS-Required: No\r\n\r\n", b"A: 1", id="a field in the body"),
    ],
)
def test_the_header_ends_at_the_first_blank_line(content: bytes, header: bytes) -> None:
    """Whatever line ends the host server keeps."""
    assert Message(SENDER, content).header == header


@example(b"TLS-Required: No\r\r\n\n")
@given(st.lists(st.sampled_from([b"A: 1", b"TLS-Required: No", b"\r", b"\n", b"\r\n", b" "])).map(b"".join))
def test_attack_header_and_message_never_disagree_about_tls_required(content: bytes) -> None:
    """Whether the whole message is read or its header, the field is there or not."""

    def says_no(text: bytes) -> object:
        try:
            return read_tls_required(text)
        except ValueError as error:
            return type(error)

    assert says_no(Message(SENDER, content).header) == says_no(content)


def test_another_tag_makes_another_message() -> None:
    """The first one stays as it was."""
    message = Message(SENDER, b"\r\n")
    tagged = message.with_tag(Tag(Requirement.REQUIRED, Origin.APP))
    assert tagged.requirement is Requirement.REQUIRED
    assert message.requirement is Requirement.UNSTATED


def test_a_message_does_not_change() -> None:
    """What is decided for one destination cannot reach another."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Message(SENDER, b"").content = b"x"  # type: ignore[misc] # the point of the test


def test_attack_the_content_is_not_shown() -> None:
    """Tracebacks and logs show a message's repr."""
    assert "secret" not in repr(Message(SENDER, b"Subject: secret\r\n\r\nsecret"))


def test_a_recipient_is_parsed_without_dsn_wishes() -> None:
    """And refused as an address is."""
    recipient = Recipient.parse("bob@example.org")
    assert (recipient.notify, recipient.orcpt, str(recipient)) == (None, None, "bob@example.org")
    with pytest.raises(InvalidMailAddress):
        Recipient.parse("bob\r\n@example.org")
