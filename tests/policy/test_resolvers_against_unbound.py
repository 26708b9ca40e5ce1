"""The resolvers against a real validating resolver and real signatures."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.answers import Absent, Answer, Found, LookupFailed, MXRecord, TLSARecord
from requiretls_plugin.policy.dns_lookup import CachedLookups
from requiretls_plugin.policy.dns_probe import Validation
from requiretls_plugin.policy.dns_source import dns_source
from requiretls_plugin.policy.mx_lookup import MailHosts, lookup_mx
from requiretls_plugin.policy.tlsa_lookup import DANERecords, HostAddresses, NoDANE, lookup_host
from requiretls_plugin.settings import DNSSettings
from tests.policy.unbound_bed import UnboundBed, unbound_bed

PLAIN = "stub"
OVER_TLS = "stub over TLS"
LIBUNBOUND = "libunbound"

Act = Callable[[CachedLookups], Awaitable[Any]]


@pytest.fixture(scope="module")
def bed() -> Iterator[UnboundBed]:
    with unbound_bed() as bed:
        yield bed


def settings_for(kind: str, bed: UnboundBed, **changes: Any) -> DNSSettings:
    own: dict[str, dict[str, Any]] = {
        PLAIN: {"nameservers": [bed.validating]},
        OVER_TLS: {"nameservers": [bed.over_tls]},
        LIBUNBOUND: {
            "backend": "libunbound",
            "nameservers": [bed.not_validating],
            "trust_anchor_file": str(bed.anchor_file),
            "libunbound_config": str(bed.config_file),
        },
    }
    return DNSSettings.model_validate({**own[kind], **changes})


def run(settings: DNSSettings, bed: UnboundBed, act: Act) -> Any:
    async def inside() -> Any:
        source = dns_source(settings, bed.ca_file)
        try:
            return await act(source)
        finally:
            source.close()

    return asyncio.run(inside())


@pytest.fixture(params=[PLAIN, OVER_TLS, LIBUNBOUND])
def ask(request: pytest.FixtureRequest, bed: UnboundBed) -> Callable[[Act], Any]:
    """Whatever is asked, each of the three says the same."""
    return lambda act: run(settings_for(request.param, bed), bed, act)


def look_up(rdtype: str, name: str) -> Act:
    return lambda source: getattr(source, rdtype)(DomainName(name))


@pytest.mark.requirement("7672-2.1.1-5", "7672-2.1.3-1")
@pytest.mark.parametrize(
    ("rdtype", "name", "records", "canonical", "secure"),
    [
        pytest.param(
            "mx",
            "secure.test",
            {MXRecord(10, DomainName("mx.secure.test")), MXRecord(20, "192.0.2.1")},
            "secure.test",
            True,
            id="MX",
        ),
        pytest.param("mx", "nullmx.test", {MXRecord(0, None)}, "nullmx.test", True, id="null MX"),
        pytest.param(
            "mx",
            "insecure.test",
            {MXRecord(10, DomainName("mx.insecure.test"))},
            "insecure.test",
            False,
            id="unsigned MX",
        ),
        pytest.param(
            "addresses",
            "alias.secure.test",
            {ipaddress.ip_address("2001:db8::1"), ipaddress.ip_address("192.0.2.1")},
            "mx.secure.test",
            True,
            id="alias",
        ),
        pytest.param(
            "addresses",
            "mx.moved.secure.test",
            {ipaddress.ip_address("192.0.2.2")},
            "mx.elsewhere.secure.test",
            True,
            id="DNAME",
        ),
        pytest.param(
            "addresses",
            "into-insecure.secure.test",
            {ipaddress.ip_address("192.0.2.1")},
            "mx.insecure.test",
            False,
            id="alias into an unsigned zone",
        ),
        pytest.param(
            "alias",
            "into-insecure.secure.test",
            {DomainName("mx.insecure.test")},
            "into-insecure.secure.test",
            True,
            id="that alias alone",
        ),
        pytest.param(
            "tlsa",
            "_25._tcp.mx.secure.test",
            {TLSARecord(3, 1, 1, 32 * b"\xab"), TLSARecord(3, 1, 1, 31 * b"\xab")},
            "_25._tcp.mx.secure.test",
            True,
            id="TLSA, one malformed",
        ),
        pytest.param("txt", "secure.test", {b"one two"}, "secure.test", True, id="TXT"),
    ],
)
def test_records_come_with_their_status(
    ask: Callable[[Act], Any], rdtype: str, name: str, records: set[object], canonical: str, secure: bool
) -> None:
    """Signed chains are secure, and one unsigned link is enough to make them insecure."""
    answer: Answer[Any] = ask(look_up(rdtype, name))

    assert isinstance(answer, Found)
    assert set(answer.records) == records
    assert answer.canonical == DomainName(canonical)
    assert answer.secure is secure
    assert 0 <= answer.ttl <= 300


@pytest.mark.requirement("7672-2.1.1-6")
@pytest.mark.parametrize(
    ("rdtype", "name", "exists", "secure"),
    [
        ("tlsa", "_25._tcp.secure.test", False, True),
        ("mx", "mx.secure.test", True, True),
        ("mx", "no-such.test", False, True),
        ("mx", "mx.insecure.test", True, False),
        ("addresses", "no-such.insecure.test", False, False),
        ("addresses", "secure.test", True, True),
    ],
)
def test_absence_comes_with_its_status(
    ask: Callable[[Act], Any], rdtype: str, name: str, exists: bool, secure: bool
) -> None:
    """Proved by NSEC records or not, for a name or for a type."""
    answer: Answer[Any] = ask(look_up(rdtype, name))

    assert isinstance(answer, Absent)
    assert (answer.name_exists, answer.secure) == (exists, secure)


@pytest.mark.requirement("7672-2.1.1-3", "7672-2.1.1-7", "7672-2.1.3-2")
@pytest.mark.parametrize(
    ("rdtype", "name", "bogus"),
    [
        ("mx", "bogus.test", True),
        ("mx", "expired.test", True),
        ("addresses", "into-bogus.secure.test", True),
        ("mx", "lame.test", False),
        ("addresses", "loop.secure.test", False),
    ],
)
def test_failures_say_whether_they_are_bogus(
    ask: Callable[[Act], Any], rdtype: str, name: str, bogus: bool
) -> None:
    """Never an absence, never records."""
    answer: Answer[Any] = ask(look_up(rdtype, name))

    assert isinstance(answer, LookupFailed)
    assert answer.bogus is bogus, answer.why


@pytest.mark.requirement("7671-10.1.1-1")
def test_a_tlsa_rrset_too_large_for_udp_is_found(ask: Callable[[Act], Any]) -> None:
    """16 kB of it."""
    answer: Answer[TLSARecord] = ask(look_up("tlsa", "_25._tcp.many.secure.test"))

    assert isinstance(answer, Found)
    assert len(answer.records) == 40
    assert answer.secure


@pytest.mark.requirement("7672-2.1.3-2")
def test_attack_thirty_aliases_are_too_many(ask: Callable[[Act], Any]) -> None:
    """Whether the resolver or we stop counting."""
    assert isinstance(ask(look_up("addresses", "n0.secure.test")), LookupFailed)


def test_a_whole_dane_lookup(ask: Callable[[Act], Any]) -> None:
    """MX, addresses and TLSA, all secure."""

    async def both(source: CachedLookups) -> tuple[Any, Any]:
        mx = await lookup_mx(source, DomainName("secure.test"))
        return mx, await lookup_host(source, DomainName("alias.secure.test"), 25)

    mx, host = ask(both)

    assert isinstance(mx, MailHosts)
    assert mx.secure
    assert [candidate.host.text for candidate in mx.candidates] == ["mx.secure.test"]
    assert isinstance(host, HostAddresses)
    assert isinstance(host.dane, DANERecords)
    assert host.dane.base_domain == DomainName("mx.secure.test")


def test_many_lookups_at_the_same_time_each_get_their_own_answer(ask: Callable[[Act], Any]) -> None:
    """Ids, connections and callbacks do not get mixed up."""
    names = ["secure.test", "nullmx.test", "insecure.test", "bogus.test", *(f"x{n}.test" for n in range(30))]

    async def together(source: CachedLookups) -> list[Any]:
        return await asyncio.gather(*(source.mx(DomainName(name)) for name in names))

    secure, null, insecure, bogus, *absent = ask(together)

    assert len(secure.records) == 2
    assert null.records == (MXRecord(0, None),)
    assert insecure.records == (MXRecord(10, DomainName("mx.insecure.test")),)
    assert isinstance(bogus, LookupFailed)
    assert all(isinstance(answer, Absent) and not answer.name_exists for answer in absent)


def test_a_probe_finds_that_they_validate(ask: Callable[[Act], Any]) -> None:
    """`test.` is the root of the zones here."""
    (probe,) = ask(lambda source: source.probe("test."))

    assert probe.validation is Validation.VALIDATES, probe.why


@pytest.mark.requirement("7672-2.1.1-1")
def test_a_probe_finds_that_a_resolver_does_not_validate(bed: UnboundBed) -> None:
    """It answers, but never with AD."""
    settings = settings_for(PLAIN, bed, nameservers=[bed.not_validating])

    (probe,) = run(settings, bed, lambda source: source.probe("test."))

    assert probe.validation is Validation.DOES_NOT_VALIDATE


@pytest.mark.requirement("7672-2.1.1-4", "7672-2.1.1-7")
@pytest.mark.parametrize("name", ["bogus.test", "expired.test"])
def test_attack_non_validating_second_resolver_does_not_make_bogus_insecure(
    bed: UnboundBed, name: str
) -> None:
    """dnspython's own resolver falls through to it and reports `ok, insecure`; this one does not."""
    settings = settings_for(PLAIN, bed, nameservers=[bed.validating, bed.not_validating])

    answer = run(settings, bed, look_up("mx", name))

    assert isinstance(answer, LookupFailed)
    assert answer.bogus
    alone = settings_for(PLAIN, bed, nameservers=[bed.not_validating])
    assert isinstance(run(alone, bed, look_up("mx", name)), Found)


@pytest.mark.requirement("7672-2.1.1-4", "6698-4.1-5")
@pytest.mark.parametrize(
    "server", ["tls://other.test@", "tls://resolver.test@"], ids=["another name", "another authority"]
)
def test_attack_an_impostor_over_tls_is_not_believed(bed: UnboundBed, server: str) -> None:
    """Not even asked."""
    place = bed.over_tls.rpartition("@")[2]
    settings = settings_for(OVER_TLS, bed, nameservers=[f"{server}{place}"], timeout=1.0)

    async def inside() -> Answer[MXRecord]:
        source = dns_source(settings, None if "resolver" in server else bed.ca_file)
        try:
            return await source.mx(DomainName("secure.test"))
        finally:
            source.close()

    assert isinstance(asyncio.run(inside()), LookupFailed)


def test_without_dane_the_absence_is_proved(ask: Callable[[Act], Any]) -> None:
    """At a host that has addresses and no TLSA record."""
    host = ask(lambda source: lookup_host(source, DomainName("mx.elsewhere.secure.test"), 25))

    assert isinstance(host, HostAddresses)
    assert host.dane == NoDANE(secure_absence=True)
