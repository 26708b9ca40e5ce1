"""The pool: limits hold, nobody starves, and no session serves a demand it was not opened for."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from requiretls_plugin.delivery.pool import (
    AGE_SECONDS,
    IDLE_SECONDS,
    KEPT_FREE,
    MAX_PROMPT_HOSTS,
    PROMPT_SECONDS,
    Place,
    Pool,
    Reusable,
)
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.demand import Demand
from requiretls_plugin.policy.next_hop import UNIXSocket
from requiretls_plugin.server_address import IPAddress
from tests.delivery.demands import ADDRESS, ANYTHING, DANE, IF_TLS_FAILS_CLEARTEXT, PKIX, RELAXED, REQUIRED


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(eq=False)
class FakeSession:
    """A session without a connection."""

    demand: Demand
    clock: Clock
    address: IPAddress | UNIXSocket = ADDRESS
    usable: bool = True
    ended: bool = False
    opened: float = field(init=False)
    last_used: float = field(init=False)

    def __post_init__(self) -> None:
        self.opened = self.last_used = self.clock()

    async def quit(self) -> None:
        self.ended = True


def fits_the_protocol(session: FakeSession) -> Reusable:
    """Nothing at run time; lets mypy prove that FakeSession is Reusable."""
    return session


def at(host: str, demand: Demand = ANYTHING) -> Demand:
    return replace(demand, host=DomainName(host))


class World:
    """A pool, a clock, and what happens around them."""

    def __init__(self, total: int = 4, per_host: int = 2) -> None:
        self.clock = Clock()
        self.pool: Pool[FakeSession] = Pool(total=total, per_host=per_host, clock=self.clock)

    async def use(self, demand: Demand) -> FakeSession:
        """Take a place, open a session if there is none, and give it back."""
        async with self.pool.place(demand) as place:
            return self.opened(place)

    def opened(self, place: Place[FakeSession]) -> FakeSession:
        if place.session is None:
            place.session = FakeSession(place.demand, self.clock)
        return place.session

    def hold(self, demand: Demand) -> Holding:
        """Begin to wait for a place and keep it."""
        return Holding(self, demand)


class Holding:
    """A place that is waited for, then held, in a task of its own."""

    def __init__(self, world: World, demand: Demand) -> None:
        self.demand = demand
        self.place: Place[FakeSession] | None = None
        self._let_go = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._run(world))

    async def _run(self, world: World) -> None:
        async with world.pool.place(self.demand) as place:
            world.opened(place)
            self.place = place
            await self._let_go.wait()

    @property
    def granted(self) -> bool:
        return self.place is not None

    async def release(self) -> None:
        self._let_go.set()
        await self.task

    async def cancel(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


async def settled() -> None:
    """Let every task go on until it waits for something."""
    for _ in range(10):
        await asyncio.sleep(0)


def run(scene: Callable[[World], Awaitable[None]], **limits: int) -> None:
    async def play() -> None:
        world = World(**limits)
        await scene(world)
        await settled()
        await world.pool.close()
        assert world.pool.open_connections == 0

    asyncio.run(play())


def test_an_idle_session_serves_the_next_message() -> None:
    """The one that was used last, whose connection is most likely alive."""

    async def scene(world: World) -> None:
        first = await world.use(REQUIRED)

        assert await world.use(REQUIRED) is first
        assert not first.ended

    run(scene)


OTHER_DEMANDS = [
    pytest.param(IF_TLS_FAILS_CLEARTEXT, id="waived policy"),
    pytest.param(DANE, id="no REQUIRETLS"),
    pytest.param(PKIX, id="another mechanism"),
    pytest.param(RELAXED, id="relaxed level"),
    pytest.param(ANYTHING, id="nothing demanded"),
    pytest.param(replace(REQUIRED, tlsa=()), id="other TLSA records"),
    pytest.param(replace(REQUIRED, port=2525), id="another port"),
    pytest.param(at("mx2.recipient.example", REQUIRED), id="another host"),
]


@pytest.mark.requirement("8689-4.2.1-21")
@pytest.mark.parametrize("other", OTHER_DEMANDS)
def test_attack_a_session_never_serves_another_demand(other: Demand) -> None:
    """Neither a stricter message over a laxer session, nor the other way round."""

    async def scene(world: World) -> None:
        lax = await world.use(other)
        strict = await world.use(REQUIRED)

        assert strict is not lax
        assert await world.use(other) is lax
        assert await world.use(REQUIRED) is strict

    run(scene)


def test_a_session_serves_only_addresses_that_dns_still_gives() -> None:
    """In whatever order; a host that moved gets a new session."""
    elsewhere = ipaddress.ip_address("192.0.2.99")

    async def scene(world: World) -> None:
        first = await world.use(REQUIRED)

        assert await world.use(replace(REQUIRED, addresses=(elsewhere, ADDRESS))) is first
        assert await world.use(replace(REQUIRED, addresses=(elsewhere,))) is not first

    run(scene)


@pytest.mark.parametrize(
    ("seconds_idle", "reused"), [(IDLE_SECONDS, True), (IDLE_SECONDS + 1, False)], ids=["short", "long"]
)
def test_a_session_is_kept_only_for_a_while(seconds_idle: float, reused: bool) -> None:
    """Servers hang up on idlers."""

    async def scene(world: World) -> None:
        first = await world.use(ANYTHING)
        world.clock.now += seconds_idle

        assert (await world.use(ANYTHING) is first) is reused

    run(scene)


def test_a_session_is_not_kept_for_ever_even_if_it_is_busy() -> None:
    """It proves what was true when it was opened."""

    async def scene(world: World) -> None:
        first = await world.use(ANYTHING)
        for _ in range(int(AGE_SECONDS / 20) + 1):
            world.clock.now += 20
            last = await world.use(ANYTHING)
            last.last_used = world.clock()
        await settled()

        assert last is not first
        assert first.ended

    run(scene)


def test_idle_sessions_are_ended_in_time() -> None:
    """Also where no further message comes."""

    async def scene(world: World) -> None:
        first = await world.use(ANYTHING)
        world.clock.now += IDLE_SECONDS + 1
        world.pool.expire()
        await settled()

        assert first.ended
        assert world.pool.open_connections == 0

    run(scene)


def test_a_dead_session_is_not_kept() -> None:
    """Neither when it comes back dead, nor when it dies in the pool."""

    async def scene(world: World) -> None:
        async with world.pool.place(ANYTHING) as place:
            dead = world.opened(place)
            dead.usable = False
        dies_later = await world.use(ANYTHING)
        dies_later.usable = False
        last = await world.use(ANYTHING)
        await settled()

        assert len({dead, dies_later, last}) == 3
        assert dead.ended
        assert dies_later.ended

    run(scene)


def test_no_more_places_than_allowed_for_a_host() -> None:
    """The third one waits for one of the first two."""

    async def scene(world: World) -> None:
        first, second, third = (world.hold(ANYTHING) for _ in range(3))
        await settled()
        assert [first.granted, second.granted, third.granted] == [True, True, False]

        await first.release()
        await settled()
        assert third.granted
        await second.release()
        await third.release()

    run(scene)


def test_no_more_places_than_allowed_in_total() -> None:
    """Hosts share them."""

    async def scene(world: World) -> None:
        holdings = [world.hold(at(f"mx{number}.example")) for number in range(5)]
        await settled()
        assert [holding.granted for holding in holdings] == [True] * 4 + [False]

        for holding in holdings:
            await holding.release()

    run(scene)


def test_an_idle_session_makes_room() -> None:
    """At the same host for another demand; in total for another host."""

    async def scene(world: World) -> None:
        first, second = world.hold(ANYTHING), world.hold(ANYTHING)
        await settled()
        await first.release()
        await second.release()
        await world.use(REQUIRED)
        await settled()
        assert [holding.place.session.ended for holding in (first, second)] == [True, False]  # type: ignore[union-attr]

        for number in range(5):
            await world.use(at(f"mx{number}.example"))
            assert world.pool.open_connections <= 4

    run(scene)


def test_hosts_are_served_in_turn() -> None:
    """A destination with a thousand messages does not keep out one with a single one."""

    async def scene(world: World) -> None:
        order: list[str] = []

        async def deliver(host: str) -> None:
            async with world.pool.place(at(host)) as place:
                world.opened(place)
                order.append(host)
                await asyncio.sleep(0)

        crowd = [deliver("crowd.example") for _ in range(20)]
        await asyncio.gather(*crowd, deliver("single.example"))

        assert order.index("single.example") <= 2

    run(scene, total=1, per_host=1)


def tarpits(world: World, count: int) -> list[Holding]:
    """Return that many hosts that hold on to whatever they get."""
    return [world.hold(at(f"tarpit{number}.example")) for number in range(count)]


def test_attack_hosts_that_hold_on_keep_no_prompt_host_out() -> None:
    """However many they are: a host that was prompt last time gets a place, and another, and another."""

    async def scene(world: World) -> None:
        await world.use(ANYTHING)
        held = tarpits(world, 100)
        await settled()
        assert sum(holding.granted for holding in held) == 14

        for _ in range(3):
            await world.use(ANYTHING)
            world.clock.now += IDLE_SECONDS + 1
        assert sum(holding.granted for holding in held) == 14
        for holding in held:
            await holding.cancel()

    run(scene, total=16, per_host=2)


def test_a_host_that_was_slow_last_time_is_not_prompt() -> None:
    """It waits like those nobody knows; once it was prompt again it does not."""

    async def scene(world: World) -> None:
        async with world.pool.place(ANYTHING):
            world.clock.now += PROMPT_SECONDS + 1
        held = tarpits(world, 14)
        waiting = world.hold(ANYTHING)
        await settled()
        assert not waiting.granted

        await held[0].release()
        await settled()
        assert waiting.granted
        await waiting.release()
        held += tarpits(world, 20)
        await settled()
        await world.use(ANYTHING)
        for holding in held[1:]:
            await holding.cancel()

    run(scene, total=16, per_host=2)


def test_prompt_hosts_may_have_all_places() -> None:
    """What is kept for them is no limit for them."""

    async def scene(world: World) -> None:
        for number in range(16):
            await world.use(at(f"mx{number}.example"))
        held = [world.hold(at(f"mx{number}.example")) for number in range(16)]
        await settled()
        assert all(holding.granted for holding in held)
        for holding in held:
            await holding.release()

    run(scene, total=16, per_host=2)


def test_only_so_many_prompt_hosts_are_remembered() -> None:
    """The one that was used last for the longest time is forgotten first."""

    async def scene(world: World) -> None:
        await world.use(at("first.example"))
        await world.use(at("second.example"))
        for number in range(MAX_PROMPT_HOSTS - 1):
            await world.use(at(f"mx{number}.example"))
        held = tarpits(world, 14)
        first, second = world.hold(at("first.example")), world.hold(at("second.example"))
        await settled()
        assert [first.granted, second.granted] == [False, True]
        for holding in (*held, first, second):
            await holding.cancel()

    run(scene, total=16, per_host=2)


def test_whoever_asks_first_is_served_first() -> None:
    """A newcomer does not take the place that somebody waited for."""

    async def scene(world: World) -> None:
        holder, waiting = world.hold(ANYTHING), world.hold(ANYTHING)
        await settled()
        releasing = asyncio.ensure_future(holder.release())
        newcomer = world.hold(ANYTHING)
        await settled()

        assert waiting.granted
        assert not newcomer.granted
        await releasing
        await waiting.release()
        await newcomer.release()

    run(scene, total=1, per_host=1)


def test_a_waiter_that_gives_up_is_forgotten() -> None:
    """Its turn goes to the next one."""

    async def scene(world: World) -> None:
        holder, impatient, patient = (world.hold(ANYTHING) for _ in range(3))
        await settled()
        await impatient.cancel()
        await holder.release()
        await settled()

        assert not impatient.granted
        assert patient.granted
        await patient.release()

    run(scene, total=1, per_host=1)


def test_a_place_granted_to_somebody_who_just_gave_up_is_not_lost() -> None:
    """It gave up, and its place came before it could say so."""

    async def scene(world: World) -> None:
        async with world.pool.place(ANYTHING):
            impatient = world.hold(ANYTHING)
            await settled()
            impatient.task.cancel()
        await settled()

        assert impatient.task.cancelled()
        await world.use(ANYTHING)

    run(scene, total=1, per_host=1)


def test_somebody_who_gives_up_a_place_just_granted_gives_it_back() -> None:
    """Its place came, and it was cancelled before it could take it."""

    async def scene(world: World) -> None:
        async with world.pool.place(ANYTHING):
            impatient = world.hold(ANYTHING)
            await settled()
        impatient.task.cancel()
        await settled()

        assert impatient.task.cancelled()
        assert not impatient.granted
        await world.use(ANYTHING)

    run(scene, total=1, per_host=1)


def test_a_place_is_given_back_whatever_happens() -> None:
    """An exception inside costs no place."""

    async def scene(world: World) -> None:
        with pytest.raises(ZeroDivisionError):
            async with world.pool.place(ANYTHING):
                raise ZeroDivisionError

        assert world.pool.open_connections == 0

    run(scene)


def test_a_closed_pool_keeps_nothing() -> None:
    """A session that comes back afterwards is ended."""

    async def scene(world: World) -> None:
        holding = world.hold(ANYTHING)
        await settled()
        await world.pool.close()
        await holding.release()
        await settled()

        assert holding.place is not None
        assert holding.place.session is not None
        assert holding.place.session.ended

    run(scene)


def test_idle_sessions_can_be_dropped_without_closing() -> None:
    """As after a change of network."""

    async def scene(world: World) -> None:
        first = await world.use(ANYTHING)
        await world.pool.drop_idle()
        second = await world.use(ANYTHING)

        assert first.ended
        assert await world.use(ANYTHING) is second

    run(scene)


SOME_DEMANDS = [
    at(host, demand)
    for host, demand in itertools.product(("a.example", "b.example", "c.example"), (ANYTHING, DANE, REQUIRED))
]


class PoolMachine(RuleBasedStateMachine):
    """Any order of asking, giving back, dying, cancelling and waiting."""

    TOTAL, PER_HOST = 3, 2

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.holdings: list[Holding] = []
        self.sessions: set[FakeSession] = set()
        self.world: World
        self._run(self._begin())

    def _run(self, step: Coroutine[None, None, None]) -> None:
        self.loop.run_until_complete(step)
        self.loop.run_until_complete(settled())

    async def _begin(self) -> None:
        self.world = World(self.TOTAL, self.PER_HOST)

    @property
    def held(self) -> list[Holding]:
        return [holding for holding in self.holdings if holding.granted]

    @rule(demand=st.sampled_from(SOME_DEMANDS), count=st.integers(1, 3))
    def ask(self, demand: Demand, count: int) -> None:
        async def step() -> None:
            self.holdings += [self.world.hold(demand) for _ in range(count)]

        self._run(step())

    @precondition(lambda self: self.held)
    @rule(data=st.data(), alive=st.booleans())
    def give_back(self, data: st.DataObject, alive: bool) -> None:
        holding = data.draw(st.sampled_from(self.held))
        self.holdings.remove(holding)
        assert holding.place is not None
        assert holding.place.session is not None
        holding.place.session.usable = alive
        holding.place.session.last_used = self.world.clock()
        self._run(holding.release())

    @precondition(lambda self: self.holdings)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        holding = data.draw(st.sampled_from(self.holdings))
        self.holdings.remove(holding)
        self._run(holding.cancel())

    @rule(seconds=st.sampled_from([1.0, IDLE_SECONDS + 1, AGE_SECONDS + 1]))
    def wait(self, seconds: float) -> None:
        async def step() -> None:
            self.world.clock.now += seconds
            self.world.pool.expire()

        self._run(step())

    @rule()
    def drop_idle(self) -> None:
        self._run(self.world.pool.drop_idle())

    @invariant()
    def limits_hold(self) -> None:
        assert self.world.pool.open_connections <= self.TOTAL
        for host in {holding.demand.host for holding in self.held}:
            assert sum(holding.demand.host == host for holding in self.held) <= self.PER_HOST

    @invariant()
    def every_session_serves_one_message_of_its_own_demand(self) -> None:
        sessions = [holding.place.session for holding in self.held if holding.place]
        assert len(set(sessions)) == len(sessions)
        for holding in self.held:
            assert holding.place is not None
            assert holding.place.session is not None
            assert holding.place.session.demand == holding.demand
            assert not holding.place.session.ended

    @invariant()
    def nobody_waits_who_could_go_on(self) -> None:
        if len(self.held) >= self.TOTAL:
            return
        places = [holding.place for holding in self.held if holding.place]
        by_others = sum(not place.of_prompt_host for place in places)
        for holding in self.holdings:
            at_host = sum(other.demand.host == holding.demand.host for other in self.held)
            full = by_others >= self.TOTAL - self.TOTAL // KEPT_FREE
            assert holding.granted or at_host >= self.PER_HOST or full

    def teardown(self) -> None:
        while self.holdings:
            # No waiter starves: all that was asked for is granted once the others let go.
            [first, *_] = self.held
            self.holdings.remove(first)
            self._run(first.release())
        self._run(self.world.pool.close())
        assert self.world.pool.open_connections == 0
        self.loop.close()


class LargePoolMachine(PoolMachine):
    """The same where one place is kept for hosts that were prompt."""

    TOTAL, PER_HOST = KEPT_FREE + 1, 4


LargePoolMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestAnyOrderOfEventsInALargePool = LargePoolMachine.TestCase
PoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAnyOrderOfEvents = PoolMachine.TestCase
