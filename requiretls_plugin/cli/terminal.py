"""What people read on a terminal: lines and tables, also through a pipe.

Parts of it were chosen by servers, by DNS or by plugins, and a terminal obeys
control characters: everything is written as printable text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from requiretls_plugin.observe.log import printable

# A pipe has no width; this is wide enough for names and reasons to stay in one piece.
PIPE_WIDTH = 200


def say(text: str, *, err: bool = False) -> None:
    """Print *text*, its line ends kept, all else that is not printable written as `\\x1b`."""
    click.echo("\n".join(map(printable, text.split("\n"))), err=err)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print *rows*; what is too long for its column goes on in the next line, nothing is cut.

    A cell may have several lines.
    """
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text, so that brackets in a stranger's words are no markup.
        table.add_row(*(Text("\n".join(map(printable, cell.split("\n")))) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(table)
