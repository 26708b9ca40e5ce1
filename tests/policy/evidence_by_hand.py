"""Evidence about one host, made by hand: what DNS and MTA-STS could say, without asking anybody."""

from __future__ import annotations

import hashlib
import ipaddress

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.mail_address import AddressLiteral
from requiretls_plugin.policy.answers import TLSARecord
from requiretls_plugin.policy.evidence import Evidence, HostEvidence
from requiretls_plugin.policy.mx_lookup import Candidate, MailHosts
from requiretls_plugin.policy.next_hop import DomainHop, NamedHop, UNIXSocket
from requiretls_plugin.policy.sts import NoSTS, STSFound, STSLookup, STSUnavailable
from requiretls_plugin.policy.sts_policy import Mode, MXPattern, STSPolicy
from requiretls_plugin.policy.tlsa_lookup import (
    DANE,
    DANEFailed,
    DANERecords,
    HostAddresses,
    HostLookup,
    NoDANE,
)
from requiretls_plugin.server_address import IPAddress, ServerAddress

DOMAIN = DomainName("recipient.example")
HOST = DomainName("mx.recipient.example")
ADDRESS = ipaddress.ip_address("192.0.2.1")
PORT = 25

USABLE = TLSARecord(3, 1, 1, hashlib.sha256(b"a key").digest())
UNUSABLE = TLSARecord(0, 0, 1, hashlib.sha256(b"a CA").digest())

NO_TLSA = NoDANE(secure_absence=True)
MATCHABLE = DANERecords(HOST, (USABLE,))
USELESS = DANERecords(HOST, (UNUSABLE,))
TLSA_TIMED_OUT = DANEFailed(bogus=False, why="timed out")
TLSA_BOGUS = DANEFailed(bogus=True, why="signature expired")

STS_DOWN = STSUnavailable("connection refused", "sts-policy-fetch-error", record_seen=True)


def sts(mode: Mode, *mx: str) -> STSFound:
    """Return a policy in force."""
    policy = STSPolicy(mode, tuple(MXPattern.parse(pattern) for pattern in mx), 86_400, "")
    return STSFound(policy, "20260101", fresh=True, expires=2e9)


ENFORCED = sts(Mode.ENFORCE, HOST.text)
ENFORCED_ELSEWHERE = sts(Mode.ENFORCE, "mx.elsewhere.example")
TESTED = sts(Mode.TESTING, HOST.text)
TESTED_ELSEWHERE = sts(Mode.TESTING, "mx.elsewhere.example")


def addresses(dane: DANE = NO_TLSA) -> HostAddresses:
    """Return a host with one address."""
    return HostAddresses((ADDRESS,), addresses_secure=True, dane=dane, expanded=HOST)


def behind_mx(*, secure: bool, dane: DANE = NO_TLSA, policy: STSLookup | None = None) -> Evidence:
    """Return the evidence about a domain with one MX host."""
    return about(addresses(dane), secure=secure, policy=policy)


def about(lookup: HostLookup, *, secure: bool = True, policy: STSLookup | None = None) -> Evidence:
    """Return the evidence about a domain with one MX host of which DNS says *lookup*."""
    mx = MailHosts((Candidate(HOST, 10),), secure, implicit=False, expanded=DOMAIN)
    return Evidence(DomainHop(DOMAIN), mx, policy or NoSTS(), (HostEvidence(HOST, 10, lookup),), PORT)


def without_mx(*, secure: bool, dane: DANE = NO_TLSA, policy: STSLookup | None = None) -> Evidence:
    """Return the evidence about a domain that is its own host."""
    mx = MailHosts((Candidate(DOMAIN, 0),), secure, implicit=True, expanded=DOMAIN)
    lookup = HostAddresses((ADDRESS,), addresses_secure=secure, dane=dane, expanded=DOMAIN)
    return Evidence(DomainHop(DOMAIN), mx, policy or NoSTS(), (HostEvidence(DOMAIN, 0, lookup),), PORT)


def literal() -> Evidence:
    """Return the evidence about user@[192.0.2.1]."""
    return Evidence(DomainHop(AddressLiteral(ADDRESS)), None, NoSTS(), (_bare(ADDRESS),), PORT)


def named(hop: NamedHop, *, dane: DANE = NO_TLSA, policy: STSLookup | None = None) -> Evidence:
    """Return the evidence about a server that somebody named."""
    if isinstance(hop.server, UNIXSocket):
        return Evidence(hop, None, NoSTS(), (_bare(hop.server),), 0)
    if not isinstance(hop.server.host, DomainName):
        return Evidence(hop, None, NoSTS(), (_bare(hop.server.host),), hop.server.port)
    host = HostEvidence(hop.server.host, 0, addresses(dane))
    return Evidence(hop, None, policy or NoSTS(), (host,), hop.server.port)


def smarthost(text: str = "mx.recipient.example:587") -> NamedHop:
    """Return the hop to a server as settings name it."""
    return NamedHop(ServerAddress.parse(text))


def _bare(host: IPAddress | UNIXSocket) -> HostEvidence:
    found = () if isinstance(host, UNIXSocket) else (host,)
    return HostEvidence(host, 0, HostAddresses(found, addresses_secure=False, dane=NoDANE(False)))
