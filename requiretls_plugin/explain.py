"""Findings in words: what was looked at, step by step, what it showed, and the section that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from requiretls_plugin.advice import Advice, advice
from requiretls_plugin.certificate.facts import facts_of
from requiretls_plugin.certificate.verdict import Authenticated, NotAuthenticated
from requiretls_plugin.delivery.proof import Proof
from requiretls_plugin.findings import Findings, Judgement, judge
from requiretls_plugin.policy.demand import Demand
from requiretls_plugin.policy.evidence import Evidence, HostEvidence, NameProof
from requiretls_plugin.policy.mx_lookup import (
    MailHosts,
    MailLoop,
    MXFailed,
    MXLookup,
    NoSuchDomain,
    NoUsableMX,
    NullMX,
)
from requiretls_plugin.policy.next_hop import DomainHop
from requiretls_plugin.policy.refusal import Refusal
from requiretls_plugin.policy.sts import NoSTS, STSFound, STSLookup, STSUnavailable
from requiretls_plugin.policy.tlsa_lookup import (
    DANE,
    DANEFailed,
    DANERecords,
    HostAddresses,
    HostLookupFailed,
    NoDANE,
)
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Requirement


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at. *section* names the text that asks for it; *found* is in sentences."""

    subject: str
    section: str
    found: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """All steps, the verdict on each kind of message, and what would make the first of them better."""

    next_hop: str
    steps: tuple[Step, ...]
    judgements: tuple[Judgement, ...]
    advice: tuple[Advice, ...]

    @property
    def required(self) -> Judgement:
        """What would become of a message under REQUIRETLS."""
        return self.judgements[0]


def explain(findings: Findings) -> Explained:
    """Return *findings* in words. Pure: the same findings always give the same words."""
    judgements = (Requirement.REQUIRED, Requirement.UNSTATED, Requirement.OPTIONAL)
    return Explained(
        str(findings.evidence.next_hop),
        tuple(_steps(findings)),
        tuple(judge(findings, requirement) for requirement in judgements),
        advice(findings),
    )


def _steps(findings: Findings) -> Iterator[Step]:
    evidence = findings.evidence
    yield _route_step(evidence, findings)
    if evidence.blind is not None:
        words = f"Nobody proves anything, so nothing of this is the domain's fault: {evidence.blind}."
        yield Step("DNSSEC on this machine", "RFC 4035 section 4.9.3", (words, "See `requiretls doctor`."))
    yield Step("MTA-STS policy", "RFC 8461 sections 3 and 5", _sts_found(evidence.sts))
    for host in evidence.hosts:
        name = str(host.host)
        yield Step(f"{name}: whose host", "RFC 8689 section 4.2.1", (_name_found(findings, host),))
        yield Step(f"{name}: addresses and DANE", "RFC 7672 section 2.2", tuple(_dns_found(host)))
        yield from _session_steps(findings, host)


def _route_step(evidence: Evidence, findings: Findings) -> Step:
    held = f"Held to REQUIRETLS at level {findings.level.value}."
    if not isinstance(evidence.next_hop, DomainHop):
        words = (
            f"Mail goes to {evidence.next_hop}, which the settings or a plugin name; MX records do not count."
        )
        return Step("where mail goes", "RFC 5321 section 5.1", (words, held))
    if evidence.mx is None:
        return Step("where mail goes", "RFC 5321 section 4.1.3", ("The address names its server.", held))
    return Step(
        "where mail goes", "RFC 5321 section 5.1, RFC 7672 section 2.2.1", (_mx_found(evidence.mx), held)
    )


def _mx_found(mx: MXLookup) -> str:
    match mx:
        case MailHosts(candidates, secure, True, _):
            proved = " DNSSEC proves that." if secure else ""
            return f"There is no MX record, so {candidates[0].host} itself is the only host.{proved}"
        case MailHosts(candidates, secure, _, _):
            names = ", ".join(f"{each.host} ({each.preference})" for each in candidates)
            vouches = (
                "DNSSEC vouches for them" if secure else "no DNSSEC: anybody on the way could forge them"
            )
            return f"MX records: {names}; {vouches}."
        case NullMX():
            return "The domain says that it takes no mail (RFC 7505)."
        case NoSuchDomain():
            return "There is no such domain."
        case NoUsableMX():
            return "There are MX records, but none names a host."
        case MailLoop(host):
            return f"The best host, {host}, is this one: mail would loop."
        case MXFailed(bogus, why):
            return f"{'DNSSEC signatures are wrong' if bogus else 'The lookup failed'}: {why}."


def _sts_found(sts: STSLookup) -> tuple[str, ...]:
    match sts:
        case NoSTS(why):
            return (f"None in force: {why}.",)
        case STSUnavailable(why):
            return (f"Not known: {why}.",)
        case STSFound(policy, record_id, fresh, _, failure):
            patterns = ", ".join(str(pattern) for pattern in policy.mx)
            age = "the one the TXT record names" if fresh else "an earlier one that has not expired"
            newer = () if failure is None else (f"A newer one could not be had: {failure.why}.",)
            return (f"Mode {policy.mode.value}, id {record_id}, mx {patterns}; {age}.", *newer)


