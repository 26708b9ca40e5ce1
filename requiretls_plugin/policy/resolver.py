"""Gather the evidence about a next hop. Everything is asked at once where it can be."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, runtime_checkable

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.mail_address import AddressLiteral
from requiretls_plugin.policy.answers import DNSSource
from requiretls_plugin.policy.dns_probe import SIGHT_SECONDS
from requiretls_plugin.policy.evidence import Evidence, HostEvidence
from requiretls_plugin.policy.mx_lookup import Candidate, MailHosts, lookup_mx
from requiretls_plugin.policy.next_hop import DomainHop, NamedHop, NextHop, UNIXSocket
from requiretls_plugin.policy.sts import NoSTS, STSLookup, STSResolver, STSUnavailable
from requiretls_plugin.policy.tlsa_lookup import HostAddresses, HostLookup, NoDANE, lookup_host
from requiretls_plugin.policy.watched_dns import WatchedDNS
from requiretls_plugin.server_address import IPAddress

# No one is helped by the eleventh host; RFC 5321 section 5.1 asks for two at the least.
MAX_HOSTS = 10

# Long enough to serve a burst of mail, short enough that a change of MTA-STS policy does not wait.
KEPT_SECONDS = 10.0
MAX_KEPT = 4096


@runtime_checkable
class Sighted(Protocol):
    """A DNSSource that knows whether those who are asked validate."""

    @property
    def latest_blindness(self) -> str | None:
        """As `CachedLookups.latest_blindness`."""

    async def blindness(self, max_age: float) -> str | None:
        """As `CachedLookups.blindness`."""


class PolicyResolver:
    """Find out what DNS and MTA-STS say about next hops.

    *port* is the one mail servers are connected to, which is also the one in
    TLSA names. *own_names* are the names of this host, for loop detection.
    Evidence is used again while every DNS answer in it holds, for KEPT_SECONDS
    at the most.
    """

    def __init__(
        self,
        dns: DNSSource,
        sts: STSResolver,
        *,
        port: int,
        own_names: frozenset[DomainName] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dns = dns
        self._sts = sts
        self._port = port
        self._own_names = own_names
        self._clock = clock
        self._kept: OrderedDict[NextHop, tuple[float, Evidence]] = OrderedDict()

    async def evidence(self, next_hop: NextHop, *, recheck: bool = False) -> Evidence:
        """Return the evidence about *next_hop*; failures are part of it, none is raised.

        With *recheck* nothing that is kept will do: the MTA-STS policy id is looked
        up again, as RFC 8461 section 5.1 asks before a failure is final, and so is
        all of DNS, and whether whoever answers validates. Else nobody waits for that:
        `blind` is what was found out last.
        """
        until, kept = self._kept.get(next_hop, (0.0, None))
        if kept is not None and not recheck and self._clock() < until:
            return kept
        asked = self._clock()
        dns = WatchedDNS(self._dns, anew=recheck)
        evidence = await self._gather(dns, next_hop, recheck)
        if recheck:
            # After the answers, so that it is about whoever gave them.
            evidence = await self.with_sight(evidence, max_age=0.0)
        elif evidence.insecure and isinstance(self._dns, Sighted):
            evidence = replace(evidence, blind=self._dns.latest_blindness)
        self._keep(next_hop, asked + min(dns.ttl, KEPT_SECONDS), evidence)
        return evidence

    async def with_sight(self, evidence: Evidence, *, max_age: float = SIGHT_SECONDS) -> Evidence:
        """Return *evidence*, its `blind` as found out by a look that began *max_age* seconds ago or later."""
        if not evidence.insecure or not isinstance(self._dns, Sighted):
            return evidence
        return replace(evidence, blind=await self._dns.blindness(max_age))

    def _keep(self, next_hop: NextHop, until: float, evidence: Evidence) -> None:
        self._kept.pop(next_hop, None)
        if not isinstance(evidence.sts, STSUnavailable):
            self._kept[next_hop] = until, evidence
        # Evidence about a stranger's domain can be megabytes: what is over goes at once, or
        # KEPT_SECONDS later where something older is not over yet.
        while self._kept and (self._oldest_until() <= self._clock() or len(self._kept) > MAX_KEPT):
            self._kept.popitem(last=False)

    def _oldest_until(self) -> float:
        until, _evidence = next(iter(self._kept.values()))
        return until

    async def _gather(self, dns: DNSSource, next_hop: NextHop, recheck: bool) -> Evidence:
        if isinstance(next_hop, NamedHop):
            return await self._of_named(dns, next_hop, recheck)
        if isinstance(next_hop.domain, AddressLiteral):
            host = _literal(next_hop.domain.address)
            return Evidence(next_hop, None, NoSTS(), (host,), self._port)
        return await self._of_domain(dns, next_hop, next_hop.domain, recheck)

    async def _of_domain(
        self, dns: DNSSource, next_hop: DomainHop, domain: DomainName, recheck: bool
    ) -> Evidence:
        sts = asyncio.ensure_future(self._policy(domain, recheck))
        try:
            mx = await lookup_mx(dns, domain, own_names=self._own_names)
            hosts: list[HostEvidence] = []
            if isinstance(mx, MailHosts):
                candidates = mx.candidates[:MAX_HOSTS]
                hosts = await asyncio.gather(*(_host(dns, found, self._port) for found in candidates))
            return Evidence(next_hop, mx, await sts, tuple(hosts), self._port)
        finally:
            sts.cancel()

    async def _of_named(self, dns: DNSSource, next_hop: NamedHop, recheck: bool) -> Evidence:
        server = next_hop.server
        if isinstance(server, UNIXSocket):
            return Evidence(next_hop, None, NoSTS(), (_literal(server),), 0)
        if not isinstance(server.host, DomainName):
            return Evidence(next_hop, None, NoSTS(), (_literal(server.host),), server.port)
        # RFC 8461 section 3.4: with a smart host, its own domain is the policy domain.
        sts, host = await asyncio.gather(
            self._policy(server.host, recheck), _host(dns, Candidate(server.host, 0), server.port)
        )
        return Evidence(next_hop, None, sts, (host,), server.port)

    async def _policy(self, domain: DomainName, recheck: bool) -> STSLookup:
        return await (self._sts.recheck(domain) if recheck else self._sts.lookup(domain))


async def _host(dns: DNSSource, candidate: Candidate, port: int) -> HostEvidence:
    lookup = await lookup_host(dns, candidate.host, port)
    return HostEvidence(candidate.host, candidate.preference, lookup)


def _literal(host: IPAddress | UNIXSocket) -> HostEvidence:
    addresses = () if isinstance(host, UNIXSocket) else (host,)
    lookup: HostLookup = HostAddresses(addresses, addresses_secure=False, dane=NoDANE(secure_absence=False))
    return HostEvidence(host, 0, lookup)
