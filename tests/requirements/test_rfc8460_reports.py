"""TLS reports (RFC 8460): the part before tlsrpt-reporter takes over."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.delivery.outcome import Attempt
from requiretls_plugin.observe.tlsrpt import RESULT_NUMBERS, datagram
from requiretls_plugin.observe.tlsrpt_record import reporting_record
from requiretls_plugin.observe.tlsrpt_results import ResultType, results_of
from requiretls_plugin.policy.answers import Found
from requiretls_plugin.policy.dns_reply import read_reply
from requiretls_plugin.policy.dns_wire import read_message
from requiretls_plugin.policy.sts_failure import FetchFailure
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Requirement
from tests.observe.sending import Collector, message, send
from tests.policy.dns_messages import query_for, reply_to
from tests.policy.evidence_by_hand import ADDRESS, DOMAIN, ENFORCED, HOST, behind_mx


@pytest.mark.requirement("8460-3-9")
def test_the_strings_of_a_record_are_joined_with_nothing_between_them() -> None:
    """The address may be cut anywhere."""
    query = query_for("_smtp._tls.example.com", "TXT")
    reply = reply_to(query, '_smtp._tls.example.com. 60 TXT "v=TLSRPTv1; rua=mailto:rep" "orts@example.com"')

    answer = read_reply(read_message(reply.to_wire(), query), ad_counts=False)

    assert isinstance(answer, Found)
    assert reporting_record(answer.records) == "v=TLSRPTv1; rua=mailto:reports@example.com"


@pytest.mark.requirement("8460-1.1-2")
def test_what_concerns_a_hosts_tlsa_records_goes_to_the_recipient_domain(
    lab: Laboratory, tmp_path: Path
) -> None:
    """The host's own record is not asked for; the entry names the host as its policy domain."""
    with Collector(tmp_path / "collectd.sock") as collector:
        send(
            lab.settings(reports={"tlsrpt_socket": str(collector.path)}),
            "two-records.test",
            message(Requirement.UNSTATED),
        )
        [told] = collector.received()

    assert told["d"] == "two-records.test"
    assert told["pr"] == "v=TLSRPTv1; rua=mailto:domain@reports.test"
    assert [policy["policy-domain"] for policy in told["policies"]] == ["mx.two-records.test"]


@pytest.mark.requirement("8460-4-3")
def test_one_session_may_have_several_failures_and_counts_once() -> None:
    """A policy that cannot be renewed, and a host whose certificate the one that is known does not take."""
    broken_off = FetchFailure("2", ResultType.STS_POLICY_FETCH_ERROR.value, "timed out", 0.0)
    evidence = behind_mx(secure=False, policy=replace(ENFORCED, fresh=False, failure=broken_off))
    attempt = Attempt(
        evidence.next_hop,
        HOST.text,
        str(ADDRESS),
        demanded="sts-pkix",
        refusal=Reason.CERTIFICATE_EXPIRED,
        why="certificate has expired",
        evidence=evidence,
    )

    told = json.loads(datagram(DOMAIN, "v=TLSRPTv1; rua=mailto:a@example.com", results_of(attempt)))

    [policy] = told["policies"]
    assert [failure["c"] for failure in policy["failure-details"]] == [
        RESULT_NUMBERS[ResultType.STS_POLICY_FETCH_ERROR],
        RESULT_NUMBERS[ResultType.CERTIFICATE_EXPIRED],
    ]
    # The collector adds one to its count of sessions for a datagram, and `f` to that of failed ones.
    assert policy["f"] == 1
