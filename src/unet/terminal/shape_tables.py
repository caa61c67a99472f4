"""Scores of shapes as a table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

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
    console = Console(highlight=False, soft_wrap=True)
    console.print(title, markup=False)
    console.print(table)


def number(value: float | None) -> str:
    """Return a score in three digits, or a dash."""
    return "-" if value is None else f"{value:.3f}"
