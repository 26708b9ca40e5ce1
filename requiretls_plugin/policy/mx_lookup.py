"""Which hosts take a domain's mail (RFC 5321 section 5.1, RFC 7505)."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Absent, DNSSource, Found, LookupFailed, MXRecord


@dataclass(frozen=True, slots=True)
class Candidate:
    """One host to try, before its addresses were looked up."""

    host: DomainName
    preference: int


@dataclass(frozen=True, slots=True)
class MailHosts:
    """The hosts to try, the best first.

    *secure* tells that DNSSEC vouches for the list: for the MX records and for
    every alias on the way to them, or, if *implicit*, for their absence.
    *implicit* tells that there is no MX record and the domain is its own only
    host. *expanded* is the domain at the end of the alias chain, equal to the
    domain asked for if there is none; it is not known, and the domain asked
    for, if *implicit*.
    """

    candidates: tuple[Candidate, ...]
    secure: bool
    implicit: bool
    expanded: DomainName


@dataclass(frozen=True, slots=True)
class NullMX:
    """The domain says that it takes no mail (RFC 7505 section 3)."""

    secure: bool


@dataclass(frozen=True, slots=True)
class NoSuchDomain:
    """The domain does not exist."""

    secure: bool


@dataclass(frozen=True, slots=True)
class NoUsableMX:
    """There are MX records, but none of them names a host."""

    secure: bool


@dataclass(frozen=True, slots=True)
class MailLoop:
    """We are the best host for the domain ourselves (RFC 5321 section 5.1)."""

    host: DomainName


@dataclass(frozen=True, slots=True)
class MXFailed:
    """It is not known which hosts take the domain's mail; *bogus* as in LookupFailed."""

    bogus: bool
    why: str


# Equal hosts share the load; nobody outside may choose among them.
_RANDOMNESS = random.SystemRandom()

MXLookup = MailHosts | NullMX | NoSuchDomain | NoUsableMX | MailLoop | MXFailed


async def lookup_mx(
    dns: DNSSource,
    domain: DomainName,
    *,
    own_names: Collection[DomainName] = (),
    randomness: random.Random = _RANDOMNESS,
) -> MXLookup:
    """Look up the hosts of *domain*, the best preference first, equal ones in random order.

    An alias at the domain is followed. A failed lookup is never replaced by the
    domain's own address. If one of *own_names* is among the hosts, it and all
    of the same or a worse preference are left out. Whether the hosts exist is
    not looked at.
    """
    answer = await dns.mx(domain)
    match answer:
        case LookupFailed():
            return MXFailed(answer.bogus, answer.why)
        case Absent(name_exists=False):
            return NoSuchDomain(answer.secure)
        case Absent():
            hosts = [Candidate(domain, 0)]
            found = MailHosts(tuple(hosts), answer.secure, implicit=True, expanded=domain)
        case Found():
            if _is_null_mx(answer.records):
                return NullMX(answer.secure)
            hosts = _best_first(answer.records, randomness)
            if not hosts:
                return NoUsableMX(answer.secure)
            found = MailHosts(tuple(hosts), answer.secure, implicit=False, expanded=answer.canonical)
    return _without_ourselves(found, own_names)


def _is_null_mx(records: tuple[MXRecord, ...]) -> bool:
    # RFC 7505 section 3: beside another record, or with another preference, "." is only unusable.
    return records == (MXRecord(0, None),)


def _best_first(records: tuple[MXRecord, ...], randomness: random.Random) -> list[Candidate]:
    """Return the hosts in the order to try; what names no host (".", an address) is skipped."""
    usable = [
        Candidate(record.exchange, record.preference)
        for record in records
        if isinstance(record.exchange, DomainName)
    ]
    if len(usable) == 1:
        return usable
    randomness.shuffle(usable)
    usable.sort(key=lambda candidate: candidate.preference)
    best: dict[DomainName, Candidate] = {}
    for candidate in usable:
        best.setdefault(candidate.host, candidate)
    return list(best.values())


def _without_ourselves(hosts: MailHosts, own_names: Collection[DomainName]) -> MailHosts | MailLoop:
    ourselves = next((each for each in hosts.candidates if each.host in own_names), None)
    if ourselves is None:
        return hosts
    better = tuple(each for each in hosts.candidates if each.preference < ourselves.preference)
    if not better:
        return MailLoop(ourselves.host)
    return MailHosts(better, hosts.secure, hosts.implicit, hosts.expanded)
