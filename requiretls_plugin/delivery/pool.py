"""Open sessions, kept for messages that demand exactly what they proved."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from requiretls_plugin.policy.demand import Demand
from requiretls_plugin.policy.next_hop import UNIXSocket
from requiretls_plugin.server_address import IPAddress

# RFC 5321 section 4.5.3.2.7 lets a server hang up after five minutes; most do much earlier.
IDLE_SECONDS = 30.0
# A session proves what was true when it was opened: after a while it is time to ask again.
AGE_SECONDS = 300.0
# Who gives a place back within this time keeps nobody waiting for long. RFC 5321 section 4.5.3.2
# lets a server take minutes for each reply.
PROMPT_SECONDS = 30.0
# One place of so many is for hosts that were prompt last time.
KEPT_FREE = 8
MAX_PROMPT_HOSTS = 4096


class Reusable(Protocol):
    """What the pool needs of a session."""

    demand: Demand
    address: IPAddress | UNIXSocket
    opened: float
    last_used: float

    @property
    def usable(self) -> bool:
        """Whether another message may be tried."""

    async def quit(self) -> None:
        """End the session."""


S = TypeVar("S", bound=Reusable)


@dataclass(eq=False, slots=True)
class Place(Generic[S]):
    """The right to one connection, and the session that has it, if there is one.

    Whoever opens a session puts it here; whoever loses one sets None.
    """

    demand: Demand
    session: S | None
    since: float
    of_prompt_host: bool


@dataclass(frozen=True, slots=True)
class PoolCounts:
    """How many connections are in use or idle, and how many deliveries wait for one."""

    busy: int
    idle: int
    waiting: int


@dataclass(eq=False, slots=True)
class _Turn(Generic[S]):
    demand: Demand
    granted: asyncio.Future[Place[S]]


class Pool(Generic[S]):
    """Hand out places for sessions, so many in total and so many per host, and keep idle sessions.

    A session serves only a demand equal to the one it was opened for, at an
    address that the demand has too, so it never carries a message whose demand
    it did not prove. Whoever waits for a place is served in turn, host by host,
    and within a host in the order of asking: no destination can keep another
    out, and nobody who comes later goes first. Some places are kept for hosts
    that were prompt last time, so that others, however many, which hold theirs
    for as long as they may, do not keep these out either. Sessions that are
    only being ended count no more.
    """

    def __init__(self, *, total: int, per_host: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._per_host = per_host
        self._clock = clock
        self._idle: OrderedDict[S, None] = OrderedDict()
        self._idle_at: dict[_Host, list[S]] = {}
        self._taken: dict[_Host, int] = {}
        self._taken_total = 0
        self._prompt: OrderedDict[_Host, None] = OrderedDict()
        self._held_by_others = 0
        self._waiting: OrderedDict[_Host, deque[_Turn[S]]] = OrderedDict()
        self._farewells: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def counts(self) -> PoolCounts:
        """How busy the pool is now."""
        idle = len(self._idle)
        return PoolCounts(self._taken_total - idle, idle, sum(map(len, self._waiting.values())))

    def place(self, demand: Demand) -> Loan[S]:
        """Lend a place for *demand* for the time of an `async with` block, whatever happens in it."""
        return Loan(self, demand)

    async def close(self) -> None:
        """End all sessions: the idle ones now, waiting for that, and others when they come back."""
        self._closed = True
        await self.drop_idle()

    async def drop_idle(self) -> None:
        """End all idle sessions and wait until they are."""
        for session in list(self._idle):
            self._drop(session)
        self._serve()
        if self._farewells:
            await asyncio.gather(*self._farewells, return_exceptions=True)

    def expire(self) -> None:
        """End the sessions that idled for too long; call it now and then."""
        for session in list(self._idle):
            if not self._fit(session):
                self._drop(session)
        self._serve()

    @property
    def open_connections(self) -> int:
        """How many places are taken: by sessions in use, idle, or being opened."""
        return self._taken_total

    async def acquire(self, demand: Demand) -> Place[S]:
        """Wait for a place for *demand* and return it, with an idle session where there is one."""
        # Whoever waits cannot go on now, or would have been served: nobody is overtaken by this.
        place = self._grant(demand)
        if place is not None:
            return place
        host = _host(demand)
        turn = _Turn[S](demand, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(host, deque()).append(turn)
        try:
            return await turn.granted
        except asyncio.CancelledError:
            if turn.granted.cancelled():
                self._give_up(host, turn)
            else:  # granted in the same moment
                self._return(turn.granted.result())
            raise

    def _give_up(self, host: _Host, turn: _Turn[S]) -> None:
        waiting = self._waiting.get(host, deque())
        if turn in waiting:
            waiting.remove(turn)
            if not waiting:
                del self._waiting[host]

    def release(self, place: Place[S]) -> None:
        """Take *place* back. A session that is in it is kept if it is still usable, and ended if not."""
        self._note(place)
        self._return(place)

    def _return(self, place: Place[S]) -> None:
        self._take_back(place)
        self._serve()

    def _note(self, place: Place[S]) -> None:
        """Remember whether the host of *place* was prompt."""
        host = _host(place.demand)
        self._prompt.pop(host, None)
        if self._clock() - place.since <= PROMPT_SECONDS:
            self._prompt[host] = None
            if len(self._prompt) > MAX_PROMPT_HOSTS:
                self._prompt.popitem(last=False)

    def _take_back(self, place: Place[S]) -> None:
        self._held_by_others -= not place.of_prompt_host
        session = place.session
        if session is not None and not self._closed and self._fit(session):
            self._idle[session] = None
            self._idle_at.setdefault(_host(session.demand), []).append(session)
        else:
            if session is not None:
                self._part(session)
            self._free(_host(place.demand))

    def _serve(self) -> None:
        """Grant places until nobody who waits can have one. The host served goes to the end of the line."""
        while self._waiting and (self._idle or self._taken_total < self._total):
            for turns in self._waiting.values():
                place = self._grant(turns[0].demand)
                if place is not None:
                    break
            else:
                return
            turn, host = turns.popleft(), _host(place.demand)
            if turns:
                self._waiting.move_to_end(host)
            else:
                del self._waiting[host]
            if turn.granted.cancelled():  # whoever waited has yet to notice
                self._take_back(place)
            else:
                turn.granted.set_result(place)

    def _grant(self, demand: Demand) -> Place[S] | None:
        host = _host(demand)
        prompt = host in self._prompt
        if not prompt and self._held_by_others >= self._total - self._total // KEPT_FREE:
            return None
        session = self._take_idle(demand)
        if session is None:
            if not self._make_room(host):
                return None
            self._taken[host] = self._taken.get(host, 0) + 1
            self._taken_total += 1
        self._held_by_others += not prompt
        return Place(demand, session, self._clock(), prompt)

    def _take_idle(self, demand: Demand) -> S | None:
        """Return the fitting session that was used last: its connection is most likely alive."""
        for session in reversed(self._idle_at.get(_host(demand), [])[:]):
            if not self._fit(session):
                self._drop(session)
            elif session.demand == demand and session.address in demand.addresses:
                self._forget_idle(session)
                return session
        return None

    def _make_room(self, host: _Host) -> bool:
        # An idle session at this host proved something else; the one that idled longest makes room.
        if self._taken.get(host, 0) >= self._per_host:
            if host not in self._idle_at:
                return False
            self._drop(self._idle_at[host][0])
        elif self._taken_total >= self._total:
            if not self._idle:
                return False
            self._drop(next(iter(self._idle)))
        return True

    def _drop(self, session: S) -> None:
        self._forget_idle(session)
        self._part(session)
        self._free(_host(session.demand))

    def _forget_idle(self, session: S) -> None:
        del self._idle[session]
        host = _host(session.demand)
        self._idle_at[host].remove(session)
        if not self._idle_at[host]:
            del self._idle_at[host]

    def _part(self, session: S) -> None:
        farewell = asyncio.ensure_future(session.quit())
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    def _free(self, host: _Host) -> None:
        self._taken_total -= 1
        self._taken[host] -= 1
        if not self._taken[host]:
            del self._taken[host]

    def _fit(self, session: S) -> bool:
        now = self._clock()
        young = now - session.opened <= AGE_SECONDS and now - session.last_used <= IDLE_SECONDS
        return young and session.usable


class Loan(Generic[S]):
    """A place for as long as an `async with` block lasts; much cheaper than a generator."""

    def __init__(self, pool: Pool[S], demand: Demand) -> None:
        self._pool = pool
        self._demand = demand

    async def __aenter__(self) -> Place[S]:
        """Wait for the place."""
        self._place = await self._pool.acquire(self._demand)
        return self._place

    async def __aexit__(self, *exception: object) -> None:
        """Give it back."""
        self._pool.release(self._place)


_Host = tuple[object, int]


def _host(demand: Demand) -> _Host:
    return demand.host, demand.port
