"""What every command takes, and how it starts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from requiretls_plugin.engine import Engine
from requiretls_plugin.settings import MetricsSettings, Settings

T = TypeVar("T")

# What every command is made with, so that -h is there for all of them.
HELP = {"help_option_names": ["-h", "--help"]}

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file (TOML). Default: $REQUIRETLS_CONFIG, else /etc/requiretls.toml.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def run_engine(config: Path | None, work: Callable[[Engine], Awaitable[T]]) -> T:
    """Load the settings, start an engine, return what *work* does with it.

    Raises SettingsError and PluginError.
    """

    async def run() -> T:
        async with Engine(settings) as engine:
            return await work(engine)

    # The port for metrics is the mail server's.
    settings = Settings.load(config).model_copy(update={"metrics": MetricsSettings()})
    return asyncio.run(run())


def print_json(value: Any) -> None:
    """Print *value* as JSON."""
    click.echo(json.dumps(value, indent=2))
