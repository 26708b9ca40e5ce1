"""What one session says about the policies its next hop publishes (RFC 8460 section 4).

A pure function from an attempt to the entries of a report. What was not judged
in the session gives no entry: a refused connection says nothing about TLS.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from requiretls_plugin.certificate.dane_match import usable_records
from requiretls_plugin.delivery.outcome import Attempt
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.evidence import Evidence
from requiretls_plugin.policy.next_hop import DomainHop, NextHop, Protocol, UNIXSocket
from requiretls_plugin.policy.refusal import Peer
from requiretls_plugin.policy.sts import NoSTS, STSFound, STSLookup, STSUnavailable
from requiretls_plugin.policy.sts_failure import FetchFailure
from requiretls_plugin.policy.sts_policy import Mode
from requiretls_plugin.policy.tlsa_lookup import DANE, DANEFailed, DANERecords, HostAddresses
from requiretls_plugin.reason import Reason
from requiretls_plugin.security import Security


class ResultType(enum.Enum):
    """The result types of RFC 8460 section 4.3; `dane-required` is of no use to us."""

    STARTTLS_NOT_SUPPORTED = "starttls-not-supported"
    CERTIFICATE_HOST_MISMATCH = "certificate-host-mismatch"
    CERTIFICATE_NOT_TRUSTED = "certificate-not-trusted"
    CERTIFICATE_EXPIRED = "certificate-expired"
    VALIDATION_FAILURE = "validation-failure"
    STS_POLICY_FETCH_ERROR = "sts-policy-fetch-error"
    STS_POLICY_INVALID = "sts-policy-invalid"
    STS_WEBPKI_INVALID = "sts-webpki-invalid"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"


class PolicyType(enum.Enum):
    """What a domain published (RFC 8460 section 4.4)."""

    TLSA = "tlsa"
    STS = "sts"
    NONE = "no-policy-found"


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that went wrong; *host* and *peer* are None where it was not at a mail host."""

    result_type: ResultType
    why: str
    reason: Reason | None = None
    host: str | None = None
    peer: Peer | None = None


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """How one session ended for one policy. *failed* tells whether it counts as a failed session."""

    policy_type: PolicyType
    domain: DomainName
    policy: tuple[str, ...]
    mx: tuple[str, ...]
    failures: tuple[Failure, ...]
    failed: bool


RESULT_TYPES: Mapping[Reason, ResultType] = {
    Reason.STARTTLS_NOT_OFFERED: ResultType.STARTTLS_NOT_SUPPORTED,
    Reason.STARTTLS_REFUSED: ResultType.STARTTLS_NOT_SUPPORTED,
    Reason.CERTIFICATE_NAME_MISMATCH: ResultType.CERTIFICATE_HOST_MISMATCH,
    Reason.CERTIFICATE_NOT_TRUSTED: ResultType.CERTIFICATE_NOT_TRUSTED,
    Reason.CERTIFICATE_EXPIRED: ResultType.CERTIFICATE_EXPIRED,
    Reason.TLS_HANDSHAKE_FAILED: ResultType.VALIDATION_FAILURE,
    Reason.DANE_MISMATCH: ResultType.VALIDATION_FAILURE,
}

# What was wrong with a session as one policy sees it: () if nothing was, None if that was not judged.
_Verdict = tuple[Failure, ...] | None

# Reasons that a mail host's certificate gives, for whichever policy looked at it.
_CERTIFICATE = (
    Reason.CERTIFICATE_NAME_MISMATCH,
    Reason.CERTIFICATE_NOT_TRUSTED,
    Reason.CERTIFICATE_EXPIRED,
)


def policy_domain(hop: NextHop) -> DomainName | None:
    """Return the domain that reports about *hop* are for (RFC 8460 section 1.1), None if there is none.

    It is the recipient domain, or that of a smarthost. Entries about TLSA
    records go to the same address, though they name the host.
    """
    if isinstance(hop, DomainHop):
        name: object = hop.domain
    elif hop.protocol is Protocol.LMTP or isinstance(hop.server, UNIXSocket):
        return None
    else:
        name = hop.server.host
    return name if isinstance(name, DomainName) else None


def results_of(attempt: Attempt) -> tuple[PolicyResult, ...]:
    """Return the entries that *attempt* adds to a report, none if it shows nothing about TLS."""
    evidence = attempt.evidence
    domain = policy_domain(attempt.next_hop)
    if evidence is None or domain is None:
        return ()
    dane = _dane_of(evidence, attempt.host)
    results: list[PolicyResult | None] = []
    if isinstance(dane, DANERecords | DANEFailed):
        results.append(_tlsa_result(attempt, evidence, dane))
    if isinstance(evidence.sts, STSFound | STSUnavailable):
        results.append(_sts_result(attempt, domain, evidence.sts))
    if not results:
        results.append(_result_without_policy(attempt, domain, evidence.sts))
    return tuple(result for result in results if result is not None)


