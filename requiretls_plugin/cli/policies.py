"""`requiretls policies`: the MTA-STS policies in the cache."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from requiretls_plugin.cli.exit_code import ExitCode
from requiretls_plugin.cli.options import HELP, config_option, json_option, print_json
from requiretls_plugin.cli.terminal import print_table, say
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.errors import CacheFailure, InvalidDomainName, SettingsError
from requiretls_plugin.policy.cache import MEMORY, open_store, sqlite_path
from requiretls_plugin.policy.cache_memory import MemoryCache
from requiretls_plugin.policy.sts_cache import CachedPolicy, PolicyCache
from requiretls_plugin.policy.sts_failure import FetchFailure, last_failure
from requiretls_plugin.settings import Settings

T = TypeVar("T")


def _domain(text: str) -> DomainName:
    try:
        return DomainName.parse(text)
    except InvalidDomainName as error:
        raise click.BadParameter(str(error)) from None


@dataclass(frozen=True, slots=True)
class _Known:
    """What the cache knows about a domain; *failure* only if it came after *entry*."""

    entry: CachedPolicy | None
    failure: FetchFailure | None


@click.group(context_settings=HELP)
def policies() -> None:
    """Show and delete cached MTA-STS policies.

    Exit: 0 done; 64 usage; 78 settings, or a cache that does not work.
    """


@policies.command("list", context_settings=HELP)
@config_option
@json_option
def list_policies(config: Path | None, as_json: bool) -> int:
    """List the policies in force."""

    async def work(cache: PolicyCache) -> list[_Known]:
        entries = await cache.entries(time.time())
        return [await _known(cache, entry.domain, entry) for entry in entries]

    found = _use_cache(config, work)
    if as_json:
        print_json([_as_json(known.entry, known.failure) for known in found if known.entry])
    else:
        print_table(_COLUMNS, _rows(found))
    return ExitCode.OK


@policies.command(context_settings=HELP)
@click.argument("domain", type=_domain)
@config_option
@json_option
def show(domain: DomainName, config: Path | None, as_json: bool) -> int:
    """Show the policy of DOMAIN, and what went wrong last.

    With --json an object, or null if no policy is in force.
    """

    async def work(cache: PolicyCache) -> _Known:
        entry = await cache.get(domain)
        in_force = entry if entry is not None and entry.expires > time.time() else None
        return await _known(cache, domain, in_force)

    known = _use_cache(config, work)
    if as_json:
        entry = known.entry
        shown = {**_as_json(entry, known.failure), "policy": entry.policy.text} if entry else None
        print_json(shown)
    else:
        say(_in_words(domain, known))
    return ExitCode.OK


@policies.command(context_settings=HELP)
@click.argument("domains", type=_domain, nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Delete the policies of all domains.")
@config_option
@json_option
def purge(domains: tuple[DomainName, ...], everything: bool, config: Path | None, as_json: bool) -> int:
    """Delete the policies of DOMAINS; the next message to them fetches afresh.

    Until then an attacker who blocks the fetch can keep the policy from being
    applied, so delete only what is known to be wrong.
    """
    if bool(domains) == everything:
        raise click.UsageError("name domains, or give --all")

    async def work(cache: PolicyCache) -> int:
        return await cache.purge(None if everything else domains)

    deleted = _use_cache(config, work)
    if as_json:
        print_json({"purged": deleted})
    else:
        click.echo(f"{deleted} {'policy' if deleted == 1 else 'policies'} deleted")
    return ExitCode.OK


def _use_cache(config: Path | None, work: Callable[[PolicyCache], Awaitable[T]]) -> T:
    """Return what *work* does with the cache in the settings; raises SettingsError."""
    settings = Settings.load(config)
    cache = _cache(settings.cache.url)

    async def run() -> T:
        try:
            return await work(cache)
        finally:
            await cache.close()

    try:
        return asyncio.run(run())
    except CacheFailure as failure:
        raise SettingsError("cache.url", [str(failure)]) from None


def _cache(url: str) -> PolicyCache:
    if url == MEMORY:
        click.echo('cache.url is "memory:": each server process keeps its policies to itself', err=True)
        return MemoryCache()
    file = sqlite_path(url)
    if file is not None and not file.exists():
        # Not created here: it would belong to whoever looks, and the mail server could not write it.
        click.echo(f"{file} does not exist yet", err=True)
        return MemoryCache()
    return open_store(url, create=False)


async def _known(cache: PolicyCache, domain: DomainName, entry: CachedPolicy | None) -> _Known:
    failure = await last_failure(cache, domain, time.time())
    if failure is not None and entry is not None and failure.at <= entry.fetched:
        failure = None
    return _Known(entry, failure)


def _as_json(entry: CachedPolicy, failure: FetchFailure | None) -> dict[str, Any]:
    return {
        "domain": entry.domain.text,
        "id": entry.record_id,
        "mode": entry.policy.mode.value,
        "mx": [str(pattern) for pattern in entry.policy.mx],
        "max_age": entry.policy.max_age,
        "fetched": _time(entry.fetched),
        "expires": _time(entry.expires),
        "last_used": _time(entry.last_used),
        "last_error": None
        if failure is None
        else {"at": _time(failure.at), "result_type": failure.result_type, "why": failure.why},
    }


_COLUMNS = ("domain", "mode", "mx", "id", "fetched", "expires", "last error")


def _rows(found: Sequence[_Known]) -> Iterator[tuple[str, ...]]:
    for known in found:
        if (entry := known.entry) is not None:
            yield (
                entry.domain.text,
                entry.policy.mode.value,
                "\n".join(map(str, entry.policy.mx)),
                entry.record_id,
                _time(entry.fetched),
                _time(entry.expires),
                known.failure.why if known.failure else "",
            )


def _in_words(domain: DomainName, known: _Known) -> str:
    lines = []
    if (entry := known.entry) is None:
        lines.append(f"No policy of {domain} is in force.")
    else:
        lines += [
            f"Policy of {domain}, id {entry.record_id}",
            f"fetched {_time(entry.fetched)}, expires {_time(entry.expires)}, used {_time(entry.last_used)}",
            "",
            *(f"  {line}" for line in entry.policy.text.replace("\r\n", "\n").strip("\n").split("\n")),
        ]
    if (failure := known.failure) is not None:
        lines += ["", f"The last fetch, {_time(failure.at)}, failed: {failure.result_type}: {failure.why}"]
    return "\n".join(lines)


def _time(when: float) -> str:
    return datetime.datetime.fromtimestamp(when, datetime.UTC).isoformat(timespec="seconds")
