"""The MTA-STS policy in force, out of a fake DNS, a real HTTPS server and a cache."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Answer
from requiretls_plugin.policy.cache_memory import MemoryCache
from requiretls_plugin.policy.sts import NoSTS, STSFound, STSResolver, STSUnavailable
from requiretls_plugin.policy.sts_cache import CLAIM_SECONDS, DAY
from requiretls_plugin.policy.sts_failure import BACK_OFF
from requiretls_plugin.policy.sts_policy import Mode
from requiretls_plugin.settings import MTASTSSettings
from tests.lab.authority import Authority
from tests.lab.policy_host import PolicyAnswer, policy_text
from tests.policy.fake_dns import FakeDNS
from tests.policy.sts_entries import BEGIN, Clock, entry
from tests.policy.sts_site import DOMAIN, Place, policy_site

EXAMPLE = DomainName(DOMAIN)
RECORD = f"_mta-sts.{DOMAIN}"
BROKEN = PolicyAnswer(status=500)


class CachingDNS(FakeDNS):
    """A FakeDNS with a cache of its own in front of TXT records, as the real source has."""

    stale: Answer[bytes] | None = None

    async def txt(self, name: DomainName) -> Answer[bytes]:
        if self.stale is None:
            self.stale = await super().txt(name)
        return self.stale

    async def txt_uncached(self, name: DomainName) -> Answer[bytes]:
        self.stale = await super().txt(name)
        return self.stale


@dataclass
class World:
    """example.org with a policy, and a resolver that looks at it."""

    place: Place
    dns: FakeDNS
    cache: MemoryCache
    clock: Clock
    resolver: STSResolver

    def announce(self, policy_id: str) -> None:
        """Publish another id."""
        self.dns.zone[RECORD] = {"TXT": [f"v=STSv1; id={policy_id};"]}

    def publish(self, mode: str, *mx: str, max_age: int = 604_800) -> None:
        """Put another policy on the site."""
        self.place.site.answer = PolicyAnswer(policy_text(mode, *mx, max_age=max_age))

    async def found(self) -> STSFound:
        """Look example.org up; a policy has to be in force."""
        lookup = await self.resolver.lookup(EXAMPLE)
        assert isinstance(lookup, STSFound), lookup
        return lookup

    @property
    def requests(self) -> int:
        """How often the policy was asked for."""
        return self.place.site.requests

    @property
    def txt_queries(self) -> list[str]:
        """The names TXT records were asked for."""
        return [name for name, rdtype in self.dns.queries if rdtype == "TXT"]


@asynccontextmanager
async def world(
    authority: Authority,
    make_dns: Callable[[dict[str, dict[str, list[str]]]], FakeDNS] = FakeDNS,
    **settings: float | bool,
) -> AsyncIterator[World]:
    async with policy_site(authority) as place:
        dns, cache, clock = make_dns(place.zone()), MemoryCache(), Clock()
        chosen = place.settings().model_copy(update=settings)
        resolver = STSResolver(dns, cache, chosen, place.context, clock)
        yield World(place, dns, cache, clock, resolver)
        await resolver.close()


Scene = Callable[[World], Awaitable[None]]
Play = Callable[[Scene], None]


@pytest.fixture
def play(authority: Authority) -> Play:
    """Run a scene in a fresh world."""

    def run(scene: Scene) -> None:
        async def inside() -> None:
            async with world(authority) as fresh:
                await scene(fresh)

        asyncio.run(inside())

    return run


# Discovery


@pytest.mark.requirement("8461-3.1-1", "8461-5.1-3", "8461-3.2-4")
def test_policy_is_found_by_one_record_and_one_request(play: Play) -> None:
    """The second message needs the record alone; what is cached says when it ends."""

    async def scene(world: World) -> None:
        first = await world.found()
        second = await world.found()

        assert first == second
        assert first.policy.mode is Mode.ENFORCE
        assert first.record_id == "1"
        assert first.fresh
        assert first.failure is None
        assert first.expires == BEGIN + 86_400
        assert world.requests == 1
        assert world.txt_queries == [RECORD, RECORD]

    play(scene)


@pytest.mark.parametrize(
    "records",
    [
        pytest.param({}, id="no name"),
        pytest.param({"TXT": []}, id="no record"),
        pytest.param({"TXT": ["v=spf1 -all"]}, id="another record"),
        pytest.param({"TXT": ["v=STSv1; id=1;", "v=STSv1; id=2;"]}, id="two records"),
        pytest.param({"TXT": ["v=STSv1;"]}, id="no id"),
        pytest.param({"TXT": ["v=STSv1; id=ü;"]}, id="not ASCII"),
    ],
)
@pytest.mark.requirement("8461-3.1-4", "8461-3.1-5")
def test_without_a_good_record_nothing_is_fetched(play: Play, records: dict[str, list[str]]) -> None:
    """No MTA-STS is an answer, not a failure."""

    async def scene(world: World) -> None:
        world.dns.zone[RECORD] = records

        assert isinstance(await world.resolver.lookup(EXAMPLE), NoSTS)
        assert world.requests == 0

    play(scene)


@pytest.mark.requirement("8461-3.4-2")
def test_attack_parent_domain_has_no_say(play: Play) -> None:
    """A subdomain without a record has no policy, and nobody asks for the parent's."""

    async def scene(world: World) -> None:
        assert isinstance(await world.resolver.lookup(DomainName(f"mail.{DOMAIN}")), NoSTS)
        assert world.txt_queries == [f"_mta-sts.mail.{DOMAIN}"]
        assert world.requests == 0

    play(scene)


