"""`requiretls doctor`: each thing that breaks or weakens REQUIRETLS is named, with what to do about it."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Any

import pytest

from requiretls_lab.authority import EXPIRED, Leaf
from requiretls_lab.laboratory import HOSTNAME, Laboratory
from requiretls_lab.resolver_proxy import Middlebox
from requiretls_plugin.doctor import (
    Diagnosis,
    Health,
    diagnose_cache,
    diagnose_certificate,
    diagnose_local_hops,
    diagnose_resolvers,
    diagnose_smarthost,
)
from requiretls_plugin.doctor_neighbours import diagnose_mailman, diagnose_postfix, diagnose_resolv_conf
from requiretls_plugin.policy.dns_probe import Probe, Validation
from requiretls_plugin.policy.refusal import Refusal, Sureness
from requiretls_plugin.reason import Reason
from requiretls_plugin.server_address import ServerAddress
from requiretls_plugin.settings import MTASTSSettings, ReceiveSettings, Settings
from tests.cli.running import CommandLine, Ran

_EXAMPLE = Path(__file__).parents[2] / "examples" / "mailman" / "mailman.cfg"
_HERE = ("--signed-zone", "dane-ee.test", "--bogus-name", "mx.bogus.test")
NOW = datetime.datetime.now(datetime.UTC)


def _examine(
    lab: Laboratory,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *arguments: str,
    **changes: Any,
) -> Ran:
    """Run the doctor on settings that are good but for *changes*."""
    changes.setdefault("cache", {"url": f"sqlite://{tmp_path}/cache.sqlite"})
    settings = lab.write_settings(tmp_path / "requiretls.toml", **changes)
    monkeypatch.setenv("PATH", str(tmp_path))  # this machine's own mail server is not the subject
    return CommandLine(settings, capsys, monkeypatch)("doctor", "--json", *_HERE, *arguments)


def _wrong(ran: Ran) -> dict[str, str]:
    """Return what is not good, having seen that something can be done about each of it."""
    found = [each for each in ran.json() if each["health"] != "good"]
    assert all(each["remedy"] for each in found)
    return {each["subject"]: each["what"] for each in found}


def test_a_good_set_up_is_good(
    lab: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 0, and every examination says what it saw."""
    ran = _examine(lab, tmp_path, capsys, monkeypatch)

    assert _wrong(ran) == {}
    assert ran.code == 0
    assert {each["subject"].split()[0] for each in ran.json()} == {
        "resolver",
        "certificate",
        "cache",
        "smarthost",
    }


