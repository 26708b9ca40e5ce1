"""`requiretls explain`: the steps, the verdicts, advice that helps, and findings that can be kept."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from requiretls_lab.catalogue import CATALOGUE
from requiretls_lab.domains import Domain, MailHost, Policy
from requiretls_lab.laboratory import Laboratory
from requiretls_lab.policy_host import PolicyAnswer
from requiretls_lab.zones import ZoneKind
from requiretls_plugin import findings_file
from requiretls_plugin.errors import InvalidFindings
from requiretls_plugin.findings import Findings, judge
from requiretls_plugin.findings_file import findings_as_json, findings_from_json
from requiretls_plugin.level import Level
from requiretls_plugin.policy.demand import Rules
from requiretls_plugin.policy.evidence import Evidence
from requiretls_plugin.policy.next_hop import Login, NamedHop
from requiretls_plugin.policy.sts import NoSTS
from requiretls_plugin.requirement import Requirement
from requiretls_plugin.server_address import ServerAddress
from tests.cli.running import CommandLine

DELIVERED, DEFERRED, FAILED = "delivered", "deferred", "failed"


def _verdicts(explained: dict[str, Any]) -> list[str]:
    return [verdict["outcome"] for verdict in explained["verdicts"]]


@pytest.mark.parametrize(
    ("domain", "outcomes", "code"),
    [
        ("dane-ee.test", [DELIVERED, DELIVERED, DELIVERED], 0),
        ("two-hosts.test", [DELIVERED, DELIVERED, DELIVERED], 0),
        ("wrong-tlsa.test", [FAILED, DEFERRED, DELIVERED], 69),
        ("unproven.test", [FAILED, DELIVERED, DELIVERED], 69),
        ("sts-mismatch.test", [FAILED, DEFERRED, DELIVERED], 69),
        ("sts-down.test", [DEFERRED, DELIVERED, DELIVERED], 75),
        ("null-mx.test", [FAILED, FAILED, FAILED], 69),
        ("bogus.test", [DEFERRED, DEFERRED, DEFERRED], 75),
    ],
)
def test_each_kind_of_message_gets_its_verdict(
    requiretls: CommandLine, domain: str, outcomes: list[str], code: int
) -> None:
    """Under REQUIRETLS, without a wish, with TLS-Required: No; the first decides the exit code."""
    ran = requiretls("explain", "--json", f"bob@{domain}")

    assert _verdicts(ran.json()) == outcomes
    assert ran.code == code


@pytest.mark.parametrize("domain", [each.name for each in CATALOGUE])
def test_the_verdict_is_that_of_check(requiretls: CommandLine, domain: str) -> None:
    """One evaluator: preflight, delivery and explanation cannot disagree."""
    [checked] = requiretls("check", "--json", domain).json()
    explained = requiretls("explain", "--json", domain).json()

    wanted = {"ready": DELIVERED, "not-ready": FAILED, "unknown": DEFERRED}[checked["verdict"]]
    verdict = explained["verdicts"][0]
    assert (verdict["outcome"], verdict["reason"]) == (wanted, checked["reason"])


@pytest.mark.parametrize("domain", [each.name for each in CATALOGUE])
def test_what_was_kept_gives_the_same_explanation_without_asking_anybody(
    requiretls: CommandLine, lab: Laboratory, tmp_path: Path, domain: str
) -> None:
    """`--save`, and `--replay` on a machine without network."""
    kept = tmp_path / "findings.json"
    live = requiretls("explain", domain, "--save", str(kept))
    lab.settle()
    connections = [
        len(lab.destination(host.name(each.name)).connections) for each in CATALOGUE for host in each.hosts
    ]

    replayed = requiretls("explain", "--replay", str(kept))

    assert replayed == live
    assert connections == [
        len(lab.destination(host.name(each.name)).connections) for each in CATALOGUE for host in each.hosts
    ]


def test_attack_more_findings_than_can_be_read_again_are_not_kept(
    requiretls: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A domain that publishes as much as it can is told of, and the file is not half a one."""
    monkeypatch.setattr(findings_file, "MAX_BYTES", 1000)
    kept = tmp_path / "findings.json"

    ran = requiretls("explain", "dane-ee.test", "--save", str(kept))

    assert ran.code == 64
    assert "more than 1000; leave it out" in " ".join(ran.errors.split())
    assert not kept.exists()


