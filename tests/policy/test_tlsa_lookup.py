"""Addresses and TLSA records of a host, out of a fake DNS."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Answer, TLSARecord
from requiretls_plugin.policy.mx_lookup import lookup_mx
from requiretls_plugin.policy.tlsa_lookup import (
    DANEFailed,
    DANERecords,
    HostAddresses,
    HostLookup,
    HostLookupFailed,
    HostUnknown,
    NoDANE,
    lookup_host,
)
from tests.policy.fake_dns import FakeDNS

GOOD = "3 1 1 " + 32 * "ab"
RECORD = TLSARecord(3, 1, 1, 32 * b"\xab")
UNUSABLE = "9 9 9 00"

PLAIN = {
    "mx.example.org": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]},
    "_25._tcp.mx.example.org": {"TLSA": [GOOD]},
}
ALIASED = {
    "mx.example.org": {"CNAME": ["middle.example.com"]},
    "middle.example.com": {"CNAME": ["host.example.net"]},
    "host.example.net": {"A": ["192.0.2.1"]},
}


def look_up(dns: FakeDNS, host: str = "mx.example.org", port: int = 25) -> HostLookup:
    return asyncio.run(lookup_host(dns, DomainName(host), port))


def dane_of(dns: FakeDNS, port: int = 25) -> NoDANE | DANERecords | DANEFailed:
    lookup = look_up(dns, port=port)
    assert isinstance(lookup, HostAddresses)
    return lookup.dane


def tlsa_queries(dns: FakeDNS) -> list[str]:
    return [name for name, rdtype in dns.queries if rdtype == "TLSA"]


@pytest.mark.requirement("7672-2.1.2-3", "7672-2.2.2-1", "7672-2.2.2-4")
def test_addresses_come_first_and_then_the_hosts_own_tlsa_records() -> None:
    """The plain case: three questions, one candidate."""
    dns = FakeDNS(PLAIN)

    lookup = look_up(dns)

    assert isinstance(lookup, HostAddresses)
    assert [str(address) for address in lookup.addresses] == ["2001:db8::1", "192.0.2.1"]
    assert lookup.addresses_secure
    assert lookup.expanded == DomainName("mx.example.org")
    assert lookup.dane == DANERecords(DomainName("mx.example.org"), (RECORD,))
    assert sorted(dns.queries[:2]) == [("mx.example.org", "A"), ("mx.example.org", "AAAA")]
    assert dns.queries[2:] == [("_25._tcp.mx.example.org", "TLSA")]


@pytest.mark.requirement("7672-2.2.3-1")
def test_the_port_asked_for_is_the_one_connected_to() -> None:
    """A record for port 25 says nothing about port 2525."""
    dns = FakeDNS({**PLAIN, "_2525._tcp.mx.example.org": {"TLSA": [UNUSABLE]}})

    assert dane_of(dns, port=2525) == DANERecords(DomainName("mx.example.org"), (TLSARecord(9, 9, 9, b"\0"),))
    assert tlsa_queries(dns) == ["_2525._tcp.mx.example.org"]


@pytest.mark.requirement("7672-2.2.2-2")
def test_a_host_without_addresses_is_unknown() -> None:
    """Nothing more is asked about it."""
    dns = FakeDNS({"mx.example.org": {"TXT": ["nothing here"]}, "_25._tcp.mx.example.org": {"TLSA": [GOOD]}})

    assert look_up(dns) == HostUnknown(name_exists=True, secure=True)
    assert not tlsa_queries(dns)


@pytest.mark.requirement("7672-2.2.2-2")
def test_a_host_that_does_not_exist_is_unknown() -> None:
    """NXDOMAIN stays visible."""
    assert look_up(FakeDNS({})) == HostUnknown(name_exists=False, secure=True)


@pytest.mark.requirement("7672-2.1.2-2", "7672-2.2.2-7")
@pytest.mark.parametrize("kind", ["bogus", "failing"])
def test_a_failed_address_lookup_is_no_absence(kind: str) -> None:
    """The host cannot be judged; others may be."""
    dns = FakeDNS(PLAIN, **{kind: {"mx.example.org"}})  # type: ignore[arg-type] # a set either way

    lookup = look_up(dns)

    assert isinstance(lookup, HostLookupFailed)
    assert lookup.bogus is (kind == "bogus")
    assert not tlsa_queries(dns)


def test_addresses_of_one_family_are_enough() -> None:
    """A broken AAAA does not take the host away, nor its TLSA records."""
    dns = FakeDNS(PLAIN, failing={"mx.example.org AAAA"})

    lookup = look_up(dns)

    assert isinstance(lookup, HostAddresses)
    assert [str(address) for address in lookup.addresses] == ["192.0.2.1"]
    assert isinstance(lookup.dane, DANERecords)


@pytest.mark.requirement("7672-2.2.2-3", "7672-2.1.1-2")
def test_behind_insecure_addresses_no_tlsa_record_is_asked_for() -> None:
    """Name servers of unsigned zones may choke on TLSA; that must not hold up mail."""
    dns = FakeDNS(PLAIN, unsigned={"mx.example.org"}, failing={"_25._tcp.mx.example.org"})

    assert dane_of(dns) == NoDANE(secure_absence=False)
    assert {rdtype for _, rdtype in dns.queries} == {"A", "AAAA"}


@pytest.mark.requirement("7672-2.1.1-6", "7672-2.2-5")
def test_proved_absence_is_no_dane() -> None:
    """An answer, not an error."""
    assert dane_of(FakeDNS({"mx.example.org": {"A": ["192.0.2.1"]}})) == NoDANE(secure_absence=True)


def test_absence_that_nobody_proves_is_no_dane_either() -> None:
    """An unsigned zone below the host's name."""
    dns = FakeDNS({"mx.example.org": {"A": ["192.0.2.1"]}}, unsigned={"_tcp.mx.example.org"})

    assert dane_of(dns) == NoDANE(secure_absence=False)


