"""Domains that the other laboratories have no use for: one for each requirement that needs its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.authority import Leaf
from tests.lab.domains import Domain, MailHost, Policy
from tests.lab.laboratory import HOSTNAME, Laboratory
from tests.lab.policy_host import PolicyAnswer, policy_text
from tests.lab.smtp_script import Offer, Script
from tests.lab.zones import ZoneKind

_DANE = ("3 1 1",)
_WRONG = ("3 1 1 wrong",)
_UNUSABLE = ("3 1 9 " + 32 * "ab",)
_PLAIN = Script(starttls=False, requiretls=Offer.NEVER)
_REPORTS = ('_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls@reports.test"',)

DOMAINS = (
    Domain("dane.test", (MailHost(tlsa=_DANE),)),
    Domain("rollover.test", (MailHost(tlsa=_DANE),)),
    Domain("unusable.test", (MailHost(tlsa=_UNUSABLE, leaf=Leaf(("mx.elsewhere.test",))),)),
    Domain("unusable-plain.test", (MailHost(tlsa=_UNUSABLE, script=_PLAIN),)),
    Domain("unproven.test", zone=ZoneKind.UNSIGNED, records=("@ MX 10 mx.pkix-usage.test.",)),
    Domain("pkix-usage.test", (MailHost(preference=None, tlsa=("1 1 1",)),)),
    Domain(
        "alias.test",
        (MailHost(preference=None),),
        ZoneKind.UNSIGNED,
        records=("@ MX 10 alias.alias.test.", "alias CNAME mx.alias.test."),
    ),
    Domain("three.test", (MailHost("mx1", 10, _WRONG), MailHost("mx2", 20, _WRONG), MailHost("mx3", 30, _DANE))),
    Domain("sts-good-dane-bad.test", (MailHost(tlsa=_WRONG),), policy=Policy.enforce("*.sts-good-dane-bad.test")),
    Domain("sts.test", (MailHost(),), ZoneKind.UNSIGNED, Policy.enforce("mx.sts.test")),
    Domain("renewed.test", (MailHost(),), ZoneKind.UNSIGNED, Policy.enforce("mx.elsewhere.test")),
    Domain(
        "none-plain.test",
        (MailHost(script=_PLAIN),),
        ZoneKind.UNSIGNED,
        Policy(PolicyAnswer(policy_text("none", "mx.none-plain.test"))),
        _REPORTS,
    ),
    Domain(
        "testing-plain.test",
        (MailHost(script=_PLAIN),),
        ZoneKind.UNSIGNED,
        Policy.testing("mx.testing-plain.test"),
        _REPORTS,
    ),
    Domain("relay-without-policy.test", (MailHost(),), ZoneKind.UNSIGNED),
    Domain("mx.relay-with-policy.test", (MailHost("@"),), ZoneKind.UNSIGNED, Policy.enforce("mx.elsewhere.test")),
    Domain(
        "we-are-second.test",
        (MailHost("mx10", 10, listening=False), MailHost("mx30", 30)),
        ZoneKind.UNSIGNED,
        Policy.enforce("mx10.we-are-second.test", "mx30.we-are-second.test"),
        (f"@ MX 20 {HOSTNAME}.",),
    ),
)


@pytest.fixture(scope="session")
def requirements_laboratory() -> Iterator[Laboratory]:
    """The domains above, running once for all tests of a worker; tests take `lab`."""
    with Laboratory(DOMAINS) as laboratory:
        yield laboratory


@pytest.fixture
def lab(requirements_laboratory: Laboratory) -> Laboratory:
    """The domains above, with nothing recorded."""
    requirements_laboratory.reset()
    return requirements_laboratory
