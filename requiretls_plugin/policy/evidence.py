"""What DNS and MTA-STS say about a next hop, as frozen data that decisions rest on."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.mx_lookup import MailHosts, MXLookup
from requiretls_plugin.policy.next_hop import Host, NamedHop, NextHop
from requiretls_plugin.policy.sts import STSFound, STSLookup
from requiretls_plugin.policy.sts_policy import Mode
from requiretls_plugin.policy.tlsa_lookup import HostAddresses, HostLookup, NoDANE


class NameProof(enum.Enum):
    """Who vouches that a host is one of the next hop's servers."""

    DNSSEC = "dnssec"
    """The MX RRset is DNSSEC-secure."""
    MTA_STS = "mta-sts"
    """The host matches the domain's MTA-STS policy."""
    IMPLICIT = "implicit"
    """There is no MX record; the host is the recipient domain itself."""
    NAMED = "named"
    """The operator named the host."""
    NONE = "none"


@dataclass(frozen=True, slots=True, eq=False)
class HostEvidence:
    """What DNS says about one host, at one time: two gatherings are never the same."""

    host: Host
    preference: int
    lookup: HostLookup

    @property
    def insecure(self) -> bool:
        """Whether DNSSEC vouches neither for its TLSA records nor for their absence."""
        lookup = self.lookup
        return (
            isinstance(lookup, HostAddresses)
            and isinstance(lookup.dane, NoDANE)
            and not lookup.dane.secure_absence
        )


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Evidence:
    """What DNS and MTA-STS say about a next hop and its hosts, best host first.

    Two gatherings are never the same, so decisions can be kept by the evidence
    they rest on.
    *mx* is None where no MX lookup was due: at a named hop or an address
    literal. *port* is the one to be connected to. *blind* says why what is
    *insecure* proves nothing: whoever answered does not validate. It is None if
    that is not so, or not known.
    """

    next_hop: NextHop
    mx: MXLookup | None
    sts: STSLookup
    hosts: tuple[HostEvidence, ...]
    port: int
    blind: str | None = None

    @property
    def insecure(self) -> frozenset[Host | NextHop]:
        """What DNSSEC does not vouch for: the next hop, for its MX records, and hosts, for their TLSA."""
        hosts = {each.host for each in self.hosts if isinstance(each.host, DomainName) and each.insecure}
        behind = isinstance(self.mx, MailHosts) and not self.mx.secure
        return frozenset({*hosts, self.next_hop} if behind else hosts)

    def name_proof(self, host: Host, *, accept_testing: bool) -> NameProof:
        """Return who vouches that *host* belongs to the next hop (RFC 8689 section 4.2.1 step 2)."""
        if not isinstance(host, DomainName):
            return NameProof.NONE
        if isinstance(self.next_hop, NamedHop):
            return NameProof.NAMED
        if isinstance(self.mx, MailHosts):
            if self.mx.implicit:
                return NameProof.IMPLICIT
            if self.mx.secure:
                return NameProof.DNSSEC
        # RFC 8689 asks for "MTA-STS" and is silent on mode testing. Such a policy says of itself
        # that it may be wrong, so it proves nothing unless the operator says otherwise.
        modes = {Mode.ENFORCE, Mode.TESTING} if accept_testing else {Mode.ENFORCE}
        if isinstance(self.sts, STSFound) and self.sts.policy.mode in modes and self.sts.policy.matches(host):
            return NameProof.MTA_STS
        return NameProof.NONE
