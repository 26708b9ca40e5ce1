"""Tables for people, also for those who read them through a pipe."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

# A pipe has no width; this is wide enough for names and reasons to stay in one piece.
PIPE_WIDTH = 200


def print_table(table: Table) -> None:
    """Print *table*; what is too long for its column goes on in the next line, nothing is cut."""
    for column in table.columns:
        column.overflow = "fold"
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(table)