@pytest.mark.requirement("8461-3.1-9", "8461-8.2-1")
def test_alias_of_the_record_leaves_the_policy_host(play: Play) -> None:
    """The TXT record may be a provider's; the host, and its certificate, are the domain's own."""

    async def scene(world: World) -> None:
        world.dns.zone["_mta-sts.provider.example"] = world.dns.zone[RECORD]
        world.dns.zone[RECORD] = {"CNAME": ["_mta-sts.provider.example"]}

        assert (await world.found()).record_id == "1"
        assert (f"mta-sts.{DOMAIN}", "A") in world.dns.queries

    play(scene)


@pytest.mark.requirement("8461-8.2-1")
def test_policy_host_may_be_an_alias(play: Play) -> None:
    """Its addresses are the provider's, the name in TLS is still the domain's."""

    async def scene(world: World) -> None:
        world.dns.zone["mta-sts.provider.example"] = world.dns.zone[f"mta-sts.{DOMAIN}"]
        world.dns.zone[f"mta-sts.{DOMAIN}"] = {"CNAME": ["mta-sts.provider.example"]}

        await world.found()
        assert world.place.site.handshakes == 1

    play(scene)


def test_name_too_long_for_a_record_has_no_policy(play: Play) -> None:
    """A legal domain may leave no room for the prefix; nothing is asked then."""

    async def scene(world: World) -> None:
        longest = DomainName.parse(".".join(["a" * 61] * 4))

        assert isinstance(await world.resolver.lookup(longest), NoSTS)
        assert world.txt_queries == []

    play(scene)


def test_mta_sts_can_be_switched_off(authority: Authority) -> None:
    """Then nothing is asked and nothing refreshed."""

    async def inside() -> None:
        async with world(authority, enabled=False) as off:
            await off.cache.put(entry())
            off.clock.now += DAY
            assert isinstance(await off.resolver.lookup(EXAMPLE), NoSTS)
            assert await off.resolver.refresh_due() == 0
            assert off.dns.queries == []

    asyncio.run(inside())


# Modes


@pytest.mark.requirement("8461-5-3")
def test_mode_none_is_no_policy(play: Play) -> None:
    """It is cached all the same, so that it is not fetched for each message."""

    async def scene(world: World) -> None:
        world.publish("none")

        assert isinstance(await world.resolver.lookup(EXAMPLE), NoSTS)
        assert isinstance(await world.resolver.lookup(EXAMPLE), NoSTS)
        assert world.requests == 1

    play(scene)


@pytest.mark.requirement("8461-8.3-1", "8461-3.1-7")
def test_mode_none_replaces_enforce_at_once(play: Play) -> None:
    """The months that enforce had left do not matter once the domain says so."""

    async def scene(world: World) -> None:
        await world.cache.put(entry(record_id="9"))
        world.publish("none", max_age=60)

        assert isinstance(await world.resolver.lookup(EXAMPLE), NoSTS)

    play(scene)


def test_mode_testing_is_found_as_such(play: Play) -> None:
    """What it is good for is decided elsewhere."""

    async def scene(world: World) -> None:
        world.publish("testing", "mx.example.org")

        assert (await world.found()).policy.mode is Mode.TESTING

    play(scene)


