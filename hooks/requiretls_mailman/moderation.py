"""Held and rejected posts: what is said about them is held to what they asked."""

from __future__ import annotations

import functools
from typing import Any

from mailman.app import bounces, moderator
from mailman.email.message import Message
from mailman.interfaces.requests import IListRequests

from requiretls_mailman.adapter import installed
from requiretls_mailman.cause import because_of, cause
from requiretls_mailman.kept import mark, tag_in
from requiretls_mailman.replacing import replace_everywhere
from requiretls_plugin.requirement import Requirement, Tag

# Those describe a body that is left out.
_ABOUT_THE_BODY = frozenset({"content-type", "content-transfer-encoding", "content-length", "mime-version"})


def inherit_from_held_messages() -> None:
    """Let what a moderator's decision sends inherit from the held message, whoever runs it: REST or mail."""
    original = moderator.handle_message
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def handle_message(mlist: Any, id: Any, action: Any, comment: Any = None, forward: Any = None) -> Any:  # noqa: A002
        with because_of(_tag_of_request(mlist, id)):
            return original(mlist, id, action, comment, forward)

    replace_everywhere(original, "handle_message", handle_message)


def _tag_of_request(mlist: Any, request: Any) -> Tag:
    found = IListRequests(mlist).get_request(request)
    return tag_in(found[1] or {}) if found is not None else Tag()


def return_headers_only() -> None:
    """Let rejections of posts under REQUIRETLS return no more than headers."""
    original = bounces.bounce_message
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def bounce_message(mlist: Any, msg: Any, error: Any = None) -> Any:
        tag = installed().policy_of(mlist).tag_of(cause())
        required = tag.requirement is Requirement.REQUIRED or cause().requirement is Requirement.REQUIRED
        return original(mlist, headers_of(msg) if required else msg, error)

    replace_everywhere(original, "bounce_message", bounce_message)


def headers_of(msg: Any) -> Any:
    """Return a message with the header of *msg* and nothing of its body."""
    headers = Message()
    headers.set_unixfrom(msg.get_unixfrom())
    for name, value in msg.items():
        if name.lower() not in _ABOUT_THE_BODY:
            headers[name] = value
    headers.set_payload("")
    mark(headers, cause())
    return headers
