"""What a session with a host has to prove before MAIL is sent.

A pure function from (requirement, evidence, level) to a demand or a refusal:
the table "Verdicts" of docs/design.md, row by row. Nothing here is decided on
what a server promises; `shortfall` compares the demand with what the session
really proved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from requiretls_plugin.certificate.dane_match import usable_records
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.level import Level
from requiretls_plugin.policy.answers import TLSARecord
from requiretls_plugin.policy.evidence import Evidence, HostEvidence, NameProof
from requiretls_plugin.policy.mx_lookup import MailHosts
from requiretls_plugin.policy.next_hop import DomainHop, NamedHop, Wrapping
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.policy.sts import STSFound, STSUnavailable
from requiretls_plugin.policy.sts_policy import Mode
from requiretls_plugin.policy.tlsa_lookup import (
    DANE,
    DANEFailed,
    DANERecords,
    HostLookupFailed,
    HostUnknown,
)
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.security import Security
from requiretls_plugin.server_address import IPAddress


@dataclass(frozen=True, slots=True)
class Demand:
    """What one session with one host has to prove. Equal demands may share a connection."""

    host: DomainName | IPAddress
    port: int
    addresses: tuple[IPAddress, ...]
    security: Security
    """What the session is once everything demanded is proved."""
    encryption: bool = False
    """Whether TLS is needed at all."""
    implicit_tls: bool = False
    tlsa: tuple[TLSARecord, ...] = ()
    """Usable records of which one has to match; none means no DANE."""
    tlsa_names: tuple[DomainName, ...] = ()
    """Reference names for DANE-TA, the TLSA base domain first."""
    pkix_name: DomainName | None = None
    """The name a certificate from a trusted CA has to carry; None means no PKIX."""
    requiretls: bool = False
    """Whether REQUIRETLS has to stand in the EHLO reply after the handshake."""
    pass_requiretls: bool = False
    """Whether REQUIRETLS is given on MAIL where it is offered inside TLS."""
    cleartext_after_tls_failure: bool = False
    """Whether a failed handshake leads to a new connection in cleartext."""

    @property
    def authenticated(self) -> bool:
        """Whether the server has to prove who it is."""
        return bool(self.tlsa) or self.pkix_name is not None

    @property
    def sni(self) -> DomainName | None:
        """The name to send in TLS: the TLSA base domain (RFC 7672 section 8.1), else the host's."""
        if self.tlsa_names:
            return self.tlsa_names[0]
        return self.host if isinstance(self.host, DomainName) else None


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's settings that decide: see `Settings`."""

    accept_testing: bool = False
    honor_tls_required_no: bool = True


def demand_for(
    requirement: Requirement, evidence: Evidence, host: HostEvidence, level: Level, rules: Rules
) -> Demand | Refusal:
    """Return what a session with *host* has to prove, or why there must be none."""
    lookup = host.lookup
    if isinstance(lookup, HostUnknown):
        return Refusal(Reason.HOST_UNREACHABLE, Sureness.NOT_JUDGED, "has no address", str(host.host))
    if isinstance(lookup, HostLookupFailed):
        return _dns_refusal(host, lookup.bogus, f"address lookup: {lookup.why}")
    plain = _plain(evidence, host, lookup.addresses)
    policy_waived = requirement is Requirement.OPTIONAL and rules.honor_tls_required_no
    # Only what the recipient published is set aside; a named server is the operator's choice.
    if policy_waived and isinstance(evidence.next_hop, DomainHop):
        return replace(plain, cleartext_after_tls_failure=True)
    demand = _published_policy(evidence, host, plain, lookup.dane)
    if requirement is Requirement.REQUIRED and level is Level.ENFORCE:
        return _required(evidence, host, demand, rules)
    if isinstance(demand, Refusal) or requirement is not Requirement.REQUIRED:
        return demand
    return _relaxed(demand, level)


def _dns_refusal(host: HostEvidence, bogus: bool, why: str) -> Refusal:
    reason = Reason.DNSSEC_BOGUS if bogus else Reason.DNS_FAILURE
    return Refusal(reason, Sureness.NOT_JUDGED, why, str(host.host))


def _plain(evidence: Evidence, host: HostEvidence, addresses: tuple[IPAddress, ...]) -> Demand:
    """TLS if offered, nobody authenticated, cleartext otherwise."""
    hop = evidence.next_hop
    implicit_tls = isinstance(hop, NamedHop) and hop.wrapping is Wrapping.IMPLICIT
    return Demand(
        host=host.host,
        port=evidence.port,
        addresses=addresses,
        security=Security.ENCRYPTED if implicit_tls else Security.CLEARTEXT,
        encryption=implicit_tls,
        implicit_tls=implicit_tls,
    )


