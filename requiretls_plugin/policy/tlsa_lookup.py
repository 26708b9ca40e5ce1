"""A mail host's addresses and the TLSA records that speak for it (RFC 7672 section 2.2).

Which of the records can be used is for `certificate.dane_match` to say.
"""

from __future__ import annotations

from dataclasses import dataclass

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Absent, DNSSource, Found, LookupFailed, TLSARecord
from requiretls_plugin.server_address import IPAddress


@dataclass(frozen=True, slots=True)
class NoDANE:
    """DANE does not apply: there is no TLSA record that DNSSEC vouches for.

    *secure_absence* tells that DNSSEC proves that there is none at all. It is
    False where none was asked for, as for a host with insecure addresses.
    """

    secure_absence: bool


@dataclass(frozen=True, slots=True)
class DANERecords:
    """TLSA records that DNSSEC vouches for, at least one, usable or not.

    *base_domain* is the name they were found for: it goes into SNI and is the
    first reference name (RFC 7672 section 2.2.3). Aliases of the TLSA name
    itself do not change it.
    """

    base_domain: DomainName
    records: tuple[TLSARecord, ...]


@dataclass(frozen=True, slots=True)
class DANEFailed:
    """It is not known whether there are TLSA records: the host must not be used
    (RFC 7672 section 2.1.2). *bogus* as in LookupFailed."""

    bogus: bool
    why: str


DANE = NoDANE | DANERecords | DANEFailed


@dataclass(frozen=True, slots=True)
class HostAddresses:
    """The host has addresses, at least one, in the order to try them.

    *addresses_secure* tells that DNSSEC vouches for them and for every alias
    on the way. *expanded* is the name at the end of the alias chain, equal to
    the host's if there is none, and None for a host known by address only.
    """

    addresses: tuple[IPAddress, ...]
    addresses_secure: bool
    dane: DANE
    expanded: DomainName | None = None


@dataclass(frozen=True, slots=True)
class HostUnknown:
    """The host has no address; *name_exists* and *secure* as in Absent."""

    name_exists: bool
    secure: bool


@dataclass(frozen=True, slots=True)
class HostLookupFailed:
    """It is not known whether the host has addresses; *bogus* as in LookupFailed."""

    bogus: bool
    why: str


HostLookup = HostAddresses | HostUnknown | HostLookupFailed


async def lookup_host(dns: DNSSource, host: DomainName, port: int, *, ask_tlsa: bool = True) -> HostLookup:
    """Look up the addresses of *host* and then, where DANE can apply, its TLSA records.

    *port* is the TCP port that will be connected to. With *ask_tlsa* False only
    addresses are asked for. Nothing is connected to.
    """
    answer = await dns.addresses(host)
    match answer:
        case LookupFailed():
            return HostLookupFailed(answer.bogus, answer.why)
        case Absent():
            return HostUnknown(answer.name_exists, answer.secure)
        case Found():
            dane = await _lookup_dane(dns, host, port, answer) if ask_tlsa else NoDANE(secure_absence=False)
            return HostAddresses(answer.records, answer.secure, dane, answer.canonical)


async def _lookup_dane(dns: DNSSource, host: DomainName, port: int, addresses: Found[IPAddress]) -> DANE:
    candidates = await _base_domains(dns, host, addresses)
    if isinstance(candidates, DANEFailed):
        return candidates
    proved_absent = bool(candidates)
    for candidate in candidates:
        answer = await dns.tlsa(candidate.child(f"_{port}._tcp"))
        match answer:
            case LookupFailed():
                return DANEFailed(answer.bogus, f"TLSA of {candidate}: {answer.why}")
            case Found(secure=True):
                return DANERecords(candidate, answer.records)
            case Found():
                proved_absent = False
            case Absent():
                proved_absent = proved_absent and answer.secure
    return NoDANE(proved_absent)


async def _base_domains(
    dns: DNSSource, host: DomainName, addresses: Found[IPAddress]
) -> tuple[DomainName, ...] | DANEFailed:
    """Return the names to ask TLSA records for, in order (RFC 7672 section 2.2.2).

    Where the addresses are insecure because only the target of an alias is,
    the host's own name remains. Names in the middle of a chain never count.
    """
    aliased = addresses.canonical != host
    if addresses.secure:
        return (addresses.canonical, host) if aliased else (host,)
    if not aliased:
        return ()
    first_link = await dns.alias(host)
    match first_link:
        case LookupFailed():
            return DANEFailed(first_link.bogus, f"CNAME of {host}: {first_link.why}")
        case Found(secure=True):
            return (host,)
        case _:
            return ()
