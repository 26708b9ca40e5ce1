"""`python -m tests.bench`: measure and print."""

from __future__ import annotations

import os
import platform

from rich.console import Console
from rich.table import Table

from tests.bench import delivery


def main() -> None:
    """Print a table for each part."""
    console = Console()
    console.print(f"Python {platform.python_version()}, {os.cpu_count()} processors; medians of three rounds")
    table = Table("delivery of a 10 KB message", "messages/s", "client CPU ms/message", title=None)
    for figure in delivery.run():
        table.add_row(figure.name, f"{figure.per_second:,.0f}", f"{figure.cpu_ms:.3f}")
    console.print(table)


if __name__ == "__main__":
    main()
