"""What is broken is found: each break fails the cases it should, and no others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from requiretls_lab.laboratory import Laboratory
from requiretls_lab.selftest.running import all_cases
from requiretls_lab.smtp_script import EXTENSIONS, Offer, Script
from requiretls_plugin import bounce, engine
from requiretls_plugin.delivery.outcome import Disposition, Outcome
from requiretls_plugin.engine import Engine
from requiretls_plugin.hookspecs import hookimpl
from requiretls_plugin.message import Message, Recipient
from requiretls_plugin.policy.evidence import Evidence, NameProof
from requiretls_plugin.receiving import command_arguments
from requiretls_plugin.reply import Reply
from requiretls_plugin.requirement import Tag
from requiretls_plugin.returned_message import returned_part
from requiretls_plugin.security import Security
from requiretls_plugin.smtp_extension import Extensions, take_mail_parameter
from tests.cli.running import CommandLine, Ran
from tests.delivery.delivering import plugins


def failed(ran: Ran) -> set[str]:
    """Return the names of the cases that failed."""
    return {case["case"] for case in ran.json()["cases"] if case["verdict"] == "fail"}


def names_are_believed(patch: pytest.MonkeyPatch) -> None:
    """Half-DANE is as good as DANE."""
    patch.setattr(Evidence, "name_proof", lambda *_, **__: NameProof.DNSSEC)


def an_argument_does_no_harm(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Extensions, "requiretls", property(lambda self: "REQUIRETLS" in self))


def the_tag_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    original = Engine.receive

    async def receive(self: Engine, message: Message) -> Message:
        return (await original(self, message)).with_tag(Tag())

    patch.setattr(Engine, "receive", receive)


def private_fields_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "strip_private_fields", lambda content: content)


def notices_ask_for_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(bounce, "inherited", lambda tag: Tag())


def notices_show_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        bounce, "returned_part", lambda report: returned_part(dataclasses.replace(report, redacted=False))
    )


class Careless:
    """A plugin that says it has delivered what it has not."""

    @hookimpl
    def requiretls_deliver(self, message: Message, recipients: Sequence[Recipient]) -> list[Outcome]:
        ok = Reply(250, "2.0.0", "OK")
        return [
            Outcome(recipient, Disposition.DELIVERED, ok, security=Security.DANE, requiretls=True)
            for recipient in recipients
        ]


class Failing:
    """A plugin that cannot tell."""

    @hookimpl
    def requiretls_receive(self, message: Message) -> None:
        raise ValueError("no idea")


def a_plugin_is_careless(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "plugin_manager", lambda: plugins(Careless()))


def a_plugin_fails(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "plugin_manager", lambda: plugins(Failing()))


KEYWORD = {case.name for case in all_cases() if case.name.startswith("keyword/")}

BREAKS: list[tuple[Callable[[pytest.MonkeyPatch], None], list[str], set[str]]] = [
    (
        names_are_believed,
        ["dane", "chain"],
        {"dane/half-dane", "dane/unsigned-mx", "chain/no-mx", "chain/unproven-name"},
    ),
    (an_argument_does_no_harm, ["keyword"], {"keyword/with-argument"}),
    (
        the_tag_is_forgotten,
        ["keyword", "forgeries"],
        {
            "keyword/offered",
            "keyword/missing",
            "keyword/sticky-ehlo",
            "keyword/also-before-tls",
            "keyword/cleartext-only-host",
            "keyword/with-argument",
            "forgeries/stored-tag-weakens-required",
            "forgeries/postfix-tag-on-required",
        },
    ),
    (
        private_fields_stay,
        ["forgeries"],
        {
            "forgeries/stored-tag-strengthens",
            "forgeries/postfix-tag",
            "forgeries/postfix-tag-on-required",
        },
    ),
    (
        notices_ask_for_nothing,
        ["notices"],
        {
            "notices/under-requiretls",
            "notices/about-any-failure",
            "notices/about-optional",
            # What is not marked goes anywhere, header and all.
            "notices/redacted",
            "notices/redacted-in-cleartext",
        },
    ),
    (a_plugin_is_careless, ["keyword"], KEYWORD),
    (a_plugin_fails, ["keyword"], KEYWORD),
    (notices_show_everything, ["notices"], {"notices/redacted", "notices/redacted-in-cleartext"}),
]


@pytest.mark.parametrize(
    ("broken", "themes", "cases"), BREAKS, ids=[broken.__name__ for broken, *_ in BREAKS]
)
def test_a_broken_installation_is_found(
    requiretls: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    broken: Callable[[pytest.MonkeyPatch], None],
    themes: list[str],
    cases: set[str],
) -> None:
    """Exit 69, and the cases that fail name what is broken."""
    broken(monkeypatch)

    ran = requiretls("selftest", "--json", *themes)

    assert failed(ran) == cases
    assert ran.code == 69


def test_settings_that_weaken_are_found(requiretls: CommandLine, tmp_path: Path) -> None:
    """A level for every domain, and trust in policies under test: both are the operator's to choose."""
    (tmp_path / "requiretls.toml").write_text(
        '[levels]\n"*" = "opportunistic"\n[mta_sts]\naccept_testing = true\n'
    )

    ran = requiretls("selftest", "--json", "keyword/missing", "keyword/offered", "mta-sts/enforce")

    assert failed(ran) == {"keyword/missing"}
    assert ran.code == 69


