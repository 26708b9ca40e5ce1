"""What a session says about each policy, where two policies or two failures meet in it."""

from __future__ import annotations

import ipaddress

import pytest

from requiretls_plugin.delivery.outcome import Attempt
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.observe.tlsrpt_results import PolicyResult, ResultType, results_of
from requiretls_plugin.policy.answers import TLSARecord
from requiretls_plugin.policy.evidence import Evidence, HostEvidence
from requiretls_plugin.policy.mx_lookup import Candidate, MailHosts
from requiretls_plugin.policy.next_hop import DomainHop
from requiretls_plugin.policy.sts import NoSTS, STSFound, STSLookup, STSUnavailable
from requiretls_plugin.policy.sts_failure import FetchFailure
from requiretls_plugin.policy.sts_policy import parse_sts_policy
from requiretls_plugin.policy.tlsa_lookup import DANE, DANEFailed, DANERecords, HostAddresses, NoDANE
from requiretls_plugin.reason import Reason
from requiretls_plugin.security import Security

DOMAIN, HOST = DomainName("a.test"), DomainName("mx.a.test")
RECORD = TLSARecord(3, 1, 1, bytes(32))
TLSA = DANERecords(HOST, (RECORD,))
NO_TLSA = NoDANE(secure_absence=True)
_TXT_FAILED = FetchFailure(None, "sts-policy-fetch-error", "the _mta-sts record cannot be looked up", 0.0)


def _policy(mode: str, failure: FetchFailure | None = None, mx: str = "mx.a.test") -> STSFound:
    text = f"version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: 86400\n"
    return STSFound(parse_sts_policy(text.encode()), "1", failure is None, 1e10, failure)


def _attempt(
    dane: DANE = NO_TLSA,
    sts: STSLookup | None = None,
    *,
    refusal: Reason | None = None,
    security: Security | None = None,
) -> Attempt:
    addresses = HostAddresses((ipaddress.IPv4Address("192.0.2.1"),), True, dane, HOST)
    mx = MailHosts((Candidate(HOST, 10),), secure=True, implicit=False, expanded=DOMAIN)
    hosts = (HostEvidence(HOST, 10, addresses),)
    hop = DomainHop(DOMAIN)
    evidence = Evidence(hop, mx, sts or NoSTS(), hosts, 25)
    return Attempt(hop, HOST.text, None, "dane", security, refusal=refusal, why="why", evidence=evidence)


def _kinds(results: tuple[PolicyResult, ...]) -> dict[str, list[str]]:
    return {
        result.policy_type.value: [failure.result_type.value for failure in result.failures]
        for result in results
    }


@pytest.mark.requirement("8461-6-2")
def test_a_failed_lookup_is_told_although_an_earlier_policy_counts() -> None:
    """The session itself was good, and is counted so."""
    attempt = _attempt(sts=_policy("testing", _TXT_FAILED), security=Security.ENCRYPTED)

    [result] = results_of(attempt)

    assert [failure.result_type for failure in result.failures] == [ResultType.STS_POLICY_FETCH_ERROR]
    assert not result.failed


@pytest.mark.requirement("8460-4-3")
def test_one_session_can_fail_twice_and_counts_once() -> None:
    """The policy could not be renewed, and the certificate has expired."""
    attempt = _attempt(sts=_policy("enforce", _TXT_FAILED), refusal=Reason.CERTIFICATE_EXPIRED)

    [result] = results_of(attempt)

    assert [failure.result_type.value for failure in result.failures] == [
        "sts-policy-fetch-error",
        "certificate-expired",
    ]
    assert result.failed


@pytest.mark.parametrize(
    ("refusal", "kinds"),
    [
        pytest.param(None, {"tlsa": [], "sts": []}, id="both passed"),
        pytest.param(
            Reason.DANE_MISMATCH, {"tlsa": ["validation-failure"]}, id="DANE failed, MTA-STS is not known"
        ),
        pytest.param(
            Reason.CERTIFICATE_NOT_TRUSTED,
            {"sts": ["certificate-not-trusted"]},
            id="MTA-STS failed, DANE was not tried",
        ),
        pytest.param(
            Reason.STARTTLS_NOT_OFFERED,
            {"tlsa": ["starttls-not-supported"], "sts": ["starttls-not-supported"]},
            id="both failed",
        ),
        pytest.param(Reason.HOST_UNREACHABLE, {}, id="nothing is known"),
    ],
)
def test_with_dane_and_mta_sts_each_gets_what_was_judged(
    refusal: Reason | None, kinds: dict[str, list[str]]
) -> None:
    """What was not judged is not told."""
    security = Security.DANE if refusal is None else None

    assert _kinds(results_of(_attempt(TLSA, _policy("enforce"), refusal=refusal, security=security))) == kinds


@pytest.mark.requirement("8460-4.3.2.1-1")
def test_a_tlsa_lookup_without_a_valid_answer_is_dnssec_invalid() -> None:
    """Bogus or failed: the resolver gave no valid records."""
    attempt = _attempt(DANEFailed(bogus=True, why="SERVFAIL"), refusal=Reason.DNSSEC_BOGUS)

    assert _kinds(results_of(attempt)) == {"tlsa": ["dnssec-invalid"]}


def test_a_name_that_nothing_proves_is_not_told() -> None:
    """The sender wanted more than the domain published."""
    assert results_of(_attempt(refusal=Reason.NAME_NOT_PROVEN)) == ()


def test_an_mta_sts_record_that_cannot_be_looked_up_is_not_told() -> None:
    """Nobody knows whether there is a policy."""
    sts = STSUnavailable("SERVFAIL", "sts-policy-fetch-error", record_seen=False)

    assert results_of(_attempt(sts=sts, security=Security.ENCRYPTED)) == ()


def test_the_order_of_tlsa_records_does_not_matter() -> None:
    """DNS turns them, and sessions under the same policy are counted together."""
    other = TLSARecord(3, 1, 1, bytes([1]) * 32)
    turned = [DANERecords(HOST, (RECORD, other)), DANERecords(HOST, (other, RECORD))]

    first, second = (results_of(_attempt(dane, security=Security.DANE)) for dane in turned)

    assert first == second


@pytest.mark.requirement("8460-1.1-2")
def test_both_entries_go_to_the_recipient_domains_address() -> None:
    """The documented choice: the TLSA entry names the host, and its report goes where the other goes."""
    results = results_of(_attempt(TLSA, _policy("enforce"), security=Security.DANE))

    assert [result.domain for result in results] == [HOST, DOMAIN]
