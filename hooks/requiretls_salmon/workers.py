"""Threads that run handlers. All are started at once: an interpreter about to exit starts no more."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
Job = Callable[[], None]


class Workers:
    """*count* threads that keep the process alive until `finish`, after its main thread has ended."""

    def __init__(self, count: int, name: str) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name} {number}", daemon=False)
            for number in range(1, count + 1)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Let a thread do *job*; what it raises is logged."""
        self._jobs.put(job)

    async def result_of(self, job: Callable[[], Result]) -> Result:
        """Let a thread do *job* and return its result; what it raises is raised here.

        If this is cancelled before a thread took the job, none does.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def done(result: Result | None, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type] # the job's own, None or not

        def work() -> None:
            if future.cancelled():
                return
            result, raised = None, None
            try:
                result = job()
            except BaseException as error:
                raised = error
            loop.call_soon_threadsafe(done, result, raised)

        self._jobs.put(work)
        return await future

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
            try:
                job()
            except BaseException as error:
                logging.error("a job failed", exc_info=error)
