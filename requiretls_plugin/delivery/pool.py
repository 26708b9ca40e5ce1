"""Open sessions, kept for messages that demand exactly what they proved."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from requiretls_plugin.policy.demand import Demand

# RFC 5321 section 4.5.3.2.7 lets a server hang up after five minutes; most do much earlier.
IDLE_SECONDS = 30.0
# A session proves what was true when it was opened: after a while it is time to ask again.
AGE_SECONDS = 300.0


class Reusable(Protocol):
    """What the pool needs of a session."""

    demand: Demand
    opened: float
    last_used: float

    @property
    def usable(self) -> bool:
        """Whether another message may be tried."""

    async def quit(self) -> None:
        """End the session."""


S = TypeVar("S", bound=Reusable)


class Pool(Generic[S]):
    """Hand out idle sessions and places for new ones, so many in total and so many per host.

    A session serves only a demand equal to the one it was opened for, so it
    never carries a message whose demand it did not prove. Whoever waits for a
    place is served in turn, host by host, so that one destination cannot keep
    the others out.
    """

    def __init__(self, *, total: int, per_host: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._per_host = per_host
        self._clock = clock
        self._idle: OrderedDict[S, None] = OrderedDict()
        self._idle_by_demand: dict[Demand, deque[S]] = {}
        self._open: dict[str, int] = {}
        self._open_total = 0
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._farewells: set[asyncio.Task[None]] = set()

    async def acquire(self, demand: Demand) -> S | None:
        """Return an idle session for *demand*, or None for a place to open one in; waits for either.

        Give it back by `release`, whatever happens in between.
        """
        host = _place(demand)
        while True:
            session = self._take_idle(demand)
            if session is not None:
                return session
            if self._has_room(host):
                self._open[host] = self._open.get(host, 0) + 1
                self._open_total += 1
                return None
            await self._turn(host)

    def release(self, demand: Demand, session: S | None) -> None:
        """Give back what `acquire` gave: the session, or None if it is gone or was never opened."""
        host = _place(demand)
        if session is not None and session.usable and not self._too_old(session):
            self._idle[session] = None
            self._idle_by_demand.setdefault(demand, deque()).append(session)
        else:
            if session is not None:
                self._part(session)
            self._free(host)
        self._wake()

    async def close(self) -> None:
        """End all idle sessions and wait for those that are being ended."""
        for session in list(self._idle):
            self._drop(session)
        if self._farewells:
            await asyncio.gather(*self._farewells, return_exceptions=True)

    def expire(self) -> None:
        """End the sessions that idled for too long; call it now and then."""
        for session in list(self._idle):
            if self._too_old(session) or not session.usable:
                self._drop(session)
                self._wake()

    @property
    def open_connections(self) -> int:
        """How many places are taken: by sessions in use, idle, or being opened."""
        return self._open_total

    def _take_idle(self, demand: Demand) -> S | None:
        idle = self._idle_by_demand.get(demand)
        while idle:
            session = idle[-1]
            if session.usable and not self._too_old(session):
                self._forget_idle(session)
                return session
            self._drop(session)
            idle = self._idle_by_demand.get(demand)
        return None

    def _has_room(self, host: str) -> bool:
        # An idle session here proved something else; it makes place.
        if self._open.get(host, 0) >= self._per_host and not self._drop_idle(host):
            return False
        return self._open_total < self._total or self._drop_idle(None)

    def _drop_idle(self, host: str | None) -> bool:
        for session in self._idle:
            if host is None or _place(session.demand) == host:
                self._drop(session)
                return True
        return False

    def _drop(self, session: S) -> None:
        self._forget_idle(session)
        self._part(session)
        self._free(_place(session.demand))

    def _forget_idle(self, session: S) -> None:
        del self._idle[session]
        idle = self._idle_by_demand[session.demand]
        idle.remove(session)
        if not idle:
            del self._idle_by_demand[session.demand]

    def _part(self, session: S) -> None:
        farewell = asyncio.ensure_future(session.quit())
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    def _free(self, host: str) -> None:
        self._open_total -= 1
        self._open[host] -= 1
        if not self._open[host]:
            del self._open[host]

    def _too_old(self, session: S) -> bool:
        now = self._clock()
        return now - session.opened > AGE_SECONDS or now - session.last_used > IDLE_SECONDS

    async def _turn(self, host: str) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(host, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._wake()  # the turn was ours; somebody else has to have it
            raise
        finally:
            waiting = self._waiting.get(host)
            if waiting is not None and turn in waiting:
                waiting.remove(turn)
                if not waiting:
                    del self._waiting[host]

    def _wake(self) -> None:
        """Wake one waiter: of the host whose turn it is among those that can go on now."""
        for host in self._waiting:
            if self._can_go_on(host):
                break
        else:
            return
        self._waiting.move_to_end(host)
        self._wake_first(host)

    def _can_go_on(self, host: str) -> bool:
        if any(_place(session.demand) == host for session in self._idle):
            return True
        room = self._open_total < self._total or bool(self._idle)
        return room and self._open.get(host, 0) < self._per_host

    def _wake_first(self, host: str) -> None:
        waiting = self._waiting[host]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                break
        if not waiting:
            del self._waiting[host]


def _place(demand: Demand) -> str:
    return f"{demand.host}:{demand.port}"
