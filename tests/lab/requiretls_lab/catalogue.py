"""The standard destinations: one domain for each thing that can be right or wrong about a next hop."""

from __future__ import annotations

from requiretls_lab.authority import EXPIRED, Leaf
from requiretls_lab.domains import Domain, MailHost, Policy
from requiretls_lab.smtp_script import Offer, Script
from requiretls_lab.zones import ZoneKind

_DANE = ("3 1 1",)
_NO_KEYWORD = Script(requiretls=Offer.NEVER)
_NO_STARTTLS = Script(starttls=False, requiretls=Offer.NEVER)

CATALOGUE = (
    Domain(
        "sender.test",
        (MailHost(tlsa=_DANE),),
        meaning="where messages come from: takes notices under REQUIRETLS",
    ),
    Domain(
        "return.test",
        (MailHost(tlsa=_DANE),),
        meaning="a return path elsewhere that takes notices under REQUIRETLS",
    ),
    Domain("dane-ee.test", (MailHost(tlsa=_DANE),), meaning="signed, TLSA 3 1 1 matches, REQUIRETLS"),
    Domain("dane-ta.test", (MailHost(tlsa=("2 1 1",)),), meaning="signed, TLSA 2 1 1 of the CA, REQUIRETLS"),
    Domain("dnssec-pkix.test", (MailHost(),), meaning="signed MX, no TLSA, certificate of a trusted CA"),
    Domain(
        "sts.test",
        (MailHost(),),
        ZoneKind.UNSIGNED,
        Policy.enforce("mx.sts.test"),
        meaning="unsigned, MTA-STS policy in mode enforce",
    ),
    Domain(
        "implicit.test",
        (MailHost("@", preference=None),),
        ZoneKind.UNSIGNED,
        meaning="no MX record: the domain is its own host, with a certificate for itself",
    ),
    Domain("null-mx.test", records=("@ MX 0 .",), meaning="says that it takes no mail (RFC 7505)"),
    Domain("no-such.test", zone=ZoneKind.ABSENT, meaning="does not exist, provably"),
    Domain(
        "no-keyword.test", (MailHost(tlsa=_DANE, script=_NO_KEYWORD),), meaning="DANE is right, no REQUIRETLS"
    ),
    Domain(
        "sticky-ehlo.test",
        (MailHost(tlsa=_DANE, script=Script(requiretls=Offer.BEFORE_TLS)),),
        meaning="DANE is right, but REQUIRETLS is listed before TLS only",
    ),
    Domain("no-starttls.test", (MailHost(script=_NO_STARTTLS),), meaning="signed MX, no STARTTLS"),
    Domain(
        "wrong-tlsa.test", (MailHost(tlsa=("3 1 1 wrong",)),), meaning="signed, TLSA matches no certificate"
    ),
    Domain(
        "wrong-name.test",
        (MailHost(leaf=Leaf(("mx.elsewhere.test",))),),
        meaning="signed MX, no TLSA, certificate for another name",
    ),
    Domain(
        "expired.test",
        (MailHost(leaf=Leaf(("mx.expired.test",), days=EXPIRED)),),
        meaning="signed MX, no TLSA, certificate expired yesterday",
    ),
    Domain(
        "half-dane.test",
        zone=ZoneKind.UNSIGNED,
        records=("@ MX 10 mx.half-dane-host.test.",),
        meaning="unsigned MX that names a host in a signed zone with a matching TLSA",
    ),
    Domain(
        "half-dane-host.test",
        (MailHost(preference=None, tlsa=_DANE),),
        meaning="the zone of half-dane.test's host",
    ),
    Domain(
        "unproven.test",
        (MailHost(),),
        ZoneKind.UNSIGNED,
        meaning="unsigned, no MTA-STS: nobody vouches for the host's name",
    ),
    Domain(
        "sts-mismatch.test",
        (MailHost(),),
        ZoneKind.UNSIGNED,
        Policy.enforce("mx.elsewhere.test"),
        meaning="MTA-STS enforce, for another host",
    ),
    Domain(
        "sts-testing.test",
        (MailHost(),),
        ZoneKind.UNSIGNED,
        Policy.testing("mx.sts-testing.test"),
        meaning="MTA-STS policy in mode testing",
    ),
    Domain(
        "sts-down.test",
        (MailHost(),),
        ZoneKind.UNSIGNED,
        Policy(Policy.enforce("mx.sts-down.test").answer, listening=False),
        meaning="MTA-STS record, but the policy host refuses connections",
    ),
    Domain(
        "bogus.test", (MailHost(tlsa=_DANE),), ZoneKind.BOGUS, meaning="DNSSEC signatures do not validate"
    ),
    Domain(
        "two-hosts.test",
        (
            MailHost("mx1", 10, _DANE, script=_NO_KEYWORD),
            MailHost("mx2", 20, _DANE),
        ),
        meaning="the first host has no REQUIRETLS, the second has",
    ),
    Domain(
        "mixed.test",
        (
            MailHost("mx1", 10, _DANE, script=_NO_KEYWORD),
            MailHost("mx2", 20, script=_NO_STARTTLS),
        ),
        meaning="the first host has no REQUIRETLS, the second no STARTTLS",
    ),
    Domain(
        "down.test",
        (
            MailHost("mx1", 10, _DANE, script=_NO_KEYWORD),
            MailHost("mx2", 20, _DANE, listening=False),
        ),
        meaning="the first host has no REQUIRETLS, the second refuses connections",
    ),
)
