"""Several hosts of one domain, and domains with none."""

from __future__ import annotations

from requiretls_lab.domains import Domain, MailHost, Policy
from requiretls_lab.selftest.outgoing.shorthand import DANE, NO_KEYWORD, NO_STARTTLS
from requiretls_lab.selftest.outgoing.steps import Asks, OutgoingCase, Send
from requiretls_lab.zones import ZoneKind

CASES = (
    OutgoingCase(
        "hosts/second-able",
        "Where the preferred host cannot take the message, the next one gets it",
        "RFC 8689 section 4.2.1",
        (
            Domain(
                "second-able.test",
                (MailHost("mx1", 10, DANE, script=NO_KEYWORD), MailHost("mx2", 20, DANE)),
                meaning="MX 10 without REQUIRETLS, MX 20 with",
            ),
        ),
        (
            Send("delivered dane requiretls", at="mx2.second-able.test"),
            Send("delivered dane", Asks.NOTHING, at="mx1.second-able.test"),
        ),
    ),
    OutgoingCase(
        "hosts/one-proven",
        "Of two hosts, one in the MTA-STS policy and one not, the one in it gets the message",
        "RFC 8461 section 4.1",
        (
            Domain(
                "one-proven.test",
                (MailHost("mx1", 10), MailHost("mx2", 20)),
                ZoneKind.UNSIGNED,
                Policy.enforce("mx2.one-proven.test"),
                meaning="unsigned; MTA-STS names MX 20 and not MX 10",
            ),
        ),
        (
            Send("delivered sts-pkix requiretls", at="mx2.one-proven.test"),
            Send("delivered sts-pkix", Asks.NOTHING, at="mx2.one-proven.test"),
        ),
    ),
    OutgoingCase(
        "hosts/proven-one-unable",
        "A perfect host whose name is not proven does not stand in for one that is",
        "RFC 8689 section 4.2.1",
        (
            Domain(
                "proven-one-unable.test",
                (MailHost("mx1", 10, script=NO_KEYWORD), MailHost("mx2", 20)),
                ZoneKind.UNSIGNED,
                Policy.enforce("mx1.proven-one-unable.test"),
                meaning="MTA-STS names MX 10, which lacks REQUIRETLS, and not MX 20, which has it",
            ),
        ),
        (Send("failed 550 5.7.10 sts-mismatch"),),
    ),
    OutgoingCase(
        "hosts/all-unable",
        "Hosts that fail in different ways give 5.7.10",
        "RFC 8689 section 4.2.1",
        (
            Domain(
                "all-unable.test",
                (MailHost("mx1", 10, DANE, script=NO_KEYWORD), MailHost("mx2", 20, script=NO_STARTTLS)),
                meaning="MX 10 without REQUIRETLS, MX 20 without STARTTLS",
            ),
        ),
        (Send("failed 550 5.7.10 starttls-not-offered"),),
    ),
    OutgoingCase(
        "hosts/one-unknown",
        "While one host cannot be judged, nothing is final",
        "RFC 8689 section 4.2.1",
        (
            Domain(
                "one-unknown.test",
                (MailHost("mx1", 10, DANE, script=NO_KEYWORD), MailHost("mx2", 20, DANE, listening=False)),
                meaning="MX 10 without REQUIRETLS, MX 20 refuses connections",
            ),
        ),
        (Send("deferred 451 4.4.1 host-unreachable"),),
    ),
    OutgoingCase(
        "hosts/none-answers",
        "A domain whose hosts refuse connections is tried again later",
        "RFC 5321 section 4.5.4.1",
        (
            Domain(
                "none-answers.test",
                (MailHost(tlsa=DANE, listening=False),),
                meaning="the only host refuses connections",
            ),
        ),
        (Send("deferred 451 4.4.1 host-unreachable"),),
    ),
    OutgoingCase(
        "hosts/null-mx",
        "A null MX means that there is no mail for this domain, and nobody to connect to",
        "RFC 7505 section 3",
        (
            Domain(
                "null-mx.test",
                (MailHost("@", preference=None),),
                records=("@ MX 0 .",),
                meaning="null MX, and a server at the domain's own address",
            ),
        ),
        (
            Send("failed 556 5.1.10 null-mx", untouched=True),
            Send("failed 556 5.1.10 null-mx", Asks.NO, untouched=True),
        ),
    ),
    OutgoingCase(
        "hosts/no-such-domain",
        "A domain that provably does not exist fails at once",
        "RFC 5321 section 5.1",
        (Domain("no-such-domain.test", zone=ZoneKind.ABSENT, meaning="NXDOMAIN, signed"),),
        (Send("failed 550 5.1.2 no-such-domain"),),
    ),
    OutgoingCase(
        "hosts/bogus",
        "A zone with bad signatures is asked again later, by ordinary mail too",
        "RFC 7672 section 2.1.2",
        (
            Domain(
                "bogus.test",
                (MailHost(tlsa=DANE),),
                ZoneKind.BOGUS,
                meaning="signed with a key that the parent does not know",
            ),
        ),
        (
            Send("deferred 451 4.4.3 dnssec-bogus", untouched=True),
            Send("deferred 451 4.4.3 dnssec-bogus", Asks.NOTHING, untouched=True),
        ),
    ),
    OutgoingCase(
        "hosts/signatures-ran-out",
        "A zone whose signatures ran out is asked again later",
        "RFC 7672 section 2.1.2",
        (
            Domain(
                "signatures-ran-out.test",
                (MailHost(tlsa=DANE),),
                ZoneKind.EXPIRED,
                meaning="signatures ten days too old",
            ),
        ),
        (Send("deferred 451 4.4.3 dnssec-bogus", untouched=True),),
    ),
    OutgoingCase(
        "hosts/servfail",
        "A domain that cannot be looked up is asked again later",
        "RFC 5321 section 5.1",
        (Domain("servfail.test", zone=ZoneKind.UNSERVED, meaning="SERVFAIL for every question"),),
        (Send("deferred 451 4.4.3 dns-failure"),),
    ),
)
