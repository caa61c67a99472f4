"""Scores as a table on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_scores(scores: dict[str, Any], title: str) -> None:
    """Print the scores of evaluation.json to standard output; a dash stands for "does not occur"."""
    table = Table()
    table.add_column("class")
    for name in ("IoU", "Dice", "precision", "recall", "pixels"):
        table.add_column(name, justify="right")
    for one in scores["classes"]:
        shown = [_number(one[key]) for key in ("iou", "dice", "precision", "recall")]
        table.add_row(Text(one["name"]), *shown, f"{one['pixels']:,}")
    table.add_section()
    table.add_row("mean", _number(scores["mean_iou"]), _number(scores["mean_dice"]), "", "", "")
    without = (_number(scores["mean_iou_foreground"]), _number(scores["mean_dice_foreground"]))
    table.add_row(Text(f"mean without {scores['classes'][0]['name']}"), *without, "", "", "")
    console = Console(highlight=False, soft_wrap=True)
    console.print(title, markup=False)
    console.print(table)
    console.print(f"pixel accuracy {_number(scores['pixel_accuracy'])}")
    worst = [image for image in scores["images"] if image["mean_iou"] is not None][:3]
    if worst:
        names = ", ".join(f"{image['name']} ({image['mean_iou']:.3f})" for image in worst)
        console.print(f"worst pictures by mean IoU: {names}", markup=False)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
