"""What DNS can answer, as values that cannot be confused.

`Found`, `Absent` and `LookupFailed` are different types: a domain that has no
record, one that provably has none, one that could not be asked and one that
lies look different to every caller (RFC 7672 section 2.1.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.server_address import IPAddress

Record = TypeVar("Record", covariant=True)


@dataclass(frozen=True, slots=True)
class Found(Generic[Record]):
    """There are records.

    *secure* tells that DNSSEC vouches for them and for every alias on the way.
    *canonical* is the name at the end of the alias chain, equal to the name
    asked for if there is none. *ttl* is in seconds.
    """

    records: tuple[Record, ...]
    secure: bool
    canonical: DomainName
    ttl: float


@dataclass(frozen=True, slots=True)
class Absent:
    """There are no such records, which is an answer and no error.

    *secure* tells that DNSSEC proves it. *name_exists* is False for NXDOMAIN,
    True for NODATA.
    """

    secure: bool
    name_exists: bool
    ttl: float


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """Nothing is known: the lookup timed out, was refused, or did not validate.

    *bogus* tells that records exist whose DNSSEC signatures are wrong.
    """

    bogus: bool
    why: str


Answer = Found[Record] | Absent | LookupFailed


@dataclass(frozen=True, slots=True)
class MXRecord:
    """One MX record. *exchange* is None for the root, as in a null MX (RFC 7505),
    and the text as found where it is no domain name."""

    preference: int
    exchange: DomainName | str | None


@dataclass(frozen=True, slots=True)
class TLSARecord:
    """One TLSA record as found, usable or not (RFC 6698 section 2.1)."""

    usage: int
    selector: int
    matching_type: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching_type} {self.data.hex()}"


class DNSSource(Protocol):
    """Whatever answers DNS questions and knows DNSSEC. Nothing here raises
    for what a server answers; failures are `LookupFailed`."""

    async def mx(self, name: DomainName) -> Answer[MXRecord]:
        """Look up the MX records of *name*, following aliases."""

    async def addresses(self, name: DomainName) -> Answer[IPAddress]:
        """Look up A and AAAA records of *name* together, following aliases.

        If one of the two lookups failed and the other found addresses, those
        are the answer; Found is secure only if every answer received is.
        """

    async def tlsa(self, name: DomainName) -> Answer[TLSARecord]:
        """Look up the TLSA records of *name*, such as `_25._tcp.mx.example`."""

    async def txt(self, name: DomainName) -> Answer[bytes]:
        """Look up the TXT records of *name*, the strings of each joined."""

    async def alias(self, name: DomainName) -> Answer[DomainName]:
        """Look up the CNAME record of *name* itself, not following it."""
