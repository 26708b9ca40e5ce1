"""Figures for Prometheus: what is counted, how it is served, and that the dashboard knows the names."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from requiretls_lab.laboratory import Laboratory
from requiretls_plugin.cli import run
from requiretls_plugin.delivery.outcome import Attempt
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.message import Recipient
from requiretls_plugin.observe.metrics import Metrics
from requiretls_plugin.observe.tlsrpt import TLSReports
from requiretls_plugin.policy.next_hop import DomainHop
from requiretls_plugin.reason import Reason
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.server_address import ServerAddress
from requiretls_plugin.settings import Settings
from tests.observe.sending import message

_DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def port() -> int:
    """A port nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


async def _figures(port: int) -> dict[str, float]:
    answer = await _ask(port, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    text = answer.partition(b"\r\n\r\n")[2].decode()
    return {
        sample.name + json.dumps(sample.labels, sort_keys=True): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _listening(lab: Laboratory, port: int) -> Settings:
    return lab.settings(metrics={"listen": f"127.0.0.1:{port}"})


def _labels(**labels: str) -> str:
    return json.dumps(labels, sort_keys=True)


def test_attempts_outcomes_and_the_engines_parts_are_counted(lab: Laboratory, port: int) -> None:
    """One message passed over by the first host and taken by the second, then fetched over HTTP."""

    async def deliver() -> dict[str, float]:
        async with Engine(_listening(lab, port)) as engine:
            tagged = await engine.receive(message(Requirement.REQUIRED))
            await engine.deliver(tagged, [Recipient.parse("bob@two-hosts.test")])
            return await _figures(port)

    figures = asyncio.run(deliver())

    refused = _labels(security="none", reason="requiretls-not-offered", reused="no")
    used = _labels(security="dane", reason="none", reused="no")
    outcome = _labels(
        outcome="delivered", requirement="required", security="dane", requiretls="yes", reason="none"
    )
    assert figures["requiretls_attempts_total" + refused] == 1
    assert figures["requiretls_attempts_total" + used] == 1
    assert figures["requiretls_outcomes_total" + outcome] == 1
    assert figures["requiretls_attempt_seconds_count{}"] == 2
    assert figures["requiretls_mta_sts_policies_total" + _labels(state="none")] == 2
    assert figures["requiretls_pool_connections" + _labels(state="idle")] == 1
    assert figures["requiretls_pool_connections" + _labels(state="busy")] == 0
    assert figures["requiretls_dns_lookups_total" + _labels(result="resolver")] > 3


def test_no_thread_is_started(lab: Laboratory, port: int) -> None:
    """The engine's own loop serves them: threads are what a daemon's fork loses."""

    async def serve() -> int:
        before = threading.active_count()
        async with Engine(_listening(lab, port)):
            await _figures(port)
            return threading.active_count() - before

    assert asyncio.run(serve()) == 0


def test_the_port_is_free_again_afterwards(lab: Laboratory, port: int) -> None:
    """A restart finds it."""

    async def twice() -> None:
        engine = Engine(_listening(lab, port))
        for _ in range(2):
            async with engine:
                await _figures(port)

    asyncio.run(twice())


def test_a_port_that_is_taken_is_a_warning_and_no_more(
    lab: Laboratory, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Several processes with one settings file: mail does not wait for its figures."""

    async def start() -> None:
        async with Engine(_listening(lab, port)), Engine(_listening(lab, port)) as second:
            assert await second.check(DomainName("null-mx.test"))

    asyncio.run(start())

    assert f"no metrics at 127.0.0.1:{port}" in caplog.text


def test_a_command_leaves_the_port_to_the_mail_server(
    lab: Laboratory, port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It has the same settings file, and runs beside the server that serves the figures."""
    own = lab.write_settings(tmp_path / "requiretls.toml", metrics={"listen": f"127.0.0.1:{port}"})
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
        server.listen()

        assert run(["check", "--config", str(own), "null-mx.test"]) == 69

    assert "no metrics" not in caplog.text


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"404", id="another page"),
        pytest.param(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", b"405", id="POST"),
        pytest.param(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"200", id="HEAD"),
    ],
)
def test_only_the_figures_can_be_fetched(lab: Laboratory, port: int, request_: bytes, status: bytes) -> None:
    """Everything else is refused in HTTP's words."""

    async def ask() -> bytes:
        async with Engine(_listening(lab, port)):
            return await _ask(port, request_)

    assert asyncio.run(ask()).split()[1] == status


@pytest.mark.parametrize("request_", [b"\x16\x03\x01\x00\x05hello\r\n\r\n", b"GET /" + b"x" * 40_000])
def test_attack_what_is_no_http_gets_no_answer_and_does_no_harm(
    lab: Laboratory, port: int, request_: bytes
) -> None:
    """The connection is closed; the next one is served."""

    async def ask() -> bytes:
        async with Engine(_listening(lab, port)):
            try:
                answer = await _ask(port, request_)
            except ConnectionResetError:
                answer = b""
            await _figures(port)
            return answer

    assert asyncio.run(ask()) == b""


def test_attack_a_strangers_domains_add_no_series() -> None:
    """A thousand hosts are one series."""
    metrics = Metrics(ServerAddress.parse("127.0.0.1:9"))
    for number in range(1_000):
        hop = DomainHop(DomainName(f"d{number}.test"))
        metrics.requiretls_attempted(
            Attempt(hop, f"mx.d{number}.test", None, "dane", refusal=Reason.HOST_UNREACHABLE)
        )

    assert len(_series(metrics.registry, "requiretls_attempts_total")) == 1


def _series(registry: CollectorRegistry, name: str) -> list[object]:
    return [sample for family in registry.collect() for sample in family.samples if sample.name == name]


def _known_names(lab: Laboratory) -> set[str]:
    """Return the names of all metrics, as Prometheus sees them."""
    reports = TLSReports(Path("/nowhere"))
    metrics = Metrics(ServerAddress.parse("127.0.0.1:9"), reports)

    async def collected() -> set[str]:
        async with Engine(lab.settings()) as engine:
            await metrics.open(engine.watched)
            names = {
                family.name + ("_total" if family.type == "counter" else "")
                for family in metrics.registry.collect()
            }
            await metrics.close()
        return names

    return asyncio.run(collected())


def test_the_documentation_has_every_metric_and_no_other(lab: Laboratory) -> None:
    """docs/metrics.md, row by row."""
    text = (_DOCS / "metrics.md").read_text(encoding="utf-8")

    assert set(re.findall(r"^\| `(requiretls_\w+)` ", text, re.MULTILINE)) == _known_names(lab)


def test_the_dashboard_shows_only_metrics_that_exist(lab: Laboratory) -> None:
    """And each of them somewhere."""
    dashboard = json.loads((_DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    used = {name for text in expressions for name in re.findall(r"requiretls_\w+", text)}

    assert {name.removesuffix("_bucket") for name in used} == _known_names(lab)
