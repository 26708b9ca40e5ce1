"""Figures for Prometheus: what became of attempts and recipients, and how busy the engine is.

Labels have fixed sets of values: no domain, host or address is among them, so
that no stranger can make the figures grow.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from requiretls_plugin.delivery.outcome import Attempt, Outcome
from requiretls_plugin.delivery.pool import Pool
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.message import Message
from requiretls_plugin.observe.metrics_server import MetricsServer
from requiretls_plugin.observe.tlsrpt import TLSReports
from requiretls_plugin.observe.watched import Watched
from requiretls_plugin.policy.sts import STSFound, STSLookup, STSUnavailable
from requiretls_plugin.reason import Reason
from requiretls_plugin.security import Security
from requiretls_plugin.server_address import ServerAddress

# In seconds: from a message on a kept session to a server that lets us wait.
_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """Counts what it observes, and serves the figures at *listen* while it is open.

    A place that cannot be listened on, as when another process has it already,
    is a warning in the log: mail does not wait for its figures.
    """

    def __init__(self, listen: ServerAddress, reports: TLSReports | None = None) -> None:
        self.registry = CollectorRegistry()
        self._reports = reports
        self._listen = listen
        self._server = MetricsServer(lambda: generate_latest(self.registry))
        self._attempts = Counter(
            "requiretls_attempts",
            "Sessions with hosts, by what was proved and why they were no good",
            ("security", "reason", "reused"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "requiretls_attempt_seconds",
            "How long attempts took, the wait for a place in the pool included",
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self._outcomes = Counter(
            "requiretls_outcomes",
            "Recipients by what became of them",
            ("outcome", "requirement", "security", "requiretls", "reason"),
            registry=self.registry,
        )
        self._policies = Counter(
            "requiretls_mta_sts_policies",
            "Attempts by what MTA-STS policy was there: fresh, kept, unavailable or none",
            ("state",),
            registry=self.registry,
        )
        self._gauges: _Gauges | None = None

    @hookimpl
    def requiretls_attempted(self, attempt: Attempt) -> None:
        """Count *attempt*."""
        self._attempts.labels(
            _security(attempt.security), _reason(attempt.refusal), _yes(attempt.reused)
        ).inc()
        self._seconds.observe(attempt.seconds)
        if attempt.evidence is not None:
            self._policies.labels(_policy_state(attempt.evidence.sts)).inc()

    @hookimpl
    def requiretls_concluded(self, message: Message, outcomes: Sequence[Outcome]) -> None:
        """Count *outcomes*."""
        for outcome in outcomes:
            self._outcomes.labels(
                outcome.disposition.value,
                message.requirement.value,
                _security(outcome.security),
                _yes(outcome.requiretls),
                _reason(outcome.reason),
            ).inc()

    async def open(self, watched: Watched) -> None:
        """Begin to look at *watched* and to serve the figures."""
        self._gauges = _Gauges(watched, self._reports)
        self.registry.register(self._gauges)
        try:
            await self._server.open(self._listen)
        except OSError as error:
            log = logging.getLogger(__name__)
            log.warning("no metrics at %s: %s", self._listen, error.strerror or error)

    async def close(self) -> None:
        """Stop serving."""
        await self._server.close()
        if self._gauges is not None:
            self.registry.unregister(self._gauges)
            self._gauges = None


class _Gauges(Collector):
    """What the parts of an engine count themselves, read when somebody asks."""

    def __init__(self, watched: Watched, reports: TLSReports | None) -> None:
        self._watched = watched
        self._reports = reports

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of now."""
        yield from _pool_figures(self._watched.pool)
        dns = self._watched.dns.counts
        lookups = CounterMetricFamily(
            "requiretls_dns_lookups",
            "DNS questions by where the answer came from, and those that got none",
            labels=("result",),
        )
        for result, number in (
            ("cache", dns.cached),
            ("resolver", dns.answered),
            ("failed", dns.failed),
            ("bogus", dns.bogus),
        ):
            lookups.add_metric((result,), number)
        yield lookups
        if self._reports is not None:
            reports = CounterMetricFamily(
                "requiretls_tls_reports", "Datagrams for tlsrpt-collectd", labels=("result",)
            )
            reports.add_metric(("sent",), self._reports.sent)
            reports.add_metric(("lost",), self._reports.lost)
            yield reports


def _pool_figures(pool: Pool[Any]) -> Iterator[Metric]:
    counts = pool.counts
    connections = GaugeMetricFamily(
        "requiretls_pool_connections", "Outgoing connections by what they do", labels=("state",)
    )
    connections.add_metric(("busy",), counts.busy)
    connections.add_metric(("idle",), counts.idle)
    yield connections
    yield GaugeMetricFamily(
        "requiretls_pool_waiting", "Deliveries that wait for a connection", value=counts.waiting
    )


def _security(security: Security | None) -> str:
    return security.value if security is not None else "none"


def _reason(reason: Reason | None) -> str:
    return reason.value if reason is not None else "none"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _policy_state(sts: STSLookup) -> str:
    if isinstance(sts, STSFound):
        return "fresh" if sts.fresh else "kept"
    return "unavailable" if isinstance(sts, STSUnavailable) else "none"
