"""Contain what foreign code raises: a plugin's mistake becomes one error that names the plugin."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType

from requiretls_plugin.errors import PluginError


class Contained:
    """A `with` block that raises PluginError for whatever the plugin's code inside it raises.

    *where* begins the message. SystemExit counts as well: a plugin ends no
    server, and no command that did nothing ends with exit code 0. So does a
    CancelledError though nobody cancelled us. What passes is PluginError, a
    cancellation of ours, the end of our own coroutine (GeneratorExit), and
    KeyboardInterrupt in the thread that a user interrupts.
    """

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise PluginError in place of *error*."""
        if error is None or isinstance(error, PluginError) or not _is_the_plugins(error):
            return
        raise PluginError(f"{self._where}: {type(error).__name__}: {_words(error)}") from error


def _is_the_plugins(error: BaseException) -> bool:
    match error:
        case asyncio.CancelledError():
            return not _is_being_cancelled()
        case KeyboardInterrupt():
            return threading.current_thread() is not threading.main_thread()
    return not isinstance(error, GeneratorExit)


def _is_being_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs here
        return False
    return task is None or task.cancelling() > 0


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(it cannot say more)"