def _required(
    evidence: Evidence, host: HostEvidence, published: Demand | Refusal, rules: Rules
) -> Demand | Refusal:
    """REQUIRETLS, held to everything RFC 8689 section 4.2.1 asks for, on top of what is published."""
    if isinstance(published, Refusal):
        if published.reason is Reason.STS_MISMATCH:
            return replace(published, sureness=Sureness.PROVED)
        return published
    proof = evidence.name_proof(host.host, accept_testing=rules.accept_testing)
    if proof is NameProof.NONE:
        return _not_proven(evidence, host)
    if published.tlsa:
        return replace(published, security=Security.DANE, requiretls=True, pass_requiretls=True)
    assert isinstance(host.host, DomainName)  # a proven name is a name
    return replace(
        published,
        encryption=True,
        pkix_name=host.host,
        security=_PKIX_SECURITY[proof],
        requiretls=True,
        pass_requiretls=True,
    )


_PKIX_SECURITY = {
    NameProof.DNSSEC: Security.DNSSEC_PKIX,
    NameProof.MTA_STS: Security.STS_PKIX,
    NameProof.IMPLICIT: Security.IMPLICIT_PKIX,
    NameProof.NAMED: Security.NAMED_PKIX,
}


def _not_proven(evidence: Evidence, host: HostEvidence) -> Refusal:
    if isinstance(evidence.sts, STSUnavailable):
        why = f"name not proven by DNSSEC, and the MTA-STS policy cannot be had: {evidence.sts.why}"
        return Refusal(Reason.STS_UNAVAILABLE, Sureness.NOT_JUDGED, why, str(host.host))
    if isinstance(host.host, DomainName):
        why = "neither DNSSEC nor an MTA-STS policy vouches for the host name"
    else:
        why = "an address has no name that could be proved"
    return Refusal(Reason.NAME_NOT_PROVEN, Sureness.PROVED, why, str(host.host))


def _published_policy(evidence: Evidence, host: HostEvidence, demand: Demand, dane: DANE) -> Demand | Refusal:
    """What the recipient's own DANE and MTA-STS demand of every message, on top of *demand*."""
    sts = _enforced_name(evidence, host)
    if isinstance(sts, Refusal):
        return sts
    if sts is not None:
        demand = replace(demand, encryption=True, pkix_name=sts, security=Security.STS_PKIX)
    match dane:
        case DANEFailed(bogus, why):
            # RFC 7672 section 2.1.2: a passing MTA-STS check cannot make up for this.
            return _dns_refusal(host, bogus, f"TLSA lookup: {why}")
        case DANERecords(base_domain, records):
            return _with_dane(evidence, demand, base_domain, records)
    return demand


def _with_dane(
    evidence: Evidence, demand: Demand, base_domain: DomainName, records: tuple[TLSARecord, ...]
) -> Demand:
    usable = usable_records(records)
    if not usable:
        # RFC 7672 section 2.2: TLS is compulsory all the same.
        security = Security.ENCRYPTED if demand.pkix_name is None else demand.security
        return replace(demand, encryption=True, security=security)
    names = (base_domain, *_next_hop_names(evidence))
    return replace(
        demand,
        encryption=True,
        tlsa=usable,
        tlsa_names=tuple(dict.fromkeys(names)),
        # RFC 7672 section 2.2.1: behind an insecure MX this proves the host, not the domain.
        security=Security.DANE if _hosts_secure(evidence) else Security.ENCRYPTED,
    )


def _hosts_secure(evidence: Evidence) -> bool:
    return not isinstance(evidence.mx, MailHosts) or evidence.mx.secure or evidence.mx.implicit


def _next_hop_names(evidence: Evidence) -> tuple[DomainName, ...]:
    """The further reference names for DANE-TA (RFC 7672 section 3.2.2)."""
    hop, mx = evidence.next_hop, evidence.mx
    if not isinstance(hop, DomainHop) or not isinstance(hop.domain, DomainName):
        return ()
    if not isinstance(mx, MailHosts) or not (mx.secure or mx.implicit):
        return ()
    return (hop.domain, mx.expanded)


def _enforced_name(evidence: Evidence, host: HostEvidence) -> DomainName | Refusal | None:
    """The name MTA-STS wants in the certificate, None if it wants nothing (RFC 8461 section 4)."""
    sts = evidence.sts
    if not isinstance(sts, STSFound) or sts.policy.mode is not Mode.ENFORCE:
        return None
    if isinstance(host.host, DomainName) and sts.policy.matches(host.host):
        return host.host
    why = "the domain's MTA-STS policy does not list the host"
    return Refusal(Reason.STS_MISMATCH, Sureness.NOT_JUDGED, why, str(host.host))


def _relaxed(demand: Demand, level: Level) -> Demand:
    """REQUIRETLS where the operator relaxed the destination: passed on, not insisted on."""
    demand = replace(demand, pass_requiretls=True)
    if level is Level.OPPORTUNISTIC_STARTTLS and not demand.encryption:
        return replace(demand, encryption=True, security=Security.ENCRYPTED)
    return demand
