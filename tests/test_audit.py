"""Whom a list reaches: counting, politeness, and the page."""

from __future__ import annotations

import asyncio

import pytest

from requiretls_lab.domains import Domain
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.zones import ZoneKind
from requiretls_plugin.audit import DomainReport, Subscribers, audit
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.preflight import Readiness, Verdict
from requiretls_plugin.probes import Probes
from requiretls_plugin.reason import Reason


def test_subscribers_are_counted_by_domain() -> None:
    """Letter case and U-labels make no difference; what is no address is put aside."""
    found = Subscribers.of(["a@X.example", "b@x.example", "c@bücher.example", "nobody", "d@[192.0.2.1]"])
    assert found.domains == {DomainName("x.example"): 2, DomainName("xn--bcher-kva.example"): 1}
    assert found.unusable == ("nobody", "d@[192.0.2.1]")


def test_an_audit_says_of_every_domain_what_delivery_would_find(lab: Laboratory) -> None:
    """By the same evaluation, with the evidence for each column."""
    addresses = [
        "a@dane-ee.test",
        "b@dane-ee.test",
        "c@sts.test",
        "d@no-keyword.test",
        "e@unproven.test",
        "f@sts-down.test",
        "g@null-mx.test",
    ]

    async def work() -> list[tuple[object, ...]]:
        async with Engine(lab.settings()) as engine:
            found = await audit(Subscribers.of(addresses), engine.check)
        assert str(found) == "reaches 3 of 7 members under REQUIRETLS today; 1 could not be judged"
        assert found.unreachable == 3
        return [
            (
                str(report.readiness.domain),
                report.subscribers,
                report.readiness.verdict.value,
                report.dnssec,
                report.dane,
                report.mta_sts,
                report.starttls,
                report.requiretls,
            )
            for report in found.reports
        ]

    assert asyncio.run(work()) == [
        ("dane-ee.test", 2, "ready", True, True, "none", True, True),
        ("no-keyword.test", 1, "not-ready", True, True, "none", True, False),
        ("null-mx.test", 1, "not-ready", False, False, "none", None, None),
        ("sts-down.test", 1, "unknown", False, False, "unavailable", True, True),
        ("sts.test", 1, "ready", False, False, "enforce", True, True),
        ("unproven.test", 1, "not-ready", False, False, "none", True, True),
    ]


def test_a_host_that_many_domains_share_is_probed_once(lab: Laboratory) -> None:
    """Ten domains at one provider are one connection."""
    lab.publish(
        *(Domain(f"shared{n}.test", records=("@ MX 10 mx.dane-ee.test.",)) for n in range(10)),
        Domain("insecure.test", zone=ZoneKind.UNSIGNED, records=("@ MX 10 mx.unproven.test.",)),
    )
    domains = [f"a@shared{n}.test" for n in range(10)] + ["b@insecure.test", "c@unproven.test"]

    async def work() -> list[Verdict]:
        async with Engine(lab.settings()) as engine:
            found = await audit(Subscribers.of(domains), engine.check)
        return [report.readiness.verdict for report in found.reports]

    verdicts = asyncio.run(work())

    assert verdicts.count(Verdict.READY) == 10
    assert len(lab.destination("mx.dane-ee.test").connections) == 1
    assert len(lab.destination("mx.unproven.test").connections) == 1
    assert lab.destination("mx.dane-ee.test").connections[0].verbs == ["EHLO", "STARTTLS", "EHLO", "QUIT"]


def test_no_more_domains_are_checked_at_once_than_allowed() -> None:
    """And progress is told after each."""
    running, most = 0, 0
    told: list[DomainReport] = []

    async def check(domain: DomainName, probes: Probes) -> Readiness:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return Readiness(domain, Verdict.READY, None, ())

    addresses = [f"a@d{n}.example" for n in range(20)]
    asyncio.run(audit(Subscribers.of(addresses), check, parallel=3, progress=told.append))

    assert most == 3
    assert len(told) == 20


@pytest.mark.parametrize("addresses", [[], ["nobody"]], ids=["no member", "nobody usable"])
def test_lists_without_domains_are_audited_too(addresses: list[str]) -> None:
    """There is nothing to divide by."""

    async def check(domain: DomainName, probes: Probes) -> Readiness:
        return Readiness(domain, Verdict.NOT_READY, Reason.NAME_NOT_PROVEN, ())

    found = asyncio.run(audit(Subscribers.of(addresses), check))
    assert found.unreachable == len(addresses)
    assert str(found) == f"reaches 0 of {len(addresses)} members under REQUIRETLS today"
