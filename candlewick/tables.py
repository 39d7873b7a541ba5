"""Tables on standard output: nothing in them is ever cut."""

from rich.console import Console
from rich.table import Table

_ENDLESS = 10_000
"""Columns of a file or pipe, which has no edge."""


def print_table(table: Table) -> None:
    """Print `table`; on a narrow terminal its cells go on in the next line, elsewhere each row is one line."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_ENDLESS)
    for column in table.columns:
        column.overflow = "fold"
    names = table.columns[0]
    longest = max((len(str(cell)) for cell in names.cells), default=0)
    names.no_wrap = longest <= console.width // 2  # then the other columns leave it the room
    console.print(table)
