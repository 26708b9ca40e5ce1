"""What a session with a host has to prove before MAIL is sent.

A pure function from (requirement, evidence, level) to a demand or a refusal:
the table "Verdicts" of docs/design.md, row by row. Nothing here is decided on
what a server promises; `shortfall` compares the demand with what the session
really proved.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from requiretls_plugin.certificate.dane_match import DANE_TA, usable_records
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.level import Level
from requiretls_plugin.policy.answers import TLSARecord
from requiretls_plugin.policy.evidence import Evidence, HostEvidence, NameProof
from requiretls_plugin.policy.mx_lookup import MailHosts
from requiretls_plugin.policy.next_hop import (
    DomainHop,
    Host,
    LocalHop,
    Login,
    NamedHop,
    Protocol,
    UNIXSocket,
)
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.policy.sts import STSFound, STSUnavailable
from requiretls_plugin.policy.sts_policy import Mode
from requiretls_plugin.policy.tlsa_lookup import DANE, DANEFailed, DANERecords, HostLookupFailed, HostUnknown
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.security import Security
from requiretls_plugin.server_address import IPAddress


@dataclass(frozen=True, slots=True)
class Demand:
    """What one session with one host has to prove. Equal demands may share a connection.

    Of equal demands the addresses may differ: DNS gives them in varying order.
    """

    host: Host
    port: int
    addresses: tuple[IPAddress | UNIXSocket, ...] = field(compare=False)
    security: Security
    """What the session is once everything demanded is proved."""
    encryption: bool = False
    """Whether TLS is demanded although nobody has to be authenticated; see also `needs_tls`."""
    implicit_tls: bool = False
    lmtp: bool = False
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
    trial_name: DomainName | None = None
    """The name MTA-STS in mode `testing` would want; what that comes to is told, and decides nothing."""
    login: Login | None = None
    """Who to log in as; only ever set where the server has to prove who it is."""

    @property
    def authenticated(self) -> bool:
        """Whether the server has to prove who it is."""
        return bool(self.tlsa) or self.pkix_name is not None

    @property
    def needs_tls(self) -> bool:
        """Whether nothing may be sent in cleartext."""
        return self.encryption or self.authenticated or self.requiretls

    @property
    def sni(self) -> DomainName | None:
        """The name to send in TLS: the TLSA base domain (RFC 7672 section 8.1), else the host's."""
        if self.tlsa_names:
            return self.tlsa_names[0]
        return self.host if isinstance(self.host, DomainName) else None


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """The operator's settings that decide, the same object for all decisions: see `Settings`."""

    accept_testing: bool = False
    honor_tls_required_no: bool = True
    trusted_local_hops: frozenset[LocalHop] = frozenset()
    report_testing: bool = False
    """Whether sessions are held to MTA-STS policies in mode `testing` first, to report how that ends."""


# Decisions live as long as the evidence they rest on, which they must not keep: it can be large.
_Asked = tuple[Requirement, HostEvidence, Level, Rules]
_decided: WeakKeyDictionary[Evidence, dict[_Asked, Demand | Refusal]] = WeakKeyDictionary()


def demand_for(
    requirement: Requirement, evidence: Evidence, host: HostEvidence, level: Level, rules: Rules
) -> Demand | Refusal:
    """Return what a session with *host* has to prove, or why there must be none."""
    decided = _decided.setdefault(evidence, {})
    asked = requirement, host, level, rules
    if asked not in decided:
        decided[asked] = _demand(requirement, evidence, host, level, rules)
    return decided[asked]


def _demand(
    requirement: Requirement, evidence: Evidence, host: HostEvidence, level: Level, rules: Rules
) -> Demand | Refusal:
    lookup = host.lookup
    if isinstance(lookup, HostUnknown):
        return _refused(host, Reason.HOST_UNREACHABLE, Sureness.NOT_JUDGED, "has no address")
    if isinstance(lookup, HostLookupFailed):
        return _dns_refusal(host, lookup.bogus, f"address lookup: {lookup.why}")
    plain = _plain(evidence, host, lookup.addresses)
    hop = evidence.next_hop
    if isinstance(hop, NamedHop) and (hop.protocol is Protocol.LMTP or isinstance(hop.server, UNIXSocket)):
        return _local(requirement, hop, host, plain, rules)
    policy_waived = requirement is Requirement.OPTIONAL and rules.honor_tls_required_no
    # Only what the recipient published is set aside; a named server is the operator's choice.
    if policy_waived and isinstance(hop, DomainHop):
        return replace(plain, cleartext_after_tls_failure=True)
    demand = _published_policy(evidence, host, plain, lookup.dane)
    if rules.report_testing and isinstance(demand, Demand):
        demand = replace(demand, trial_name=_tested_name(evidence, host))
    if requirement is Requirement.REQUIRED and level is Level.ENFORCE:
        demand = _required(evidence, host, demand, rules)
    elif requirement is Requirement.REQUIRED and isinstance(demand, Demand):
        demand = _relaxed(demand, level)
    if isinstance(hop, NamedHop) and hop.login is not None and isinstance(demand, Demand):
        return _logged_in(host, demand, hop.login)
    return demand


