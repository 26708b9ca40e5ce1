"""Certificates that a chain has to prove, where DANE does not."""

from __future__ import annotations

from requiretls_lab.authority import EXPIRED, NOT_YET_VALID, Issuer, Leaf
from requiretls_lab.domains import Domain, MailHost
from requiretls_lab.selftest.outgoing.shorthand import signed
from requiretls_lab.selftest.outgoing.steps import Asks, OutgoingCase, Send
from requiretls_lab.zones import ZoneKind

CASES = (
    OutgoingCase(
        "chain/signed-mx",
        "A signed MX record and a certificate of a known CA are enough",
        "RFC 8689 section 4.2.1",
        signed("signed-mx", "signed MX, no TLSA, certificate of a known CA"),
        (Send("delivered dnssec-pkix requiretls"),),
    ),
    OutgoingCase(
        "chain/no-mx",
        "Without MX records the domain is its own host, and its certificate has to say so",
        "RFC 8689 section 4.2.1",
        (
            Domain(
                "no-mx.test",
                (MailHost("@", preference=None),),
                ZoneKind.UNSIGNED,
                meaning="unsigned, only an address, certificate of a known CA for the domain",
            ),
        ),
        (Send("delivered implicit-pkix requiretls"),),
    ),
    OutgoingCase(
        "chain/unproven-name",
        "A good certificate for a name that nobody vouches for proves nothing",
        "RFC 8689 section 4.2.1",
        (
            Domain(
                "unproven-name.test",
                (MailHost(),),
                ZoneKind.UNSIGNED,
                meaning="unsigned MX, no MTA-STS, certificate of a known CA",
            ),
        ),
        (Send("failed 550 5.7.10 name-not-proven", untouched=True),),
    ),
    OutgoingCase(
        "chain/expired",
        "An expired certificate is refused",
        "RFC 8689 section 4.2.1",
        signed("expired", "no TLSA, expired yesterday", leaf=Leaf(("mx.expired.test",), days=EXPIRED)),
        (Send("failed 550 5.7.10 certificate-expired"),),
    ),
    OutgoingCase(
        "chain/not-yet-valid",
        "A certificate that is not valid yet is refused",
        "RFC 8689 section 4.2.1",
        signed(
            "not-yet-valid",
            "no TLSA, valid from tomorrow",
            leaf=Leaf(("mx.not-yet-valid.test",), days=NOT_YET_VALID),
        ),
        (Send("failed 550 5.7.10 certificate-not-trusted"),),
    ),
    OutgoingCase(
        "chain/wrong-name",
        "A certificate for another name is refused",
        "RFC 8689 section 4.2.1",
        signed("wrong-name", "no TLSA, certificate for another name", leaf=Leaf(("mx.elsewhere.test",))),
        (Send("failed 550 5.7.10 certificate-name-mismatch"),),
    ),
    OutgoingCase(
        "chain/recipient-domain-name",
        "A certificate for the recipient's domain does not fit the host of its MX record",
        "RFC 8689 section 4.2.1",
        signed(
            "recipient-domain-name",
            "no TLSA, certificate for the domain and not for the host",
            leaf=Leaf(("recipient-domain-name.test",)),
        ),
        (Send("failed 550 5.7.10 certificate-name-mismatch"),),
    ),
    OutgoingCase(
        "chain/unknown-authority",
        "A certificate of an authority that nobody trusts is refused",
        "RFC 8689 section 2",
        signed(
            "unknown-authority",
            "no TLSA, certificate of an unknown CA",
            leaf=Leaf(("mx.unknown-authority.test",), issuer=Issuer.UNTRUSTED),
        ),
        (Send("failed 550 5.7.10 certificate-not-trusted"),),
    ),
    OutgoingCase(
        "chain/self-signed",
        "A self-signed certificate is refused, though ordinary mail goes there in TLS",
        "RFC 8689 section 2",
        signed(
            "self-signed", "no TLSA, self-signed", leaf=Leaf(("mx.self-signed.test",), issuer=Issuer.SELF)
        ),
        (Send("failed 550 5.7.10 certificate-not-trusted"), Send("delivered encrypted", Asks.NOTHING)),
    ),
)