def test_a_failure_is_told_in_full(requiretls: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done, what had to come of it, and what did."""
    names_are_believed(monkeypatch)

    ran = requiretls("selftest", "dane/half-dane")

    name, done, expected, seen, total = ran.output.splitlines()[-5:]
    assert name == "FAIL dane/half-dane (RFC 7672 section 2.2.1)"
    assert done == (
        "     done:     unsigned MX of a host in a signed zone with a matching TLSA;"
        " a message that asks for REQUIRETLS"
    )
    assert expected == "     expected: failed 550 5.7.10 name-not-proven; no host is connected to"
    assert seen.startswith("     seen:     delivered ")
    assert seen.endswith(
        "; mx.half-dane-host.test has it in TLS under REQUIRETLS; not failed 550 5.7.10 name-not-proven;"
        " connected to mx.half-dane-host.test; it arrived; MAIL was said"
    )
    assert total == "0 passed, 1 failed, 0 skipped"


def test_a_receiver_of_ours_that_promises_in_cleartext_is_found(
    requiretls: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the parameter whatever the session is."""

    def take(parameters: MutableMapping[str, str | None], **_: Any) -> bool:
        return take_mail_parameter(parameters, tls=True, offered=True)

    monkeypatch.setattr(command_arguments, "take_mail_parameter", take)

    ran = requiretls("selftest", "--json", "offer", "parameter", "transactions")

    assert failed(ran) == {"parameter/in-cleartext"}
    assert ran.code == 69


ADDRESS = ("--to", "u@receiver.test")

# What the scripted server does wrong in any case: it reads no values, and ends messages at LF dot CRLF.
ALWAYS = {
    "parameter/with-value",
    "parameter/with-empty-value",
    "parameter/on-rcpt",
    "sizes/too-large",
    "smuggling/lf-dot-crlf",
}
SERVERS = [
    pytest.param(Script(), set(), id="flawless but for that"),
    pytest.param(
        Script(replies={"MAIL": "250 2.1.0 Ok"}),
        {"parameter/in-cleartext", "transactions/nested-mail"},
        id="takes every MAIL",
    ),
    pytest.param(Script(requiretls=Offer.ALWAYS), {"offer/not-in-cleartext"}, id="lists it in cleartext"),
    pytest.param(
        Script(requiretls=Offer.NEVER, extensions=(*EXTENSIONS, "REQUIRETLS yes")),
        {"offer/not-in-cleartext", "offer/inside-tls", "parameter/not-offered"},
        id="lists an argument",
    ),
    pytest.param(
        Script(extensions=(*EXTENSIONS, "STARTTLS")),
        {"offer/starttls-not-listed-again"},
        id="lists STARTTLS inside TLS",
    ),
    pytest.param(
        Script(replies={"STARTTLS in TLS": "220 2.0.0 go"}),
        {"offer/starttls-not-taken-again"},
        id="takes STARTTLS inside TLS",
    ),
    pytest.param(
        Script(replies={"RCPT": "250 2.1.5 Ok"}),
        {"offer/forgets-what-was-before", "parameter/in-cleartext", "transactions/rset", "transactions/ehlo"},
        id="needs no MAIL",
    ),
]


@pytest.mark.parametrize(("script", "cases"), SERVERS)
def test_a_broken_server_is_found(
    requiretls: CommandLine, lab: Laboratory, script: Script, cases: set[str]
) -> None:
    """Exit 69; what cannot be seen from outside is skipped."""
    host = lab.destination("mx.dane-ee.test")
    host.script = script

    ran = requiretls("selftest", "--json", "--smtp", f"{host.address}:{host.port}", *ADDRESS)

    assert failed(ran) - ALWAYS == cases
    assert ran.code == 69


def test_a_server_without_requiretls_is_judged_by_what_it_refuses(
    requiretls: CommandLine, lab: Laboratory
) -> None:
    """The scripted server knows no such parameter then, and says so."""
    host = lab.destination("mx.no-keyword.test")

    ran = requiretls("selftest", "--json", "--smtp", f"{host.address}:{host.port}", *ADDRESS)

    verdicts = {case["case"]: (case["verdict"], case["seen"]) for case in ran.json()["cases"]}
    assert verdicts["offer/inside-tls"] == ("skip", "does not offer REQUIRETLS")
    assert verdicts["parameter/taken"] == ("skip", "does not offer REQUIRETLS")
    assert verdicts["parameter/not-offered"][0] == "pass"


def test_a_server_without_tls_is_judged_by_what_it_says_in_cleartext(
    requiretls: CommandLine, lab: Laboratory
) -> None:
    """Everything else is skipped, with that reason."""
    host = lab.destination("mx.no-starttls.test")

    ran = requiretls("selftest", "--json", "--smtp", f"{host.address}:{host.port}", *ADDRESS)

    skipped = {case["seen"] for case in ran.json()["cases"] if case["verdict"] == "skip"}
    passed = {case["case"] for case in ran.json()["cases"] if case["verdict"] == "pass"}
    assert skipped == {"does not offer STARTTLS"}
    assert {"offer/not-in-cleartext", "parameter/in-cleartext"} <= passed


@pytest.mark.parametrize(
    ("name", "verdict"),
    [("mx.dane-ee.test", "pass"), ("mx.elsewhere.test", "fail"), (None, "skip")],
    ids=["its own", "another", "nobody looks"],
)
def test_the_certificate_is_checked_on_request(
    requiretls: CommandLine, lab: Laboratory, tmp_path: Path, name: str | None, verdict: str
) -> None:
    """By the trust anchors of the settings."""
    host = lab.destination("mx.dane-ee.test")
    (tmp_path / "requiretls.toml").write_text(f'[tls]\nca_file = "{lab.authority.ca_file}"\n')
    verify = ["--verify", name] if name else []

    place = f"{host.address}:{host.port}"
    ran = requiretls("selftest", "--json", "--smtp", place, *ADDRESS, *verify, "offer/certificate")

    [case] = ran.json()["cases"]
    assert case["verdict"] == verdict, case["seen"]