def _refused(host: HostEvidence, reason: Reason, sureness: Sureness, why: str) -> Refusal:
    return Refusal(reason, sureness, why, str(host.host))


def _dns_refusal(host: HostEvidence, bogus: bool, why: str) -> Refusal:
    reason = Reason.DNSSEC_BOGUS if bogus else Reason.DNS_FAILURE
    return _refused(host, reason, Sureness.NOT_JUDGED, why)


def _plain(evidence: Evidence, host: HostEvidence, addresses: tuple[IPAddress | UNIXSocket, ...]) -> Demand:
    """TLS if offered, nobody authenticated, cleartext otherwise unless the app wants none."""
    hop = evidence.next_hop
    implicit_tls = isinstance(hop, NamedHop) and hop.implicit_tls
    encryption = implicit_tls or (isinstance(hop, NamedHop) and hop.encrypted)
    return Demand(
        host=host.host,
        port=evidence.port,
        addresses=(host.host,) if isinstance(host.host, UNIXSocket) else addresses,
        security=Security.ENCRYPTED if encryption else Security.CLEARTEXT,
        encryption=encryption,
        implicit_tls=implicit_tls,
        lmtp=isinstance(hop, NamedHop) and hop.protocol is Protocol.LMTP,
    )


def _local(
    requirement: Requirement, hop: NamedHop, host: HostEvidence, plain: Demand, rules: Rules
) -> Demand | Refusal:
    """A server that DNS says nothing about: the operator vouches for it, or nobody does.

    Handing a message to a trusted one over LMTP is its final delivery, where
    RFC 8689 ends. Over SMTP it would travel on, without the promise.
    """
    trusted = hop.server in rules.trusted_local_hops
    if hop.login is not None:
        why = "a password never goes to a server that proves no name"
        return _refused(host, Reason.CONFIGURATION, Sureness.OUR_FAULT, why)
    if requirement is Requirement.REQUIRED:
        if trusted and hop.protocol is Protocol.LMTP:
            return replace(plain, pass_requiretls=True)
        why = "REQUIRETLS mail may go to a local server only by LMTP, and if the settings trust it"
        return _refused(host, Reason.NAME_NOT_PROVEN, Sureness.PROVED, why)
    if trusted:
        return plain
    why = "LMTP and UNIX sockets are for servers listed in delivery.trusted_local_hops"
    return _refused(host, Reason.CONFIGURATION, Sureness.OUR_FAULT, why)


_PKIX_SECURITY = {
    NameProof.DNSSEC: Security.DNSSEC_PKIX,
    NameProof.MTA_STS: Security.STS_PKIX,
    NameProof.IMPLICIT: Security.IMPLICIT_PKIX,
    NameProof.NAMED: Security.NAMED_PKIX,
}


def _required(
    evidence: Evidence, host: HostEvidence, published: Demand | Refusal, rules: Rules
) -> Demand | Refusal:
    """REQUIRETLS, held to everything RFC 8689 section 4.2.1 asks for, on top of what is published."""
    if isinstance(published, Refusal):
        if published.reason is Reason.STS_MISMATCH:
            return replace(published, sureness=Sureness.PROVED)
        return published
    proof = evidence.name_proof(host.host, accept_testing=rules.accept_testing)
    if proof is NameProof.NONE or not isinstance(host.host, DomainName):
        return _not_proven(evidence, host)
    demand = replace(published, requiretls=True, pass_requiretls=True)
    # A name that only MTA-STS proves comes with MTA-STS's own way to check the certificate
    # (RFC 8461 section 4.2), whatever else the host has.
    if published.tlsa and proof is not NameProof.MTA_STS:
        return demand
    return replace(demand, pkix_name=host.host, security=_PKIX_SECURITY[proof])


