"""Contain what foreign code raises: a plugin's mistake becomes one error that names the plugin."""

from __future__ import annotations

import asyncio
from types import TracebackType

from requiretls_plugin.errors import PluginError


class Contained:
    """A `with` block that raises PluginError for whatever the plugin's code inside it raises.

    *where* begins the message. An awaited plugin that raises CancelledError
    though nobody cancelled us counts as well; a cancellation of ours passes, so
    do PluginError, KeyboardInterrupt and SystemExit.
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
        raise PluginError(f"{self._where}: {type(error).__name__}: {error}") from error


def _is_the_plugins(error: BaseException) -> bool:
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and not task.cancelling()
    return isinstance(error, Exception)