def test_every_step_names_its_section_and_what_decided(requiretls: CommandLine, lab: Laboratory) -> None:
    """The record that matched, the certificate that was shown, and where it is asked for."""
    ran = requiretls("explain", "dane-ee.test")

    steps = re.findall(r"^\d+\. (.+) \[(.+)\]$", ran.output, re.MULTILINE)
    assert len(steps) == 7
    assert all("RFC" in section for _subject, section in steps)
    assert re.search(r"Matched: 3 1 1 [0-9a-f]{64}\.", ran.output)
    assert "Certificate for mx.dane-ee.test, issued by CN=requiretls lab root, valid until" in ran.output


def test_the_settings_decide_where_mail_goes_and_how_strictly(
    lab: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is explained is what a delivery would do: by the smarthost, at the recipient domain's level."""
    smarthost = f"mx.no-keyword.test:{lab.port}"
    own = lab.write_settings(
        tmp_path / "requiretls.toml",
        delivery={"smarthost": smarthost},
        levels={"partner.test": "opportunistic"},
    )
    explain = CommandLine(own, capsys, monkeypatch)

    strict, relaxed = (
        explain("explain", "--json", address).json() for address in ("a@other.test", "a@partner.test")
    )

    assert (strict["next_hop"], relaxed["next_hop"]) == (smarthost, smarthost)
    assert (_verdicts(strict)[0], _verdicts(relaxed)[0]) == (FAILED, DELIVERED)


def test_nothing_is_sent(requiretls: CommandLine, lab: Laboratory) -> None:
    """No MAIL, and QUIT at the end of every session."""
    requiretls("explain", "dnssec-pkix.test")
    lab.settle()

    for connection in lab.destination("mx.dnssec-pkix.test").connections:
        assert "MAIL" not in connection.verbs
        assert connection.verbs[-1] == "QUIT"


def _advised(requiretls: CommandLine, domain: str) -> list[str]:
    explained = requiretls("explain", "--json", domain).json()
    return [line for advice in explained["advice"] for line in advice["lines"]]


def _is_ready(requiretls: CommandLine, domain: str) -> bool:
    return requiretls("check", domain).code == 0


@pytest.mark.parametrize("name", ["wrong-tlsa.test", "wrong-name.test", "expired.test"])
def test_the_advised_tlsa_record_makes_a_domain_ready(
    requiretls: CommandLine, lab: Laboratory, name: str
) -> None:
    """Published as it was spelled out, beside the certificate that is in use."""
    [record] = _advised(requiretls, name)
    before = next(each for each in CATALOGUE if each.name == name)

    lab.publish(Domain(name, (replace(before.hosts[0], tlsa=()),), records=(record,)))

    assert _is_ready(requiretls, name)


@pytest.mark.parametrize("name", ["unproven.test", "sts-mismatch.test", "sts-testing.test"])
def test_the_advised_policy_makes_a_domain_ready(requiretls: CommandLine, lab: Laboratory, name: str) -> None:
    """The TXT record and the file, published as they were spelled out."""
    record, *lines = _advised(requiretls, name)
    text = re.fullmatch(rf'_mta-sts\.{name}\. IN TXT "(.+)"', record)
    assert text is not None
    policy = [line for line in lines if not line.startswith("https://")]
    answer = PolicyAnswer("".join(f"{line}\n" for line in policy))

    lab.publish(Domain(name, (MailHost(),), ZoneKind.UNSIGNED, Policy(answer, txt=text[1])))
    lab.policy_site(name).answer = answer

    assert _is_ready(requiretls, name)


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ("no-keyword.test", "run a mail server that supports RFC 8689"),
        ("no-starttls.test", "offer STARTTLS"),
        ("bogus.test", "DNSSEC signatures are wrong"),
        ("null-mx.test", "takes no mail"),
        ("down.test", "Let the hosts be reached"),
    ],
)
def test_what_no_record_helps_against_is_said_in_words(
    requiretls: CommandLine, domain: str, words: str
) -> None:
    """For the postmaster to read."""
    assert words in requiretls("explain", domain).output


