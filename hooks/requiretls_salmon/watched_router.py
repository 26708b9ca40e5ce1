"""Salmon's one Router, watched: every message that passes gets its envelope and tag back."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable
from typing import Any

from salmon.routing import Router
from salmon.server import SMTPError

from requiretls_plugin.message_tag import FIELD, strip_private_fields
from requiretls_salmon.handling import Handling, current_handling, handling_of
from requiretls_salmon.kept import Kept, as_bytes, kept_with, stored_or_none

_MARK = "requiretls_watched"
_reload_lock = threading.RLock()


def watch_router() -> None:
    """Let the Router keep envelope and tag with messages; a second call changes nothing."""
    if hasattr(Router, _MARK):
        return
    setattr(Router, _MARK, True)
    Router.deliver = _watching_deliver(Router.deliver)
    Router.call_safely = _watching_call(Router.call_safely)
    Router._enqueue_undeliverable = _watching_unmatched(Router._enqueue_undeliverable)


def _watching_deliver(deliver: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(deliver)
    def watched(message: Any) -> None:
        handling = current_handling()
        if handling is None:
            handling = _handling_of_stranger(message)
        if kept_with(message) is None:
            Kept.with_request(message, handling.accepted)
        # A reload empties the table of routes while other threads read it.
        alone = _reload_lock if Router.RELOAD else contextlib.nullcontext()
        with alone, handling_of(handling):
            deliver(message)

    return watched


def _handling_of_stranger(message: Any) -> Handling:
    """Return the handling of a message that none of our receivers brought, such as one from a queue.

    A stored tag is believed from a queue only; what came over the network is
    stripped of it.
    """
    if isinstance(message.Peer, str) and os.path.isdir(message.Peer):
        return Handling(stored_or_none(message.Data), reports=False)
    if FIELD in message.base:
        del message.base[FIELD]
        message.Data = strip_private_fields(as_bytes(message.Data))
    return Handling(None, reports=True)


def _watching_call(call_safely: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(call_safely)
    def watched(func: Callable[..., Any], message: Any, kwargs: dict[str, Any]) -> None:
        @functools.wraps(func)
        def noting(*args: Any, **keywords: Any) -> Any:
            ended = False
            try:
                result = func(*args, **keywords)
                ended = True
            except SMTPError:
                ended = True
                raise
            finally:
                _note(ended=ended)
            return result

        call_safely(noting, message, kwargs)

    return watched


def _watching_unmatched(enqueue: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(enqueue)
    def watched(message: Any) -> None:
        enqueue(message)
        handling = current_handling()
        if handling is not None and Router.UNDELIVERABLE_QUEUE is None:
            handling.unmatched = True

    return watched


def _note(*, ended: bool) -> None:
    """Note that a handler failed, if Salmon is going to swallow that and keep the message nowhere."""
    handling = current_handling()
    if handling is not None and not ended and Router.UNDELIVERABLE_QUEUE is None:
        handling.failed = True