@pytest.mark.requirement("7672-2.2-5", "6698-4.1-1")
def test_insecure_tlsa_records_count_as_none() -> None:
    """Nobody vouches for them, so they are neither enforced nor proved absent."""
    dns = FakeDNS(PLAIN, unsigned={"_25._tcp.mx.example.org"})

    assert dane_of(dns) == NoDANE(secure_absence=False)


@pytest.mark.requirement("7672-2.1.2-4", "7672-2.1.2-5", "7672-2.2-7", "7672-2.1.1-7", "6698-4.1-1")
@pytest.mark.parametrize("kind", ["bogus", "failing"])
def test_attack_suppressed_tlsa_answer_is_not_taken_as_none(kind: str) -> None:
    """Who can make the lookup fail must not be able to switch DANE off."""
    dns = FakeDNS(PLAIN, **{kind: {"_25._tcp.mx.example.org"}})  # type: ignore[arg-type] # a set either way

    dane = dane_of(dns)

    assert isinstance(dane, DANEFailed)
    assert dane.bogus is (kind == "bogus")


@pytest.mark.requirement("7672-2.2.2-6", "7671-7-1")
def test_at_a_secure_alias_the_expanded_name_is_the_base_domain() -> None:
    """Records at the host's own name are then not even asked for."""
    dns = FakeDNS(
        {
            **ALIASED,
            "_25._tcp.host.example.net": {"TLSA": [GOOD]},
            "_25._tcp.mx.example.org": {"TLSA": [UNUSABLE]},
        }
    )

    assert dane_of(dns) == DANERecords(DomainName("host.example.net"), (RECORD,))
    assert tlsa_queries(dns) == ["_25._tcp.host.example.net"]


@pytest.mark.requirement("7672-2.2.3-2")
def test_unusable_records_at_the_expanded_name_still_make_it_the_base_domain() -> None:
    """The original name is not a second chance for records that cannot be used."""
    dns = FakeDNS(
        {
            **ALIASED,
            "_25._tcp.host.example.net": {"TLSA": [UNUSABLE]},
            "_25._tcp.mx.example.org": {"TLSA": [GOOD]},
        }
    )

    dane = dane_of(dns)

    assert isinstance(dane, DANERecords)
    assert dane.base_domain == DomainName("host.example.net")
    assert tlsa_queries(dns) == ["_25._tcp.host.example.net"]


@pytest.mark.requirement("7672-2.2.3-5", "7671-7-2")
def test_without_records_at_the_expanded_name_the_hosts_own_name_is_asked() -> None:
    """Which is then the base domain."""
    dns = FakeDNS({**ALIASED, "_25._tcp.mx.example.org": {"TLSA": [GOOD]}})

    assert dane_of(dns) == DANERecords(DomainName("mx.example.org"), (RECORD,))
    assert tlsa_queries(dns) == ["_25._tcp.host.example.net", "_25._tcp.mx.example.org"]


@pytest.mark.requirement("7672-2.2.2-7")
def test_attack_failure_at_the_expanded_name_does_not_lead_to_the_original() -> None:
    """Otherwise whoever suppresses one answer chooses the weaker records."""
    dns = FakeDNS(
        {**ALIASED, "_25._tcp.mx.example.org": {"TLSA": [GOOD]}}, failing={"_25._tcp.host.example.net"}
    )

    assert isinstance(dane_of(dns), DANEFailed)
    assert tlsa_queries(dns) == ["_25._tcp.host.example.net"]


@pytest.mark.requirement("7672-2.2.3-6")
def test_names_in_the_middle_of_a_chain_are_no_candidates() -> None:
    """Only its two ends are."""
    dns = FakeDNS({**ALIASED, "_25._tcp.middle.example.com": {"TLSA": [GOOD]}})

    assert dane_of(dns) == NoDANE(secure_absence=True)


