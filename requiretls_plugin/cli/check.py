"""`requiretls check`: can these domains take REQUIRETLS mail now?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from requiretls_plugin.cli.exit_code import ExitCode
from requiretls_plugin.cli.options import HELP, config_option, json_option, print_json, run_engine
from requiretls_plugin.cli.terminal import print_table
from requiretls_plugin.domain_name import DomainName
from requiretls_plugin.engine import Engine
from requiretls_plugin.errors import InvalidDomainName
from requiretls_plugin.preflight import Readiness, Verdict


@click.command(context_settings=HELP)
@click.argument("domains", nargs=-1, required=True, metavar="DOMAIN...")
@config_option
@json_option
def check(domains: tuple[str, ...], config: Path | None, as_json: bool) -> int:
    """Say whether each DOMAIN could take REQUIRETLS mail now; nothing is sent.

    Exit: 0 all ready; 69 some not ready; 75 some unknown, the others ready;
    64 usage; 78 settings.
    """
    parsed, problems = [], []
    for text in domains:
        try:
            parsed.append(DomainName.parse(text))
        except InvalidDomainName as error:
            problems.append(str(error))
    if problems:
        raise click.UsageError("; ".join(problems))

    async def work(engine: Engine) -> list[Readiness]:
        return await asyncio.gather(*(engine.check(domain) for domain in parsed))

    found = run_engine(config, work)
    if as_json:
        print_json([readiness_as_json(readiness) for readiness in found])
    else:
        print_table(_COLUMNS, _rows(found))
    return _exit_code(found)


def readiness_as_json(readiness: Readiness) -> dict[str, Any]:
    """Return the form of *readiness* that machines get."""
    return {
        "domain": str(readiness.domain),
        "verdict": readiness.verdict.value,
        "reason": readiness.reason.value if readiness.reason else None,
        "hosts": [
            {
                "host": host.host,
                "preference": host.preference,
                "name_proof": host.name_proof.value,
                "authentication": host.authentication,
                "starttls": host.starttls,
                "requiretls": host.requiretls,
                "verdict": host.verdict.value,
                "reason": host.reason.value if host.reason else None,
            }
            for host in readiness.hosts
        ],
    }


_COLUMNS = ("domain", "verdict", "host", "name proved by", "authentication", "STARTTLS", "REQUIRETLS", "why")


def _rows(found: Sequence[Readiness]) -> Iterator[tuple[str, ...]]:
    for readiness in found:
        reason = readiness.reason.value if readiness.reason else ""
        yield str(readiness.domain), readiness.verdict.value, "", "", "", "", "", reason
        for host in readiness.hosts:
            why = f"{host.reason.value}: {host.why}" if host.reason else ""
            row = (f"{host.preference} {host.host}", host.name_proof.value, host.authentication)
            yield "", host.verdict.value, *row, _word(host.starttls), _word(host.requiretls), why


def _word(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "?"}[value]


def _exit_code(found: Sequence[Readiness]) -> ExitCode:
    verdicts = {readiness.verdict for readiness in found}
    if Verdict.NOT_READY in verdicts:
        return ExitCode.FAILED
    return ExitCode.TRY_AGAIN if Verdict.UNKNOWN in verdicts else ExitCode.OK
