"""`requiretls selftest`: what it prints, how it exits, and what it says when it cannot start."""

from __future__ import annotations

import sys

import dns.dnssec
import pytest

from requiretls_lab.destination import Destination
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.nameserver import Nameserver
from requiretls_lab.selftest.running import all_cases
from requiretls_lab.smtp_script import Script
from tests.cli.running import CommandLine, Ran


def test_this_installation_passes(requiretls: CommandLine) -> None:
    """Every case there is, and the only one that cannot be tried is about servers without REQUIRETLS."""
    ran = requiretls("selftest", "--json")

    report = ran.json()
    unlike = {case["case"]: case["seen"] for case in report["cases"] if case["verdict"] != "pass"}
    assert unlike == {"parameter/not-offered": "it is offered"}
    assert [case["case"] for case in report["cases"]] == [case.name for case in all_cases()]
    assert (report["passed"], report["failed"], report["skipped"]) == (len(all_cases()) - 1, 0, 1)
    assert (ran.code, ran.errors) == (0, "")


def test_people_get_a_table_and_what_was_not_tried(requiretls: CommandLine) -> None:
    """With the reason, and the sum at the end."""
    ran = requiretls("selftest", "keyword/missing", "parameter/not-offered")

    assert ran.code == 0
    assert "PASS" in next(line for line in ran.output.splitlines() if "keyword/missing" in line)
    *_, skipped, total = ran.output.splitlines()
    assert skipped == "SKIP it is offered: parameter/not-offered"
    assert total == "1 passed, 0 failed, 1 skipped"


def test_cases_are_listed_without_being_tried(
    requiretls: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For which nothing has to be installed."""
    monkeypatch.setattr(Nameserver, "program", "no-such-program")

    table = requiretls("selftest", "--list")
    ran = requiretls("selftest", "--list", "--json", "dane/half-dane")

    assert (table.code, ran.code) == (0, 0)
    assert all(case.name in table.output for case in all_cases())
    [listed] = ran.json()
    assert listed["claim"] == "An unsigned MX record proves no name, whatever its host's zone proves"
    assert listed["section"] == "RFC 7672 section 2.2.1"
    assert listed["expected"] == "failed 550 5.7.10 name-not-proven; no host is connected to"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["no-such-theme"], "no such case: no-such-theme"),
        (["--to", "u@a.test"], "go with --smtp"),
        (["--smtp", "127.0.0.1:2525"], "--smtp needs --to"),
        (["--smtp", "127.0.0.1:x", "--to", "u@a.test"], "is not of the form host:port"),
        (["--smtp", "127.0.0.1:2525", "--to", "nobody"], "nobody"),
        (["--smtp", "127.0.0.1:2525", "--to", "u@a.test", "dane/half-dane"], "no such case: dane/half-dane"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_exit_64(requiretls: CommandLine, arguments: list[str], why: str) -> None:
    """Nothing was tried."""
    ran = requiretls("selftest", *arguments)

    assert (ran.code, ran.output) == (64, "")
    assert why in ran.errors


def test_without_unbound_it_says_what_to_install(
    requiretls: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 78, one line."""
    monkeypatch.setattr(Nameserver, "program", "no-such-program")

    ran = requiretls("selftest", "keyword")

    assert (ran.code, ran.output) == (78, "")
    assert ran.errors == "Error: unbound is not installed; as root: apt-get install unbound\n"


def test_without_the_extra_it_says_what_to_install(
    requiretls: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dnspython cannot sign with any version of cryptography that the core takes."""

    def cannot(*_: object, **__: object) -> None:
        raise ImportError("DNSSEC validation requires python cryptography")

    monkeypatch.setattr(dns.dnssec, "make_dnskey", cannot)

    ran = requiretls("selftest", "keyword")

    assert (ran.code, ran.output) == (78, "")
    assert ran.errors.endswith("pip install 'requiretls-plugin[lab]'\n")


def test_without_the_laboratory_it_says_what_to_install(
    requiretls: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the package was copied by hand."""
    monkeypatch.setitem(sys.modules, "requiretls_lab.selftest.running", None)
    monkeypatch.delattr("requiretls_lab.selftest.running", raising=False)

    ran = requiretls("selftest", "keyword")

    assert (ran.code, ran.output) == (78, "")
    assert ran.errors.endswith("pip install 'requiretls-plugin[lab]'\n")


def test_a_server_that_is_not_there_is_exit_78(requiretls: CommandLine, lab: Laboratory) -> None:
    """And needs no unbound to be found out."""
    host = lab.destination("mx2.down.test")

    ran = against(requiretls, host)

    assert (ran.code, ran.output) == (78, "")
    assert f"{host.address}:{host.port}: " in ran.errors


def test_a_server_whose_tls_does_not_work_is_exit_78(requiretls: CommandLine, lab: Laboratory) -> None:
    """A flawed certificate is a case; a handshake that nobody can do is none."""
    host = lab.destination("mx.dane-ee.test")
    host.script = Script(replies={"handshake": b"HTTP/1.1 400 Bad Request\r\n\r\n"})

    ran = against(requiretls, host)

    assert (ran.code, ran.output) == (78, "")
    assert "the handshake fails" in ran.errors


def test_attack_a_terminal_escape_in_a_servers_reply_is_not_obeyed(
    requiretls: CommandLine, lab: Laboratory
) -> None:
    """Neither where it fails a case, nor where the self-test cannot begin."""
    host = lab.destination("mx.dane-ee.test")
    place = ("--smtp", f"{host.address}:{host.port}", "--to", "u@receiver.test")
    escape = "\x1b[2J"

    host.script = Script(replies={"MAIL": f"250 {escape}"})
    ran = requiretls("selftest", *place, "parameter")
    host.script = Script(replies={"greeting": f"554 {escape}"})
    not_begun = requiretls("selftest", *place)

    assert "\\x1b[2J" in ran.output
    assert "\x1b" not in ran.output
    assert "\\x1b[2J" in not_begun.errors
    assert "\x1b" not in not_begun.errors


def against(requiretls: CommandLine, host: Destination, *arguments: str) -> Ran:
    """Run the receiving cases against *host*."""
    place = f"{host.address}:{host.port}"
    return requiretls("selftest", "--json", "--smtp", place, "--to", "u@receiver.test", *arguments)