_NAME_PROOFS = {
    NameProof.DNSSEC: "Proved: DNSSEC vouches for the MX records that name it.",
    NameProof.MTA_STS: "Proved: the MTA-STS policy lists it.",
    NameProof.IMPLICIT: "Proved: it is the recipient domain itself.",
    NameProof.NAMED: "Proved: the settings or a plugin name it.",
    NameProof.NONE: "Not proved: neither DNSSEC nor an MTA-STS policy in mode enforce vouches for the name.",
}


def _name_found(findings: Findings, host: HostEvidence) -> str:
    accept_testing = findings.rules.accept_testing
    return _NAME_PROOFS[findings.evidence.name_proof(host.host, accept_testing=accept_testing)]


def _dns_found(host: HostEvidence) -> Iterator[str]:
    match host.lookup:
        case HostAddresses(addresses, secure, dane):
            listed = ", ".join(str(address) for address in addresses)
            if listed:
                yield f"{listed}; {'DNSSEC-secure' if secure else 'not DNSSEC-secure'}."
            yield _dane_found(dane, secure=secure)
        case HostLookupFailed(bogus, why):
            yield f"{'DNSSEC signatures are wrong' if bogus else 'The lookup failed'}: {why}."
        case _:
            yield "It has no address, so it is passed over."


def _dane_found(dane: DANE, *, secure: bool) -> str:
    match dane:
        case DANERecords(base_domain, records):
            return f"TLSA of {base_domain}: {'; '.join(str(record) for record in records)}."
        case DANEFailed(bogus, why):
            what = "signatures are wrong" if bogus else "lookup failed"
            return f"TLSA {what}, so the host is not used: {why}."
        case NoDANE(True):
            return "No TLSA record; DNSSEC proves that."
    return "No TLSA record." if secure else "TLSA records are not asked for without DNSSEC-secure addresses."


def _session_steps(findings: Findings, host: HostEvidence) -> Iterator[Step]:
    name = str(host.host)
    proof = findings.proof(host.host)
    if proof is not None and proof.tls is not None:
        yield Step(f"{name}: TLS", "RFC 3207", tuple(_tls_found(proof)))
    judged = next((each for each in judge(findings, Requirement.REQUIRED).hosts if each.host == host), None)
    if judged is None:
        return
    if isinstance(judged.demand, Demand):
        proved = findings.session(host.host, Requirement.REQUIRED)
        if isinstance(proved, Refusal) and proved.reason is Reason.REQUIRETLS_NOT_OFFERED:
            # The certificate was good; what it matched is known where others ask for the same.
            proved = findings.session(host.host, Requirement.UNSTATED) if judged.demand.tlsa else None
        yield Step(f"{name}: certificate", *_authentication(judged.demand, proved))
    if proof is not None:
        yield Step(f"{name}: REQUIRETLS", "RFC 8689 section 4.2.1", (_keyword_found(proof),))


def _tls_found(proof: Proof) -> Iterator[str]:
    assert proof.tls is not None  # looked at by the only caller
    yield f"{proof.tls.version}, {proof.tls.cipher}."
    if proof.tls.certificate is None:
        yield "The server showed no certificate."
        return
    facts = facts_of(proof.tls.certificate)
    until = f", valid until {facts.expires:%Y-%m-%d %H:%M} UTC" if facts.expires is not None else ""
    yield f"Certificate for {', '.join(facts.names) or 'no name'}, issued by {facts.issuer}{until}."
    yield f"Its SHA-256 is {facts.sha256}; the TLSA record {facts.tlsa} would match it."


def _authentication(demand: Demand, found: Proof | Refusal | None) -> tuple[str, tuple[str, ...]]:
    """Return the section and the verdict on the certificate of a session under REQUIRETLS."""
    section = "RFC 7672 section 3.1" if demand.tlsa else "RFC 8689 section 4.2.1, RFC 6125"
    if not demand.authenticated:
        return section, ("At this level nothing is asked of the certificate.",)
    wanted = "one of the TLSA records" if demand.tlsa else f"a trusted CA, for {demand.pkix_name}"
    if isinstance(found, Refusal):
        return section, (f"Wanted: {wanted}. {_sentence(found.why)} ({found.reason.value})",)
    verdict = found.tls.verdict if found is not None and found.tls is not None else None
    match verdict:
        case Authenticated(_, record, _) if record is not None:
            return section, (f"Wanted: {wanted}. Matched: {record}.",)
        case NotAuthenticated(reason, why):
            return section, (f"Wanted: {wanted}. {_sentence(why)} ({reason.value})",)
    return section, (f"Wanted: {wanted}. That is so.",)


def _keyword_found(proof: Proof) -> str:
    if proof.requiretls_offered:
        return "Offered in the EHLO reply after the handshake."
    if proof.extensions.requiretls:
        return "Offered, but outside TLS, where it does not count."
    return "Not offered in the EHLO reply after the handshake." if proof.tls else "There was no TLS session."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
