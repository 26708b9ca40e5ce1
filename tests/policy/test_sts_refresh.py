"""Policies looked at again: before a failure is final, and before they expire."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

import pytest
from dns.rdatatype import RdataType

from requiretls_lab.authority import Authority
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Answer, Found
from requiretls_plugin.policy.dns_lookup import CachedLookups
from requiretls_plugin.policy.dns_probe import Look, Probe
from requiretls_plugin.policy.sts import STSFound, STSUnavailable, UncachedTXT
from requiretls_plugin.policy.sts_cache import CLAIM_SECONDS, DAY
from requiretls_plugin.settings import MTASTSSettings
from tests.policy.sts_entries import BEGIN, entry
from tests.policy.sts_site import DOMAIN
from tests.policy.sts_world import BROKEN, EXAMPLE, RECORD, CachingDNS, Play, World, world


@pytest.mark.requirement("8461-5-4", "8461-5.1-2")
def test_recheck_looks_past_the_dns_cache(authority: Authority) -> None:
    """The new id is seen although the old one has time to live left; then the new policy counts."""

    async def inside() -> None:
        async with world(authority, CachingDNS) as caching:
            await caching.found()
            caching.announce("2")
            caching.publish("enforce", "mx2.example.org")
            assert (await caching.found()).record_id == "1"

            lookup = await caching.resolver.recheck(EXAMPLE)

            assert isinstance(lookup, STSFound)
            assert lookup.record_id == "2"

    asyncio.run(inside())


@pytest.mark.requirement("8461-5.1-2")
def test_recheck_of_an_unchanged_id_fetches_nothing(play: Play) -> None:
    """A source without a cache is simply asked again."""

    async def scene(world: World) -> None:
        before = await world.found()

        assert await world.resolver.recheck(EXAMPLE) == before
        assert world.requests == 1
        assert len(world.txt_queries) == 2

    play(scene)


@pytest.mark.requirement("8461-3.3-13", "8461-10.2-1")
def test_policy_is_refreshed_without_mail_and_without_its_record(play: Play) -> None:
    """Blocking the TXT record does not make the policy run out."""

    async def scene(world: World) -> None:
        await world.cache.put(entry())
        world.dns.failing.add(RECORD)
        world.publish("enforce", "mx.example.org", max_age=604_800)
        world.clock.now += 2 * DAY

        assert await world.resolver.refresh_due() == 1
        assert await world.resolver.refresh_due() == 0

        cached = await world.cache.get(EXAMPLE)
        assert cached is not None
        assert cached.expires == BEGIN + 2 * DAY + 604_800
        assert cached.last_used == BEGIN, "a refresh is no use"
        assert cached.record_id == "1"

    play(scene)


def test_refresh_keeps_the_id_the_record_has_now(play: Play) -> None:
    """Or the next message would fetch the same text again."""

    async def scene(world: World) -> None:
        await world.cache.put(entry())
        world.announce("2")
        world.clock.now += DAY

        await world.resolver.refresh_due()

        assert (await world.found()).record_id == "2"
        assert world.requests == 1

    play(scene)


@pytest.mark.parametrize("mode", ["enforce", "testing", "none"])
@pytest.mark.requirement("8461-3.3-14", "8461-10.2-2")
def test_failed_refreshes_are_warnings_unless_there_is_nothing_to_lose(
    play: Play, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    """Each names the domain and the time that is left; the policy stays."""

    async def scene(world: World) -> None:
        await world.cache.put(entry(mode=mode, max_age=20 * 86_400))
        world.place.site.answer = BROKEN
        world.clock.now += DAY
        for _ in range(3):
            assert await world.resolver.refresh_due() == 1
            world.clock.now += CLAIM_SECONDS
        assert await world.cache.get(EXAMPLE) is not None
        assert world.requests == 3

    play(scene)

    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    if mode == "none":
        assert warnings == []
    else:
        assert [warning.partition(": ")[0] for warning in warnings] == [
            f"MTA-STS policy of {DOMAIN} not refreshed, expires in {days} days"
            for days in ("19.0", "18.8", "18.5")
        ]


def test_use_keeps_a_policy_in_the_refresh(play: Play) -> None:
    """The hour is exact enough, so that not every message writes."""

    async def scene(world: World) -> None:
        await world.cache.put(entry())
        for seconds, last_used in ((3600, 0), (3601, 3601), (3700, 3601)):
            world.clock.now = BEGIN + seconds
            await world.found()
            cached = await world.cache.get(EXAMPLE)
            assert cached is not None
            assert cached.last_used == BEGIN + last_used

    play(scene)


def test_closing_ends_a_fetch_under_way(authority: Authority) -> None:
    """The engine does not wait for somebody else's server when it stops."""

    async def inside() -> None:
        async with world(authority) as dripping:
            dripping.place.site.answer = replace(dripping.place.site.answer, interval=0.2)
            waiting = asyncio.create_task(dripping.resolver.lookup(EXAMPLE))
            await asyncio.wait([waiting], timeout=0.2)
            async with asyncio.timeout(1):
                await dripping.resolver.close()
                await asyncio.wait([waiting])
            assert waiting.cancelled()

    asyncio.run(inside())


def test_settings_reach_the_fetch(authority: Authority) -> None:
    """The time limit is the operator's."""

    async def inside() -> None:
        async with world(authority, fetch_timeout=0.2) as hasty:
            hasty.place.site.answer = replace(hasty.place.site.answer, interval=0.1)
            lookup = await hasty.resolver.lookup(EXAMPLE)
            assert isinstance(lookup, STSUnavailable)
            assert "0.2 seconds" in lookup.why

    asyncio.run(inside())
    assert MTASTSSettings().fetch_timeout == 60.0


class CountedLookups(CachedLookups):
    """A DNS source whose answer changes with each question."""

    asked = 0

    async def ask(self, name: DomainName, rdtype: RdataType) -> Answer[Any]:
        self.asked += 1
        return Found((b"v=STSv1; id=%d" % self.asked,), secure=True, canonical=name, ttl=300.0)

    async def probe(self, zone: str | None = None, *, patience: float | None = None) -> tuple[Probe, ...]:
        return ()

    async def look(self) -> Look:
        return Look(None)


def test_real_dns_source_can_be_asked_past_its_cache() -> None:
    """What it then learns is what the next lookup gets."""

    async def inside() -> None:
        dns = CountedLookups()
        assert isinstance(dns, UncachedTXT)
        name = DomainName(RECORD)
        answers = [
            await dns.txt(name),
            await dns.txt(name),
            await dns.txt_uncached(name),
            await dns.txt(name),
        ]
        records = [answer.records[0][-1:] for answer in answers if isinstance(answer, Found)]
        assert records == [b"1", b"1", b"2", b"2"]

    asyncio.run(inside())
