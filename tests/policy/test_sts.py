"""The MTA-STS policy in force: discovery, modes, changes."""

from __future__ import annotations

import asyncio

import pytest

from requiretls_lab.authority import Authority
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.sts import NoSTS
from requiretls_plugin.policy.sts_cache import DAY
from requiretls_plugin.policy.sts_policy import Mode
from tests.policy.sts_entries import BEGIN, entry
from tests.policy.sts_site import DOMAIN
from tests.policy.sts_world import EXAMPLE, RECORD, Play, World, world


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
