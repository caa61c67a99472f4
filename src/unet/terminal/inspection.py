"""What an inspection says, on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from unet.data.finding import SEVERITIES, shortened
from unet.data.inspection.summary import percentage
from unet.terminal.speech import open_console

_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold"}


def print_inspection(summary: dict[str, Any]) -> None:
    """Print what there is and every finding to standard output.

    Parameters
    ----------
    summary : dict
        What `unet.data.inspection.summary.summarise_survey` returns.
    """
    console = open_console()
    if summary["parts"]:
        _print_table(console, ("name", "pairs", "sizes", "bands", "depth", "pictures", "masks"), summary["parts"])
    if summary["classes"]:
        columns = ("name", "value", "pixels", "pictures", *(part["name"] for part in summary["parts"]))
        _print_table(console, columns, summary["classes"])
    if summary["values"]:
        _print_table(console, ("value", "pixels", "masks"), summary["values"])
    for finding in summary["findings"]:
        console.print()
        line = Text(finding["severity"], _STYLES[finding["severity"]])
        console.print(line.append(f" {finding['kind']}: {finding['found']}", "default"))
        if finding["expected"]:
            console.print(f"  expected: {finding['expected']}", markup=False)
        if finding["remedy"]:
            console.print(f"  remedy:   {finding['remedy']}", markup=False)
        for file in shortened(finding["files"], 3):
            console.print(f"    {file}", markup=False)
    counts = {name: sum(finding["severity"] == name for finding in summary["findings"]) for name in SEVERITIES}
    console.print()
    console.print(", ".join(f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items()))


def _print_table(console: Console, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    table = Table()
    for column in columns:
        is_number = isinstance(rows[0][column], (int, float))
        table.add_column({"name": ""}.get(column, column), justify="right" if is_number else "left")
    for row in rows:
        cells = (percentage(row[column]) if isinstance(row[column], float) else str(row[column]) for column in columns)
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
