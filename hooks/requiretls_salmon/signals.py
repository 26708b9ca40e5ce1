"""Let SIGTERM, and SIGHUP of `salmon stop`, finish what was begun before the process ends."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

_stoppers: list[Callable[[], object]] = []


def stop_on_signals(stop: Callable[[], object]) -> None:
    """Call *stop* when the process is told to end; an app's own signal handlers stay.

    Outside the main thread, where Python sets no handlers, it is called only if
    somebody else in the process asked for the signals.
    """
    _stoppers.append(stop)
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if _is_nobodys(signal.getsignal(number)):
            signal.signal(number, _end)


def forget(stop: Callable[[], object]) -> None:
    """Do not call *stop* any more."""
    if stop in _stoppers:
        _stoppers.remove(stop)


def _is_nobodys(handler: object) -> bool:
    """Return whether *handler* is the default one, or python-daemon's that ends the process at once."""
    return handler in (signal.SIG_DFL, None) or getattr(handler, "__module__", "").startswith("daemon.")


def _end(number: int, frame: FrameType | None) -> None:
    while _stoppers:
        _stoppers.pop()()
    if number == signal.SIGHUP:
        # `salmon stop` removes the pid file itself and complains if python-daemon was faster.
        logging.shutdown()
        os._exit(0)
    # After its end the process ends with the last worker.
    if threading.main_thread().is_alive():
        sys.exit(0)
