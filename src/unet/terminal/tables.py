"""Scores as a table on the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from unet.labels import background_of
from unet.terminal.speech import open_console


def print_scores(scores: dict[str, Any], title: str) -> None:
    """Print the scores of evaluation.json to standard output; a dash stands for "does not occur"."""
    boundary = scores.get("boundary")
    table = Table()
    table.add_column("class")
    for name in ("IoU", "Dice", "precision", "recall", "pixels", *(("boundary F", "HD95, px") if boundary else ())):
        table.add_column(name, justify="right")
    for index, row in enumerate(scores["classes"]):
        shown = [_number(row[key]) for key in ("iou", "dice", "precision", "recall")]
        near = _near(boundary["classes"][index], "f", "hausdorff95") if boundary else ()
        table.add_row(Text(row["name"]), *shown, f"{row['pixels']:,}", *near)
    table.add_section()
    means = (_number(scores["mean_iou"]), _number(scores["mean_dice"]))
    near = _near(boundary, "mean_f", "mean_hausdorff95") if boundary else ()
    table.add_row("mean", *means, "", _number(scores.get("mean_accuracy")), "", *near)
    classes = [row["name"] for row in scores["classes"]]
    if (background := background_of(classes)) is not None:
        without = (_number(scores["mean_iou_foreground"]), _number(scores["mean_dice_foreground"]))
        table.add_row(Text(f"mean without {classes[background]}"), *without, "", "", "")
    console = open_console()
    console.print(title, markup=False)
    console.print(table)
    weighted = _number(scores.get("frequency_weighted_iou"))
    console.print(f"pixel accuracy {_number(scores['pixel_accuracy'])}, frequency-weighted IoU {weighted}")
    if boundary:
        console.print(
            f"boundary F: outlines within {boundary['tolerance']}; HD95: 95 % Hausdorff distance, mean of pictures"
        )
    if intervals := _intervals(scores.get("confidence", {})):
        console.print(intervals)
    worst = [image for image in scores["images"] if image["mean_iou"] is not None][:3]
    if worst:
        names = ", ".join(f"{image['name']} ({image['mean_iou']:.3f})" for image in worst)
        console.print(f"worst pictures by mean IoU: {names}", markup=False)


def _near(scores: dict[str, Any], f: str, distance: str) -> tuple[str, str]:
    pixels = scores[distance]
    return _number(scores[f]), "-" if pixels is None else f"{pixels:.1f}"


def _intervals(confidence: dict[str, Any]) -> str:
    """Return a line with the intervals, or nothing where there are none."""
    names = {"mean_iou": "mean IoU", "mean_dice": "mean Dice", "pixel_accuracy": "pixel accuracy"}
    shown = [
        f"{name} {confidence[key][0]:.4f} to {confidence[key][1]:.4f}"
        for key, name in names.items()
        if confidence.get(key) is not None
    ]
    return f"{confidence['level']:.0%} intervals, pictures drawn again: {', '.join(shown)}" if shown else ""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