def test_a_resolver_that_does_not_validate_is_told_from_one_whose_ad_bit_is_stripped(
    lab: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither gives an AD bit; only one of them answers for a name with wrong signatures."""
    with lab.non_validating_resolver() as blind:
        found = _wrong(_examine(lab, tmp_path, capsys, monkeypatch, dns={"nameservers": [blind]}))
    with lab.resolver_behind(Middlebox(strip_ad=True)) as box:
        stripped = _examine(lab, tmp_path, capsys, monkeypatch, dns={"nameservers": [box.resolver]})

    assert "does not validate DNSSEC" in found[f"resolver {blind}"]
    assert "the AD bit that says so does not arrive" in _wrong(stripped)[f"resolver {box.resolver}"]
    assert stripped.code == 69


def test_a_resolver_that_is_not_believed_is_named(
    lab: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By dns.trust_ad; the remedy is another resolver, not more faith."""
    ran = _examine(lab, tmp_path, capsys, monkeypatch, dns={"trust_ad": "never"})

    assert 'dns.trust_ad = "never" does not believe it' in _wrong(ran)[f"resolver {lab.resolver}"]


def test_a_silent_resolver_leaves_the_question_open(
    lab: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 75: nothing is known."""
    with lab.resolver_behind(Middlebox(silent=True)) as box:
        ran = _examine(
            lab, tmp_path, capsys, monkeypatch, dns={"nameservers": [box.resolver], "timeout": 0.2}
        )

    assert "gave no answer" in _wrong(ran)[f"resolver {box.resolver}"]
    assert ran.code == 75


def test_an_expired_certificate_is_a_diagnosis_and_not_a_settings_error(
    lab: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every other command exits 78 for it; this one is asked what is wrong."""
    expired = lab.authority.issue(Leaf((HOSTNAME,), days=EXPIRED))
    files = {"certificate": str(expired.chain_file), "private_key": str(expired.key_file)}

    ran = _examine(lab, tmp_path, capsys, monkeypatch, receive=files)

    [what] = _wrong(ran).values()
    assert "expired on" in what
    assert ran.code == 69


def test_a_smarthost_without_requiretls_is_named(
    lab: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked what it offers, and nothing is sent."""
    smarthost = f"mx.no-keyword.test:{lab.port}"

    ran = _examine(lab, tmp_path, capsys, monkeypatch, delivery={"smarthost": smarthost})

    assert "requiretls-not-offered" in _wrong(ran)[f"smarthost {smarthost}"]
    assert all("MAIL" not in each.verbs for each in lab.destination("mx.no-keyword.test").connections)


def test_people_get_lines_with_remedies(
    requiretls: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The laboratory's settings keep policies in memory."""
    monkeypatch.setenv("PATH", str(tmp_path))  # this machine's own mail server is not the subject
    ran = requiretls("doctor", *_HERE)

    assert "advice   cache memory::" in ran.output
    assert "-> set cache.url" in ran.output
    assert ran.code == 0


def test_the_defaults_are_not_wrong(
    lab: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No certificate and a cache in memory: advice, and exit 0."""
    nothing_set = {"certificate": None, "private_key": None}
    ran = _examine(lab, tmp_path, capsys, monkeypatch, receive=nothing_set, cache={"url": None})

    assert {each["subject"]: each["health"] for each in ran.json() if each["health"] != "good"} == {
        "certificate": "advice",
        "cache memory:": "advice",
    }
    assert _wrong(ran)
    assert ran.code == 0


def test_a_resolver_that_reaches_no_signed_root_leaves_the_question_open(
    lab: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the laboratory, where nobody serves the root: exit 75, and the remedy names the option."""
    settings = lab.write_settings(tmp_path / "requiretls.toml")
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = CommandLine(settings, capsys, monkeypatch)("doctor", "--json", "--bogus-name", "mx.bogus.test")

    [resolver] = [each for each in ran.json() if each["subject"] == f"resolver {lab.resolver}"]
    assert resolver["health"] == "unknown"
    assert "--signed-zone" in resolver["remedy"]
    assert ran.code == 75


def test_a_bad_name_is_a_usage_error(requiretls: CommandLine) -> None:
    """Exit 64."""
    assert requiretls("doctor", "--bogus-name", "no name").code == 64


def _healths(found: list[Diagnosis]) -> list[Health]:
    return [each.health for each in found]


def test_a_resolver_of_which_nothing_more_is_known_counts_as_not_validating() -> None:
    """The name with wrong signatures could not be looked up at all."""
    probe = Probe("192.0.2.1:53", Validation.DOES_NOT_VALIDATE, "no AD bit")

    [found] = diagnose_resolvers([probe], answers_bogus=None, trust_ad="loopback")

    assert (found.health, found.what.split(":")[0]) == (Health.WRONG, "does not validate DNSSEC")


def test_where_the_root_is_a_private_one_without_dnssec_another_zone_is_to_be_named() -> None:
    """It may be that nothing is wrong."""
    probe = Probe("192.0.2.1:53", Validation.UNSIGNED_ROOT, "no AD bit")

    [found] = diagnose_resolvers([probe], answers_bogus=None, trust_ad="loopback")

    assert found.health is Health.WRONG
    assert "--signed-zone" in (found.remedy or "")


def _certificate_of(lab: Laboratory, leaf: Leaf, **changes: Any) -> Diagnosis:
    issued = lab.authority.issue(leaf)
    files = {"certificate": str(issued.chain_file), "private_key": str(issued.key_file)}
    return diagnose_certificate(lab.settings(receive={**files, **changes}), NOW)


@pytest.mark.parametrize(
    ("leaf", "what"),
    [
        pytest.param(Leaf((HOSTNAME,), days=(-80, 10)), "expires in", id="soon out of date"),
        pytest.param(Leaf(("mx.elsewhere.test",)), "is not for relay.test", id="another name"),
    ],
)
def test_a_certificate_that_will_not_do_is_named(lab: Laboratory, leaf: Leaf, what: str) -> None:
    """Before senders under REQUIRETLS find out."""
    found = _certificate_of(lab, leaf)

    assert found.health is Health.WRONG
    assert what in found.what
    assert found.remedy


@pytest.mark.parametrize(
    ("receive", "health"),
    [
        pytest.param(ReceiveSettings(), Health.ADVICE, id="nothing said"),
        pytest.param(ReceiveSettings(advertise=True), Health.WRONG, id="to be offered"),
        pytest.param(ReceiveSettings(advertise=False), Health.GOOD, id="not to be offered"),
    ],
)
def test_no_certificate_is_wrong_only_where_requiretls_is_to_be_received(
    receive: ReceiveSettings, health: Health
) -> None:
    """A machine that only sends needs none."""
    found = diagnose_certificate(Settings(receive=receive), NOW)

    assert found.health is health
    assert bool(found.remedy) is (health is not Health.GOOD)


@pytest.mark.parametrize(("enabled", "health"), [(True, Health.ADVICE), (False, Health.GOOD)])
def test_a_cache_in_memory_is_advised_against_only_where_there_is_something_to_keep(
    enabled: bool, health: Health
) -> None:
    """MTA-STS protects from the second contact on, and a restart makes every contact the first."""
    found = asyncio.run(diagnose_cache(Settings(mta_sts=MTASTSSettings(enabled=enabled))))

    assert found.health is health


@pytest.mark.parametrize(
    ("name", "health"), [("kept.sqlite", Health.GOOD), ("no/such/folder/kept.sqlite", Health.WRONG)]
)
def test_the_cache_is_tried(lab: Laboratory, tmp_path: Path, name: str, health: Health) -> None:
    """By writing to it; a folder in place of a file stands for all that goes wrong there."""
    (tmp_path / "no").write_text("a file where a folder should be", encoding="utf-8")

    found = asyncio.run(diagnose_cache(lab.settings(cache={"url": f"sqlite://{tmp_path}/{name}"})))

    assert found.health is health


@pytest.mark.parametrize(
    ("refusal", "health"),
    [
        (None, Health.GOOD),
        (Refusal(Reason.REQUIRETLS_NOT_OFFERED, Sureness.PROVED, "no"), Health.WRONG),
        (Refusal(Reason.HOST_UNREACHABLE, Sureness.NOT_JUDGED, "no"), Health.UNKNOWN),
    ],
)
def test_a_smarthost_is_good_wrong_or_not_known(refusal: Refusal | None, health: Health) -> None:
    """One that cannot be reached is not judged."""
    assert diagnose_smarthost(ServerAddress.parse("relay.test:25"), refusal).health is health


def test_a_local_hop_across_the_network_is_named(lab: Laboratory) -> None:
    """The settings may call any address local; LMTP to it is in cleartext."""
    hops = ["unix:/run/lmtp", "127.0.0.1:24", "192.0.2.7:24"]

    found = list(diagnose_local_hops(lab.settings(delivery={"trusted_local_hops": hops})))

    assert [each.subject for each in found if each.health is Health.WRONG] == ["local hop 192.0.2.7:24"]


@pytest.mark.parametrize(
    ("text", "health"),
    [
        pytest.param("nameserver 127.0.0.1\noptions edns0 trust-ad\n", Health.GOOD, id="trust-ad"),
        pytest.param("nameserver 127.0.0.1\noptions edns0\n", Health.WRONG, id="without"),
    ],
)
def test_the_c_librarys_stripping_of_ad_is_named(tmp_path: Path, text: str, health: Health) -> None:
    """Exim and Postfix see no AD bit without `options trust-ad`, and silently do no DANE."""
    file = tmp_path / "resolv.conf"
    file.write_text(text, encoding="utf-8")

    found = diagnose_resolv_conf(file, local_mta="Exim")

    assert found is not None
    assert found.health is health


def test_resolv_conf_does_not_matter_without_a_mail_server_that_reads_it(tmp_path: Path) -> None:
    """We ask the resolver ourselves."""
    assert diagnose_resolv_conf(tmp_path / "resolv.conf", local_mta=None) is None


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [
        pytest.param({"mail_version": "3.12", "lmtp_tls_security_level": "encrypt"}, [], id="all well"),
        pytest.param(
            {"mail_version": "3.7.11", "lmtp_tls_security_level": "encrypt"},
            ["set trusted_hops = []"],
            id="the header trap",
        ),
        pytest.param(
            {"mail_version": "3.12"},
            ["set lmtp_tls_security_level = encrypt in main.cf"],
            id="LMTP without TLS",
        ),
    ],
)
def test_postfix_before_us_is_examined(parameters: dict[str, str], wrong: list[str]) -> None:
    """What it would lose or let pass, each with the remedy."""
    found = list(diagnose_postfix(parameters, Settings()))

    assert [each.remedy for each in found if each.health is Health.WRONG] == wrong


def test_a_complete_mailman_cfg_is_good() -> None:
    """The example that comes with the adapter."""
    assert _healths(list(diagnose_mailman(_EXAMPLE))) == [Health.GOOD]


def test_each_missing_mailman_section_is_named(
    lab: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By --mailman; a runner that is left out loses tags without a word."""
    file = tmp_path / "mailman.cfg"
    text = _EXAMPLE.read_text(encoding="utf-8")
    file.write_text(
        text.replace("requiretls_mailman.runners.VirginRunner", "mailman.runners.virgin.VirginRunner")
    )

    ran = _examine(lab, tmp_path, capsys, monkeypatch, "--mailman", str(file))

    assert _wrong(ran) == {f"Mailman {file}": "[runner.virgin] class is not ours, so tags are lost there"}


def test_a_mailman_cfg_that_cannot_be_read_leaves_the_question_open(tmp_path: Path) -> None:
    """A wrong file name is not a missing section."""
    assert _healths(list(diagnose_mailman(tmp_path / "none.cfg"))) == [Health.UNKNOWN]
