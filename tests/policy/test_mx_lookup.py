"""The hosts of a domain, out of a fake DNS."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.mx_lookup import (
    Candidate,
    MailHosts,
    MailLoop,
    MXFailed,
    MXLookup,
    NoSuchDomain,
    NoUsableMX,
    NullMX,
    lookup_mx,
)
from tests.policy.fake_dns import FakeDNS

DOMAIN = DomainName("example.org")


def look_up(dns: FakeDNS, *own_names: str, domain: str = "example.org") -> MXLookup:
    own = frozenset(map(DomainName, own_names))
    return asyncio.run(lookup_mx(dns, DomainName(domain), own_names=own))


def hosts_of(lookup: MXLookup) -> list[str]:
    assert isinstance(lookup, MailHosts)
    return [candidate.host.text for candidate in lookup.candidates]


@pytest.mark.requirement("7672-2.2.1-1", "5321-5.1-8")
def test_hosts_are_sorted_by_preference() -> None:
    """The order of the records in the answer means nothing."""
    dns = FakeDNS({"example.org": {"MX": ["20 b.example", "10 a.example", "30 c.example"]}})

    lookup = look_up(dns)

    assert lookup == MailHosts(
        (
            Candidate(DomainName("a.example"), 10),
            Candidate(DomainName("b.example"), 20),
            Candidate(DomainName("c.example"), 30),
        ),
        secure=True,
        implicit=False,
        expanded=DOMAIN,
    )


@pytest.mark.requirement("5321-5.1-8")
def test_hosts_of_equal_preference_take_turns() -> None:
    """Equal hosts share the load; a worse one never comes first."""
    dns = FakeDNS({"example.org": {"MX": ["10 a.example", "10 b.example", "20 c.example"]}})
    randomness = random.Random(8689)

    async def first_and_last() -> list[tuple[str, str]]:
        lookups = [await lookup_mx(dns, DOMAIN, randomness=randomness) for _ in range(200)]
        return [(hosts_of(lookup)[0], hosts_of(lookup)[-1]) for lookup in lookups]

    orders = Counter(asyncio.run(first_and_last()))

    assert set(orders) == {("a.example", "c.example"), ("b.example", "c.example")}
    assert min(orders.values()) > 60


def test_a_host_listed_twice_is_tried_once_at_its_better_preference() -> None:
    """A second entry adds nothing but waiting."""
    dns = FakeDNS({"example.org": {"MX": ["20 a.example", "10 b.example", "10 a.example"]}})

    lookup = look_up(dns)

    assert isinstance(lookup, MailHosts)
    assert sorted(candidate.preference for candidate in lookup.candidates) == [10, 10]


@pytest.mark.requirement("7505-3-1")
@pytest.mark.parametrize("unsigned", [False, True], ids=["signed", "unsigned"])
def test_null_mx_is_no_failure_and_no_host(unsigned: bool) -> None:
    """The domain takes no mail; nothing else is asked."""
    dns = FakeDNS({"example.org": {"MX": ["0 ."], "A": ["192.0.2.1"]}}, unsigned={"."} if unsigned else ())

    assert look_up(dns) == NullMX(secure=not unsigned)
    assert dns.queries == [("example.org", "MX")]


@pytest.mark.requirement("7505-3-2")
def test_a_dot_beside_another_mx_is_only_skipped() -> None:
    """Such a domain still takes mail."""
    dns = FakeDNS({"example.org": {"MX": ["0 .", "10 mail.example.org"]}})

    assert hosts_of(look_up(dns)) == ["mail.example.org"]


@pytest.mark.requirement("7505-3-1", "5321-5.1-6")
def test_a_dot_with_another_preference_is_no_null_mx() -> None:
    """RFC 7505 wants preference 0; anything else is an MX that names no host."""
    assert look_up(FakeDNS({"example.org": {"MX": ["10 ."]}})) == NoUsableMX(secure=True)


@pytest.mark.requirement("5321-5.1-4", "7672-2.2.2-8")
@pytest.mark.parametrize("unsigned", [False, True], ids=["signed", "unsigned"])
def test_without_mx_the_domain_is_its_own_host(unsigned: bool) -> None:
    """Secure is then what DNSSEC says of the absence."""
    dns = FakeDNS({"example.org": {"A": ["192.0.2.1"]}}, unsigned={"."} if unsigned else ())

    assert look_up(dns) == MailHosts(
        (Candidate(DOMAIN, 0),), secure=not unsigned, implicit=True, expanded=DOMAIN
    )


@pytest.mark.requirement("5321-5.1-2")
def test_a_domain_that_does_not_exist_is_told_apart() -> None:
    """NXDOMAIN never leads to an implicit MX."""
    assert look_up(FakeDNS({"example.com": {"A": ["192.0.2.1"]}})) == NoSuchDomain(secure=True)


@pytest.mark.requirement("7672-2.1.2-1", "5321-5.1-3", "5321-5.1-5")
@pytest.mark.parametrize(
    ("dns", "bogus"),
    [
        pytest.param(
            FakeDNS({"example.org": {"A": ["192.0.2.1"]}}, failing={"example.org MX"}), False, id="failing"
        ),
        pytest.param(
            FakeDNS({"example.org": {"A": ["192.0.2.1"]}}, bogus={"example.org MX"}), True, id="bogus"
        ),
    ],
)
def test_attack_suppressed_mx_answer_does_not_lead_to_the_domains_own_address(
    dns: FakeDNS, bogus: bool
) -> None:
    """Who can make the MX lookup fail must not choose the host."""
    lookup = look_up(dns)

    assert isinstance(lookup, MXFailed)
    assert lookup.bogus is bogus
    assert dns.queries == [("example.org", "MX")]


@pytest.mark.requirement("5321-5.1-1", "7672-2.2.1-3")
def test_an_alias_at_the_domain_is_followed_and_remembered() -> None:
    """Both names are reference names for DANE-TA later."""
    dns = FakeDNS({"example.org": {"CNAME": ["example.com"]}, "example.com": {"MX": ["10 mx.example.com"]}})

    lookup = look_up(dns)

    assert hosts_of(lookup) == ["mx.example.com"]
    assert isinstance(lookup, MailHosts)
    assert lookup.expanded == DomainName("example.com")


@pytest.mark.requirement("7672-2.1.3-3")
@pytest.mark.parametrize("unsigned", ["example.org", "example.com"], ids=["the alias", "its target"])
def test_attack_one_unsigned_link_makes_the_hosts_insecure(unsigned: str) -> None:
    """Whoever forges that link chooses the hosts."""
    dns = FakeDNS(
        {"example.org": {"CNAME": ["example.com"]}, "example.com": {"MX": ["10 mx.example.com"]}},
        unsigned={unsigned},
    )

    lookup = look_up(dns)

    assert isinstance(lookup, MailHosts)
    assert not lookup.secure


@pytest.mark.requirement("5321-5.1-7", "7672-2.2-9")
@pytest.mark.parametrize(
    "exchange", ["192.0.2.1", r"spa\032ce.example", "*.example.org", "-mx.example.org"], ids=str
)
def test_an_mx_that_names_no_host_is_skipped(exchange: str) -> None:
    """It spoils neither its neighbours nor, alone, turns into the domain's address."""
    alone = FakeDNS({"example.org": {"MX": [f"10 {exchange}"], "A": ["192.0.2.1"]}})
    beside = FakeDNS({"example.org": {"MX": [f"10 {exchange}", "20 mx.example.org"]}})

    assert look_up(alone) == NoUsableMX(secure=True)
    assert hosts_of(look_up(beside)) == ["mx.example.org"]


