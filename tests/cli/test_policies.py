"""`requiretls policies`, as a shell would run it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from requiretls_plugin.cli import run
from requiretls_plugin.cli.exit_code import ExitCode
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.policy.cache import open_store
from requiretls_plugin.policy.sts_cache import PolicyCache
from requiretls_plugin.policy.sts_failure import FetchFailure, note_failure
from tests.policy.sts_entries import entry

NOW = float(int(time.time()))
Output = pytest.CaptureFixture[str]


class Cache:
    """A settings file with a cache beside it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "cache.sqlite"
        self.config = folder / "requiretls.toml"
        self.config.write_text(f'[cache]\nurl = "sqlite://{self.file}"\n')

    def fill(self) -> None:
        """Put policies of two domains, the refresh of one failed, and an expired one."""

        async def work(store: PolicyCache) -> None:
            await store.put(entry("a.example", fetched=NOW - 60))
            await store.put(entry("b.example", mode="testing", record_id="7", fetched=NOW - 60))
            await store.put(entry("old.example", max_age=10, fetched=NOW - 60))
            failure = FetchFailure("8", "sts-webpki-invalid", "[red]expired[/red]", NOW - 30)
            await note_failure(store, DomainName("b.example"), failure)
            earlier = FetchFailure("1", "sts-policy-fetch-error", "long forgotten", NOW - 90)
            await note_failure(store, DomainName("a.example"), earlier)

        self.use(work)

    def use(self, work: Callable[[PolicyCache], Awaitable[None]]) -> None:
        """Run *work* with the store."""

        async def inside() -> None:
            store = open_store(f"sqlite://{self.file}")
            await work(store)
            await store.close()

        asyncio.run(inside())

    def run(self, *arguments: str) -> int:
        """Run `requiretls policies` with *arguments*."""
        return run(["policies", *arguments, "--config", str(self.config)])


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A cache that does not exist yet."""
    return Cache(tmp_path)


@pytest.fixture
def full_cache(cache: Cache) -> Cache:
    """A cache with two policies in force."""
    cache.fill()
    return cache


def test_list_has_the_policies_in_force(full_cache: Cache, capsys: Output) -> None:
    """With what went wrong since they were fetched, in the server's own brackets."""
    assert full_cache.run("list", "--json") == ExitCode.OK

    first, second = json.loads(capsys.readouterr().out)
    assert (first["domain"], first["mode"], first["last_error"]) == ("a.example", "enforce", None)
    assert second["domain"] == "b.example"
    assert second["id"] == "7"
    assert second["mode"] == "testing"
    assert second["mx"] == ["mx.b.example"]
    assert second["max_age"] == 604_800
    assert second["last_error"]["result_type"] == "sts-webpki-invalid"
    assert second["last_error"]["why"] == "[red]expired[/red]"
    assert second["fetched"].endswith("+00:00")


def test_list_is_a_table_for_people(
    full_cache: Cache, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server's words are shown as they are, not taken for markup."""
    monkeypatch.setenv("COLUMNS", "200")

    assert full_cache.run("list") == ExitCode.OK

    output = capsys.readouterr().out
    for part in ("a.example", "mx.b.example", "testing", "[red]expired[/red]"):
        assert part in output
    assert "old.example" not in output
    assert "long forgotten" not in output


def test_show_has_the_policy_as_it_was_fetched(full_cache: Cache, capsys: Output) -> None:
    """For people and for machines."""
    assert full_cache.run("show", "B.Example.") == ExitCode.OK
    words = capsys.readouterr().out
    assert full_cache.run("show", "b.example", "--json") == ExitCode.OK
    shown = json.loads(capsys.readouterr().out)

    assert "  mode: testing\n" in words
    assert "sts-webpki-invalid: [red]expired[/red]" in words
    assert shown["policy"] == entry("b.example", mode="testing").policy.text


@pytest.mark.parametrize("domain", ["never.example", "old.example"])
def test_show_of_what_is_not_in_force_says_so(full_cache: Cache, capsys: Output, domain: str) -> None:
    """An expired policy is none."""
    assert full_cache.run("show", domain) == ExitCode.OK
    assert capsys.readouterr().out == f"No policy of {domain} is in force.\n"
    assert full_cache.run("show", domain, "--json") == ExitCode.OK
    assert json.loads(capsys.readouterr().out) is None


def test_purge_deletes_the_domains_named(full_cache: Cache, capsys: Output) -> None:
    """And no others."""
    assert full_cache.run("purge", "b.example", "never.example", "--json") == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == {"purged": 1}
    assert full_cache.run("list", "--json") == ExitCode.OK
    assert [each["domain"] for each in json.loads(capsys.readouterr().out)] == ["a.example"]


def test_purge_of_all_has_to_be_said(full_cache: Cache, capsys: Output) -> None:
    """Forgetting a domain's name must not delete everything."""
    assert full_cache.run("purge") == ExitCode.USAGE
    assert full_cache.run("purge", "--all", "a.example") == ExitCode.USAGE
    assert full_cache.run("purge", "--all") == ExitCode.OK
    assert "3 policies deleted" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [("show", "a..b"), ("purge", "192.0.2.1"), ("show",), ("list", "x"), ("no",)]
)
def test_wrong_usage_is_exit_64(cache: Cache, arguments: tuple[str, ...]) -> None:
    """Before anything is opened."""
    assert cache.run(*arguments) == ExitCode.USAGE
    assert not cache.file.exists()


def test_wrong_settings_are_exit_78(tmp_path: Path, capsys: Output) -> None:
    """With what is wrong about them."""
    config = tmp_path / "wrong.toml"
    config.write_text('[cache]\nurl = "mysql://x"\n')

    assert run(["policies", "list", "--config", str(config)]) == ExitCode.SETTINGS
    assert "cache.url" in capsys.readouterr().err


def test_broken_cache_is_exit_78(cache: Cache, capsys: Output) -> None:
    """An operator who looks must not be told that there is nothing."""
    cache.file.write_bytes(b"rubbish " * 1000)

    assert cache.run("list") == ExitCode.SETTINGS
    assert str(cache.file) in capsys.readouterr().err


def test_dead_redis_is_exit_78(tmp_path: Path, capsys: Output) -> None:
    """The message has no password in it."""
    config = tmp_path / "requiretls.toml"
    config.write_text('[cache]\nurl = "redis://:secret@127.0.0.1:1/0"\n')

    assert run(["policies", "list", "--config", str(config)]) == ExitCode.SETTINGS
    error = capsys.readouterr().err
    assert "127.0.0.1:1" in error
    assert "secret" not in error


def test_cache_that_does_not_exist_is_not_made(cache: Cache, capsys: Output) -> None:
    """It would belong to root, and the mail server could not write it."""
    assert cache.run("list", "--json") == ExitCode.OK
    captured = capsys.readouterr()
    assert json.loads(captured.out) == []
    assert "does not exist yet" in captured.err
    assert not cache.file.exists()


def test_cache_in_memory_is_said_to_be_out_of_sight(tmp_path: Path, capsys: Output) -> None:
    """An empty list alone would mislead."""
    config = tmp_path / "requiretls.toml"
    config.write_text("")

    assert run(["policies", "list", "--config", str(config)]) == ExitCode.OK
    assert "memory:" in capsys.readouterr().err
