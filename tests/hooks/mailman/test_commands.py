"""`mailman requiretls check` and `mailman requiretls audit LIST`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from requiretls_mailman.commands.requiretls import RequireTLSCommand
from requiretls_mailman.readiness import RUNNERS
from tests.hooks.mailman.bed import LIST, Bed, config

MAILMAN_CFG = Path(__file__).parents[3] / "examples" / "mailman" / "mailman.cfg"


def run(*arguments: str) -> Result:
    """Run `mailman requiretls` with *arguments*."""
    return CliRunner().invoke(RequireTLSCommand.command, arguments)


@pytest.fixture
def configured(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bed]:
    """Mailman with every runner section in place, on a machine without Postfix."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    sections = "".join(
        f"[runner.{name}]\nclass: requiretls_mailman.runners.{runner.__name__}\n"
        for name, runner in RUNNERS.items()
    )
    config.push("sections", sections)
    try:
        yield bed
    finally:
        config.pop("sections")


def problems(name: str = "changed", changes: str = "") -> list[str]:
    """Return what `check` finds once mailman.cfg has *changes*."""
    config.push(name, changes)
    try:
        result = run("check", "--json")
    finally:
        config.pop(name)
    found = json.loads(result.stdout)["problems"]
    assert result.exit_code == (69 if found else 0), result.output
    return [str(problem) for problem in found]


def settings(bed: Bed, **changes: Any) -> str:
    """Return a change of mailman.cfg that names other settings."""
    path = bed.lab.write_settings(bed.settings_file.with_name("other.toml"), **changes)
    return f"[plugin.requiretls]\nconfiguration: {path}\n"


def test_a_complete_installation_has_no_problem(configured: Bed) -> None:
    """Exit 0, and a note of where mail goes."""
    result = run("check")

    assert result.exit_code == 0, result.output
    assert "0 problems" in result.output
    assert "note: mail goes to the MX hosts" in result.output


@pytest.mark.parametrize("name", [name for name in RUNNERS if name != "nntp"])
def test_every_missing_runner_section_is_named(configured: Bed, name: str) -> None:
    """With the line to write."""
    [problem] = problems(changes=f"[runner.{name}]\nclass: mailman.core.runner.Runner\n")

    assert f"[runner.{name}]" in problem
    assert f"write requiretls_mailman.runners.{RUNNERS[name].__name__}" in problem


def test_a_runner_that_is_not_started_needs_no_section(configured: Bed) -> None:
    """Mailman does not start the gateway to newsgroups by default."""
    stock = "[runner.nntp]\nclass: mailman.runners.nntp.NNTPRunner\nstart: {}\n"

    assert problems(changes=stock.format("no")) == []
    assert len(problems(changes=stock.format("yes"))) == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ("[mta]\noutgoing: mailman.mta.deliver.deliver\n", "write requiretls_mailman.deliver"),
        ("[plugin.requiretls]\nenabled: no\n", "is not enabled"),
        ("[plugin.requiretls]\nclass:\n", "no section for the plugin"),
    ],
    ids=["delivery", "plugin switched off", "no plugin"],
)
def test_every_other_missing_line_is_named(configured: Bed, changes: str, expected: str) -> None:
    """So that nothing leaks for want of it."""
    assert any(expected in problem for problem in problems(changes=changes))


def test_a_plugin_that_could_not_start_is_a_problem(configured: Bed) -> None:
    """Mailman goes on without it, and only its log tells."""
    plugin = config.plugins.pop("requiretls")
    try:
        assert any("could not start" in problem for problem in problems())
    finally:
        config.plugins["requiretls"] = plugin


def test_lmtp_without_certificate_is_a_problem(configured: Bed) -> None:
    """Over the network it is two."""
    none = settings(configured, receive={"certificate": None, "private_key": None})

    assert ["LMTP is unprotected" in problem for problem in problems(changes=none)] == [True]
    found = problems(changes=none + "[mta]\nlmtp_host: 192.0.2.1\n")
    assert "in cleartext" in found[1]


