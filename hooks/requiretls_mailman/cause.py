"""The message because of which Mailman is at work; what is sent meanwhile inherits its tag."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from requiretls_plugin.reorigination import NOT_INHERITED
from requiretls_plugin.requirement import Tag

_cause: ContextVar[Tag] = ContextVar("requiretls_mailman_cause", default=NOT_INHERITED)


def cause() -> Tag:
    """Return the tag that new messages inherit in this context."""
    return _cause.get()


@contextlib.contextmanager
def because_of(tag: Tag) -> Iterator[None]:
    """Let new messages inherit *tag*."""
    token = _cause.set(tag)
    try:
        yield
    finally:
        _cause.reset(token)
