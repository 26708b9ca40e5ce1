"""TLSA records that match, that do not, and that nobody can use."""

from __future__ import annotations

from requiretls_lab.authority import EXPIRED, Issuer, Leaf
from requiretls_lab.domains import Domain, MailHost
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.selftest.outgoing.shorthand import DANE, signed
from requiretls_lab.selftest.outgoing.steps import Asks, Do, OutgoingCase, Send
from requiretls_lab.zones import ZoneKind


def _self_signed(domain: str) -> Leaf:
    return Leaf((f"mx.{domain}.test",), issuer=Issuer.SELF)


def _replace_key(lab: Laboratory) -> None:
    lab.destination("mx.key-replaced.test").certificate = lab.authority.issue(Leaf(("mx.key-replaced.test",)))


CASES = (
    OutgoingCase(
        "dane/trust-anchor",
        "DANE-TA proves a host by the authority that issued its certificate",
        "RFC 7672 section 3.1.2",
        signed("trust-anchor", "TLSA 2 1 1 of the authority", tlsa=("2 1 1",)),
        (Send("delivered dane requiretls"),),
    ),
    OutgoingCase(
        "dane/trust-anchor-not-sent",
        "A digest of an authority that the host does not send along proves nothing",
        "RFC 7672 section 3.1.2",
        signed(
            "trust-anchor-not-sent",
            "TLSA 2 0 1, the chain without the authority's certificate",
            tlsa=("2 0 1",),
            leaf=Leaf(("mx.trust-anchor-not-sent.test",), send_issuer=False),
        ),
        (Send("failed 550 5.7.10 dane-mismatch"),),
    ),
    OutgoingCase(
        "dane/trust-anchor-wrong-name",
        "Under DANE-TA the certificate has to name the host",
        "RFC 7672 section 3.2.2",
        signed(
            "trust-anchor-wrong-name",
            "TLSA 2 1 1 matches, certificate for another name",
            tlsa=("2 1 1",),
            leaf=Leaf(("mx.elsewhere.test",)),
        ),
        (Send("failed 550 5.7.10 certificate-name-mismatch"),),
    ),
    OutgoingCase(
        "dane/trust-anchor-expired",
        "Under DANE-TA an expired certificate is refused",
        "RFC 7672 section 3.1.2",
        signed(
            "trust-anchor-expired",
            "TLSA 2 1 1 matches, certificate expired yesterday",
            tlsa=("2 1 1",),
            leaf=Leaf(("mx.trust-anchor-expired.test",), days=EXPIRED),
        ),
        (Send("failed 550 5.7.10 certificate-expired"),),
    ),
    OutgoingCase(
        "dane/end-entity-expired",
        "Under DANE-EE the expiry date is ignored",
        "RFC 7672 section 3.1.1",
        signed(
            "end-entity-expired",
            "TLSA 3 1 1 matches, certificate expired yesterday",
            tlsa=DANE,
            leaf=Leaf(("mx.end-entity-expired.test",), days=EXPIRED),
        ),
        (Send("delivered dane requiretls"),),
    ),
    OutgoingCase(
        "dane/end-entity-other-name",
        "Under DANE-EE names and issuer are ignored",
        "RFC 7672 section 3.1.1",
        signed(
            "end-entity-other-name",
            "TLSA 3 0 2 matches, self-signed for another name",
            tlsa=("3 0 2",),
            leaf=Leaf(("mx.elsewhere.test",), issuer=Issuer.SELF),
        ),
        (Send("delivered dane requiretls"),),
    ),
    OutgoingCase(
        "dane/mismatch",
        "A certificate that no TLSA record matches is refused, however good it is otherwise",
        "RFC 7672 section 3.2",
        signed("mismatch", "TLSA 3 1 1 of another key, certificate of a known CA", tlsa=("3 1 1 wrong",)),
        (Send("failed 550 5.7.10 dane-mismatch"),),
    ),
    OutgoingCase(
        "dane/mismatch-ordinary-mail",
        "Ordinary mail waits while no TLSA record matches",
        "RFC 7672 section 2.2",
        signed("mismatch-ordinary-mail", "TLSA 3 1 1 of another key", tlsa=("3 1 1 wrong",)),
        (Send("deferred 451 4.7.5 dane-mismatch", Asks.NOTHING),),
    ),
    OutgoingCase(
        "dane/rollover",
        "While keys change, a record of the next key does no harm",
        "RFC 7671 section 8.1",
        signed("rollover", "TLSA 3 1 1 of another key and of this one", tlsa=("3 1 1 wrong", "3 1 1")),
        (Send("delivered dane requiretls"),),
    ),
    OutgoingCase(
        "dane/key-replaced",
        "A key that was replaced without its record is refused from the next connection on",
        "RFC 7672 section 3.2",
        signed("key-replaced", "TLSA 3 1 1 matches", tlsa=DANE),
        (
            Send("delivered dane requiretls"),
            Do("the host gets a new key, DNS does not", _replace_key),
            Send("failed 550 5.7.10 dane-mismatch"),
        ),
    ),
    OutgoingCase(
        "dane/half-dane",
        "An unsigned MX record proves no name, whatever its host's zone proves",
        "RFC 7672 section 2.2.1",
        (
            Domain(
                "half-dane.test",
                zone=ZoneKind.UNSIGNED,
                records=("@ MX 10 mx.half-dane-host.test.",),
                meaning="unsigned MX of a host in a signed zone with a matching TLSA",
            ),
            Domain("half-dane-host.test", (MailHost(preference=None, tlsa=DANE),)),
        ),
        (Send("failed 550 5.7.10 name-not-proven", untouched=True),),
    ),
    OutgoingCase(
        "dane/unsigned-mx",
        "An unsigned MX record proves no name, whatever certificate its signed host has",
        "RFC 8689 section 4.2.1",
        (
            Domain(
                "unsigned-mx.test",
                zone=ZoneKind.UNSIGNED,
                records=("@ MX 10 mx.unsigned-mx-host.test.",),
                meaning="unsigned MX of a host in a signed zone, certificate of a known CA",
            ),
            Domain("unsigned-mx-host.test", (MailHost(preference=None),)),
        ),
        (Send("failed 550 5.7.10 name-not-proven", untouched=True),),
    ),
    OutgoingCase(
        "dane/wrong-length",
        "A digest of a wrong length is no usable record: the chain decides",
        "RFC 6698 section 4.1",
        signed("wrong-length", "TLSA 3 1 1 of two octets, certificate of a known CA", tlsa=("3 1 1 0011",)),
        (Send("delivered dnssec-pkix requiretls"),),
    ),
    OutgoingCase(
        "dane/wrong-length-untrusted",
        "Where a record cannot be used and no chain decides either, nothing is delivered",
        "RFC 7672 section 2.2",
        signed(
            "wrong-length-untrusted",
            "TLSA 3 1 1 of two octets, self-signed",
            tlsa=("3 1 1 0011",),
            leaf=_self_signed("wrong-length-untrusted"),
        ),
        (Send("failed 550 5.7.10 certificate-not-trusted"),),
    ),
    OutgoingCase(
        "dane/wrong-length-beside-good",
        "A record nobody can use does not spoil the one beside it",
        "RFC 7671 section 9",
        signed(
            "wrong-length-beside-good",
            "TLSA 3 1 1 of two octets and one that matches",
            tlsa=("3 1 1 0011", "3 1 1"),
        ),
        (Send("delivered dane requiretls"),),
    ),
    OutgoingCase(
        "dane/unusable",
        "Records of unknown usages prove nothing: a self-signed host gets no REQUIRETLS mail",
        "RFC 8689 section 4.2.1",
        signed(
            "unusable",
            "only TLSA 9 1 1, self-signed",
            tlsa=("9 1 1 " + 32 * "ab",),
            leaf=_self_signed("unusable"),
        ),
        (Send("failed 550 5.7.10 certificate-not-trusted"),),
    ),
    OutgoingCase(
        "dane/unusable-ordinary-mail",
        "Where no record can be used, ordinary mail goes in TLS to whoever is there",
        "RFC 7672 section 2.2",
        signed(
            "unusable-ordinary-mail",
            "only TLSA 9 1 1, self-signed",
            tlsa=("9 1 1 " + 32 * "ab",),
            leaf=_self_signed("unusable-ordinary-mail"),
        ),
        (Send("delivered encrypted", Asks.NOTHING),),
    ),
    OutgoingCase(
        "dane/pkix-usages",
        "The PKIX usages are unusable for mail: the chain decides",
        "RFC 7672 section 3.1.3",
        signed("pkix-usages", "only TLSA 1 1 1, certificate of a known CA", tlsa=("1 1 1",)),
        (Send("delivered dnssec-pkix requiretls"),),
    ),
    OutgoingCase(
        "dane/lookup-fails",
        "A host whose TLSA lookup fails is unreachable, for REQUIRETLS and for ordinary mail",
        "RFC 7672 section 2.1.2",
        (
            *signed("lookup-fails", "SERVFAIL for the TLSA name, certificate of a known CA"),
            Domain("_tcp.mx.lookup-fails.test", zone=ZoneKind.UNSERVED),
        ),
        (
            Send("deferred 451 4.4.3 dns-failure", untouched=True),
            Send("deferred 451 4.4.3 dns-failure", Asks.NOTHING, untouched=True),
        ),
    ),
    OutgoingCase(
        "dane/lookup-bogus",
        "A host whose TLSA records are signed wrongly is unreachable",
        "RFC 7672 section 2.1.2",
        (
            *signed("lookup-bogus", "TLSA zone with bad signatures, certificate of a known CA"),
            Domain("_tcp.mx.lookup-bogus.test", zone=ZoneKind.BOGUS),
        ),
        (
            Send("deferred 451 4.4.3 dnssec-bogus", untouched=True),
            Send("deferred 451 4.4.3 dnssec-bogus", Asks.NOTHING, untouched=True),
        ),
    ),
)