def test_a_smarthost_without_requiretls_is_a_problem(configured: Bed) -> None:
    """It is asked now, and its answer is shown."""
    lab = configured.lab
    good = settings(configured, delivery={"smarthost": f"mx.dane-ee.test:{lab.port}"})
    assert problems(changes=good) == []

    bad = settings(configured, delivery={"smarthost": f"mx.no-keyword.test:{lab.port}"})
    [problem] = problems(changes=bad)
    assert "cannot take REQUIRETLS mail (requiretls-not-offered" in problem


def test_a_smarthost_without_a_password_is_a_problem(configured: Bed, tmp_path: Path) -> None:
    """Named, and no error of the command."""
    empty = tmp_path / "password"
    empty.touch()
    no_password = settings(
        configured,
        delivery={
            "smarthost": f"mx.dane-ee.test:{configured.lab.port}",
            "smarthost_user": "list",
            "smarthost_password_file": str(empty),
        },
    )

    assert any("no password for list" in problem for problem in problems(changes=no_password))


def test_settings_with_mistakes_are_all_named(configured: Bed, tmp_path: Path) -> None:
    """Exit 78."""
    broken = tmp_path / "broken.toml"
    broken.write_text("[mailman]\nrequire = 'sometimes'\ndigst = 'tag'\n")
    config.push("broken", f"[plugin.requiretls]\nconfiguration: {broken}\n")
    try:
        result = run("check")
    finally:
        config.pop("broken")

    assert result.exit_code == 78
    assert "mailman.require" in result.output
    assert "is digest meant?" in result.output


def test_postfix_in_front_is_asked_for_its_part(
    configured: Bed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where Mailman is set up for Postfix."""
    postconf = tmp_path / "postconf"
    postconf.write_text("#!/bin/sh\necho mail_version = 3.7.11\necho 'lmtp_tls_security_level ='\n")
    postconf.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(postconf))

    found = problems(changes="[mta]\nincoming: mailman.mta.postfix.LMTP\n")

    assert any("trusted_hops believes it" in problem for problem in found)
    assert any("lmtp_tls_security_level = encrypt" in problem for problem in found)


def test_an_audit_says_whom_the_list_reaches(bed: Bed, tmp_path: Path) -> None:
    """As a table, as JSON and as a page; exit 69 as not everybody is reached."""
    bed.create_list(["a@dane-ee.test", "b@dane-ee.test", "c@no-keyword.test"])
    page = tmp_path / "audit.html"

    result = run("audit", LIST, "--json", "--html", str(page))

    assert result.exit_code == 69, result.output
    found = json.loads(result.stdout)
    assert (found["members"], found["reached"], found["not_reached"]) == (3, 2, 1)
    assert [domain["domain"] for domain in found["domains"]] == ["dane-ee.test", "no-keyword.test"]
    assert "reaches 2 of 3 members" in run("audit", "team.lists.test").stdout
    assert "team@lists.test" in page.read_text()


def test_an_audit_counts_only_members_who_get_mail(bed: Bed) -> None:
    """Digest subscribers do, members with disabled delivery do not."""
    from mailman.interfaces.member import DeliveryMode, DeliveryStatus

    from tests.hooks.mailman.bed import transaction

    mlist = bed.create_list(["a@dane-ee.test", "d@sts.test", "off@no-keyword.test"])
    with transaction():
        mlist.members.get_member("d@sts.test").preferences.delivery_mode = DeliveryMode.mime_digests
        mlist.members.get_member("off@no-keyword.test").preferences.delivery_status = DeliveryStatus.by_user

    result = run("audit", LIST, "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["reached"] == 2


def test_an_audit_of_no_list_is_a_usage_error(bed: Bed) -> None:
    """Exit 64, with the name."""
    result = run("audit", "nobody@lists.test")

    assert result.exit_code == 64
    assert "nobody@lists.test" in result.output
