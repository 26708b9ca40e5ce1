"""Sessions that are opened only to see what hosts offer, and ended before MAIL."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from requiretls_plugin.certificate.dane_match import DANE_TA
from requiretls_plugin.delivery.opening import open_session
from requiretls_plugin.delivery.session import Session, SessionRules
from requiretls_plugin.policy.demand import Demand
from requiretls_plugin.policy.next_hop import Host
from requiretls_plugin.policy.refusal import Refusal

PARALLEL = 20


class Probes:
    """What hosts were found to offer. Ask one object, and no host is asked the same twice.

    At the most *parallel* sessions are open at once, and one with any host:
    domains share hosts by the thousand.
    """

    def __init__(self, parallel: int = PARALLEL) -> None:
        self._slots = asyncio.Semaphore(parallel)
        self._hosts: dict[Host, asyncio.Lock] = {}
        self._found: dict[Demand, asyncio.Task[Session | Refusal]] = {}

    async def probe(self, demand: Demand, rules: SessionRules) -> Session | Refusal:
        """Return a session that meets *demand*, ended by now, or why there is none."""
        # Domains at one host differ in the further names that DANE-TA allows; as a rule the first will do.
        found = await self._shared(replace(demand, tlsa_names=demand.tlsa_names[:1]), rules)
        if isinstance(found, Refusal) and any(record.usage == DANE_TA for record in demand.tlsa):
            found = await self._shared(demand, rules)
        return found

    async def _shared(self, demand: Demand, rules: SessionRules) -> Session | Refusal:
        if demand not in self._found:
            self._found[demand] = asyncio.get_running_loop().create_task(self._open(demand, rules))
        # Shielded, because others may wait for the same answer.
        return await asyncio.shield(self._found[demand])

    async def _open(self, demand: Demand, rules: SessionRules) -> Session | Refusal:
        async with self._hosts.setdefault(demand.host, asyncio.Lock()), self._slots:
            session = await open_session(demand, rules)
            if isinstance(session, Session):
                await session.quit()
            return session
