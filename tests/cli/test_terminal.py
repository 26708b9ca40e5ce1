"""What strangers chose reaches a terminal as printable text only."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from requiretls_lab.laboratory import Laboratory
from requiretls_lab.smtp_script import Answer, Script
from requiretls_plugin.cli import run
from requiretls_plugin.cli.terminal import print_table, say
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.cache import open_store
from requiretls_plugin.policy.sts_cache import CachedPolicy
from requiretls_plugin.policy.sts_failure import FetchFailure, note_failure
from requiretls_plugin.policy.sts_policy import parse_sts_policy
from tests.cli.running import CommandLine

# Clears the screen, sets the title, moves up: what a terminal would obey.
_ESCAPE = "\x1b[2J\x1b]0;owned\x07\x1b[1A\x9b2J"


def _printable(output: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in output)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.lists(st.lists(st.text(max_size=20), min_size=2, max_size=2), max_size=3))
def test_attack_no_text_gets_a_control_character_into_a_line_or_a_table(
    capsys: pytest.CaptureFixture[str], line: str, rows: list[list[str]]
) -> None:
    """For every text."""
    say(line)
    say(line, err=True)
    print_table(("a", "b"), rows)

    captured = capsys.readouterr()
    assert _printable(captured.out)
    assert _printable(captured.err)


def test_brackets_are_no_markup_and_lines_of_a_cell_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """And what is harmless is shown as it is."""
    print_table(("mx", "why"), [("mx1.a.test\nmx2.a.test", "[red]no[/red] :smile: C:\\x")])

    output = capsys.readouterr().out
    assert "[red]no[/red] :smile: C:\\x5cx" in output
    assert [line.split("│")[1].strip() for line in output.splitlines() if "mx" in line and "│" in line] == [
        "mx1.a.test",
        "mx2.a.test",
    ]


@pytest.mark.parametrize("step", ["greeting", "EHLO", "STARTTLS", "EHLO in TLS", "MAIL", "end-of-data"])
@pytest.mark.parametrize("command", ["check", "send", "explain"])
def test_attack_a_terminal_escape_in_a_servers_reply_is_not_obeyed(
    requiretls: CommandLine, lab: Laboratory, command: str, step: str
) -> None:
    """Whenever the server says it, and whatever it then is that fails."""
    answer: Answer = f"554 5.7.1 {_ESCAPE} go away".encode("latin-1") + b"\r\n"
    lab.destination("mx.dane-ee.test").script = Script(replies={step: answer})
    arguments = {
        "check": ("check", "dane-ee.test"),
        "send": ("send", "--from", "alice@sender.test", "--require-tls", "bob@dane-ee.test"),
        "explain": ("explain", "bob@dane-ee.test"),
    }

    ran = requiretls(*arguments[command], stdin=b"Subject: x\r\n\r\nx\r\n")

    assert "dane-ee.test" in ran.output
    assert _printable(ran.output)


# The grammar of a policy file has no room for control characters, but for what turns a line round.
_TURNED = "version: STSv1\nmode: enforce\nmx: mx.a.test\nmax_age: 86400\nnote: \u202egnp.exe\u2028x\n"


def _cache_with_odd_entries(file: Path) -> None:
    now = time.time()

    async def fill() -> None:
        store = open_store(f"sqlite://{file}")
        policy = parse_sts_policy(_TURNED.encode())
        await store.put(CachedPolicy(DomainName("a.test"), "1", policy, now - 60, now - 60))
        failure = FetchFailure("2", "sts-policy-fetch-error", f"answered {_ESCAPE}", now - 30)
        await note_failure(store, DomainName("a.test"), failure)
        await store.close()

    asyncio.run(fill())


@pytest.mark.parametrize("arguments", [("list",), ("show", "a.test")], ids=lambda each: each[0])
def test_attack_a_terminal_escape_in_a_policy_is_not_obeyed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """Neither in its text nor in what its web server said the last time."""
    _cache_with_odd_entries(tmp_path / "cache.sqlite")
    config = tmp_path / "requiretls.toml"
    config.write_text(f'[cache]\nurl = "sqlite://{tmp_path}/cache.sqlite"\n', encoding="utf-8")

    assert run(["policies", *arguments, "--config", str(config)]) == 0

    output = capsys.readouterr().out
    assert "\\x1b[2J" in output
    assert _printable(output)
    assert arguments == ("list",) or "note: \\u202egnp.exe\\u2028x" in output
