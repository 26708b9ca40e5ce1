"""`mailman requiretls check` and `mailman requiretls audit LIST`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from mailman.interfaces.command import ICLISubCommand
from mailman.interfaces.listmanager import IListManager
from zope.component import getUtility
from zope.interface import implementer

from requiretls_mailman.adapter import load_settings
from requiretls_mailman.reach import subscribers_of
from requiretls_mailman.readiness import notes_on_installation, plugin_name, problems_of_installation
from requiretls_plugin.cli.audit import html_option, parallel_option, show_audit
from requiretls_plugin.cli.exit_code import ExitCode
from requiretls_plugin.cli.options import json_option, print_json
from requiretls_plugin.cli.terminal import say
from requiretls_plugin.errors import PluginError, SettingsError

__all__ = ["RequireTLSCommand"]


@click.group()
def requiretls() -> None:
    """REQUIRETLS: is this installation ready for it, and whom does a list reach?"""


@requiretls.command()
@json_option
def check(as_json: bool) -> None:
    """Name everything that would break REQUIRETLS or lose it silently.

    Exit: 0 nothing; 69 something; 78 the settings cannot be read.
    """
    problems = problems_of_installation()
    try:
        notes = notes_on_installation(load_settings(plugin_name()))
    except SettingsError:
        notes = []
        code = ExitCode.SETTINGS
    else:
        code = ExitCode.FAILED if problems else ExitCode.OK
    if as_json:
        print_json({"problems": problems, "notes": notes})
    else:
        for line in (*(f"problem: {problem}" for problem in problems), *(f"note: {note}" for note in notes)):
            say(line)
        click.echo(f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'}")
    sys.exit(code)


@requiretls.command()
@click.argument("name", metavar="LIST")
@html_option
@parallel_option
@json_option
def audit(name: str, page: Path | None, parallel: int, as_json: bool) -> None:
    """Say which members of LIST could be reached under REQUIRETLS now; nothing is sent.

    LIST is a posting address or a List-ID. Exit: 0 all members; 69 some
    cannot be reached; 75 some are unknown; 64 usage; 78 settings.
    """
    manager = getUtility(IListManager)
    mlist = manager.get(name) if "@" in name else manager.get_by_list_id(name)
    if mlist is None:
        click.echo(f"No such list: {name}", err=True)
        sys.exit(ExitCode.USAGE)
    try:
        settings = load_settings(plugin_name())
        sys.exit(_audited(settings, mlist, page=page, parallel=parallel, as_json=as_json))
    except (SettingsError, PluginError) as error:
        say(str(error), err=True)
        sys.exit(ExitCode.SETTINGS)


def _audited(settings: Any, mlist: Any, **options: Any) -> int:
    return show_audit(settings, subscribers_of(mlist), mlist.posting_address, **options)


@implementer(ICLISubCommand)
class RequireTLSCommand:
    """The subcommand, as Mailman finds it."""

    name = "requiretls"
    command = requiretls
