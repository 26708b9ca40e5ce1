"""A DNS of our own making: a zone as a dict, and lists of names that are unsigned, bogus or failing."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import InvalidDomainName
from requiretls_plugin.policy.answers import (
    Absent,
    Answer,
    DNSSource,
    Found,
    LookupFailed,
    MXRecord,
    TLSARecord,
)
from requiretls_plugin.server_address import IPAddress

Record = TypeVar("Record")

MAX_ALIASES = 8


class FakeDNS:
    """A DNSSource that answers out of *zone*: name -> type -> records in zone file notation.

        FakeDNS(
            {
                "example.org": {"MX": ["10 mx.example.org"]},
                "mx.example.org": {"A": ["192.0.2.1"]},
                "_25._tcp.mx.example.org": {"TLSA": ["3 1 1 " + 32 * "ab"]},
            },
            failing={"mx.example.org AAAA"},
        )

    Everything is signed but the names in *unsigned* and all below them ("."
    for all). Names in *bogus* do not validate, names in *failing* time out;
    there "name TYPE" stands for one type only. Each query takes *delay*
    seconds and is noted in `queries` as ("name", "TYPE").
    """

    def __init__(
        self,
        zone: Mapping[str, Mapping[str, Sequence[str]]],
        *,
        unsigned: Collection[str] = (),
        bogus: Collection[str] = (),
        failing: Collection[str] = (),
        ttl: float = 300.0,
        delay: float = 0.0,
    ) -> None:
        self.zone = dict(zone)
        self.unsigned = set(unsigned)
        self.bogus = set(bogus)
        self.failing = set(failing)
        self.ttl = ttl
        self.delay = delay
        self.queries: list[tuple[str, str]] = []

    async def mx(self, name: DomainName) -> Answer[MXRecord]:
        return _read(await self._ask(name, "MX"), _mx_record)

    async def tlsa(self, name: DomainName) -> Answer[TLSARecord]:
        return _read(await self._ask(name, "TLSA"), _tlsa_record)

    async def txt(self, name: DomainName) -> Answer[bytes]:
        return _read(await self._ask(name, "TXT"), str.encode)

    async def alias(self, name: DomainName) -> Answer[DomainName]:
        return _read(await self._ask(name, "CNAME"), DomainName.parse)

    async def addresses(self, name: DomainName) -> Answer[IPAddress]:
        six, four = await asyncio.gather(self._ask(name, "AAAA"), self._ask(name, "A"))
        answers = [answer for answer in (six, four) if not isinstance(answer, LookupFailed)]
        found = [answer for answer in answers if isinstance(answer, Found)]
        secure = all(answer.secure for answer in answers)
        if found:
            records = tuple(ipaddress.ip_address(text) for answer in found for text in answer.records)
            return Found(records, secure, found[0].canonical, self.ttl)
        for answer in (six, four):
            if isinstance(answer, LookupFailed):
                return answer
        exists = any(answer.name_exists for answer in answers if isinstance(answer, Absent))
        return Absent(secure, exists, self.ttl)

    async def _ask(self, name: DomainName, rdtype: str) -> Answer[str]:
        self.queries.append((name.text, rdtype))
        await asyncio.sleep(self.delay)
        secure = True
        current = name.text
        for _ in range(MAX_ALIASES):
            for listed, why in ((self.bogus, "does not validate"), (self.failing, "timed out")):
                if {current, f"{current} {rdtype}"} & listed:
                    return LookupFailed(listed is self.bogus, f"{current} {rdtype}: {why}")
            secure = secure and not self._is_unsigned(current)
            here = self.zone.get(current, {})
            if rdtype in here:
                return Found(tuple(here[rdtype]), secure, DomainName(current), self.ttl)
            if "CNAME" not in here:
                return Absent(secure, self._exists(current), self.ttl)
            current = here["CNAME"][0]
        return LookupFailed(bogus=False, why=f"{name}: the chain of aliases is too long")

    def _is_unsigned(self, name: str) -> bool:
        return "." in self.unsigned or any(
            name == apex or name.endswith(f".{apex}") for apex in self.unsigned
        )

    def _exists(self, name: str) -> bool:
        return any(owner == name or owner.endswith(f".{name}") for owner in self.zone)


def _read(answer: Answer[str], parse: Callable[[str], Record]) -> Answer[Record]:
    if not isinstance(answer, Found):
        return answer
    return Found(tuple(map(parse, answer.records)), answer.secure, answer.canonical, answer.ttl)


def _mx_record(text: str) -> MXRecord:
    preference, exchange = text.split()
    if exchange == ".":
        return MXRecord(int(preference), None)
    try:
        return MXRecord(int(preference), DomainName.parse(exchange))
    except InvalidDomainName:
        return MXRecord(int(preference), exchange)


def _tlsa_record(text: str) -> TLSARecord:
    usage, selector, matching_type, *data = text.split()
    return TLSARecord(int(usage), int(selector), int(matching_type), bytes.fromhex("".join(data)))


def fits_the_protocol(dns: FakeDNS) -> DNSSource:
    """Nothing at run time; lets mypy prove that FakeDNS is a DNSSource."""
    return dns
