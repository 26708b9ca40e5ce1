"""The loop an engine runs on: its own in a daemon thread, or one it is lent. Forks are noticed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from requiretls_plugin.errors import EngineStopped

T = TypeVar("T")


class EngineLoop:
    """Run coroutines on one loop for all threads of a process, between `start` and `stop`."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._process = os.getpid()
        # A signal handler that stops the engine may come while its own thread holds the lock.
        self._changing = threading.RLock()
        self._under_way: set[concurrent.futures.Future[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop; raises EngineStopped if there is none in this process."""
        if self._loop is None or self._process != os.getpid():
            raise EngineStopped("the engine is not running: call start(), after a fork again")
        return self._loop

    def use(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Run on *loop* from now on, which belongs to somebody else; None ends that."""
        self._forget()
        self._loop = loop

    def start(self, opening: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start a loop in a thread and run *opening* on it, unless there is one; raises what that raises."""
        if self._process != os.getpid():
            self._forget()  # the loop, and whoever held the lock, stayed behind in the parent
        with self._changing:
            if self._loop is not None:
                return
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=_serve, args=(loop,), name="requiretls", daemon=True)
            thread.start()
            try:
                asyncio.run_coroutine_threadsafe(opening(), loop).result()
            except BaseException:
                _end(loop, thread)
                raise
            self._loop, self._thread = loop, thread

    def stop(self, closing: Callable[[], Coroutine[Any, Any, None]], timeout: float) -> None:
        """Take nothing new, wait for what is under way, run *closing*, end the loop of `start`.

        *timeout* seconds are the limit for each of these. What is not done by
        then is cancelled, and its caller gets EngineStopped.
        """
        if self._process != os.getpid():
            return
        with self._changing:
            loop, thread = self._loop, self._thread
            if loop is None or thread is None:
                return
            self._loop = self._thread = None
        concurrent.futures.wait(set(self._under_way), timeout)
        closed = asyncio.run_coroutine_threadsafe(closing(), loop)
        concurrent.futures.wait({closed}, timeout)
        _end(loop, thread, timeout)

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None) -> T:
        """Run *coroutine* and return its result; for threads other than the loop's.

        Raises EngineStopped, TimeoutError after *timeout* seconds (the coroutine
        is cancelled then), and what *coroutine* raises.
        """
        future = self.submit(coroutine)
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise
        except concurrent.futures.CancelledError:
            raise EngineStopped("the engine was stopped") from None

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start *coroutine* and return at once; raises EngineStopped.

        The future is cancelled if the loop ends first.
        """
        try:
            return self._submitted(coroutine)
        except EngineStopped:
            coroutine.close()
            raise

    def _submitted(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        if self._process != os.getpid():
            raise EngineStopped("the engine does not run in this process: call start() after a fork")
        with self._changing:
            # Once `stop` has had the lock nothing new gets in, and nothing waits on a loop that ended.
            future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
            self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        return future


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run *loop* until it is stopped, then cancel what is left, so that nobody waits for it for ever."""
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(_cancel_others())
        # Connections that were aborted just now are closed on the loop's next rounds.
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread, timeout: float | None = None) -> None:
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout)
