"""Domains that the other laboratories have no use for: one for each requirement that needs its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from requiretls_lab.authority import EXPIRED, Issuer, Leaf
from requiretls_lab.domains import Domain, MailHost, Policy
from requiretls_lab.laboratory import HOSTNAME, Laboratory
from requiretls_lab.policy_host import PolicyAnswer, policy_text
from requiretls_lab.smtp_script import Offer, Script
from requiretls_lab.zones import ZoneKind

_DANE = ("3 1 1",)
_WRONG = ("3 1 1 wrong",)
# TLSA records that nobody can use: an unknown matching type, an unknown usage, the two PKIX usages.
_USELESS = {
    "unknown-type": ("3 1 9 " + 32 * "ab",),
    "unknown-usage": ("9 1 1 " + 32 * "ab",),
    "pkix-ta": ("0 0 1",),
    "pkix-ee": ("1 1 1",),
}
_PLAIN = Script(starttls=False, requiretls=Offer.NEVER)
_OTHER_NAME = Script(
    replies={"greeting": "220 mx.elsewhere.test ESMTP", "EHLO": "250-mx.elsewhere.test\n250 STARTTLS"}
)
_UNSIGNED = ZoneKind.UNSIGNED
_REPORTS = ('_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls@reports.test"',)


def _under_policy(name: str, **host: Any) -> Domain:
    """Return an unsigned domain whose policy lists every host one label below it."""
    return Domain(f"{name}.test", (MailHost(**host),), _UNSIGNED, Policy.enforce(f"*.{name}.test"))


DANE_DOMAINS = (
    Domain("dane.test", (MailHost(tlsa=_DANE),)),
    Domain("rollover.test", (MailHost(tlsa=_DANE),)),
    *(
        Domain(f"{name}.test", (MailHost(tlsa=tlsa, leaf=Leaf((f"mx.{name}.test",), issuer=Issuer.SELF)),))
        for name, tlsa in _USELESS.items()
    ),
    *(Domain(f"{name}-plain.test", (MailHost(tlsa=tlsa, script=_PLAIN),)) for name, tlsa in _USELESS.items()),
    Domain("unproven.test", zone=_UNSIGNED, records=("@ MX 10 mx.pkix-usage.test.",)),
    Domain("pkix-usage.test", (MailHost(preference=None, tlsa=("1 1 1",)),)),
    Domain(
        "alias.test",
        (MailHost(preference=None),),
        _UNSIGNED,
        records=("@ MX 10 alias.alias.test.", "alias CNAME mx.alias.test."),
    ),
    Domain(
        "three.test", (MailHost("mx1", 10, _WRONG), MailHost("mx2", 20, _WRONG), MailHost("mx3", 30, _DANE))
    ),
    Domain("other-name.test", (MailHost(tlsa=_DANE, leaf=Leaf(("unrelated.test",), days=EXPIRED)),)),
    Domain(
        "signed-alias.test",
        (MailHost(preference=None, tlsa=_DANE),),
        records=("@ MX 10 alias.signed-alias.test.", "alias CNAME mx.signed-alias.test."),
    ),
    Domain(
        "signed-alias-ta.test",
        (MailHost(preference=None, tlsa=("2 0 1",)),),
        records=("@ MX 10 alias.signed-alias-ta.test.", "alias CNAME mx.signed-alias-ta.test."),
    ),
    Domain("tlsa-down.test", (MailHost(),)),
    Domain("_tcp.mx.tlsa-down.test", zone=ZoneKind.UNSERVED),
    Domain("tlsa-bogus.test", (MailHost(),)),
    Domain("_tcp.mx.tlsa-bogus.test", zone=ZoneKind.BOGUS),
    Domain("second-good.test", (MailHost("mx1", 10), MailHost("mx2", 20, _DANE))),
    Domain("_tcp.mx1.second-good.test", zone=ZoneKind.UNSERVED),
    Domain("address-down.test", (MailHost("mx", 20, _DANE),), records=("@ MX 10 mx.unserved.test.",)),
    Domain("unserved.test", zone=ZoneKind.UNSERVED),
)

STS_DOMAINS = (
    Domain(
        "sts-good-dane-bad.test", (MailHost(tlsa=_WRONG),), policy=Policy.enforce("*.sts-good-dane-bad.test")
    ),
    Domain("sts.test", (MailHost(),), _UNSIGNED, Policy.enforce("mx.sts.test")),
    _under_policy("sts-expired", leaf=Leaf(("mx.sts-expired.test",), days=EXPIRED)),
    _under_policy("sts-self-signed", leaf=Leaf(("mx.sts-self-signed.test",), issuer=Issuer.SELF)),
    _under_policy("sts-plain", script=_PLAIN),
    _under_policy("sts-common-name", leaf=Leaf(common_name="mx.sts-common-name.test")),
    _under_policy("sts-other-label", leaf=Leaf(("other.sts-other-label.test",))),
    _under_policy("sts-domain-name", leaf=Leaf(("sts-domain-name.test",))),
    _under_policy("sts-star", leaf=Leaf(("*.sts-star.test",))),
    Domain(
        "sts-alias.test",
        (MailHost(preference=None),),
        _UNSIGNED,
        Policy.enforce("alias.sts-alias.test"),
        ("@ MX 10 alias.sts-alias.test.", "alias CNAME mx.sts-alias.test."),
    ),
    Domain("sts-implicit.test", (MailHost("@", None),), _UNSIGNED, Policy.enforce("mail.sts-implicit.test")),
    Domain(
        "sts-second.test",
        (MailHost("mx1", 10), MailHost("mx2", 20)),
        _UNSIGNED,
        Policy.enforce("mx2.sts-second.test"),
    ),
    Domain("testing-elsewhere.test", (MailHost(),), _UNSIGNED, Policy.testing("mx.elsewhere.test")),
    Domain("renewed.test", (MailHost(),), _UNSIGNED, Policy.enforce("mx.elsewhere.test")),
    Domain(
        "none-plain.test",
        (MailHost(script=_PLAIN),),
        _UNSIGNED,
        Policy(PolicyAnswer(policy_text("none", "mx.none-plain.test"))),
        _REPORTS,
    ),
    Domain(
        "testing-plain.test",
        (MailHost(script=_PLAIN),),
        _UNSIGNED,
        Policy.testing("mx.testing-plain.test"),
        _REPORTS,
    ),
    Domain(
        "two-records.test",
        (MailHost(tlsa=_DANE),),
        records=(
            '_smtp._tls TXT "v=TLSRPTv1; rua=mailto:domain@reports.test"',
            '_smtp._tls.mx TXT "v=TLSRPTv1; rua=mailto:host@reports.test"',
        ),
    ),
    Domain("relay-without-policy.test", (MailHost(),), ZoneKind.UNSIGNED),
    Domain("mx.relay-with-policy.test", (MailHost("@"),), _UNSIGNED, Policy.enforce("mx.elsewhere.test")),
    Domain(
        "we-are-second.test",
        (MailHost("mx10", 10, listening=False), MailHost("mx30", 30)),
        _UNSIGNED,
        Policy.enforce("mx10.we-are-second.test", "mx30.we-are-second.test"),
        (f"@ MX 20 {HOSTNAME}.",),
    ),
)

OTHER_DOMAINS = (
    Domain("no-keyword.test", (MailHost(tlsa=_DANE, script=Script(requiretls=Offer.NEVER)),)),
    Domain(
        "dead-host.test",
        (MailHost(listening=False), MailHost("@", None)),
    ),
    Domain("no-such-host.test", records=("@ MX 10 nowhere.no-such-host.test.",)),
    Domain("common-name.test", (MailHost(leaf=Leaf(common_name="mx.common-name.test")),)),
    Domain("greets-otherwise.test", (MailHost(leaf=Leaf(("mx.elsewhere.test",)), script=_OTHER_NAME),)),
)


@pytest.fixture(scope="session")
def requirements_laboratory() -> Iterator[Laboratory]:
    """The domains above, running once for all tests of a worker; tests take `lab`."""
    with Laboratory(DANE_DOMAINS + STS_DOMAINS + OTHER_DOMAINS) as laboratory:
        yield laboratory


@pytest.fixture
def lab(requirements_laboratory: Laboratory) -> Laboratory:
    """The domains above, with nothing recorded."""
    requirements_laboratory.reset()
    return requirements_laboratory
