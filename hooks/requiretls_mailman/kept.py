"""Where a tag is kept while Mailman has the message: in its metadata, and on the message object.

The metadata (`msgdata`) go with a message through queues and the moderation
database, and nothing that arrives by mail can write to them. Messages that
Mailman takes out of its message store come without metadata; for these the tag
is an attribute of the object, which pickling and copying keep and no text can set.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from email.message import Message
from typing import Any

from requiretls_plugin.reorigination import merged
from requiretls_plugin.requirement import Origin, Requirement, Tag

KEY = "requiretls"
ORIGIN_KEY = "requiretls_origin"

REDACTED_KEY = "requiretls_redacted"
"""Marks a notice with nothing of the message in it that it is about: no list policy applies."""

_ATTRIBUTE = "requiretls"


def has_tag(msgdata: Mapping[str, Any]) -> bool:
    """Return whether *msgdata* say what the message asks, be it nothing."""
    return KEY in msgdata


def tag_in(msgdata: Mapping[str, Any]) -> Tag:
    """Return the tag in *msgdata*; a word that nobody knows means REQUIRED."""
    if KEY not in msgdata:
        return Tag()
    try:
        requirement = Requirement(msgdata[KEY])
    except ValueError:
        return Tag(Requirement.REQUIRED, Origin.APP)
    if requirement is Requirement.UNSTATED:
        return Tag()
    try:
        return Tag(requirement, Origin(msgdata.get(ORIGIN_KEY)))
    except ValueError:
        return Tag(requirement, Origin.APP)


def keep_tag(msgdata: MutableMapping[str, Any], tag: Tag) -> None:
    """Write *tag* to *msgdata*, as words that the REST API can show."""
    msgdata[KEY] = tag.requirement.value
    if tag.origin is None:
        msgdata.pop(ORIGIN_KEY, None)
    else:
        msgdata[ORIGIN_KEY] = tag.origin.value


def mark(msg: object, tag: Tag) -> None:
    """Let the message object *msg* remember *tag*."""
    if isinstance(msg, Message):
        setattr(msg, _ATTRIBUTE, (tag.requirement.value, tag.origin.value if tag.origin else None))


def tag_on(msg: object) -> Tag:
    """Return the strongest tag that *msg* or a message in it was marked with."""
    if not isinstance(msg, Message):
        return Tag()
    marks = (getattr(part, _ATTRIBUTE, None) for part in msg.walk())
    return merged(tag_in({KEY: mark[0], ORIGIN_KEY: mark[1]}) for mark in marks if isinstance(mark, tuple))


def kept_tag(msg: object, msgdata: Mapping[str, Any]) -> Tag:
    """Return the tag of a message as a runner finds it."""
    return tag_in(msgdata) if has_tag(msgdata) else tag_on(msg)
