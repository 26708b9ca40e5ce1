"""`requiretls audit`: whom do these addresses reach under REQUIRETLS today?"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterable
from email.utils import parseaddr
from pathlib import Path
from typing import Any, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from requiretls_plugin.audit import PARALLEL, Audit, DomainReport, Subscribers, audit
from requiretls_plugin.audit_page import audit_page
from requiretls_plugin.cli.check import readiness_as_json
from requiretls_plugin.cli.exit_code import ExitCode
from requiretls_plugin.cli.options import HELP, config_option, json_option, print_json
from requiretls_plugin.cli.terminal import print_table, say
from requiretls_plugin.engine import Engine
from requiretls_plugin.preflight import Verdict
from requiretls_plugin.settings import Settings

html_option = click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Also write one self-contained HTML page to this file.",
)
parallel_option = click.option(
    "--parallel",
    type=click.IntRange(1, 1000),
    default=PARALLEL,
    show_default=True,
    help="Domains checked at once.",
)


@click.command("audit", context_settings=HELP)
@click.argument(
    "addresses", type=click.File(encoding="utf-8", errors="replace"), metavar="FILE-WITH-ADDRESSES"
)
@html_option
@parallel_option
@config_option
@json_option
def audit_command(
    addresses: TextIO, page: Path | None, parallel: int, config: Path | None, as_json: bool
) -> int:
    """Say who of the addresses in a file, one on each line, could be reached now; nothing is sent.

    Each mail host is asked once, however many domains share it. FILE "-" is
    standard input. Exit: 0 all can be reached; 69 some cannot; 75 some are
    unknown; 64 usage; 78 settings.
    """
    subscribers = Subscribers.of(addresses_in(addresses))
    file = getattr(addresses, "name", "<stdin>")
    name = "Addresses" if file == "<stdin>" else Path(file).name
    return show_audit(Settings.load(config), subscribers, name, page=page, parallel=parallel, as_json=as_json)


def addresses_in(lines: Iterable[str]) -> list[str]:
    """Return the addresses on *lines*: plain, or with a name before them; `#` begins a comment line."""
    texts = (line.strip() for line in lines)
    return [parseaddr(text)[1] or text for text in texts if text and not text.startswith("#")]


def show_audit(
    settings: Settings,
    subscribers: Subscribers,
    title: str,
    *,
    page: Path | None,
    parallel: int = PARALLEL,
    as_json: bool = False,
) -> int:
    """Do the audit with a progress bar on standard error, print it, and return the exit code.

    *title* says whose subscribers they are. Raises SettingsError and PluginError.
    """
    columns = (
        TextColumn("checking domains"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[domain]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(subscribers.domains), domain="")

        def advance(report: DomainReport) -> None:
            progress.update(task, advance=1, domain=str(report.readiness.domain))

        async def work() -> Audit:
            async with Engine(settings) as engine:
                return await audit(subscribers, engine.check, parallel=parallel, progress=advance)

        found = asyncio.run(work())
    if page is not None:
        page.write_text(audit_page(found, title=title), encoding="utf-8")
    if as_json:
        print_json(audit_as_json(found))
    else:
        print_table(_COLUMNS, map(_row, found.reports))
        say(f"{title}: {found}")
    return _exit_code(found)


def audit_as_json(found: Audit) -> dict[str, Any]:
    """Return the form of *found* that machines get."""
    return {
        "members": found.total,
        "reached": found.counted(Verdict.READY),
        "not_reached": found.unreachable,
        "unknown": found.counted(Verdict.UNKNOWN),
        "unusable": list(found.unusable),
        "domains": [_report_as_json(report) for report in found.reports],
    }


def _report_as_json(report: DomainReport) -> dict[str, Any]:
    return {
        **readiness_as_json(report.readiness),
        "members": report.subscribers,
        "dnssec": report.dnssec,
        "dane": report.dane,
        "mta_sts": report.mta_sts,
        "mta_sts_fetched": None if report.sts_fetched is None else _time(report.sts_fetched),
        "starttls": report.starttls,
        "requiretls": report.requiretls,
        "checked": _time(report.checked),
    }


_COLUMNS = ("domain", "members", "verdict", "why", "DNSSEC", "DANE", "MTA-STS", "STARTTLS", "REQUIRETLS")


def _row(report: DomainReport) -> tuple[str, ...]:
    readiness = report.readiness
    return (
        str(readiness.domain),
        str(report.subscribers),
        readiness.verdict.value,
        readiness.reason.value if readiness.reason else "",
        _word(report.dnssec),
        _word(report.dane),
        report.mta_sts,
        _word(report.starttls),
        _word(report.requiretls),
    )


def _word(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "?"}[value]


def _time(when: float) -> str:
    return datetime.datetime.fromtimestamp(when, datetime.UTC).isoformat(timespec="seconds")


def _exit_code(found: Audit) -> ExitCode:
    if found.unreachable:
        return ExitCode.FAILED
    return ExitCode.TRY_AGAIN if found.counted(Verdict.UNKNOWN) else ExitCode.OK
