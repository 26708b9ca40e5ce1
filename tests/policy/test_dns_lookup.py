"""Lookups are cached and shared."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

import pytest
from dns.rdatatype import RdataType

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Absent, Answer, Found, LookupFailed
from requiretls_plugin.policy.dns_lookup import CachedLookups, merge_families
from requiretls_plugin.policy.dns_probe import Look, Probe
from requiretls_plugin.server_address import IPAddress

NAME = DomainName("a.test")
OTHER = DomainName("b.test")
TEXT = Found((b"text",), secure=True, canonical=NAME, ttl=60.0)
SIX = ipaddress.ip_address("2001:db8::1")
FOUR = ipaddress.ip_address("192.0.2.1")


def found(*addresses: IPAddress, secure: bool = True, canonical: DomainName = NAME) -> Found[IPAddress]:
    return Found(addresses, secure, canonical, ttl=60.0)


class SlowLookups(CachedLookups):
    """Answers once `gate` is open; counts what is asked."""

    def __init__(self, answer: Answer[Any]) -> None:
        super().__init__()
        self.answer = answer
        self.gate = asyncio.Event()
        self.asked: list[tuple[DomainName, RdataType]] = []

    async def ask(self, name: DomainName, rdtype: RdataType) -> Answer[Any]:
        self.asked.append((name, rdtype))
        await self.gate.wait()
        return self.answer

    async def probe(self, zone: str | None = None, *, patience: float | None = None) -> tuple[Probe, ...]:
        return ()

    async def look(self) -> Look:
        return Look(None)


def test_what_is_forgotten_is_asked_anew() -> None:
    """Whatever was asked about the name, and nothing else."""

    async def inside() -> None:
        lookups = SlowLookups(TEXT)
        lookups.gate.set()
        other = DomainName("other.test")
        for name in (NAME, NAME, other):
            await lookups.txt(name)
            await lookups.mx(name)
        lookups.forget(NAME)
        for name in (NAME, other):
            await lookups.txt(name)
            await lookups.mx(name)

        assert [name for name, _ in lookups.asked] == [NAME, NAME, other, other, NAME, NAME]

    asyncio.run(inside())


def test_lookups_for_the_same_question_share_one() -> None:
    """A burst of messages to one domain asks once."""

    async def burst() -> None:
        lookups = SlowLookups(TEXT)
        waiting = [asyncio.create_task(lookups.txt(NAME)) for _ in range(50)]
        await asyncio.sleep(0)
        lookups.gate.set()

        assert await asyncio.gather(*waiting) == 50 * [TEXT]
        assert len(lookups.asked) == 1

    asyncio.run(burst())


def test_one_who_gives_up_does_not_take_the_answer_from_the_others() -> None:
    """Not even the one who asked first."""

    async def one_leaves() -> None:
        lookups = SlowLookups(TEXT)
        first, second = (asyncio.create_task(lookups.txt(NAME)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        lookups.gate.set()

        assert await second == TEXT
        assert first.cancelled()
        assert len(lookups.asked) == 1

    asyncio.run(one_leaves())


def test_an_answer_nobody_waits_for_any_more_is_kept_all_the_same() -> None:
    """The next one who asks has it at once."""

    async def all_leave() -> None:
        lookups = SlowLookups(TEXT)
        waiting = asyncio.create_task(lookups.txt(NAME))
        await asyncio.sleep(0)
        waiting.cancel()
        lookups.gate.set()
        await asyncio.sleep(0.01)

        await lookups.txt(NAME)

        assert len(lookups.asked) == 1

    asyncio.run(all_leave())


def test_failures_are_shared_but_not_kept() -> None:
    """The next attempt asks again."""

    async def twice() -> None:
        lookups = SlowLookups(LookupFailed(False, "timed out"))
        lookups.gate.set()

        await lookups.txt(NAME)
        await lookups.txt(NAME)

        assert len(lookups.asked) == 2

    asyncio.run(twice())


def test_the_cache_can_be_bypassed_for_txt() -> None:
    """Before an MTA-STS failure is final, the policy id is looked up again (RFC 8461 section 5.1)."""

    async def changed() -> None:
        lookups = SlowLookups(TEXT)
        lookups.gate.set()
        await lookups.txt(NAME)
        lookups.answer = Found((b"new",), secure=True, canonical=NAME, ttl=60.0)

        old, new, kept = await lookups.txt(NAME), await lookups.txt_uncached(NAME), await lookups.txt(NAME)

        assert isinstance(old, Found)
        assert isinstance(new, Found)
        assert isinstance(kept, Found)
        assert [old.records, new.records, kept.records] == [(b"text",), (b"new",), (b"new",)]

    asyncio.run(changed())


def test_questions_of_different_types_are_different() -> None:
    """And each comes with the type its method stands for."""

    async def all_types() -> None:
        lookups = SlowLookups(Absent(True, True, 60.0))
        lookups.gate.set()

        for _ in range(2):
            await lookups.mx(NAME)
            await lookups.tlsa(NAME)
            await lookups.txt(NAME)
            await lookups.alias(NAME)
            await lookups.addresses(NAME)

        assert [rdtype.name for _, rdtype in lookups.asked] == ["MX", "TLSA", "TXT", "CNAME", "AAAA", "A"]

    asyncio.run(all_types())


def test_both_families_are_asked_at_the_same_time() -> None:
    """One wait, not two."""

    async def addresses() -> None:
        lookups = SlowLookups(TEXT)
        waiting = asyncio.create_task(lookups.addresses(NAME))
        await asyncio.sleep(0.01)

        assert len(lookups.asked) == 2
        lookups.gate.set()
        await waiting

    asyncio.run(addresses())


def test_closing_ends_what_is_under_way() -> None:
    """Nobody waits for ever."""

    async def closed() -> None:
        lookups = SlowLookups(TEXT)
        waiting = asyncio.create_task(lookups.txt(NAME))
        await asyncio.sleep(0)

        lookups.close()

        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(closed())


GONE = Absent(secure=True, name_exists=True, ttl=60.0)
FAILED = LookupFailed(False, "timed out")
BOGUS = LookupFailed(True, "bogus")


@pytest.mark.requirement("7672-2.1.3-3", "5321-5.1-10")
@pytest.mark.parametrize(
    ("six", "four", "merged"),
    [
        pytest.param(found(SIX), found(FOUR), found(SIX, FOUR), id="both"),
        pytest.param(found(SIX), GONE, found(SIX), id="six only"),
        pytest.param(GONE, found(FOUR), found(FOUR), id="four only"),
        pytest.param(FAILED, found(FOUR), found(FOUR), id="six failed"),
        pytest.param(found(SIX), BOGUS, found(SIX), id="four bogus"),
        pytest.param(
            found(SIX, secure=False), found(FOUR), found(SIX, FOUR, secure=False), id="one insecure"
        ),
        pytest.param(
            Absent(False, True, 60.0), found(FOUR), found(FOUR, secure=False), id="insecure absence"
        ),
        pytest.param(GONE, GONE, GONE, id="none"),
        pytest.param(GONE, FAILED, FAILED, id="none, and one failed"),
        pytest.param(FAILED, BOGUS, LookupFailed(True, "timed out"), id="one bogus"),
        pytest.param(found(SIX), found(FOUR, canonical=OTHER), found(SIX), id="different aliases"),
    ],
)
def test_two_families_make_one_answer(
    six: Answer[IPAddress], four: Answer[IPAddress], merged: Answer[IPAddress]
) -> None:
    """Addresses hide a failure, an absence does not."""
    assert merge_families([six, four]) == merged