def test_a_ready_domain_gets_no_advice(requiretls: CommandLine) -> None:
    """There is nothing to do."""
    assert requiretls("explain", "--json", "sts.test").json()["advice"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="nothing to explain"),
        pytest.param(("a.test", "--replay", __file__), id="both"),
        pytest.param(("no address",), id="no address"),
        pytest.param(("--replay", __file__), id="a file of something else"),
    ],
)
def test_misuse_is_a_usage_error(requiretls: CommandLine, arguments: tuple[str, ...]) -> None:
    """Exit 64."""
    assert requiretls("explain", *arguments).code == 64


def _findings_at_a_smarthost() -> Findings:
    hop = NamedHop(ServerAddress.parse("192.0.2.1:587"), login=Login("alice", "correct horse"))
    return Findings(0.0, Level.ENFORCE, Rules(), Evidence(hop, None, NoSTS(), (), 587), ())


def test_attack_a_kept_file_has_no_password() -> None:
    """It is made to be sent to somebody."""
    assert "correct horse" not in findings_as_json(_findings_at_a_smarthost())


@pytest.fixture(scope="module")
def kept(laboratory: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The findings about wrong-tlsa.test as kept."""
    from requiretls_plugin.cli import run

    folder = tmp_path_factory.mktemp("kept")
    own, file = laboratory.write_settings(folder / "requiretls.toml"), folder / "findings.json"
    assert run(["explain", "--config", str(own), "wrong-tlsa.test", "--save", str(file)]) == 69
    table: dict[str, Any] = json.loads(file.read_bytes())
    return table


def test_findings_survive_being_kept(kept: dict[str, Any]) -> None:
    """Read and written again they are the same."""
    data = json.dumps(kept).encode()

    assert json.loads(findings_as_json(findings_from_json(data))) == kept


_JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.text(max_size=5), st.just([]), st.just({"tuple": [1]})
)


@settings(max_examples=300)
@given(data=st.data())
def test_attack_a_file_with_anything_replaced_gives_findings_or_one_error(
    kept: dict[str, Any], data: st.DataObject
) -> None:
    """At any place, by anything; and whatever is accepted can be judged."""
    table = json.loads(json.dumps(kept))
    place = table
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or data.draw(st.integers(0, 3)) == 0:
            place[key] = data.draw(_JUNK)
            break
        place = place[key]
    try:
        findings = findings_from_json(json.dumps(table).encode())
    except InvalidFindings:
        return
    for requirement in Requirement:
        judge(findings, requirement)


@given(st.binary(max_size=200))
def test_attack_any_bytes_are_refused(data: bytes) -> None:
    """A file of something else is one error."""
    with pytest.raises(InvalidFindings):
        findings_from_json(data)


@pytest.mark.parametrize(
    "taken",
    [1e300, -1.0, float("nan"), float("inf"), 10**400],
    ids=["too late", "too early", "no number", "never", "a number without end"],
)
def test_attack_findings_of_no_calendars_day_are_refused(kept: dict[str, Any], taken: float) -> None:
    """The day goes into the id of a policy that is advised."""
    table = copy.deepcopy(kept)
    table["findings"]["Findings"]["taken"] = taken

    with pytest.raises(InvalidFindings, match="when"):
        findings_from_json(json.dumps(table).encode())


def test_attack_a_deeply_nested_file_is_refused() -> None:
    """No stack overflows."""
    deep = b'{"tuple": [' * 100_000

    with pytest.raises(InvalidFindings):
        findings_from_json(deep)


def test_attack_control_characters_do_not_reach_the_terminal(
    requiretls: CommandLine, kept: dict[str, Any], tmp_path: Path
) -> None:
    """What servers and files say is shown as printable text."""
    text = json.dumps(kept).replace("no TLSA record matches", "\\u001b[2J no TLSA record matches")
    file = tmp_path / "findings.json"
    file.write_text(text, encoding="utf-8")

    ran = requiretls("explain", "--replay", str(file))

    assert ran.code == 69
    assert "\\x1b[2J" in ran.output
    assert "\x1b" not in ran.output
