"""Lookups as the rest of the package makes them: cached, and shared while under way."""

from __future__ import annotations

import abc
import asyncio
import functools
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dns.rdatatype import AAAA, CNAME, MX, TLSA, TXT, A, RdataType

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Absent, Answer, Found, LookupFailed, MXRecord, TLSARecord
from requiretls_plugin.policy.dns_cache import AnswerCache
from requiretls_plugin.policy.dns_probe import Look, Probe, Sight
from requiretls_plugin.server_address import IPAddress

Question = tuple[DomainName, RdataType]

_TYPES = (MX, AAAA, A, TLSA, TXT, CNAME)


@dataclass(slots=True)
class LookupCounts:
    """How many questions the cache answered, how many a resolver, and how many got no answer."""

    cached: int = 0
    answered: int = 0
    failed: int = 0
    bogus: int = 0

    def add(self, answer: Answer[Any]) -> None:
        """Count what a resolver answered."""
        if not isinstance(answer, LookupFailed):
            self.answered += 1
        elif answer.bogus:
            self.bogus += 1
        else:
            self.failed += 1


class CachedLookups(abc.ABC):
    """A DNSSource on top of `ask`, which subclasses bring, and what every resolver can do besides.

    Answers are kept for their TTL. Whoever asks what is being asked already
    waits for the same answer; giving up waiting disturbs nobody else.
    *clock* is in seconds and never goes back.
    """

    signed_zone = "."
    """A zone that is signed for sure, to see who validates."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts = LookupCounts()
        self._cache = AnswerCache(clock)
        # What is kept was said before: by somebody who was blind then, or saw.
        self._sight = Sight(self.look, self._cache.clear, clock)
        self._under_way: dict[Question, asyncio.Task[Answer[Any]]] = {}

    @abc.abstractmethod
    async def ask(self, name: DomainName, rdtype: RdataType) -> Answer[Any]:
        """Ask for the records of type *rdtype* at *name*, past the cache; never raises."""

    @abc.abstractmethod
    async def probe(self, zone: str | None = None, *, patience: float | None = None) -> tuple[Probe, ...]:
        """Find out who of those asked validates, by the NS records of *zone*, by default of `signed_zone`.

        Each has *patience* seconds to answer, by default as long as for any question.
        """

    @abc.abstractmethod
    async def look(self) -> Look:
        """Probe, with little patience, and return what that says of answers given until now."""

    @property
    def latest_blindness(self) -> str | None:
        """Why an answer without DNSSEC proves nothing, as far as that was found out."""
        return self._sight.latest

    async def blindness(self, max_age: float) -> str | None:
        """Return why an answer without DNSSEC proves nothing, as found out *max_age* seconds ago at the most.

        None means that it does, that this is not known, or that the operator
        wants no DNSSEC.
        """
        return await self._sight.blindness(max_age)

    async def mx(self, name: DomainName) -> Answer[MXRecord]:
        """Look up the MX records of *name*, following aliases."""
        return await self._look_up(name, MX)

    async def tlsa(self, name: DomainName) -> Answer[TLSARecord]:
        """Look up the TLSA records of *name*, following aliases."""
        return await self._look_up(name, TLSA)

    async def txt(self, name: DomainName) -> Answer[bytes]:
        """Look up the TXT records of *name*, the strings of each joined."""
        return await self._look_up(name, TXT)

    async def txt_uncached(self, name: DomainName) -> Answer[bytes]:
        """Look up the TXT records of *name* past the cache; what comes is kept as ever."""
        self._cache.forget((name, TXT))
        return await self._look_up(name, TXT)

    def forget(self, name: DomainName) -> None:
        """Ask anew for whatever is looked up at *name* next."""
        for rdtype in _TYPES:
            self._cache.forget((name, rdtype))

    async def alias(self, name: DomainName) -> Answer[DomainName]:
        """Look up the CNAME record of *name* itself."""
        return await self._look_up(name, CNAME)

    async def addresses(self, name: DomainName) -> Answer[IPAddress]:
        """Look up the AAAA and A records of *name* at the same time; IPv6 comes first."""
        begun = self._begin(name, AAAA), self._begin(name, A)
        return merge_families([await _end(each) for each in begun])

    def close(self) -> None:
        """Give up what is under way."""
        for task in self._under_way.values():
            task.cancel()

    async def _look_up(self, name: DomainName, rdtype: RdataType) -> Answer[Any]:
        return await _end(self._begin(name, rdtype))

    def _begin(self, name: DomainName, rdtype: RdataType) -> Answer[Any] | asyncio.Task[Answer[Any]]:
        question = name, rdtype
        kept = self._cache.get(question)
        if kept is not None:
            self.counts.cached += 1
            return kept
        task = self._under_way.get(question)
        if task is None:
            task = asyncio.create_task(self.ask(name, rdtype))
            self._under_way[question] = task
            task.add_done_callback(functools.partial(self._ended, question))
        return task

    def _ended(self, question: Question, task: asyncio.Task[Answer[Any]]) -> None:
        del self._under_way[question]
        if not task.cancelled() and task.exception() is None:
            self.counts.add(task.result())
            self._cache.put(question, task.result())


async def _end(begun: Answer[Any] | asyncio.Task[Answer[Any]]) -> Answer[Any]:
    return await asyncio.shield(begun) if isinstance(begun, asyncio.Task) else begun


def merge_families(answers: list[Answer[IPAddress]]) -> Answer[IPAddress]:
    """Return the answers for IPv6 and IPv4 as one, in the order given.

    A failed lookup hides behind the other's addresses, but not behind its
    absence. Should the two have followed different aliases, the first counts.
    """
    failures = [answer for answer in answers if isinstance(answer, LookupFailed)]
    found = [answer for answer in answers if isinstance(answer, Found)]
    absent = [answer for answer in answers if isinstance(answer, Absent)]
    secure = all(answer.secure for answer in found) and all(answer.secure for answer in absent)
    ttl = min([answer.ttl for answer in found] + [answer.ttl for answer in absent], default=0.0)
    if found:
        canonical = found[0].canonical
        alike = [answer.records for answer in found if answer.canonical == canonical]
        return Found(tuple(itertools.chain(*alike)), secure, canonical, ttl)
    if failures:
        return LookupFailed(any(answer.bogus for answer in failures), failures[0].why)
    return Absent(secure, any(answer.name_exists for answer in absent), ttl)
