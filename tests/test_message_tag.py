"""A stored message keeps its tag and envelope, and a stranger cannot write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requiretls_plugin.errors import InvalidStoredTag
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.message import Message, Notify, Recipient, Ret
from requiretls_plugin.message_tag import (
    FIELD,
    StoredTag,
    read_stored_tag,
    store_tag,
    strip_private_fields,
)
from requiretls_plugin.requirement import Origin, Requirement, Tag

CONTENT = b"Received: from x\nSubject: y\n\nbody\n"
REQUIRED = Tag(Requirement.REQUIRED, Origin.MAIL_PARAMETER)


def stored(return_path: str = "a@sender.example", recipient: str = "b@receiver.example") -> StoredTag:
    """Return a stored tag with everything in it."""
    message = Message(
        return_path=MailAddress.parse(return_path) if return_path else None,
        content=CONTENT,
        mail_parameter=True,
        peer="192.0.2.1",
        tag=REQUIRED,
        ret=Ret.HDRS,
        envid="an id + more",
    )
    to = Recipient(MailAddress.parse(recipient), frozenset({Notify.FAILURE}), "rfc822;B+2B@x.example")
    return StoredTag.of(message, to, arrived=1_700_000_000)


@pytest.mark.requirement("8689-4.1-6", "8689-4.1-7")
@pytest.mark.parametrize(
    ("return_path", "recipient"),
    [
        ("a@sender.example", "b@receiver.example"),
        ("", "b@receiver.example"),
        ('"odd = ; +2B name"@sender.example', "O'Neil+tag=x@receiver.example"),
        ("grüße@sender.example", "用户@receiver.example"),
    ],
    ids=["plain", "null return path", "quoted", "internationalized"],
)
def test_what_is_stored_is_read_back(return_path: str, recipient: str) -> None:
    """The envelope comes back with its case, its null return path and its DSN wishes."""
    tag = stored(return_path, recipient)
    data = store_tag(CONTENT, tag)

    assert data.startswith(FIELD.encode())
    assert read_stored_tag(data) == tag
    message = tag.message(data)
    assert message.content == CONTENT
    assert message.tag == REQUIRED
    assert (message.return_path is None) == (return_path == "")


def test_folding_and_another_case_of_the_name_do_no_harm() -> None:
    """Python's mail package writes the field so when a handler changed the message."""
    name, _, value = store_tag(CONTENT, stored()).partition(b": ")
    line, _, rest = value.partition(b"\n")
    folded = name.title() + b": " + line.replace(b" ", b"\n ") + b"\n" + rest

    assert folded.startswith(b"X-Requiretls-Stored: ")
    assert read_stored_tag(folded) == stored()


def test_storing_again_replaces_what_was_stored() -> None:
    """There is one truth."""
    once = store_tag(CONTENT, stored())
    assert store_tag(once, stored("")) == store_tag(CONTENT, stored(""))


def test_nothing_stored_is_nothing() -> None:
    """A message without the field has no envelope to restore."""
    assert read_stored_tag(CONTENT) is None


def test_attack_forged_and_postfix_tags_are_stripped_with_their_continuations() -> None:
    """Neither can be told from a real one, so nothing from outside keeps one."""
    forged = (
        b"X-RequireTLS-Stored: requirement=optional\r\n to=x@y.example\r\n"
        b"x-requiretls-stored : again\r\nRequire-TLS-ESMTP: yes\r\n"
        b"Subject: y\r\n\r\nX-RequireTLS-Stored: z\r\n"
    )
    assert strip_private_fields(forged) == b"Subject: y\r\n\r\nX-RequireTLS-Stored: z\r\n"


GOOD = store_tag(b"", stored()).decode().partition(": ")[2].strip()

BAD = [
    pytest.param("", id="empty"),
    pytest.param("requirement=required", id="half of it"),
    pytest.param(GOOD.replace("required", "perhaps"), id="an unknown requirement"),
    pytest.param(GOOD.replace("mail-parameter", "gossip"), id="an unknown origin"),
    pytest.param(GOOD + " to=c@receiver.example", id="two recipients"),
    pytest.param(re.sub("to=[^ ]*", "to=nobody", GOOD), id="no address"),
    pytest.param(re.sub("to=[^ ]*", "to=b@x.example+0D+0ADATA", GOOD), id="a line end in an address"),
    pytest.param(re.sub("from=[^ ]*", "from=+FF@x.example", GOOD), id="no UTF-8"),
    pytest.param(re.sub("arrived=[^ ]*", "arrived=soon", GOOD), id="no time"),
    pytest.param(re.sub("arrived=[^ ]*", "arrived=" + "9" * 5000, GOOD), id="an endless time"),
    pytest.param(re.sub("arrived=[^ ]*", "arrived=999999999999", GOOD), id="a year no calendar has"),
    pytest.param(re.sub("notify=[^ ]*", "notify=NEVER,DELAY", GOOD), id="a bad NOTIFY"),
    pytest.param(GOOD + " \xe9", id="not ASCII"),
]


@pytest.mark.parametrize("value", BAD)
def test_attack_a_field_we_did_not_write_is_our_error(value: str) -> None:
    """It is never half believed."""
    with pytest.raises(InvalidStoredTag):
        read_stored_tag(f"{FIELD}: {value}\n".encode("latin-1") + CONTENT)


def test_attack_two_fields_are_our_error() -> None:
    """Which of them is ours cannot be told."""
    once = store_tag(CONTENT, stored())
    with pytest.raises(InvalidStoredTag):
        read_stored_tag(once.partition(b"\n")[0] + b"\n" + once)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_stored_tag_or_our_error(value: bytes) -> None:
    """A damaged queue file never raises anything else."""
    try:
        tag = read_stored_tag(FIELD.encode() + b": " + value + b"\n\n")
    except InvalidStoredTag:
        return
    assert tag is None or isinstance(tag, StoredTag)
