"""Answers kept for as long as their TTL allows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from requiretls_plugin.policy.answers import Absent, Answer, Found, LookupFailed, TLSARecord

# RFC 8767 section 4 and RFC 2308 section 5: a week and three hours are the most that make sense;
# a change at a mail host should show sooner.
MAX_TTL = 86_400.0
MAX_NEGATIVE_TTL = 900.0

# What bounds the memory: a stranger's MX RRset can have thousands of records, and one TXT record
# 64 KB, so that many octets of data count as one record more.
MAX_RECORDS = 50_000
OCTETS_OF_A_RECORD = 128


class AnswerCache:
    """Answers by question, forgotten at the end of their TTL, or the longest unused first.

    Failures are not kept: resolvers do that themselves (RFC 9520). *clock* is
    in seconds and never goes back.
    """

    def __init__(self, clock: Callable[[], float], max_records: int = MAX_RECORDS) -> None:
        self._clock = clock
        self._max_records = max_records
        self._records = 0
        self._entries: OrderedDict[Hashable, tuple[float, Found[Any] | Absent]] = OrderedDict()

    def get(self, question: Hashable) -> Found[Any] | Absent | None:
        """Return the answer kept for *question*, its TTL being what is left of it."""
        entry = self._entries.get(question)
        if entry is None:
            return None
        expires, answer = entry
        left = expires - self._clock()
        if left <= 0:
            self.forget(question)
            return None
        self._entries.move_to_end(question)
        if isinstance(answer, Found):
            return Found(answer.records, answer.secure, answer.canonical, left)
        return Absent(answer.secure, answer.name_exists, left)

    def put(self, question: Hashable, answer: Answer[Any]) -> None:
        """Keep *answer* if it may be kept."""
        if isinstance(answer, LookupFailed) or answer.ttl <= 0:
            return
        self.forget(question)
        self._entries[question] = self._clock() + _capped(answer), answer
        self._records += _size(answer)
        while self._records > self._max_records:
            self.forget(next(iter(self._entries)))

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()
        self._records = 0

    def forget(self, question: Hashable) -> None:
        """Drop the answer kept for *question*, if there is one."""
        entry = self._entries.pop(question, None)
        if entry is not None:
            self._records -= _size(entry[1])


def _capped(answer: Found[Any] | Absent) -> float:
    return min(answer.ttl, MAX_TTL if isinstance(answer, Found) else MAX_NEGATIVE_TTL)


def _size(answer: Found[Any] | Absent) -> int:
    if isinstance(answer, Absent):
        return 1
    return 1 + len(answer.records) + sum(map(_octets, answer.records)) // OCTETS_OF_A_RECORD


def _octets(record: object) -> int:
    if isinstance(record, TLSARecord):
        return len(record.data)
    return len(record) if isinstance(record, bytes) else 0
