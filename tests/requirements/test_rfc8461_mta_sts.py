"""MTA-STS (RFC 8461) where it meets routing, reports and TLS itself."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from requiretls_lab.domains import Domain, MailHost, Policy
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_script import Script
from requiretls_lab.zones import ZoneKind
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.mail_address import AddressLiteral
from requiretls_plugin.observe.tlsrpt import RESULT_NUMBERS
from requiretls_plugin.observe.tlsrpt_results import ResultType
from requiretls_plugin.policy.answers import Found
from requiretls_plugin.policy.cache_memory import MemoryCache
from requiretls_plugin.policy.dns_reply import read_reply
from requiretls_plugin.policy.dns_wire import read_message
from requiretls_plugin.policy.next_hop import DomainHop
from requiretls_plugin.policy.resolver import PolicyResolver
from requiretls_plugin.policy.sts import STSResolver
from requiretls_plugin.policy.sts_record import parse_sts_record
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.settings import MTASTSSettings
from tests.delivery.delivering import deliver, delivered_by, in_words, message, plugins
from tests.observe.sending import Collector, send
from tests.policy.dns_messages import query_for, reply_to
from tests.policy.fake_dns import FakeDNS

REQUIRED, UNSTATED = Requirement.REQUIRED, Requirement.UNSTATED

STARTTLS_NOT_SUPPORTED = RESULT_NUMBERS[ResultType.STARTTLS_NOT_SUPPORTED]


@pytest.mark.requirement("8461-3.1-8")
def test_the_strings_of_a_record_are_joined_with_nothing_between_them() -> None:
    """A blank would make the id another one, or none."""
    query = query_for("_mta-sts.example.org", "TXT")
    reply = reply_to(query, '_mta-sts.example.org. 60 TXT "v=STSv1; id=2016" "0831;"')

    answer = read_reply(read_message(reply.to_wire(), query), ad_counts=False)

    assert isinstance(answer, Found)
    record = parse_sts_record(answer.records)
    assert record is not None
    assert record.id == "20160831"


FAILS_THE_POLICY = [
    pytest.param("sts-expired.test", "certificate-expired", id="expired"),
    pytest.param("sts-self-signed.test", "certificate-not-trusted", id="self-signed"),
    pytest.param("sts-plain.test", "starttls-not-offered", id="no STARTTLS"),
    pytest.param("sts-common-name.test", "certificate-name-mismatch", id="common name only"),
    pytest.param("sts-other-label.test", "certificate-name-mismatch", id="another host of the pattern"),
    pytest.param("sts-domain-name.test", "certificate-name-mismatch", id="the domain itself"),
    pytest.param("sts-alias.test", "certificate-name-mismatch", id="the end of an insecure alias"),
]


@pytest.mark.requirement(
    "8461-4-1", "8461-4.2-1", "8461-4.2-2", "8461-4.2-3", "8461-5-1", "8461-5-5", "8689-3-1", "6125-6.2.1-1"
)
@pytest.mark.parametrize(("domain", "reason"), FAILS_THE_POLICY)
def test_a_host_that_fails_an_enforced_policy_is_passed_over(
    lab: Laboratory, domain: str, reason: str
) -> None:
    """What is said of it, it has to prove; only `TLS-Required: No` gets the message there."""
    host = lab.destination(f"mx.{domain}")

    [outcome] = deliver(lab.settings(), message(UNSTATED), f"u@{domain}")
    assert in_words(outcome) == f"deferred 451 4.7.5 {reason}"
    assert host.messages == []

    [outcome] = deliver(lab.settings(), message(Requirement.OPTIONAL), f"u@{domain}")
    assert in_words(outcome) == f"delivered {'cleartext' if domain == 'sts-plain.test' else 'encrypted'}"


@pytest.mark.requirement("8461-4.2-3")
def test_a_star_in_the_certificate_may_stand_for_the_hosts_label(lab: Laboratory) -> None:
    """And one in the policy for the same."""
    [outcome] = deliver(lab.settings(), message(UNSTATED), "u@sts-star.test")

    assert in_words(outcome) == "delivered sts-pkix"


@pytest.mark.requirement("8461-4.1-3")
def test_a_domain_that_is_its_own_host_has_to_be_in_its_policy(lab: Laboratory) -> None:
    """There is no MX record, and the policy lists another host."""
    [outcome] = deliver(lab.settings(), message(UNSTATED), "u@sts-implicit.test")

    assert in_words(outcome) == "deferred 451 4.7.5 sts-mismatch"
    assert lab.destination("sts-implicit.test").connections == []


@pytest.mark.requirement("8461-5.1-1")
def test_a_host_that_the_policy_lists_is_used_behind_one_that_it_does_not(lab: Laboratory) -> None:
    """In the order of MX."""
    [outcome] = deliver(lab.settings(), message(UNSTATED), "u@sts-second.test")

    assert (in_words(outcome), outcome.host) == ("delivered sts-pkix", "mx2.sts-second.test")
    assert lab.destination("mx1.sts-second.test").connections == []


@pytest.mark.requirement("8689-4.2.1-3", "8689-4.2.1-2")
@pytest.mark.parametrize("accepted", [False, True], ids=["by default", "where testing policies prove names"])
def test_a_policy_in_mode_testing_excuses_no_mismatch(lab: Laboratory, accepted: bool) -> None:
    """Not under REQUIRETLS, whatever the operator lets such policies do."""
    settings = lab.settings(mta_sts={"accept_testing": accepted})

    [outcome] = deliver(settings, message(REQUIRED), "u@testing-elsewhere.test")

    assert in_words(outcome) == "failed 550 5.7.10 name-not-proven"
    assert lab.destination("mx.testing-elsewhere.test").connections == []


def _smarthost(lab: Laboratory, host: str) -> dict[str, str]:
    return {"smarthost": f"{host}:{lab.port}"}


@pytest.mark.requirement("8461-3.4-1")
def test_the_recipient_domains_policy_does_not_bind_a_smarthost(lab: Laboratory) -> None:
    """It lists the domain's own host only, and the message goes through ours."""
    settings = lab.settings(delivery=_smarthost(lab, "mx.relay-without-policy.test"))

    [outcome] = deliver(settings, message(UNSTATED), "u@sts.test")

    assert in_words(outcome) == "delivered encrypted"
    assert len(lab.destination("mx.relay-without-policy.test").messages) == 1


