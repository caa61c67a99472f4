"""What a repair does and what came out, on the terminal."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray
from rich.table import Column, Table
from rich.text import Text

from unet.data.finding import counted, shortened
from unet.data.repairing.carry_out import remarks, rewritten
from unet.data.repairing.repair_plan import RepairPlan
from unet.labels import IGNORED, Labels
from unet.terminal.speech import open_console

MOST_LISTED = 50
"""Lines of a kind that are printed."""


def print_repair_plan(plan: RepairPlan) -> None:
    """Print what is done to how many files and what is left out, to standard output."""
    console = open_console()
    steps = [what for job in plan.jobs for what in dict.fromkeys((*remarks(job), *(step.what for step in job.steps)))]
    pictures = [why for job in plan.jobs if (why := rewritten(job.picture))]
    changes = [f"{counted(count, 'file')}: {what}" for what, count in Counter([*steps, *pictures]).items()]
    for line in shortened(changes, MOST_LISTED):
        console.print(line, markup=False)
    for note in plan.notes:
        console.print(f"note: {note}", markup=False)
    for line in shortened([f"{copy} is {first}" for copy, first in plan.copies], MOST_LISTED):
        console.print(f"twice: {line}", markup=False)
    for line in shortened([f"{left.file}: {left.why}" for left in plan.left_out], MOST_LISTED):
        console.print(f"left out: {line}", markup=False)
    console.print(f"{counted(len(plan.jobs), 'pair')} kept, {counted(len(plan.left_out), 'file')} left out")


def print_clean_classes(labels: Labels, pixels: NDArray[np.int64]) -> None:
    """Print the classes of the clean copy with their shares of its pixels to standard output.

    Parameters
    ----------
    labels : Labels
    pixels : int array (256,)
        How many pixels of the clean masks have each value.
    """
    table = Table("value", "name", Column("pixels", justify="right"))
    ignored = [(IGNORED, "(ignored)")] if labels.ignored else []
    for value, name in [*enumerate(labels.names), *ignored]:
        table.add_row(str(value), Text(name), f"{pixels[value] / pixels.sum():.2%}")
    console = open_console()
    console.print(table)
    for name, count in zip(labels.names, pixels, strict=False):
        if count == 0:
            console.print(f"note: {name} occurs in no mask", markup=False)
