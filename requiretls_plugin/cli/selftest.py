"""`requiretls selftest`: does this installation, or another server, do as the RFCs say where others lie?"""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import track

from requiretls_plugin.cli.exit_code import ExitCode
from requiretls_plugin.cli.options import HELP, config_option, json_option, print_json
from requiretls_plugin.cli.terminal import print_table, say
from requiretls_plugin.mail_address import MailAddress
from requiretls_plugin.observe.log import printable
from requiretls_plugin.server_address import ServerAddress
from requiretls_plugin.settings import Settings

if TYPE_CHECKING:
    from requiretls_lab.selftest.case import Case, Result
    from requiretls_lab.selftest.receiving.target import Server


class CannotStart(click.ClickException):
    """Something that the self-test needs is not there."""

    exit_code = ExitCode.SETTINGS


@click.command(context_settings=HELP)
@click.argument("patterns", nargs=-1, metavar="[CASE]...")
@click.option("--list", "only_list", is_flag=True, help="List the cases and try none.")
@click.option("--smtp", metavar="HOST:PORT", help="Try the receiving cases with this server instead.")
@click.option("--to", metavar="ADDR", help="With --smtp: who gets the messages; a mailbox of yours.")
@click.option("--from", "sender", metavar="ADDR", help="With --smtp: the return path. Default: that of --to.")
@click.option("--verify", metavar="NAME", help="With --smtp: check that its certificate proves this name.")
@config_option
@json_option
def selftest(
    patterns: tuple[str, ...],
    only_list: bool,
    smtp: str | None,
    to: str | None,
    sender: str | None,
    verify: str | None,
    config: Path | None,
    as_json: bool,
) -> int:
    """Try this installation against hosts that lie, in a laboratory on loopback addresses.

    CASE is the name of a case or of a theme; "*" stands for anything. Nothing
    outside this machine is asked. Of the settings count [levels],
    mta_sts.accept_testing and receive.advertise, and installed plugins are
    loaded. Needs the extra "lab" and the program unbound, with --smtp neither.
    Exit: 0 all passed or skipped; 69 some failed; 64 usage; 78 settings, or it
    cannot start.
    """
    settings = Settings.load(config)
    try:
        from requiretls_lab.errors import LabError
        from requiretls_lab.selftest import running
    except ImportError as error:
        raise CannotStart(
            f"{error}; install what the extra brings: pip install 'requiretls-plugin[lab]'"
        ) from None

    try:
        cases = running.chosen(patterns, running.receiving_cases() if smtp else running.all_cases())
    except LookupError as error:
        raise click.UsageError(f"no such case: {error}; see requiretls selftest --list") from None
    if only_list:
        _list(cases, as_json=as_json)
        return ExitCode.OK
    server = _server(smtp, to, sender, verify, settings)
    try:
        results = list(
            _watched(
                running.against_server(cases, server)
                if server
                else running.against_installation(cases, settings),
                len(cases),
            )
        )
    except (LabError, OSError) as error:
        raise CannotStart(printable(str(error))) from None
    _report(results, as_json=as_json)
    return ExitCode.FAILED if any(result.verdict.value == "fail" for result in results) else ExitCode.OK


def _server(
    smtp: str | None, to: str | None, sender: str | None, verify: str | None, settings: Settings
) -> Server | None:
    from requiretls_lab.selftest.receiving.target import Server

    if smtp is None:
        if to or sender or verify:
            raise click.UsageError("--to, --from and --verify go with --smtp")
        return None
    if to is None:
        raise click.UsageError("--smtp needs --to: messages will be sent there")
    try:
        place = ServerAddress.parse(smtp)
        recipient, return_path = MailAddress.parse(to), MailAddress.parse(sender or to)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return Server(
        host=str(place.host),
        port=place.port,
        sender=return_path.text,
        recipient=recipient.text,
        name=verify,
        verifying=ssl.create_default_context(cafile=settings.tls.ca_file) if verify else None,
    )


def _watched(results: Iterator[Result], count: int) -> Iterator[Result]:
    """Yield *results*, with a bar for those who look on."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return results
    return iter(track(results, "", count, transient=True, console=console))


def _list(cases: Sequence[Case], *, as_json: bool) -> None:
    if as_json:
        print_json([_case_as_json(case) for case in cases])
    else:
        print_table(("case", "claim", "section"), ((case.name, case.claim, case.section) for case in cases))


def _report(results: Sequence[Result], *, as_json: bool) -> None:
    counts = Counter(result.verdict.value for result in results)
    passed, failed, skipped = counts["pass"], counts["fail"], counts["skip"]
    if as_json:
        found = [
            {**_case_as_json(result.case), "verdict": result.verdict.value, "seen": result.seen}
            for result in results
        ]
        print_json({"passed": passed, "failed": failed, "skipped": skipped, "cases": found})
        return
    print_table(
        ("case", "", "claim", "section"),
        (
            (result.case.name, result.verdict.name, result.case.claim, result.case.section)
            for result in results
        ),
    )
    _say_why(results)
    say(f"{passed} passed, {failed} failed, {skipped} skipped")


def _say_why(results: Sequence[Result]) -> None:
    """Print what kept cases from being tried, and what is wrong where they failed."""
    skips: dict[str, list[str]] = {}
    for result in results:
        if result.verdict.value == "skip":
            skips.setdefault(result.seen, []).append(result.case.name)
    for why, names in skips.items():
        say(f"SKIP {why}: {', '.join(names)}")
    for result in results:
        if result.verdict.value == "fail":
            case = result.case
            say(
                f"FAIL {case.name} ({case.section})\n"
                f"     done:     {case.setup}\n     expected: {case.expected}\n     seen:     {result.seen}"
            )


def _case_as_json(case: Case) -> dict[str, Any]:
    return {
        "case": case.name,
        "claim": case.claim,
        "section": case.section,
        "done": case.setup,
        "expected": case.expected,
    }
