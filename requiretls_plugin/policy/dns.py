"""DNS answers from a validating resolver: a stub that never trades a bad answer for a weaker one.

A resolver that says SERVFAIL may be saying that signatures are wrong. To ask
the next one then, as stubs are used to, would let a resolver that does not
validate overrule one that does. Here every reply is final; only silence makes
the stub ask the next.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
from dns.rdatatype import NS, RdataType

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Answer, LookupFailed
from requiretls_plugin.policy.dns_lookup import CachedLookups
from requiretls_plugin.policy.dns_probe import (
    LOOK_SECONDS,
    WITHOUT_DNSSEC,
    Look,
    Probe,
    Validation,
    without_dnssec,
)
from requiretls_plugin.policy.dns_query import Reply, Server, Unanswered, server_at
from requiretls_plugin.policy.dns_reply import read_reply
from requiretls_plugin.policy.dns_wire import make_query
from requiretls_plugin.policy.nameservers import ad_counts, servers_to_ask
from requiretls_plugin.server_address import Nameserver
from requiretls_plugin.settings import DNSSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Upstream:
    place: Nameserver
    server: Server
    ad_counts: bool


class StubResolver(CachedLookups):
    """A DNSSource that leaves validation to the resolvers in *settings*.

    *ca_file* has the trust anchors for DNS over TLS; None means the system's.
    Raises SettingsError if there is no resolver to ask. Nothing is asked yet,
    so whether they validate is for `probe` to find out.
    """

    def __init__(
        self,
        settings: DNSSettings,
        *,
        ca_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        connect: Callable[[Nameserver, Path | None], Server] = server_at,
    ) -> None:
        super().__init__(clock)
        self._timeout = settings.timeout
        self._wants_dnssec = settings.trust_ad != "never"
        self._all = tuple(
            _Upstream(place, connect(place, ca_file), ad_counts(place, settings))
            for place in servers_to_ask(settings)
        )
        self._upstreams = self._all

    def close(self) -> None:
        """Give up what is under way and close the connections."""
        super().close()
        for upstream in self._all:
            upstream.server.close()

    async def ask(self, name: DomainName, rdtype: RdataType) -> Answer[Any]:
        """Ask one resolver after the other until one replies; `dns.timeout` is the limit for all."""
        try:
            question = dns.name.from_text(name.text)
        except dns.exception.DNSException:
            return LookupFailed(bogus=False, why=f"{name}: DNS has no room for such a name")
        deadline = asyncio.get_running_loop().time() + self._timeout
        silences = []
        for index, upstream in enumerate(self._upstreams):
            patience = _share(deadline, len(self._upstreams) - index)
            reply = await _ask_within(patience, upstream.server, make_query(question, rdtype))
            if not isinstance(reply, Unanswered):
                return await self._judge(upstream, reply, question, rdtype, deadline)
            silences.append(f"{upstream.place}: {reply.why}")
        return LookupFailed(bogus=False, why="; ".join(silences))

    async def _judge(
        self,
        upstream: _Upstream,
        reply: dns.message.Message,
        question: dns.name.Name,
        rdtype: RdataType,
        deadline: float,
    ) -> Answer[Any]:
        answer = read_reply(reply, ad_counts=upstream.ad_counts)
        unexplained = reply.rcode() == dns.rcode.SERVFAIL and not reply.extended_errors()
        if not isinstance(answer, LookupFailed) or not unexplained:
            return answer
        # No word on why (RFC 8914). If there is an answer without validation, validation was it.
        query = make_query(question, rdtype, checking_disabled=True)
        unchecked = await _ask_within(_share(deadline, 1), upstream.server, query)
        if isinstance(unchecked, Unanswered) or unchecked.rcode() == dns.rcode.SERVFAIL:
            return answer
        return LookupFailed(bogus=True, why=f"{answer.why}, but there is an answer without validation")

    async def probe(self, zone: str | None = None, *, patience: float | None = None) -> tuple[Probe, ...]:
        """Find out of each resolver whether it validates: whether its answer for the NS of *zone* has AD.

        Each has *patience* seconds to answer, by default `dns.timeout`.
        From then on those that do not are left out, as long as there are some that do.
        One that says nothing changes nothing: whoever keeps it from us brings no other back.
        """
        question = dns.name.from_text(zone or self.signed_zone)
        patience = self._timeout if patience is None else min(patience, self._timeout)
        probes = await asyncio.gather(*(self._probe(upstream, question, patience) for upstream in self._all))
        blind = {probe.server for probe in probes if probe.validation in WITHOUT_DNSSEC}
        found = {probe.validation for probe in probes}
        if Validation.VALIDATES in found:
            self._leave_out(blind)
        elif Validation.UNKNOWN not in found:
            self._leave_out(set())
        return tuple(probes)

    def _leave_out(self, places: set[str]) -> None:
        chosen = tuple(each for each in self._all if str(each.place) not in places)
        if places and chosen != self._upstreams:
            log.warning("nameservers left out, because they do not validate: %s", ", ".join(sorted(places)))
        self._upstreams = chosen

    async def look(self) -> Look:
        """Probe, and judge those who were asked until now."""
        if not self._wants_dnssec:
            return Look(None)
        asked = {str(upstream.place) for upstream in self._upstreams}
        return Look.at(await self.probe(patience=LOOK_SECONDS), asked)

    async def _probe(self, upstream: _Upstream, question: dns.name.Name, patience: float) -> Probe:
        reply = await _ask_within(patience, upstream.server, make_query(question, NS))
        place = str(upstream.place)
        if isinstance(reply, Unanswered):
            return Probe(place, Validation.UNKNOWN, reply.why)
        if reply.rcode() != dns.rcode.NOERROR:
            return Probe(place, Validation.UNKNOWN, dns.rcode.to_text(reply.rcode()))
        if not reply.flags & dns.flags.AD:
            validation = without_dnssec(question.to_text(), read_reply(reply, ad_counts=False))
            return Probe(place, validation, f"no AD bit in the answer for {question}")
        validation = Validation.VALIDATES if upstream.ad_counts else Validation.NOT_BELIEVED
        return Probe(place, validation, f"AD bit in the answer for {question}")


async def _ask_within(patience: float, server: Server, query: dns.message.Message) -> Reply:
    try:
        async with asyncio.timeout(patience):
            return await server.ask(query)
    except TimeoutError:
        return Unanswered(f"no reply within {patience:.1f} s")


def _share(deadline: float, waiting: int) -> float:
    """Return the seconds for the next of *waiting* servers that share the time until *deadline*."""
    return max(0.0, deadline - asyncio.get_running_loop().time()) / waiting
