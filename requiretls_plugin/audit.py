"""Whom does a mailing list reach under REQUIRETLS today? Every subscriber's domain, checked politely."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import InvalidMailAddress
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.policy.mx_lookup import MailHosts
from requiretls_plugin.policy.sts import STSFound, STSUnavailable
from requiretls_plugin.policy.tlsa_lookup import DANERecords
from requiretls_plugin.preflight import Readiness, Verdict
from requiretls_plugin.probes import Probes

# How many domains are under way at once; what they may open is up to Probes.
PARALLEL = 50

Check = Callable[[DomainName, Probes], Awaitable[Readiness]]
"""How a domain is checked: `Engine.check`."""


@dataclass(frozen=True, slots=True)
class Subscribers:
    """How many addresses there are at each domain, and which addresses no mail can go to."""

    domains: Counter[DomainName]
    unusable: tuple[str, ...]

    @classmethod
    def of(cls, addresses: Iterable[str]) -> Subscribers:
        """Count *addresses*; those that are none, or have an address literal for a domain, are unusable."""
        domains: Counter[DomainName] = Counter()
        unusable = []
        for text in addresses:
            try:
                domain = MailAddress.parse(text).domain
            except InvalidMailAddress:
                domain = None
            if isinstance(domain, DomainName):
                domains[domain] += 1
            else:
                unusable.append(text)
        return cls(domains, tuple(unusable))


@dataclass(frozen=True, slots=True)
class DomainReport:
    """One domain: what was found, *checked* when (Unix time), for how many *subscribers* it counts.

    *sts_fetched* is when the MTA-STS policy that counted was fetched.
    """

    readiness: Readiness
    subscribers: int
    checked: float

    @property
    def dnssec(self) -> bool:
        """Whether DNSSEC vouches for the domain's mail hosts."""
        mx = self.readiness.evidence.mx if self.readiness.evidence else None
        return isinstance(mx, MailHosts) and mx.secure

    @property
    def dane(self) -> bool:
        """Whether any mail host has TLSA records."""
        hosts = self.readiness.evidence.hosts if self.readiness.evidence else ()
        return any(isinstance(getattr(host.lookup, "dane", None), DANERecords) for host in hosts)

    @property
    def mta_sts(self) -> str:
        """The mode of the MTA-STS policy in force, `none` or `unavailable`."""
        sts = self.readiness.evidence.sts if self.readiness.evidence else None
        if isinstance(sts, STSFound):
            return sts.policy.mode.value
        return "unavailable" if isinstance(sts, STSUnavailable) else "none"

    @property
    def sts_fetched(self) -> float | None:
        """When the MTA-STS policy in force was fetched (Unix time)."""
        sts = self.readiness.evidence.sts if self.readiness.evidence else None
        return sts.expires - sts.policy.max_age if isinstance(sts, STSFound) else None

    @property
    def starttls(self) -> bool | None:
        """Whether all mail hosts that could be asked offer STARTTLS; None if none could."""
        return _all_known(host.starttls for host in self.readiness.hosts)

    @property
    def requiretls(self) -> bool | None:
        """Whether any mail host that could be asked offers REQUIRETLS; None if none could."""
        known = [host.requiretls for host in self.readiness.hosts if host.requiretls is not None]
        return any(known) if known else None


def _all_known(values: Iterable[bool | None]) -> bool | None:
    known = [value for value in values if value is not None]
    return all(known) if known else None


@dataclass(frozen=True, slots=True)
class Audit:
    """All domains, those with the most subscribers first, and the addresses that are unusable."""

    reports: Sequence[DomainReport]
    unusable: Sequence[str]

    def counted(self, verdict: Verdict) -> int:
        """Return how many subscribers are at domains with *verdict*."""
        return sum(report.subscribers for report in self.reports if report.readiness.verdict is verdict)

    @property
    def total(self) -> int:
        """How many subscribers there are."""
        return sum(report.subscribers for report in self.reports) + len(self.unusable)

    @property
    def unreachable(self) -> int:
        """How many subscribers get nothing under REQUIRETLS; those not judged are left out."""
        return self.counted(Verdict.NOT_READY) + len(self.unusable)

    def __str__(self) -> str:
        unknown = self.counted(Verdict.UNKNOWN)
        words = f"reaches {self.counted(Verdict.READY)} of {self.total} members under REQUIRETLS today"
        return f"{words}; {unknown} could not be judged" if unknown else words


async def audit(
    subscribers: Subscribers,
    check: Check,
    *,
    parallel: int = PARALLEL,
    progress: Callable[[DomainReport], object] = lambda report: None,
) -> Audit:
    """Check every domain once, at most *parallel* at a time, and every host once, whoever shares it.

    *progress* is called after each domain.
    """
    probes = Probes()
    slots = asyncio.Semaphore(parallel)

    async def report_on(domain: DomainName, count: int) -> DomainReport:
        async with slots:
            report = DomainReport(await check(domain, probes), count, time.time())
        progress(report)
        return report

    reports = await asyncio.gather(*(report_on(*item) for item in subscribers.domains.items()))
    ordered = sorted(reports, key=lambda report: (-report.subscribers, report.readiness.domain))
    return Audit(tuple(ordered), subscribers.unusable)
