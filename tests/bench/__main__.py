"""`python -m tests.bench [PART…]`: measure and print."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.bench import burst, delivery, mailman, policy, receiving, relaying


def main(chosen: Sequence[str]) -> None:
    """Print a table for each part *chosen*, by default for all."""
    console = Console()
    console.print(f"Python {platform.python_version()}, {os.cpu_count()} processors; medians of three rounds")
    for part in chosen or PARTS:
        PARTS[part](console)


def _delivery(console: Console) -> None:
    table = Table("delivery of a 10 KB message", "messages/s", "client CPU ms/message")
    for figure in delivery.run():
        table.add_row(figure.name, f"{figure.per_second:,.0f}", f"{figure.cpu_ms:.3f}")
    console.print(table)


def _burst(console: Console) -> None:
    _print(console, "delivery where it is hard", burst.run())


def _policy(console: Console) -> None:
    _print(console, "policy resolver", policy.run())


def _print(console: Console, title: str, rows: Sequence[tuple[str, str]]) -> None:
    table = Table(title, "")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _receiving(console: Console) -> None:
    table = Table("receiving", "load", "messages/s", "server CPU ms/message", "another client waits, ms")
    for figure in (*receiving.run(), relaying.run()):
        numbers = f"{figure.per_second:,.0f}", f"{figure.cpu_ms:.2f}", f"{figure.wait_ms:.1f}"
        table.add_row(figure.server, figure.load, *numbers)
    console.print(table)


def _mailman(_: Console) -> None:
    mailman.main()


PARTS = {
    "delivery": _delivery,
    "burst": _burst,
    "policy": _policy,
    "receiving": _receiving,
    "mailman": _mailman,
}

if __name__ == "__main__":
    main(sys.argv[1:])
