"""A DNSSource that notes for how long all its answers together hold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, runtime_checkable

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Answer, DNSSource, LookupFailed, MXRecord, TLSARecord
from requiretls_plugin.server_address import IPAddress

Record = TypeVar("Record")


@runtime_checkable
class Forgetful(Protocol):
    """A DNSSource that keeps answers and can be told not to use them."""

    def forget(self, name: DomainName) -> None:
        """Ask anew for whatever is looked up at *name* next."""


class WatchedDNS:
    """Passes questions on to *dns*. *ttl*, in seconds, is that of the shortest-lived answer so far.

    A failed lookup makes it 0. With *anew* no answer that is kept will do.
    """

    def __init__(self, dns: DNSSource, *, anew: bool = False) -> None:
        self.ttl = float("inf")
        self._dns = dns
        self._anew = anew

    async def mx(self, name: DomainName) -> Answer[MXRecord]:
        """As `DNSSource.mx`."""
        return await self._noted(name, self._dns.mx)

    async def addresses(self, name: DomainName) -> Answer[IPAddress]:
        """As `DNSSource.addresses`."""
        return await self._noted(name, self._dns.addresses)

    async def tlsa(self, name: DomainName) -> Answer[TLSARecord]:
        """As `DNSSource.tlsa`."""
        return await self._noted(name, self._dns.tlsa)

    async def txt(self, name: DomainName) -> Answer[bytes]:
        """As `DNSSource.txt`."""
        return await self._noted(name, self._dns.txt)

    async def alias(self, name: DomainName) -> Answer[DomainName]:
        """As `DNSSource.alias`."""
        return await self._noted(name, self._dns.alias)

    async def _noted(
        self, name: DomainName, ask: Callable[[DomainName], Awaitable[Answer[Record]]]
    ) -> Answer[Record]:
        if self._anew and isinstance(self._dns, Forgetful):
            self._dns.forget(name)
        answer = await ask(name)
        self.ttl = min(self.ttl, 0.0 if isinstance(answer, LookupFailed) else answer.ttl)
        return answer
