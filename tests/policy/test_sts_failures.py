"""Policies that cannot be had, and cached ones that stay in force."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from requiretls_lab.policy_host import PolicyAnswer
from requiretls_plugin.policy.sts import NoSTS, STSUnavailable
from requiretls_plugin.policy.sts_cache import DAY, FETCH_FAILURE
from requiretls_plugin.policy.sts_failure import BACK_OFF
from tests.policy.sts_entries import BEGIN, entry
from tests.policy.sts_site import DOMAIN
from tests.policy.sts_world import BROKEN, EXAMPLE, RECORD, Play, World


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


def noted(**changes: object) -> str:
    """Return what is noted of a fetch that failed a minute ago, with *changes*."""
    failure = {"record_id": "1", "result_type": "sts-policy-fetch-error", "why": "refused", "at": BEGIN - 60}
    return json.dumps(failure | changes)


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "{}", '{"at": "x"}', "[" * 100_000),
        pytest.param(noted(at=10**400), id="a time without end"),
        pytest.param(noted(at=float("nan")), id="no number"),
        pytest.param(noted(record_id=1), id="an id that is none"),
        pytest.param(noted(result_type="weather"), id="an unknown result"),
        pytest.param(noted(result_type=[]), id="a list of results"),
    ],
)
def test_attack_rubbish_noted_as_a_failure_is_none(play: Play, text: str) -> None:
    """Whoever can write the store cannot make us raise, nor keep us from fetching."""

    async def scene(world: World) -> None:
        await world.cache.put_note(FETCH_FAILURE, EXAMPLE, text, world.clock.now + 60)

        await world.found()

    play(scene)
