"""Wait for something to become true, with others on the same loop going on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Return when *true* returns True; raises TimeoutError after *seconds*."""
    deadline = time.monotonic() + seconds
    while True:
        if true():
            return
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen")
        await asyncio.sleep(0.01)
