"""Domains that want reports on TLS, and one that does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from requiretls_lab.authority import EXPIRED, Leaf
from requiretls_lab.domains import Domain, MailHost, Policy
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.policy_host import PolicyAnswer, policy_text
from requiretls_lab.smtp_script import Offer, Script
from requiretls_lab.zones import ZoneKind
from tests.observe.sending import Collector

_DANE = ("3 1 1",)
_REPORTS = ('_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls@reports.test"',)
_OTHER_NAME = Leaf(("mx.elsewhere.test",))
_NO_STARTTLS = Script(starttls=False, requiretls=Offer.NEVER)
_UNSIGNED = ZoneKind.UNSIGNED


def _with_policy(name: str, policy: Policy, host: MailHost | None = None) -> Domain:
    return Domain(name, (host or MailHost(),), _UNSIGNED, policy, _REPORTS)


DOMAINS = (
    Domain("silent.test", (MailHost(tlsa=_DANE),)),
    Domain("reports.test", (MailHost(tlsa=("3 1 1 wrong",)),), records=_REPORTS),
    Domain("dane.test", (MailHost(tlsa=_DANE),), records=_REPORTS),
    Domain("wrong-tlsa.test", (MailHost(tlsa=("3 1 1 wrong",)),), records=_REPORTS),
    Domain("unusable-tlsa.test", (MailHost(tlsa=("1 1 1",)),), records=_REPORTS),
    Domain(
        "no-keyword.test", (MailHost(tlsa=_DANE, script=Script(requiretls=Offer.NEVER)),), records=_REPORTS
    ),
    Domain("stripped.test", (MailHost(tlsa=_DANE, script=_NO_STARTTLS),), records=_REPORTS),
    Domain(
        "split-record.test",
        (MailHost(tlsa=_DANE),),
        records=('_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls@rep" "orts.test"',),
    ),
    Domain("plain.test", (MailHost(script=_NO_STARTTLS),), _UNSIGNED, records=_REPORTS),
    Domain("opportunistic.test", (MailHost(leaf=_OTHER_NAME),), _UNSIGNED, records=_REPORTS),
    Domain("down.test", (MailHost(tlsa=_DANE, listening=False),), records=_REPORTS),
    _with_policy("sts.test", Policy.enforce("mx.sts.test")),
    _with_policy("sts-name.test", Policy.enforce("mx.sts-name.test"), MailHost(leaf=_OTHER_NAME)),
    _with_policy("sts-mx.test", Policy.enforce("mx.elsewhere.test")),
    _with_policy(
        "sts-expired.test",
        Policy.enforce("*.sts-expired.test"),
        MailHost(leaf=Leaf(("mx.sts-expired.test",), days=EXPIRED)),
    ),
    _with_policy("sts-404.test", Policy(PolicyAnswer(status=404))),
    _with_policy("sts-bad.test", Policy(PolicyAnswer("version: STSv1\r\n"))),
    _with_policy("sts-cert.test", Policy(Policy.enforce("mx.sts-cert.test").answer, leaf=_OTHER_NAME)),
    _with_policy(
        "sts-none.test",
        Policy(PolicyAnswer(policy_text("none", "mx.elsewhere.test"))),
        MailHost(leaf=_OTHER_NAME),
    ),
    _with_policy("testing.test", Policy.testing("mx.testing.test")),
    _with_policy("testing-name.test", Policy.testing("mx.testing-name.test"), MailHost(leaf=_OTHER_NAME)),
    _with_policy(
        "testing-plain.test", Policy.testing("mx.testing-plain.test"), MailHost(script=_NO_STARTTLS)
    ),
    _with_policy("testing-mx.test", Policy.testing("mx.elsewhere.test")),
    Domain(
        "both.test",
        (MailHost(tlsa=_DANE, leaf=_OTHER_NAME),),
        policy=Policy.testing("mx.both.test"),
        records=_REPORTS,
    ),
)


@pytest.fixture(scope="session")
def reporting_laboratory() -> Iterator[Laboratory]:
    """The domains above, running once for all tests of a worker; tests take `reporting`."""
    with Laboratory(DOMAINS) as laboratory:
        yield laboratory


@pytest.fixture
def reporting(reporting_laboratory: Laboratory) -> Laboratory:
    """The domains above, with nothing recorded."""
    reporting_laboratory.reset()
    return reporting_laboratory


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    """A collector that listens."""
    with Collector(tmp_path / "collectd.sock") as collector:
        yield collector
