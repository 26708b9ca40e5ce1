"""Threads that run handlers. All are started at once: an interpreter about to exit starts no more."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class Workers:
    """*count* threads that keep the process alive until `finish`, after its main thread has ended."""

    def __init__(self, count: int, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name} {number}", daemon=False)
            for number in range(1, count + 1)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, job: Callable[[], Any]) -> Future[Any]:
        """Let a thread run *job*; the future has its result or its exception, which is logged too."""
        future: Future[Any] = Future()
        self._jobs.put((future, job))
        return future

    def finish(self) -> None:
        """Let the threads end when they have done what was submitted before."""
        for _ in self._threads:
            self._jobs.put(None)

    def join(self, timeout: float) -> None:
        """Wait for the threads to end, *timeout* seconds for each."""
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            _run(*job)


def _run(future: Future[Any], job: Callable[[], Any]) -> None:
    # A client that hung up meanwhile has cancelled the job and will send again.
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = job()
    except BaseException as error:
        logging.error("handling failed", exc_info=error)
        future.set_exception(error)
    else:
        future.set_result(result)
