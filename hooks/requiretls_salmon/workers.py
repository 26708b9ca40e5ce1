"""Threads that run handlers. All are started at once: an interpreter about to exit starts no more."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
Job = Callable[[], None]
_Box = queue.SimpleQueue[Job | None]


class Workers:
    """*count* threads that keep the process alive until `finish`, after its main thread has ended.

    A job goes to the thread that became idle last, which the processor still
    knows best; one waits for its turn if no thread is idle.
    """

    def __init__(self, count: int, name: str) -> None:
        self._lock = threading.Lock()
        self._finishing = False
        self._waiting: collections.deque[Job] = collections.deque()
        boxes = [_Box() for _ in range(count)]
        self._idle = list(boxes)
        self._threads = [
            threading.Thread(target=self._work, args=(box,), name=f"{name} {number}", daemon=False)
            for number, box in enumerate(boxes, 1)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Let a thread do *job*; what it raises is logged."""
        with self._lock:
            if not self._idle:
                self._waiting.append(job)
                return
            box = self._idle.pop()
        box.put(job)

    async def result_of(self, job: Callable[[], Result]) -> Result:
        """Let a thread do *job* and return its result; raises RuntimeError because of what it raises.

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
                # SystemExit would end the loop, and a future takes no StopIteration.
                raised = RuntimeError(f"a job raised {type(error).__name__}")
                raised.__cause__ = error
            loop.call_soon_threadsafe(done, result, raised)

        self.submit(work)
        try:
            return await future
        except asyncio.CancelledError:
            self._withdraw(work)
            raise

    def _withdraw(self, job: Job) -> None:
        """Forget *job*, and the message in it, if no thread has taken it."""
        with self._lock, contextlib.suppress(ValueError):
            self._waiting.remove(job)

    def finish(self) -> None:
        """Let the threads end when they have done what was submitted before."""
        with self._lock:
            self._finishing = True
            idle, self._idle = self._idle, []
        for box in idle:
            box.put(None)

    def join(self, timeout: float) -> None:
        """Wait for the threads to end, *timeout* seconds for each."""
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout)

    def _work(self, box: _Box) -> None:
        while (job := box.get()) is not None:
            while job is not None:
                try:
                    job()
                except BaseException as error:
                    logging.error("a job failed", exc_info=error)
                job = self._next_for(box)

    def _next_for(self, box: _Box) -> Job | None:
        """Return a job that waits, or note that the owner of *box* is idle."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._finishing:
                box.put(None)
            else:
                self._idle.append(box)
        return None
