"""The tables of a run folder, as far as they can be read; needs no torch."""

from __future__ import annotations

import csv
from contextlib import suppress
from pathlib import Path
from typing import Any

MOST = 1e30
"""Larger numbers, of a loss that explodes, are in no chart."""


def text_of(path: Path) -> str:
    """Return what a text file holds, nothing where there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def table_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table, as far as they can be read."""
    rows = []
    with suppress(csv.Error):
        for row in csv.DictReader(text_of(path).splitlines()):
            rows.append(row)
    return rows


def rows_of(path: Path) -> tuple[dict[str, float], ...]:
    """Return the validations in a metrics.csv, oldest first; what is missing or no number is left out."""
    rows = []
    # The last line of a run that was killed may be cut off; what can be read of it counts.
    for line in table_of(path):
        row = {key: number for key, text in line.items() if key and (number := _number(text)) is not None}
        if "step" in row:
            rows.append(row)
    return tuple(rows)


def _number(text: Any) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if abs(number) <= MOST else None
