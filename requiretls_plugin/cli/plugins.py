"""`requiretls plugins`: who answers the hooks, where it comes from, and in what order it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from requiretls_plugin.cli.exit_code import ExitCode
from requiretls_plugin.cli.options import HELP, config_option, json_option, print_json
from requiretls_plugin.cli.terminal import print_table
from requiretls_plugin.engine import Engine
from requiretls_plugin.plugin_listing import PluginListing, listings
from requiretls_plugin.settings import Settings


@click.command(context_settings=HELP)
@config_option
@json_option
def plugins(config: Path | None, as_json: bool) -> int:
    """List the plugins that are loaded, by hook, in the order they are asked.

    With REQUIRETLS_NO_PLUGINS=1 in the environment only this package's own are
    there. Exit: 0 done; 64 usage; 78 settings, or a plugin that cannot be loaded.
    """
    found = list(listings(Engine(Settings.load(config)).plugins))
    if as_json:
        print_json([_as_json(listing) for listing in found])
    else:
        print_table(("hook", "order", "plugin", "from"), map(_row, found))
    return ExitCode.OK


def _as_json(listing: PluginListing) -> dict[str, Any]:
    return {
        "hook": listing.hook,
        "order": listing.order,
        "plugin": listing.plugin,
        "from": listing.source,
        "wraps": listing.wraps,
    }


def _row(listing: PluginListing) -> tuple[str, ...]:
    order = f"{listing.order}, around the others" if listing.wraps else str(listing.order)
    return listing.hook, order, listing.plugin, listing.source