@pytest.mark.requirement("7672-2.1.3-4", "7672-2.2.2-5")
def test_a_secure_alias_into_an_unsigned_zone_leaves_the_hosts_own_name() -> None:
    """The combined answer is insecure; a question for the alias alone shows that the first link is not."""
    dns = FakeDNS(
        {
            **ALIASED,
            "_25._tcp.mx.example.org": {"TLSA": [GOOD]},
            "_25._tcp.host.example.net": {"TLSA": [UNUSABLE]},
        },
        unsigned={"example.net"},
    )

    lookup = look_up(dns)

    assert isinstance(lookup, HostAddresses)
    assert not lookup.addresses_secure
    assert lookup.dane == DANERecords(DomainName("mx.example.org"), (RECORD,))
    assert ("mx.example.org", "CNAME") in dns.queries
    assert tlsa_queries(dns) == ["_25._tcp.mx.example.org"]


@pytest.mark.requirement("7672-2.2.2-5", "7672-2.1.3-3", "7671-7-1")
def test_an_insecure_alias_switches_dane_off() -> None:
    """Whatever is signed behind it."""
    dns = FakeDNS({**ALIASED, "_25._tcp.host.example.net": {"TLSA": [GOOD]}}, unsigned={"mx.example.org"})

    assert dane_of(dns) == NoDANE(secure_absence=False)
    assert not tlsa_queries(dns)


@pytest.mark.requirement("7672-2.2.2-7")
@pytest.mark.parametrize("kind", ["bogus", "failing"])
def test_attack_suppressed_alias_answer_does_not_switch_dane_off(kind: str) -> None:
    """The question for the alias alone can be attacked like any other."""
    dns = FakeDNS(
        {**ALIASED, "_25._tcp.mx.example.org": {"TLSA": [GOOD]}},
        unsigned={"example.net"},
        **{kind: {"mx.example.org CNAME"}},  # type: ignore[arg-type] # a set either way
    )

    assert isinstance(dane_of(dns), DANEFailed)


@pytest.mark.requirement("7672-2.2.3-3")
def test_an_alias_at_the_tlsa_name_does_not_change_the_base_domain() -> None:
    """It only says where the records are kept."""
    dns = FakeDNS(
        {
            "mx.example.org": {"A": ["192.0.2.1"]},
            "_25._tcp.mx.example.org": {"CNAME": ["tlsa._dane.example.org"]},
            "tlsa._dane.example.org": {"TLSA": [GOOD]},
        }
    )

    assert dane_of(dns) == DANERecords(DomainName("mx.example.org"), (RECORD,))


@pytest.mark.requirement("7672-2.2.3-3")
def test_an_insecure_alias_at_the_tlsa_name_leads_to_the_next_candidate() -> None:
    """As if there were no record."""
    dns = FakeDNS(
        {
            **ALIASED,
            "_25._tcp.host.example.net": {"CNAME": ["tlsa.unsigned.example"]},
            "tlsa.unsigned.example": {"TLSA": [UNUSABLE]},
            "_25._tcp.mx.example.org": {"TLSA": [GOOD]},
        },
        unsigned={"unsigned.example"},
    )

    assert dane_of(dns) == DANERecords(DomainName("mx.example.org"), (RECORD,))


def test_where_tlsa_is_not_wanted_only_addresses_are_asked_for() -> None:
    """For TLS-Required: No, say, the records would make no difference."""
    dns = FakeDNS(PLAIN)

    lookup = asyncio.run(lookup_host(dns, DomainName("mx.example.org"), 25, ask_tlsa=False))

    assert isinstance(lookup, HostAddresses)
    assert lookup.dane == NoDANE(secure_absence=False)
    assert not tlsa_queries(dns)


class GatedDNS(FakeDNS):
    """Holds all answers back until they are let go together."""

    gate: asyncio.Event

    async def _ask(self, name: DomainName, rdtype: str) -> Answer[str]:
        await self.gate.wait()
        return await super()._ask(name, rdtype)

    async def count_waits(self, work: Coroutine[Any, Any, object]) -> int:
        """Run *work* and return how often it had to wait for answers."""
        waits = -1  # the last turn only ends it
        task = asyncio.ensure_future(work)
        while not task.done():
            waits += 1
            self.gate = asyncio.Event()
            for _ in range(20):
                await asyncio.sleep(0)  # everything goes on until it waits at the gate
            self.gate.set()
        await task
        return waits


def test_mx_addresses_and_tlsa_take_three_waits() -> None:
    """A and AAAA are waited for together."""
    dns = GatedDNS({"example.org": {"MX": ["10 mx.example.org"]}, **PLAIN})

    async def both() -> None:
        await lookup_mx(dns, DomainName("example.org"))
        await lookup_host(dns, DomainName("mx.example.org"), 25)

    assert asyncio.run(dns.count_waits(both())) == 3