def _not_proven(evidence: Evidence, host: HostEvidence) -> Refusal:
    if isinstance(evidence.next_hop, NamedHop):
        why = "a server named by its address cannot prove a name; name it by its host name"
        return _refused(host, Reason.CONFIGURATION, Sureness.OUR_FAULT, why)
    if isinstance(evidence.sts, STSUnavailable):
        why = f"name not proven by DNSSEC, and the MTA-STS policy cannot be had: {evidence.sts.why}"
        return _refused(host, Reason.STS_UNAVAILABLE, Sureness.NOT_JUDGED, why)
    if isinstance(host.host, DomainName):
        why = "neither DNSSEC nor an MTA-STS policy vouches for the host name"
    else:
        why = "an address has no name that could be proved"
    return _refused(host, Reason.NAME_NOT_PROVEN, Sureness.PROVED, why)


def _published_policy(evidence: Evidence, host: HostEvidence, demand: Demand, dane: DANE) -> Demand | Refusal:
    """What the recipient's own DANE and MTA-STS demand of every message, on top of *demand*."""
    sts = _enforced_name(evidence, host)
    if isinstance(sts, Refusal):
        return sts
    if sts is not None:
        demand = replace(demand, pkix_name=sts, security=Security.STS_PKIX)
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
    # RFC 7672 section 2.2: with records that cannot be used, TLS is compulsory all the same.
    security = Security.ENCRYPTED if demand.pkix_name is None else demand.security
    if not usable:
        return replace(demand, encryption=True, security=security)
    # Names count for DANE-TA alone; without them, domains that share a host can share a connection.
    others = _next_hop_names(evidence) if any(record.usage == DANE_TA for record in usable) else ()
    return replace(
        demand,
        tlsa=usable,
        tlsa_names=tuple(dict.fromkeys((base_domain, *others))),
        # RFC 7672 section 2.2.1: behind an insecure MX this proves the host, not the domain.
        security=Security.DANE if _hosts_secure(evidence) else security,
    )


def _hosts_secure(evidence: Evidence) -> bool:
    return not isinstance(evidence.mx, MailHosts) or evidence.mx.secure or evidence.mx.implicit


def _next_hop_names(evidence: Evidence) -> tuple[DomainName, ...]:
    """The further reference names for DANE-TA (RFC 7672 section 3.2.2)."""
    match evidence.next_hop, evidence.mx:
        case DomainHop(DomainName() as domain), MailHosts() as mx if mx.secure or mx.implicit:
            return (domain, mx.expanded)
    return ()


def _enforced_name(evidence: Evidence, host: HostEvidence) -> DomainName | Refusal | None:
    """The name MTA-STS wants in the certificate, None if it wants nothing (RFC 8461 section 4)."""
    sts = evidence.sts
    if not isinstance(sts, STSFound) or sts.policy.mode is not Mode.ENFORCE:
        return None
    if isinstance(host.host, DomainName) and sts.policy.matches(host.host):
        return host.host
    why = "the domain's MTA-STS policy does not list the host"
    return _refused(host, Reason.STS_MISMATCH, Sureness.NOT_JUDGED, why)


def _tested_name(evidence: Evidence, host: HostEvidence) -> DomainName | None:
    sts = evidence.sts
    if not isinstance(sts, STSFound) or sts.policy.mode is not Mode.TESTING:
        return None
    return host.host if isinstance(host.host, DomainName) and sts.policy.matches(host.host) else None


def _relaxed(demand: Demand, level: Level) -> Demand:
    """REQUIRETLS where the operator relaxed the destination: passed on, not insisted on."""
    demand = replace(demand, pass_requiretls=True)
    if level is Level.OPPORTUNISTIC_STARTTLS and not demand.needs_tls:
        return replace(demand, encryption=True, security=Security.ENCRYPTED)
    return demand


def _logged_in(host: HostEvidence, demand: Demand, login: Login) -> Demand | Refusal:
    """A password is for the server it was made for: one that proves its name, inside TLS."""
    if demand.authenticated:
        return replace(demand, login=login)
    if not isinstance(host.host, DomainName):
        why = "a password is not given to a server named by its address: name it by its host name"
        return _refused(host, Reason.CONFIGURATION, Sureness.OUR_FAULT, why)
    return replace(demand, pkix_name=host.host, security=Security.NAMED_PKIX, login=login)
