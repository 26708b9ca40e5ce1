"""What tlsrpt-collectd is told about sessions, and when it is told nothing."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.delivery.outcome import Attempt, Disposition
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.observe.tlsrpt import TLSReports, datagram
from requiretls_plugin.observe.tlsrpt_results import (
    Failure,
    PolicyResult,
    PolicyType,
    ResultType,
    policy_domain,
)
from requiretls_plugin.policy.next_hop import DomainHop, NamedHop, NextHop, Protocol, UNIXSocket
from requiretls_plugin.policy.refusal import Peer
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.security import Security
from requiretls_plugin.server_address import ServerAddress
from requiretls_plugin.settings import Settings
from tests.observe.sending import Collector, message, send

REQUIRED, UNSTATED, OPTIONAL = Requirement.REQUIRED, Requirement.UNSTATED, Requirement.OPTIONAL


def _settings(lab: Laboratory, collector: Collector) -> Settings:
    return lab.settings(reports={"tlsrpt_socket": str(collector.path)})


def _told(
    lab: Laboratory, collector: Collector, domain: str, requirement: Requirement = UNSTATED
) -> list[tuple[int, str, list[int], int]]:
    """Send a message and return policy type, policy domain, result types and final failure."""
    send(_settings(lab, collector), domain, message(requirement))
    return [
        (
            policy["policy-type"],
            policy["policy-domain"],
            [failure["c"] for failure in policy.get("failure-details", [])],
            policy["f"],
        )
        for told in collector.received()
        for policy in told["policies"]
    ]


TLSA, STS, NONE = 1, 2, 9


@pytest.mark.requirement(
    "8460-1.1-1",
    "8460-3-1",
    "8460-4.2.1-1",
    "8460-4.3.1-1",
    "8460-4.3.2.1-1",
    "8460-4.3.2.2-1",
    "8460-4.3.3-1",
    "8460-4.4-2",
    "8461-6-1",
)
@pytest.mark.parametrize(
    ("domain", "told"),
    [
        ("dane.test", [(TLSA, "mx.dane.test", [], 0)]),
        ("wrong-tlsa.test", [(TLSA, "mx.wrong-tlsa.test", [205], 1)]),
        ("unusable-tlsa.test", [(TLSA, "mx.unusable-tlsa.test", [304], 1)]),
        ("stripped.test", [(TLSA, "mx.stripped.test", [201], 1)]),
        ("opportunistic.test", [(NONE, "opportunistic.test", [], 0)]),
        ("plain.test", [(NONE, "plain.test", [201], 1)]),
        ("sts.test", [(STS, "sts.test", [], 0)]),
        ("sts-name.test", [(STS, "sts-name.test", [202], 1)]),
        ("sts-expired.test", [(STS, "sts-expired.test", [204], 1)]),
        ("sts-mx.test", [(STS, "sts-mx.test", [205], 1)]),
        ("sts-404.test", [(STS, "sts-404.test", [301], 1)]),
        ("sts-bad.test", [(STS, "sts-bad.test", [302], 1)]),
        ("sts-cert.test", [(STS, "sts-cert.test", [303], 1)]),
    ],
)
def test_each_kind_of_session_is_told_by_its_policy_and_result_type(
    reporting: Laboratory,
    collector: Collector,
    domain: str,
    told: list[tuple[int, str, list[int], int]],
) -> None:
    """One session, one datagram, one entry for the policy that was published."""
    assert _told(reporting, collector, domain) == told


@pytest.mark.requirement("8461-5-2", "8461-6-3")
@pytest.mark.parametrize(
    ("domain", "told"),
    [
        ("testing.test", [(STS, "testing.test", [], 0)]),
        ("testing-name.test", [(STS, "testing-name.test", [202], 1)]),
        ("testing-plain.test", [(STS, "testing-plain.test", [201], 1)]),
        ("testing-mx.test", [(STS, "testing-mx.test", [205], 1)]),
        ("both.test", [(TLSA, "mx.both.test", [], 0), (STS, "both.test", [202], 1)]),
    ],
)
def test_a_policy_in_mode_testing_is_reported_as_if_it_were_enforced(
    reporting: Laboratory,
    collector: Collector,
    domain: str,
    told: list[tuple[int, str, list[int], int]],
) -> None:
    """What would have failed is told, and the message is delivered all the same."""
    assert _told(reporting, collector, domain) == told
    assert len(reporting.destination(f"mx.{domain}").messages) == 1


@pytest.mark.requirement("8461-5-2")
def test_a_requiretls_message_is_held_to_a_policy_in_mode_testing(
    reporting: Laboratory, collector: Collector
) -> None:
    """Where the operator lets such a policy prove names, its failure stops the message, and is told."""
    settings = reporting.settings(
        reports={"tlsrpt_socket": str(collector.path)}, mta_sts={"accept_testing": True}
    )

    [outcome], _ = send(settings, "testing-name.test", message(REQUIRED))

    assert (outcome.disposition, outcome.reason) == (Disposition.FAILED, Reason.CERTIFICATE_NAME_MISMATCH)
    [told] = collector.received()
    assert [failure["c"] for failure in told["policies"][0]["failure-details"]] == [202]


@pytest.mark.requirement("8461-5-3", "8461-6-3")
def test_a_policy_in_mode_none_is_no_policy(reporting: Laboratory, collector: Collector) -> None:
    """The host's other name is nobody's business then."""
    assert _told(reporting, collector, "sts-none.test") == [(NONE, "sts-none.test", [], 0)]


def test_without_reports_a_policy_in_mode_testing_costs_no_connection(reporting: Laboratory) -> None:
    """The trial is made for the report's sake only."""
    [outcome], [attempt] = send(reporting.settings(), "testing-name.test", message(UNSTATED))

    assert outcome.security is Security.ENCRYPTED
    assert attempt.trial is None
    assert len(reporting.destination("mx.testing-name.test").connections) == 1


