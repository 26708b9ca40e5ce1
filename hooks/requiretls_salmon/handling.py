"""What goes on while Salmon's Router handles one message; replies and new messages inherit from it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from salmon.server import SMTPError

from requiretls_plugin.reorigination import NOT_INHERITED
from requiretls_plugin.requirement import Tag
from requiretls_salmon.kept import Accepted


class Handling:
    """One run of `Router.deliver`.

    *accepted* is the message, None if it came without an envelope. *reports*
    tells that somebody waits for the verdict, so that an error raised reaches
    them: a sender still connected, or a queue that keeps the message.
    *delivered* counts recipients that a handler reached already, *failed*
    tells that a handler raised an error and nobody has the message now,
    *unmatched* that no handler is for its recipient and nobody has it either,
    *refusal* is the error for the sender where it cannot be returned.
    """

    def __init__(self, accepted: Accepted | None, *, reports: bool) -> None:
        self.accepted = accepted
        self.reports = reports
        self.delivered = 0
        self.failed = False
        self.unmatched = False
        self.refusal: SMTPError | None = None

    @property
    def tag(self) -> Tag:
        """The tag that messages sent meanwhile inherit."""
        return self.accepted.message.tag if self.accepted else NOT_INHERITED


_current: ContextVar[Handling | None] = ContextVar("requiretls_salmon_handling", default=None)
_inherits: ContextVar[bool] = ContextVar("requiretls_salmon_inherits", default=True)


def current_handling() -> Handling | None:
    """Return what is being handled in this context; threads that handlers start have none."""
    return _current.get()


def inherited_tag() -> Tag:
    """Return the tag that a new message inherits in this context."""
    handling = _current.get()
    return handling.tag if handling and _inherits.get() else NOT_INHERITED


@contextlib.contextmanager
def handling_of(handling: Handling) -> Iterator[Handling]:
    """Let *handling* be the current one."""
    token = _current.set(handling)
    try:
        yield handling
    finally:
        _current.reset(token)


@contextlib.contextmanager
def not_inheriting() -> Iterator[None]:
    """Let new messages inherit nothing: for notices that have nothing of the message in them."""
    token = _inherits.set(False)
    try:
        yield
    finally:
        _inherits.reset(token)
