"""What a domain's postmaster would have to do, records spelled out, so that REQUIRETLS mail gets through."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from requiretls_plugin.certificate.facts import facts_of
from requiretls_plugin.delivery.outcome import Disposition
from requiretls_plugin.delivery.proof import Proof
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.findings import Findings, HostJudgement, judge
from requiretls_plugin.policy.evidence import HostEvidence
from requiretls_plugin.policy.next_hop import DomainHop
from requiretls_plugin.policy.sts import STSFound
from requiretls_plugin.policy.tlsa_lookup import DANERecords, HostAddresses
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Requirement

# RFC 8461 section 3.2 speaks of weeks.
_MAX_AGE = 1_209_600


@dataclass(frozen=True, slots=True)
class Advice:
    """Something to do, and the records or lines that do it."""

    what: str
    lines: tuple[str, ...] = ()


_CERTIFICATE = (Reason.CERTIFICATE_EXPIRED, Reason.CERTIFICATE_NAME_MISMATCH, Reason.CERTIFICATE_NOT_TRUSTED)

# What no record of the domain's can change, in words for whoever can.
_ELSEWHERE = {
    Reason.DNS_FAILURE: "Repair the name servers: a lookup failed.",
    Reason.DNSSEC_BOGUS: "Sign the zone anew, or correct its DS record: DNSSEC signatures are wrong.",
    Reason.NULL_MX: "Nothing helps: the domain says that it takes no mail.",
    Reason.NO_SUCH_DOMAIN: "Nothing helps: there is no such domain.",
    Reason.HOST_UNREACHABLE: "Let the hosts be reached.",
    Reason.CONFIGURATION: "Nothing over there: the fault is on the sending side; see `requiretls doctor`.",
}


def advice(findings: Findings) -> tuple[Advice, ...]:
    """Return what would have to be done, nothing if a message under REQUIRETLS gets through already.

    One host that does all of it is enough; it is said for every host, since all
    of them take mail.
    """
    required = judge(findings, Requirement.REQUIRED)
    if required.disposition is Disposition.DELIVERED:
        return ()
    if not required.hosts:
        words = _ELSEWHERE.get(required.reason) if required.reason is not None else None
        return (Advice(words),) if words else ()
    found = [*_for_the_domain(findings, required.hosts)]
    for judged in required.hosts:
        found += _for_a_host(findings, judged)
    return tuple(dict.fromkeys(found))


def _for_the_domain(findings: Findings, hosts: Sequence[HostJudgement]) -> Iterator[Advice]:
    domain = findings.evidence.next_hop.domain if isinstance(findings.evidence.next_hop, DomainHop) else None
    reasons = {judged.refusal.reason for judged in hosts if judged.refusal is not None}
    if not isinstance(domain, DomainName):
        return
    names = [judged.host.host for judged in hosts if isinstance(judged.host.host, DomainName)]
    if Reason.STS_UNAVAILABLE in reasons:
        yield Advice(
            f"Serve the MTA-STS policy that the TXT record of _mta-sts.{domain} announces, at this place,"
            " by HTTPS with a certificate for that name:",
            (_policy_place(domain), *_policy_lines(names)),
        )
    elif Reason.STS_MISMATCH in reasons:
        yield Advice(
            "List all MX hosts in the MTA-STS policy, and give it a new id:",
            (_policy_record(domain, findings), *_policy_lines(names)),
        )
    elif Reason.NAME_NOT_PROVEN in reasons:
        yield from _prove_names(findings, domain, names)


def _prove_names(findings: Findings, domain: DomainName, names: Sequence[DomainName]) -> Iterator[Advice]:
    sts = findings.evidence.sts
    if isinstance(sts, STSFound) and all(sts.policy.matches(name) for name in names):
        yield Advice(
            "Take the MTA-STS policy from mode testing to enforce, and give it a new id:",
            (_policy_record(domain, findings), *_policy_lines(names)),
        )
        return
    yield Advice(f"Either sign {domain} with DNSSEC, so that its MX records can be believed;")
    yield Advice(
        "or publish an MTA-STS policy, served by HTTPS with a certificate for that name:",
        (_policy_record(domain, findings), _policy_place(domain), *_policy_lines(names)),
    )


def _for_a_host(findings: Findings, judged: HostJudgement) -> Iterator[Advice]:
    name, refusal = judged.host.host, judged.refusal
    if refusal is None:
        return
    proof = findings.proof(name)
    if refusal.reason in (Reason.STARTTLS_NOT_OFFERED, Reason.STARTTLS_REFUSED) or (
        proof is not None and proof.tls is None
    ):
        yield Advice(f"{name}: offer STARTTLS, with a certificate for {name}, and REQUIRETLS inside it.")
        return
    if refusal.reason in _ELSEWHERE:
        yield Advice(f"{name}: {_ELSEWHERE[refusal.reason]}")
    elif refusal.reason is Reason.TLS_HANDSHAKE_FAILED:
        yield Advice(f"{name}: let a handshake with TLS 1.2 or 1.3 succeed.")
    elif refusal.reason is Reason.DANE_MISMATCH or refusal.reason in _CERTIFICATE:
        yield _certificate_advice(findings, judged.host, proof)
    if proof is not None and not proof.requiretls_offered:
        yield Advice(
            f"{name}: run a mail server that supports RFC 8689, so that it offers REQUIRETLS inside TLS."
        )


def _certificate_advice(findings: Findings, host: HostEvidence, proof: Proof | None) -> Advice:
    tls = proof.tls if proof is not None else None
    record = facts_of(tls.certificate).tlsa if tls is not None and tls.certificate is not None else None
    owner = f"_{findings.evidence.port}._tcp.{_base_domain(host)}."
    line = (f"{owner} IN TLSA {record}",) if record is not None else ()
    if isinstance(host.lookup, HostAddresses) and isinstance(host.lookup.dane, DANERecords):
        return Advice(f"{host.host}: publish the TLSA record of the certificate that is in use:", line)
    either = f"{host.host}: get a certificate for that name from a CA that is widely trusted"
    if line and isinstance(host.lookup, HostAddresses) and host.lookup.addresses_secure:
        return Advice(f"{either}, or publish the TLSA record of the one in use:", line)
    return Advice(f"{either}.")


def _base_domain(host: HostEvidence) -> object:
    dane = host.lookup.dane if isinstance(host.lookup, HostAddresses) else None
    return dane.base_domain if isinstance(dane, DANERecords) else host.host


def _policy_record(domain: DomainName, findings: Findings) -> str:
    identity = time.strftime("%Y%m%d%H%M%S", time.gmtime(findings.taken))
    return f'_mta-sts.{domain}. IN TXT "v=STSv1; id={identity};"'


def _policy_place(domain: DomainName) -> str:
    return f"https://mta-sts.{domain}/.well-known/mta-sts.txt"


def _policy_lines(names: Sequence[DomainName]) -> tuple[str, ...]:
    hosts = (f"mx: {name}" for name in dict.fromkeys(names))
    return ("version: STSv1", "mode: enforce", *hosts, f"max_age: {_MAX_AGE}")