def test_a_trial_that_fails_leaves_the_session_as_it_would_have_been(
    reporting: Laboratory, collector: Collector
) -> None:
    """The message went over a second connection, which proves no more than TLS."""
    [outcome], [attempt] = send(_settings(reporting, collector), "testing-name.test", message(UNSTATED))

    assert (outcome.disposition, outcome.security) == (Disposition.DELIVERED, Security.ENCRYPTED)
    assert attempt.trial is not None
    assert attempt.trial.reason is Reason.CERTIFICATE_NAME_MISMATCH
    first, second = reporting.destination("mx.testing-name.test").connections
    assert first.verbs == ["EHLO", "STARTTLS", "QUIT"]
    assert "MAIL" in second.verbs


@pytest.mark.requirement("8460-4.3-1")
def test_a_host_that_only_lacks_requiretls_is_a_good_session(
    reporting: Laboratory, collector: Collector
) -> None:
    """RFC 8460 has no word for it, and TLS was as published."""
    assert _told(reporting, collector, "no-keyword.test", REQUIRED) == [(TLSA, "mx.no-keyword.test", [], 0)]


@pytest.mark.requirement("8460-4.3.4-1")
def test_a_refused_connection_is_not_told(reporting: Laboratory, collector: Collector) -> None:
    """It says nothing about TLS."""
    assert _told(reporting, collector, "down.test") == []


def test_a_domain_without_the_record_is_not_told_about(reporting: Laboratory, collector: Collector) -> None:
    """It did not ask for reports."""
    assert _told(reporting, collector, "silent.test", REQUIRED) == []


@pytest.mark.requirement("8460-3-15", "8460-5.3.1-1")
def test_messages_that_set_tls_policy_aside_are_not_told(reporting: Laboratory, collector: Collector) -> None:
    """`TLS-Required: No`, as reports have it: else two domains would report about reports for ever."""
    assert _told(reporting, collector, "reports.test", OPTIONAL) == []
    assert len(reporting.destination("mx.reports.test").messages) == 1


@pytest.mark.requirement("8460-3-15")
def test_a_report_is_not_told_about_even_if_it_has_another_tag(
    reporting: Laboratory, collector: Collector
) -> None:
    """Its header fields give it away."""
    report = message(REQUIRED, b"TLS-Report-Domain: dane.test\r\n")

    send(_settings(reporting, collector), "dane.test", report)

    assert collector.received() == []


@pytest.mark.requirement("8460-4.2.2-1")
def test_sessions_are_counted_and_not_messages(reporting: Laboratory, collector: Collector) -> None:
    """The second message takes the session of the first."""
    settings = _settings(reporting, collector)

    _outcomes, attempts = send(settings, "dane.test", message(UNSTATED), message(UNSTATED))

    assert [attempt.reused for attempt in attempts] == [False, True]
    assert len(collector.received()) == 1


def test_the_datagram_has_the_fields_that_the_collector_knows(
    reporting: Laboratory, collector: Collector
) -> None:
    """All of them, for a failure at a host: who, where, and why."""
    send(_settings(reporting, collector), "wrong-tlsa.test", message(UNSTATED))

    [told] = collector.received()
    host = reporting.destination("mx.wrong-tlsa.test")
    [policy] = told["policies"]
    [failure] = policy["failure-details"]
    assert list(told) == ["dpv", "d", "pr", "policies"]
    assert (told["dpv"], told["d"]) == ("1", "wrong-tlsa.test")
    assert told["pr"] == "v=TLSRPTv1; rua=mailto:tls@reports.test"
    assert policy["policy-string"][0].startswith("3 1 1 ")
    assert (policy["t"], policy["f"]) == (1, 1)
    assert (failure["n"], failure["r"], failure["h"]) == (host.name, host.address, host.name)
    assert failure["s"].startswith("127.")
    assert failure["a"] == "dane-mismatch"
    assert failure["f"]