def _dane_of(evidence: Evidence, host: str) -> DANE | None:
    lookup = next((each.lookup for each in evidence.hosts if str(each.host) == host), None)
    return lookup.dane if isinstance(lookup, HostAddresses) else None


def _tlsa_result(attempt: Attempt, evidence: Evidence, dane: DANERecords | DANEFailed) -> PolicyResult | None:
    if isinstance(dane, DANEFailed):
        failure = Failure(ResultType.DNSSEC_INVALID, dane.why, attempt.refusal, attempt.host)
        return PolicyResult(PolicyType.TLSA, DomainName(attempt.host), (), (), (failure,), failed=True)
    verdict = _verdict_of_tlsa(attempt, evidence, dane)
    if verdict is None:
        return None
    # DNS gives them in varying order, and a report counts sessions by what they saw.
    policy = tuple(sorted(str(record) for record in dane.records))
    return PolicyResult(PolicyType.TLSA, dane.base_domain, policy, (), verdict, failed=bool(verdict))


def _verdict_of_tlsa(attempt: Attempt, evidence: Evidence, dane: DANERecords) -> _Verdict:
    if not usable_records(dane.records):
        return (Failure(ResultType.TLSA_INVALID, "none of the TLSA records is usable", None, attempt.host),)
    enforced = isinstance(evidence.sts, STSFound) and evidence.sts.policy.mode is Mode.ENFORCE
    if enforced and attempt.refusal in _CERTIFICATE:
        # The chain is shown to the trust anchors first: what they refuse is not compared with TLSA records.
        return None
    return _verdict_of_session(attempt)


def _sts_result(attempt: Attempt, domain: DomainName, sts: STSFound | STSUnavailable) -> PolicyResult | None:
    if isinstance(sts, STSUnavailable):
        if not sts.record_seen:
            return None
        failure = Failure(ResultType(sts.result_type), sts.why, Reason.STS_UNAVAILABLE)
        return PolicyResult(PolicyType.STS, domain, (), (), (failure,), failed=True)
    verdict = _verdict_of_sts(attempt, sts)
    if verdict is None:
        return None
    policy = tuple(line for line in sts.policy.text.replace("\r\n", "\n").split("\n") if line.strip())
    mx = tuple(str(pattern) for pattern in sts.policy.mx)
    failures = (*_of_renewal(sts.failure), *verdict)
    return PolicyResult(PolicyType.STS, domain, policy, mx, failures, failed=bool(verdict))


def _of_renewal(failure: FetchFailure | None) -> tuple[Failure, ...]:
    """A newer policy could not be had: worth telling, though the session went by the older one."""
    if failure is None:
        return ()
    return (Failure(ResultType(failure.result_type), failure.why),)


def _verdict_of_sts(attempt: Attempt, sts: STSFound) -> _Verdict:
    """Return what is wrong with the session if the policy is enforced, and if it is only tested."""
    host, peer, trial = attempt.host, attempt.peer, attempt.trial
    if not sts.policy.matches(DomainName(host)):
        # RFC 8460 section 4.3 has no word for it; section 4.3.3 sends what has none here.
        why = "the host is not among the policy's mx patterns"
        return (Failure(ResultType.VALIDATION_FAILURE, why, Reason.STS_MISMATCH, host, peer),)
    if trial is not None:
        kind = RESULT_TYPES.get(trial.reason, ResultType.VALIDATION_FAILURE)
        return (Failure(kind, trial.why, trial.reason, host, trial.peer),)
    return None if attempt.refusal is Reason.DANE_MISMATCH else _verdict_of_session(attempt)


def _result_without_policy(attempt: Attempt, domain: DomainName, sts: STSLookup) -> PolicyResult | None:
    verdict = _verdict_of_session(attempt)
    if attempt.security is Security.CLEARTEXT:
        why, reason = "the session was in cleartext", Reason.STARTTLS_NOT_OFFERED
        verdict = (Failure(ResultType.STARTTLS_NOT_SUPPORTED, why, reason, attempt.host, attempt.peer),)
    taken_back = isinstance(sts, NoSTS) and sts.mode_none
    if verdict is None or (verdict and taken_back):  # RFC 8461 section 6: no failure to tell then
        return None
    return PolicyResult(PolicyType.NONE, domain, (), (), verdict, failed=bool(verdict))


def _verdict_of_session(attempt: Attempt) -> _Verdict:
    """Return how TLS went; a session that merely lacks REQUIRETLS is a good one here."""
    if attempt.security is not None or attempt.refusal is Reason.REQUIRETLS_NOT_OFFERED:
        return ()
    kind = RESULT_TYPES.get(attempt.refusal) if attempt.refusal is not None else None
    if kind is None:
        return None
    return (Failure(kind, attempt.why, attempt.refusal, attempt.host, attempt.peer),)
