"""`requiretls doctor`: what in this machine's set-up would break REQUIRETLS or silently weaken it."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from requiretls_plugin import doctor as examinations
from requiretls_plugin import doctor_neighbours as neighbours
from requiretls_plugin.cli.exit_code import ExitCode
from requiretls_plugin.cli.options import HELP, config_option, json_option, print_json, run_engine
from requiretls_plugin.doctor import Diagnosis, Health
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.errors import InvalidDomainName, SettingsError
from requiretls_plugin.observe.log import printable
from requiretls_plugin.policy.answers import LookupFailed
from requiretls_plugin.policy.nameservers import RESOLV_CONF
from requiretls_plugin.postfix_front import PARAMETERS, parse_postconf
from requiretls_plugin.settings import Settings

# A domain whose DNSSEC signatures are wrong on purpose, kept up for resolvers to be tried on.
BOGUS_NAME = "dnssec-failed.org"

_POSTCONF_SECONDS = 10.0


@click.command(context_settings=HELP)
@click.option(
    "--mailman", type=click.Path(path_type=Path, dir_okay=False), help="Also look at this mailman.cfg."
)
@click.option("--signed-zone", default=".", show_default=True, help="A zone that DNSSEC vouches for.")
@click.option(
    "--bogus-name", default=BOGUS_NAME, show_default=True, help="A name whose DNSSEC signatures are wrong."
)
@config_option
@json_option
def doctor(
    mailman: Path | None, signed_zone: str, bogus_name: str, config: Path | None, as_json: bool
) -> int:
    """Look for what would break REQUIRETLS on this machine, or weaken it without a word.

    Resolver, AD bit, own certificate, cache, smarthost, local hops, Postfix
    before us, and with --mailman the sections of that file. Exit: 0 nothing is
    wrong, be there advice or not; 69 something is wrong; 75 something could not
    be found out, as when the resolver does not reach the signed zone; 64 usage.
    """
    try:
        bogus = DomainName.parse(bogus_name)
    except InvalidDomainName as error:
        raise click.UsageError(f"--bogus-name: {error}") from None
    try:
        found = _examined(config, signed_zone, bogus)
    except SettingsError as error:
        found = examinations.diagnose_settings(error.source, error.problems)
    if mailman is not None:
        found += neighbours.diagnose_mailman(mailman)
    if as_json:
        print_json([_as_json(diagnosis) for diagnosis in found])
    else:
        _print(found)
    return _exit_code(found)


def _examined(config: Path | None, signed_zone: str, bogus: DomainName) -> list[Diagnosis]:
    async def examine(engine: Engine) -> list[Diagnosis]:
        settings, dns = engine.settings, engine.watched.dns
        probes = await dns.probe(signed_zone)
        answer = await dns.addresses(bogus)
        answers_bogus: bool | None = True
        if isinstance(answer, LookupFailed):
            answers_bogus = False if answer.bogus else None
        return [
            *examinations.diagnose_resolvers(
                probes, answers_bogus=answers_bogus, trust_ad=settings.dns.trust_ad
            ),
            examinations.diagnose_certificate(settings, datetime.datetime.now(datetime.UTC)),
            await examinations.diagnose_cache(settings),
            examinations.diagnose_smarthost(settings.delivery.smarthost, await engine.check_smarthost()),
            *examinations.diagnose_local_hops(settings),
            *_neighbours(settings),
        ]

    return run_engine(config, examine)


def _neighbours(settings: Settings) -> Iterator[Diagnosis]:
    postconf, exim = shutil.which("postconf"), shutil.which("exim4") or shutil.which("exim")
    mta = "Postfix" if postconf is not None else "Exim" if exim is not None else None
    resolv_conf = neighbours.diagnose_resolv_conf(RESOLV_CONF, local_mta=mta)
    if resolv_conf is not None:
        yield resolv_conf
    if postconf is not None:
        yield from neighbours.diagnose_postfix(_parameters(postconf), settings)


def _parameters(postconf: str) -> dict[str, str]:
    command = [postconf, *PARAMETERS]
    asked = subprocess.run(  # noqa: S603 - a program of this machine, fixed arguments
        command, capture_output=True, text=True, timeout=_POSTCONF_SECONDS, check=False
    )
    return parse_postconf(asked.stdout)


def _as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "subject": diagnosis.subject,
        "health": diagnosis.health.value,
        "what": diagnosis.what,
        "remedy": diagnosis.remedy,
    }


_COLOURS = {Health.GOOD: "green", Health.ADVICE: "cyan", Health.WRONG: "red", Health.UNKNOWN: "yellow"}


def _print(found: Sequence[Diagnosis]) -> None:
    for diagnosis in found:
        health = click.style(f"{diagnosis.health.value:8}", fg=_COLOURS[diagnosis.health])
        click.echo(f"{health} {printable(diagnosis.subject)}: {printable(diagnosis.what)}")
        if diagnosis.remedy:
            click.echo(f"{'':8} -> {printable(diagnosis.remedy)}")


def _exit_code(found: Sequence[Diagnosis]) -> ExitCode:
    healths = {diagnosis.health for diagnosis in found}
    if Health.WRONG in healths:
        return ExitCode.FAILED
    return ExitCode.TRY_AGAIN if Health.UNKNOWN in healths else ExitCode.OK
