"""A DNSSource that notes for how long all its answers together hold."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Answer, DNSSource, LookupFailed, MXRecord, TLSARecord
from requiretls_plugin.server_address import IPAddress

Record = TypeVar("Record")


class WatchedDNS:
    """Passes questions on to *dns*. *ttl*, in seconds, is that of the shortest-lived answer so far.

    A failed lookup makes it 0.
    """

    def __init__(self, dns: DNSSource) -> None:
        self.ttl = float("inf")
        self._dns = dns

    async def mx(self, name: DomainName) -> Answer[MXRecord]:
        """As `DNSSource.mx`."""
        return await self._noted(self._dns.mx(name))

    async def addresses(self, name: DomainName) -> Answer[IPAddress]:
        """As `DNSSource.addresses`."""
        return await self._noted(self._dns.addresses(name))

    async def tlsa(self, name: DomainName) -> Answer[TLSARecord]:
        """As `DNSSource.tlsa`."""
        return await self._noted(self._dns.tlsa(name))

    async def txt(self, name: DomainName) -> Answer[bytes]:
        """As `DNSSource.txt`."""
        return await self._noted(self._dns.txt(name))

    async def alias(self, name: DomainName) -> Answer[DomainName]:
        """As `DNSSource.alias`."""
        return await self._noted(self._dns.alias(name))

    async def _noted(self, asked: Awaitable[Answer[Record]]) -> Answer[Record]:
        answer = await asked
        self.ttl = min(self.ttl, 0.0 if isinstance(answer, LookupFailed) else answer.ttl)
        return answer