@pytest.mark.requirement("5321-5.1-11")
@pytest.mark.parametrize(
    ("own_name", "left"),
    [
        pytest.param("b.example", ["a.example"], id="in the middle"),
        pytest.param("elsewhere.example", ["a.example", "b.example", "c.example"], id="not listed"),
    ],
)
def test_ourselves_and_all_no_better_are_left_out(own_name: str, left: list[str]) -> None:
    """Mail never goes to a host that is no closer to the recipient than we are."""
    dns = FakeDNS({"example.org": {"MX": ["10 a.example", "20 b.example", "30 c.example"]}})

    assert hosts_of(look_up(dns, own_name)) == left


@pytest.mark.requirement("5321-5.1-11")
@pytest.mark.parametrize(
    "zone",
    [
        pytest.param({"example.org": {"MX": ["10 us.example", "10 a.example"]}}, id="best, with an equal"),
        pytest.param({"example.org": {"MX": ["10 us.example", "20 a.example"]}}, id="best"),
    ],
)
def test_being_the_best_host_ourselves_is_a_loop(zone: dict[str, dict[str, list[str]]]) -> None:
    """Nothing is left to try, and no lookup failed."""
    assert look_up(FakeDNS(zone), "us.example") == MailLoop(DomainName("us.example"))


@pytest.mark.requirement("5321-5.1-11")
def test_being_the_implicit_host_ourselves_is_a_loop() -> None:
    """A domain without MX that bears our own name."""
    dns = FakeDNS({"example.org": {"A": ["192.0.2.1"]}})

    assert look_up(dns, "example.org") == MailLoop(DOMAIN)
