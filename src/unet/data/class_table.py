"""The file that names the classes: classes.csv (name,r,g,b) or classes.txt (a name on each line)."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unet.data.finding import shortened
from unet.errors import DataError
from unet.labels import Color

FILE_NAMES = ("classes.csv", "classes.txt")

_VOID = re.compile(r"void|unlabell?ed|ignored?|unknown", re.IGNORECASE)
_COLUMNS = {
    "name": ("name", "class", "class_name", "label"),
    "value": ("value", "index", "id"),
    "r": ("r", "red"),
    "g": ("g", "green"),
    "b": ("b", "blue"),
}


@dataclass(frozen=True)
class Row:
    """A line of the table: what mask pixels of this class look like, as far as the file says it.

    `dilate` pixels are added on each side of them, as `Labels.dilated` says. With `learned` it is a class even if its
    name says void.
    """

    name: str
    color: Color | None = None
    value: int | None = None
    dilate: int = 0
    learned: bool = False

    @property
    def is_void(self) -> bool:
        """True for what is no class: void, unlabelled, ignored, unknown."""
        return not self.learned and _VOID.fullmatch(self.name) is not None


@dataclass(frozen=True)
class ClassTable:
    """The lines of a class file, in its order."""

    path: Path
    rows: tuple[Row, ...]

    @property
    def has_colors(self) -> bool:
        """True where every line has a colour."""
        return all(row.color is not None for row in self.rows)

    @property
    def has_values(self) -> bool:
        """True where every line has a grey value."""
        return all(row.value is not None for row in self.rows)


def find_table(folders: Iterable[Path]) -> Path | None:
    """Return the first class file that lies in one of the folders."""
    for folder in dict.fromkeys(folders):
        if folder.is_dir():
            with os.scandir(folder) as entries:  # there may be very many
                files = {entry.name.lower(): entry.name for entry in entries if entry.name.lower() in FILE_NAMES}
            for name in FILE_NAMES:
                if name in files and (folder / files[name]).is_file():
                    return folder / files[name]
    return None


def read_table(path: Path) -> ClassTable:
    """Read a class file.

    Raises
    ------
    DataError
        The file is missing or says nothing, or lines of it are wrong; all of them at once.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"no such file: {path}", "a class table", kind="class-table") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error})", "a class table", kind="class-table") from None
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise DataError(f"{path} is empty", "a class on each line", kind="class-table")
    delimiter = next((sign for sign in ",;\t" if sign in lines[0][1]), None)
    rows, faults = _named(lines) if delimiter is None else _tabled(lines, delimiter)
    faults += repeated(rows)
    if faults:
        raise DataError(
            f"{path} is not a class table",
            "lines such as name,r,g,b or one name on each line",
            faults=shortened(faults),
            kind="class-table",
        )
    return ClassTable(path, tuple(rows))


def repeated(rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each name, colour and value that more than one class has."""
    return [
        *(f"the name {name!r} occurs twice" for name in _twice(row.name for row in rows)),
        *(f"the colour {color} occurs twice" for color in _twice(row.color for row in rows)),
        *(f"the value {value} occurs twice" for value in _twice(row.value for row in rows)),
    ]


def _twice(items: Iterable[Any]) -> list[Any]:
    counted = Counter(item for item in items if item is not None)
    return [item for item, count in counted.items() if count > 1]


def _named(lines: list[tuple[int, str]]) -> tuple[list[Row], list[str]]:
    return [Row(line) for _, line in lines], []


def _tabled(lines: list[tuple[int, str]], delimiter: str) -> tuple[list[Row], list[str]]:
    reader = csv.reader((line for _, line in lines), delimiter=delimiter)
    cells = [[cell.strip() for cell in row] for row in reader]
    heads = [cell.lower() for cell in cells[0]]
    place = {
        column: next((heads.index(alias) for alias in aliases if alias in heads), None)
        for column, aliases in _COLUMNS.items()
    }
    if place["name"] is None:  # no heading
        place = {"name": 0, "value": 1 if len(heads) == 2 else None, "r": None, "g": None, "b": None}
        if len(heads) >= 4:
            place.update(r=1, g=2, b=3)
    else:
        lines, cells = lines[1:], cells[1:]
    colored = None not in (place["r"], place["g"], place["b"])
    rows, faults = [], []
    for (number, line), row in zip(lines, cells, strict=False):
        try:
            color = tuple(int(row[place[band]]) for band in "rgb") if colored else None  # type: ignore[index]
            value = None if place["value"] is None else int(row[place["value"]])
            name = row[place["name"]]  # type: ignore[index]
        except (ValueError, IndexError):
            faults.append(f"line {number}: {line!r} lacks a name or a whole number")
            continue
        if color is not None and not all(0 <= band <= 255 for band in color):
            faults.append(f"line {number}: {line!r} has a colour outside 0 to 255")
        rows.append(Row(name, color, value))  # type: ignore[arg-type]
    return rows, faults
