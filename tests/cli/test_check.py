"""`requiretls check`: verdicts, exit codes and JSON as other programs rely on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from requiretls_lab.laboratory import Laboratory
from tests.cli.running import CommandLine


@pytest.mark.parametrize(
    ("domain", "verdict", "reason", "proofs"),
    [
        ("dane-ee.test", "ready", None, [("dnssec", "dane", True, True)]),
        ("dane-ta.test", "ready", None, [("dnssec", "dane", True, True)]),
        ("dnssec-pkix.test", "ready", None, [("dnssec", "pkix", True, True)]),
        ("sts.test", "ready", None, [("mta-sts", "pkix", True, True)]),
        ("implicit.test", "ready", None, [("implicit", "pkix", True, True)]),
        ("two-hosts.test", "ready", None, [("dnssec", "dane", True, False), ("dnssec", "dane", True, True)]),
        ("no-keyword.test", "not-ready", "requiretls-not-offered", [("dnssec", "dane", True, False)]),
        ("no-starttls.test", "not-ready", "starttls-not-offered", [("dnssec", "none", False, None)]),
        ("wrong-tlsa.test", "not-ready", "dane-mismatch", [("dnssec", "none", True, None)]),
        ("unproven.test", "not-ready", "name-not-proven", [("none", "none", True, True)]),
        ("half-dane.test", "not-ready", "name-not-proven", [("none", "dane", True, True)]),
        ("sts-down.test", "unknown", "sts-unavailable", [("none", "none", True, True)]),
        ("bogus.test", "unknown", "dnssec-bogus", []),
        ("null-mx.test", "not-ready", "null-mx", []),
        ("no-such.test", "not-ready", "no-such-domain", []),
    ],
)
def test_each_kind_of_domain_gets_its_verdict(
    requiretls: CommandLine, domain: str, verdict: str, reason: str | None, proofs: list[tuple[object, ...]]
) -> None:
    """The verdict, the reason and what each host proved."""
    ran = requiretls("check", "--json", domain)

    [found] = ran.json()
    assert (found["domain"], found["verdict"], found["reason"]) == (domain, verdict, reason)
    keys = ("name_proof", "authentication", "starttls", "requiretls")
    assert [tuple(host[key] for key in keys) for host in found["hosts"]] == proofs
    assert ran.code == {"ready": 0, "not-ready": 69, "unknown": 75}[verdict]


def test_a_host_entry_has_exactly_the_documented_keys(requiretls: CommandLine) -> None:
    """Machines rely on these names."""
    [found] = requiretls("check", "--json", "dane-ee.test").json()

    assert set(found) == {"domain", "verdict", "reason", "hosts"}
    assert set(found["hosts"][0]) == {
        "host",
        "preference",
        "name_proof",
        "authentication",
        "starttls",
        "requiretls",
        "verdict",
        "reason",
    }


def test_not_ready_outweighs_unknown(requiretls: CommandLine) -> None:
    """Several domains: 69 if one is not ready, else 75 if one is unknown."""
    assert requiretls("check", "dane-ee.test", "bogus.test").code == 75
    assert requiretls("check", "dane-ee.test", "bogus.test", "null-mx.test").code == 69


def test_nothing_is_sent(requiretls: CommandLine, lab: Laboratory) -> None:
    """A preflight says EHLO, STARTTLS, EHLO and QUIT, and never MAIL."""
    requiretls("check", "dane-ee.test")

    [connection] = lab.destination("mx.dane-ee.test").connections
    assert connection.verbs == ["EHLO", "STARTTLS", "EHLO", "QUIT"]


def test_a_bad_domain_is_a_usage_error(requiretls: CommandLine) -> None:
    """Exit 64, and the words name it."""
    ran = requiretls("check", "no domain", "dane-ee.test")

    assert ran.code == 64
    assert "no domain" in ran.errors


def test_with_a_smarthost_its_readiness_counts(
    lab: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The evaluator is the one that delivers: mail goes there and nowhere else."""
    smarthost = f"mx.dnssec-pkix.test:{lab.port}"
    settings = lab.write_settings(tmp_path / "requiretls.toml", delivery={"smarthost": smarthost})

    ran = CommandLine(settings, capsys, monkeypatch)("check", "--json", "no-keyword.test")

    [found] = ran.json()
    [host] = found["hosts"]
    assert (ran.code, found["verdict"]) == (0, "ready")
    assert (host["host"], host["name_proof"], host["authentication"]) == (
        "mx.dnssec-pkix.test",
        "named",
        "pkix",
    )


def test_a_table_through_a_pipe_is_cut_nowhere(requiretls: CommandLine) -> None:
    """Names and reasons can be searched for."""
    ran = requiretls("check", "no-keyword.test")

    assert "requiretls-not-offered" in ran.output
    assert "mx.no-keyword.test" in ran.output
