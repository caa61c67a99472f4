"""Scores of shapes as a table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from unet.terminal.speech import open_console

_SHARES = (
    ("precision", "precision"),
    ("recall", "recall"),
    ("F1", "f1"),
    ("PQ", "pq"),
    ("SQ", "sq"),
    ("RQ", "rq"),
    ("area under F from 0.5", "f_auc"),
)


def print_shape_scores(scores: Mapping[str, Mapping[str, Any]], title: str) -> None:
    """Print the scores of contenders by name to standard output; a dash stands for what is not defined.

    Parameters
    ----------
    scores : mapping of str to mapping
        What `unet.shapes.scores.ShapeScores.to_dict` returns, for each.
    title : str
    """
    table = Table()
    table.add_column("")
    for name in scores:  # names can be long, and scores are many: so these go down
        table.add_column(Text(name), justify="right", overflow="fold")
    columns = list(scores.values())
    for label, key in (("predicted shapes", "labels_pred"), ("TP", "tp"), ("FP", "fp"), ("FN", "fn")):
        table.add_row(label, *(f"{column[key]:,}" for column in columns))
    table.add_section()
    for label, key in _SHARES:
        table.add_row(label, *(number(column[key]) for column in columns))
    table.add_section()
    table.add_row("precision, recall, F", *("" for _ in columns))
    for place, row in enumerate(columns[0]["table"]):
        rows = [column["table"][place] for column in columns]
        cells = ["  ".join(number(row[key]) for key in ("precision", "recall", "f")) for row in rows]
        table.add_row(f"  at IoU > {row['iou']:g}", *cells)
    console = open_console()
    console.print(title, markup=False)
    console.print(table)


def print_shape_grid(
    values: Mapping[tuple[int, int], float | None],
    best: tuple[int, int],
    baseline: Mapping[int, float | None],
    what: str,
) -> None:
    """Print the scores of a grid to standard output, the best one in bold.

    Parameters
    ----------
    values : mapping of (dynamic, area) to float or None
    best : (int, int)
        The dynamic and the area that were chosen.
    baseline : mapping of int to float or None
        The scores of components by their threshold.
    what : str
        What is scored.
    """
    table = Table(title=f"{what} by dynamic (down) and area (across)", title_justify="left")
    table.add_column("", justify="right")
    areas = list(dict.fromkeys(area for _, area in values))
    for area in areas:
        table.add_column(str(area), justify="right")
    for dynamic in dict.fromkeys(dynamic for dynamic, _ in values):
        row = [
            Text(number(values[dynamic, area]) + ("*" if (dynamic, area) == best else " "),
                 style="bold" if (dynamic, area) == best else "")
            for area in areas
        ]  # fmt: skip
        table.add_row(str(dynamic), *row)
    console = open_console()
    console.print(table)
    if baseline:
        cells = ", ".join(f"{threshold}: {number(value)}" for threshold, value in baseline.items())
        console.print(f"components alone, by threshold: {cells}")


def number(value: float | None) -> str:
    """Return a score in three digits, or a dash."""
    return "-" if value is None else f"{value:.3f}"