@pytest.mark.requirement("8460-4.5-1")
def test_a_tlsa_policy_is_written_as_presentation_form(reporting: Laboratory, collector: Collector) -> None:
    """One string for each record, its hex in one piece."""
    send(_settings(reporting, collector), "dane.test", message(UNSTATED))

    [told] = collector.received()
    pem = reporting.destination("mx.dane.test").certificate.chain_file.read_bytes()
    key = x509.load_pem_x509_certificates(pem)[0].public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    assert told["policies"][0]["policy-string"] == [f"3 1 1 {digest}"]


@pytest.mark.requirement("8460-3-9")
def test_the_strings_of_a_record_are_joined(reporting: Laboratory, collector: Collector) -> None:
    """With nothing between them."""
    send(_settings(reporting, collector), "split-record.test", message(UNSTATED))

    [told] = collector.received()
    assert told["pr"] == "v=TLSRPTv1; rua=mailto:tls@reports.test"


@pytest.mark.requirement("8460-4.5-2", "8460-4.4-4")
def test_an_sts_policy_is_written_line_by_line(reporting: Laboratory, collector: Collector) -> None:
    """As it was published, and its patterns as a list."""
    send(_settings(reporting, collector), "sts.test", message(UNSTATED))

    [told] = collector.received()
    [policy] = told["policies"]
    assert policy["policy-string"] == ["version: STSv1", "mode: enforce", "mx: mx.sts.test", "max_age: 86400"]
    assert policy["mx-host"] == ["mx.sts.test"]


@pytest.mark.requirement("8460-4.3.1-2", "8460-4.3.1-3", "8460-4.4-5")
def test_a_failure_comes_with_the_librarys_own_words(reporting: Laboratory, collector: Collector) -> None:
    """The reason code is OpenSSL's text, and addresses are plain."""
    send(_settings(reporting, collector), "sts-expired.test", message(UNSTATED))

    [told] = collector.received()
    [failure] = told["policies"][0]["failure-details"]
    assert "certificate has expired" in failure["f"]
    assert failure["r"] == reporting.destination("mx.sts-expired.test").address


@pytest.mark.requirement("8460-4.4-6")
def test_a_policy_that_cannot_be_fetched_names_no_host(reporting: Laboratory, collector: Collector) -> None:
    """There is none to name."""
    send(_settings(reporting, collector), "sts-404.test", message(UNSTATED))

    [told] = collector.received()
    [failure] = told["policies"][0]["failure-details"]
    assert failure["c"] == 301
    assert not {"n", "r", "s", "h"} & set(failure)


def test_without_a_collector_mail_goes_on_and_one_warning_is_logged(
    reporting: Laboratory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Reports are lost, messages are not."""
    settings = reporting.settings(reports={"tlsrpt_socket": str(tmp_path / "nobody.sock")})

    outcomes, _ = send(settings, "dane.test", message(REQUIRED), message(UNSTATED))

    assert {outcome.disposition for outcome in outcomes} == {Disposition.DELIVERED}
    assert [record.levelname for record in caplog.records if "TLS reports" in record.message] == ["WARNING"]


def test_before_it_is_opened_nothing_is_reported(tmp_path: Path) -> None:
    """An engine that does not run has nobody to ask."""
    reports = TLSReports(tmp_path / "nobody.sock")

    reports.requiretls_attempted(
        Attempt(DomainHop(DomainName("a.test")), "mx.a.test", None, "dane", security=Security.DANE)
    )

    assert (reports.sent, reports.lost) == (0, 0)
    logging.getLogger(__name__).debug("nothing was raised")


@pytest.mark.requirement("8460-7-2")
def test_attack_a_servers_words_stay_data() -> None:
    """A name with control characters and quotes is printable text inside one JSON string."""
    peer = Peer("192.0.2.1", "192.0.2.9", 'mx"\r\n{\x00')
    failure = Failure(
        ResultType.VALIDATION_FAILURE, "no\x1b[2J" + "x" * 500, Reason.DANE_MISMATCH, "mx.a.test", peer
    )
    result = PolicyResult(PolicyType.TLSA, DomainName("mx.a.test"), (), (), (failure,), failed=True)

    data = datagram(DomainName("a.test"), "v=TLSRPTv1; rua=mailto:a@a.test", [result])

    assert data.decode("ascii").isprintable()
    assert len(data) < 1_000


@pytest.mark.requirement("8460-4.4-3")
@pytest.mark.parametrize(
    ("hop", "domain"),
    [
        pytest.param(DomainHop(DomainName.parse("bücher.example")), "xn--bcher-kva.example", id="a domain"),
        pytest.param(NamedHop(ServerAddress.parse("relay.example:587")), "relay.example", id="a smarthost"),
        pytest.param(NamedHop(ServerAddress.parse("192.0.2.1:25")), None, id="an address"),
        pytest.param(NamedHop(UNIXSocket("/run/lmtp"), protocol=Protocol.LMTP), None, id="a local hop"),
    ],
)
def test_reports_are_for_the_recipient_domain_or_the_smarthost(hop: NextHop, domain: str | None) -> None:
    """In A-labels; a server that DNS does not know has nobody to report to."""
    found: Any = policy_domain(hop)

    assert (found.text if found else None) == domain
