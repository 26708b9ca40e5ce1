"""How much memory the messages take that come in at once, in all sessions of a process together."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

# So many messages of the largest size that a server takes may be under way at once. While it is
# handled, a message takes up to ten times its size: Python's parser, the copies that an app makes.
LARGEST_MESSAGES = 4

# So much of each message is not counted: a few large ones that come slowly keep no ordinary mail out.
FREE_OCTETS = 256 * 1024


class MessageMemory:
    """The octets that messages under way hold; for sessions in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held = 0

    @property
    def held(self) -> int:
        """How many octets are held now, what is free of each message not counted."""
        return self._held

    def share(self, largest: int | None) -> MessageShare:
        """Return the share of one message; *largest* is the size limit in octets, None for none."""
        return MessageShare(self, None if largest is None else LARGEST_MESSAGES * largest)

    def take(self, octets: int, most: int | None) -> bool:
        """Hold *octets* more, unless that would be more than *most* together."""
        with self._lock:
            if most is not None and self._held + octets > most:
                return False
            self._held += octets
            return True

    def give_back(self, octets: int) -> None:
        """Hold *octets* less."""
        with self._lock:
            self._held -= octets


class MessageShare:
    """What one message holds, between the entry of a `with` block and its end."""

    def __init__(self, memory: MessageMemory, most: int | None) -> None:
        self._memory = memory
        self._most = most
        self._size = self._held = 0

    def grow(self, octets: int) -> bool:
        """Note that *octets* more came; return whether there is room for them."""
        self._size += octets
        more = max(0, self._size - FREE_OCTETS) - self._held
        if more and not self._memory.take(more, self._most):
            return False
        self._held += more
        return True

    def drop(self) -> None:
        """Give back what is held: the message is gone."""
        self._memory.give_back(self._held)
        self._size = self._held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()