# Changes


@pytest.mark.requirement("8461-5.1-3", "8461-3.1-7", "8461-3.3-7")
def test_changed_id_leads_to_one_fetch(play: Play) -> None:
    """An id that looks older is as new as any; id and text are kept together."""

    async def scene(world: World) -> None:
        world.announce("20200101")
        await world.found()
        world.announce("20190101")
        world.publish("enforce", "mx2.example.org")

        for _ in range(2):
            lookup = await world.found()
            assert (lookup.record_id, lookup.fresh) == ("20190101", True)
            assert lookup.policy.matches(DomainName("mx2.example.org"))
        assert world.requests == 2

    play(scene)


def test_messages_at_once_share_a_fetch(play: Play) -> None:
    """A list with a thousand members at one domain makes one request."""

    async def scene(world: World) -> None:
        lookups = await asyncio.gather(*(world.found() for _ in range(50)))

        assert len(set(lookups)) == 1
        assert world.requests == 1

    play(scene)


def test_message_that_is_given_up_leaves_the_fetch_to_the_others(play: Play) -> None:
    """Cancelling the first of two who wait does not cost the second its policy."""

    async def scene(world: World) -> None:
        first = asyncio.create_task(world.found())
        second = asyncio.create_task(world.found())
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        first.cancel()

        assert (await second).fresh
        assert world.requests == 1

    play(scene)


@pytest.mark.requirement("8461-3.2-4")
def test_policy_counts_until_its_last_second(play: Play) -> None:
    """Counted from the last fetch."""

    async def scene(world: World) -> None:
        await world.cache.put(entry(max_age=86_400))
        del world.dns.zone[RECORD]

        world.clock.now = BEGIN + 86_399
        await world.found()
        world.clock.now = BEGIN + 86_401
        assert isinstance(await world.resolver.lookup(EXAMPLE), NoSTS)

    play(scene)


@pytest.mark.requirement("8461-3.2-6")
def test_policy_of_no_age_serves_once(play: Play) -> None:
    """It replaces what was cached, and the next message fetches again."""

    async def scene(world: World) -> None:
        await world.cache.put(entry(record_id="9"))
        world.publish("testing", "mx.example.org", max_age=0)

        assert (await world.found()).policy.mode is Mode.TESTING
        assert await world.cache.get(EXAMPLE) is None
        await world.found()
        assert world.requests == 2

    play(scene)


# Failures


@pytest.mark.parametrize(
    ("answer", "result_type"),
    [
        (BROKEN, "sts-policy-fetch-error"),
        (PolicyAnswer("mx: a.example\n"), "sts-policy-invalid"),
    ],
)
@pytest.mark.requirement("8461-3.3-10", "8461-6-1")
def test_record_without_a_policy_to_be_had_is_unavailable(
    play: Play, answer: PolicyAnswer, result_type: str
) -> None:
    """Not the same as no policy: a REQUIRETLS message has to wait, not to fail."""

    async def scene(world: World) -> None:
        world.place.site.answer = answer

        lookup = await world.resolver.lookup(EXAMPLE)

        assert isinstance(lookup, STSUnavailable)
        assert lookup.record_seen
        assert lookup.result_type == result_type

    play(scene)


@pytest.mark.parametrize("state", ["missing", "failing", "bogus"])
@pytest.mark.requirement("8461-3.3-10")
def test_policy_host_without_addresses_is_unavailable(play: Play, state: str) -> None:
    """Whatever DNS says about it."""

    async def scene(world: World) -> None:
        name = f"mta-sts.{DOMAIN}"
        if state == "missing":
            del world.dns.zone[name]
        else:
            getattr(world.dns, state).add(name)

        lookup = await world.resolver.lookup(EXAMPLE)

        assert isinstance(lookup, STSUnavailable)
        assert lookup.record_seen
        assert name in lookup.why

    play(scene)


@pytest.mark.parametrize("state", ["failing", "bogus"])
def test_record_that_cannot_be_looked_up_is_told_from_none(play: Play, state: str) -> None:
    """Nobody knows whether the domain has a policy."""

    async def scene(world: World) -> None:
        getattr(world.dns, state).add(RECORD)

        lookup = await world.resolver.lookup(EXAMPLE)

        assert isinstance(lookup, STSUnavailable)
        assert not lookup.record_seen

    play(scene)


def no_record(world: World) -> None:
    del world.dns.zone[RECORD]