@pytest.mark.requirement("8461-3.4-1")
def test_the_smarthosts_own_policy_binds_it(lab: Laboratory) -> None:
    """Its name is the policy domain, and that policy lists another host."""
    settings = lab.settings(delivery=_smarthost(lab, "mx.relay-with-policy.test"))

    [outcome] = deliver(settings, message(UNSTATED), "u@dane.test")

    assert in_words(outcome) == "deferred 451 4.7.5 sts-mismatch"
    assert lab.destination("mx.relay-with-policy.test").connections == []


@pytest.mark.requirement("8461-3.4-3")
def test_an_address_literal_has_no_policy() -> None:
    """DNS is not asked for anything."""
    dns = FakeDNS({})
    sts = STSResolver(dns, MemoryCache(), MTASTSSettings(), ssl.create_default_context())
    literal = DomainHop(AddressLiteral(ipaddress.ip_address("192.0.2.1")))

    asyncio.run(PolicyResolver(dns, sts, port=25).evidence(literal))
    assert dns.queries == []

    asyncio.run(PolicyResolver(dns, sts, port=25).evidence(DomainHop(DomainName("example.org"))))
    assert ("_mta-sts.example.org", "TXT") in dns.queries


@pytest.mark.requirement("8461-6-3")
@pytest.mark.parametrize(
    ("domain", "failures"),
    [
        pytest.param("testing-plain.test", [STARTTLS_NOT_SUPPORTED], id="testing"),
        pytest.param("none-plain.test", [], id="none"),
    ],
)
def test_a_host_without_starttls_is_reported_unless_the_mode_is_none(
    lab: Laboratory, tmp_path: Path, domain: str, failures: list[int]
) -> None:
    """Either message is delivered in cleartext."""
    with Collector(tmp_path / "collectd.sock") as collector:
        settings = lab.settings(reports={"tlsrpt_socket": str(collector.path)})
        [outcome], _ = send(settings, domain, message(UNSTATED))
        told = collector.received()

    assert in_words(outcome) == "delivered cleartext"
    policies = [policy for each in told for policy in each["policies"]]
    assert [failure["c"] for policy in policies for failure in policy["failure-details"]] == failures


@pytest.mark.requirement("8461-7.2-2")
def test_under_a_policy_no_outdated_version_of_tls_is_agreed_to(lab: Laboratory) -> None:
    """The certificate is good, and TLS 1.1 is not."""
    server = lab.destination("mx.sts.test")
    server.script = Script(minimum_version=ssl.TLSVersion.TLSv1_1, maximum_version=ssl.TLSVersion.TLSv1_1)

    [outcome] = deliver(lab.settings(), message(UNSTATED), "u@sts.test")

    assert outcome.reason is Reason.TLS_HANDSHAKE_FAILED
    assert server.messages == []


@pytest.mark.requirement("8461-8.4-1")
def test_a_host_that_fails_the_policy_keeps_its_place_in_the_list(lab: Laboratory) -> None:
    """It is this very server, which the policy does not list; whoever comes after it is not tried."""
    [outcome] = deliver(lab.settings(), message(UNSTATED), "u@we-are-second.test")

    assert in_words(outcome) == "deferred 451 4.4.1 host-unreachable"
    assert lab.destination("mx30.we-are-second.test").connections == []


@pytest.mark.requirement("8689-4.2.1-19", "8461-5-4", "8461-5.1-2")
def test_before_a_bounce_for_an_outdated_policy_the_id_is_looked_up_again(lab: Laboratory) -> None:
    """What is cached misses the new host; the policy of the newer id lists it."""

    async def before_and_after() -> list[str]:
        async with Engine(lab.settings(), plugins()) as engine:
            [before] = await delivered_by(engine, message(REQUIRED), "u@renewed.test")
            renewed = Policy.enforce("mx.renewed.test")
            lab.policy_site("renewed.test").answer = renewed.answer
            lab.publish(
                Domain(
                    "renewed.test", (MailHost(),), ZoneKind.UNSIGNED, replace(renewed, txt="v=STSv1; id=2;")
                )
            )
            [after] = await delivered_by(engine, message(REQUIRED), "u@renewed.test")
            return [in_words(before), in_words(after)]

    assert asyncio.run(before_and_after()) == [
        "failed 550 5.7.10 sts-mismatch",
        "delivered sts-pkix requiretls",
    ]
