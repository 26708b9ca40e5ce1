"""Which hosts are tried in which order, and what is said where DNS has none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from requiretls_plugin.delivery.hosts import hosts_to_try, verdict_without_hosts
from requiretls_plugin.delivery.outcome import Disposition
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.evidence import Evidence, HostEvidence
from requiretls_plugin.policy.mx_lookup import MailLoop, MXFailed, MXLookup, NoSuchDomain, NoUsableMX, NullMX
from requiretls_plugin.policy.tlsa_lookup import HostUnknown
from requiretls_plugin.reason import Reason
from tests.policy.evidence_by_hand import HOST, about, addresses, behind_mx, literal, named, smarthost

GONE = HostUnknown(name_exists=False, secure=True)


def with_mx(mx: MXLookup) -> Evidence:
    """Return the evidence about a domain whose MX lookup ended without a host."""
    return replace(behind_mx(secure=True), mx=mx, hosts=())


NO_HOSTS = [
    pytest.param(
        with_mx(NullMX(secure=True)),
        "failed 556 5.1.10 Recipient domain accepts no mail (null MX)",
        Reason.NULL_MX,
        id="null MX",
    ),
    pytest.param(
        with_mx(NoSuchDomain(secure=False)),
        "failed 550 5.1.2 Recipient domain does not exist",
        Reason.NO_SUCH_DOMAIN,
        id="no such domain",
    ),
    pytest.param(
        with_mx(MXFailed(bogus=False, why="timed out")),
        "deferred 451 4.4.3 MX lookup failed: timed out",
        Reason.DNS_FAILURE,
        id="MX lookup failed",
    ),
    pytest.param(
        with_mx(MXFailed(bogus=True, why="no signature")),
        "deferred 451 4.4.3 MX lookup failed: no signature",
        Reason.DNSSEC_BOGUS,
        id="MX bogus",
    ),
    pytest.param(
        with_mx(MailLoop(DomainName("mx.sender.example"))),
        "failed 554 5.4.6 Mail loops back to this host",
        Reason.CONFIGURATION,
        id="we are the best host",
    ),
    pytest.param(
        with_mx(NoUsableMX(secure=True)),
        "failed 550 5.4.4 Recipient domain names no usable mail host",
        Reason.HOST_UNREACHABLE,
        id="no MX record names a host",
    ),
    pytest.param(
        about(GONE),
        "failed 550 5.4.4 Recipient domain names no usable mail host",
        Reason.HOST_UNREACHABLE,
        id="the only host has no address",
    ),
]


@pytest.mark.requirement("5321-5.1-2", "5321-5.1-3", "5321-5.1-6", "5321-5.1-11", "7505-4.1-1")
@pytest.mark.parametrize(("evidence", "expected", "reason"), NO_HOSTS)
def test_where_dns_names_no_host_that_is_the_verdict(
    evidence: Evidence, expected: str, reason: Reason
) -> None:
    """For good if the domain says so itself, for now if it could not be asked."""
    verdict = verdict_without_hosts(evidence)

    assert verdict is not None
    assert f"{verdict.disposition.value} {verdict.reply}" == expected
    assert (verdict.reason, verdict.host) == (reason, None)


def test_a_named_server_without_an_address_is_our_mistake_and_loses_nothing() -> None:
    """Whoever named it made it; the sender's message waits until it is put right."""
    host = HostEvidence(HOST, 0, GONE)

    for hosts, name in (((host,), HOST.text), ((), "mx.recipient.example:587")):
        verdict = verdict_without_hosts(replace(named(smarthost()), hosts=hosts))

        assert verdict is not None
        assert verdict.disposition is Disposition.DEFERRED
        assert str(verdict.reply) == f"451 4.3.5 System incorrectly configured ({name} has no address)"
        assert (verdict.reason, verdict.host) == (Reason.CONFIGURATION, name)


@pytest.mark.parametrize("evidence", [behind_mx(secure=False), literal(), named(smarthost())])
def test_where_there_is_a_host_it_is_asked(evidence: Evidence) -> None:
    """DNS alone decides nothing then."""
    assert verdict_without_hosts(evidence) is None
    assert hosts_to_try(evidence) == list(evidence.hosts)


def at(preference: int, name: str, *, gone: bool = False) -> HostEvidence:
    return HostEvidence(DomainName(name), preference, GONE if gone else addresses())


def order(*hosts: HostEvidence) -> str:
    tried = hosts_to_try(replace(behind_mx(secure=True), hosts=hosts))
    return " ".join(str(host.host) for host in tried)


@pytest.mark.requirement("5321-5.1-8")
def test_the_lowest_preference_is_tried_first() -> None:
    """Whatever order the evidence has them in."""
    assert order(at(20, "b"), at(10, "a")) == "a b"
    assert order(at(30, "c"), at(10, "a"), at(20, "b")) == "a b c"


@pytest.mark.requirement("5321-5.1-8")
def test_equal_hosts_are_tried_in_a_new_random_order_each_time() -> None:
    """They share the load; one in 2^63 runs of this test sees only one order."""
    orders = {order(at(10, "a"), at(10, "b"), at(20, "c")) for _ in range(64)}

    assert orders == {"a b c", "b a c"}


def test_a_host_without_an_address_is_passed_over_where_another_has_one() -> None:
    """It proves nothing and delays nothing."""
    evidence = replace(behind_mx(secure=True), hosts=(at(10, "a", gone=True), at(20, "b")))

    assert verdict_without_hosts(evidence) is None
    assert order(*evidence.hosts) == "b"