def bad_record(world: World) -> None:
    world.dns.zone[RECORD] = {"TXT": ["v=STSv1; id=1;", "v=STSv1; id=2;"]}


def failing_record(world: World) -> None:
    world.dns.failing.add(RECORD)


def bogus_record(world: World) -> None:
    world.dns.bogus.add(RECORD)


def new_id_and_no_answer(world: World) -> None:
    world.announce("666")
    world.place.site.answer = BROKEN


def new_id_and_bad_policy(world: World) -> None:
    world.announce("666")
    world.place.site.answer = PolicyAnswer("version: STSv1\nmx: *\n")


def new_id_and_strange_certificate(world: World) -> None:
    world.announce("666")
    world.place.site.certificate = world.place.host._nobody


def new_id_and_no_address(world: World) -> None:
    world.announce("666")
    del world.dns.zone[f"mta-sts.{DOMAIN}"]


@pytest.mark.parametrize(
    ("attack", "reported"),
    [
        (no_record, None),
        (bad_record, None),
        (failing_record, "sts-policy-fetch-error"),
        (bogus_record, "sts-policy-fetch-error"),
        (new_id_and_no_answer, "sts-policy-fetch-error"),
        (new_id_and_bad_policy, "sts-policy-invalid"),
        (new_id_and_strange_certificate, "sts-webpki-invalid"),
        (new_id_and_no_address, "sts-policy-fetch-error"),
    ],
)
@pytest.mark.requirement("8461-3.1-10", "8461-3.3-11", "8461-3.3-12", "8461-6-2")
def test_attack_cached_policy_survives(
    play: Play, attack: Callable[[World], None], reported: str | None
) -> None:
    """Spoofed DNS and a blocked or forged policy host cannot end enforce before its time."""

    async def scene(world: World) -> None:
        before = await world.found()
        attack(world)

        for _ in range(3):
            lookup = await world.found()
            assert (lookup.policy, lookup.record_id, lookup.expires) == (before.policy, "1", before.expires)
            assert not lookup.fresh
            assert (lookup.failure.result_type if lookup.failure else None) == reported

    play(scene)


@pytest.mark.requirement("8461-6-2")
def test_failure_is_not_worth_a_report_while_mode_none_is_cached(play: Play) -> None:
    """There is nothing in force, so nothing to report."""

    async def scene(world: World) -> None:
        await world.cache.put(entry(mode="none"))
        world.dns.failing.add(RECORD)

        assert isinstance(await world.resolver.lookup(EXAMPLE), NoSTS)

    play(scene)


@pytest.mark.requirement("8461-3.3-8")
def test_failed_fetch_is_not_repeated_for_five_minutes(play: Play) -> None:
    """Ten messages are one request; a new id may be tried at once."""

    async def scene(world: World) -> None:
        world.place.site.answer = BROKEN
        for _ in range(10):
            assert isinstance(await world.resolver.lookup(EXAMPLE), STSUnavailable)
            world.clock.now += 24
        assert world.requests == 1

        world.announce("2")
        await world.resolver.lookup(EXAMPLE)
        assert world.requests == 2

    play(scene)


@pytest.mark.requirement("8461-3.3-8")
def test_fetch_is_tried_again_after_five_minutes(play: Play) -> None:
    """The pause ends, also for the same id, and success is remembered."""

    async def scene(world: World) -> None:
        answer, world.place.site.answer = world.place.site.answer, BROKEN
        await world.resolver.lookup(EXAMPLE)
        world.place.site.answer = answer
        world.clock.now += BACK_OFF - 1
        assert isinstance(await world.resolver.lookup(EXAMPLE), STSUnavailable)
        world.clock.now += 1
        await world.found()
        assert world.requests == 2

    play(scene)


def test_clock_set_back_does_not_stretch_the_pause(play: Play) -> None:
    """A failure from the future is no reason to wait for it."""

    async def scene(world: World) -> None:
        world.place.site.answer = BROKEN
        await world.resolver.lookup(EXAMPLE)
        world.clock.now -= DAY
        await world.resolver.lookup(EXAMPLE)
        assert world.requests == 2

    play(scene)


# Looking again before a failure is final


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


# Refreshing


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
        assert [f"{days} days" in warning for days, warning in zip(("19.0", "18.8", "18.5"), warnings)] == (
            [True] * 3
        )
        assert all(DOMAIN in warning for warning in warnings)


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
