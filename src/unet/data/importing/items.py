"""What every format is turned into: pictures, how the mask of each is made, and the classes."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.data.folders import PARTS
from unet.errors import DataError, printable
from unet.labels import IGNORED

BACKGROUND = "background"
"""The class 0 of formats that draw objects: whatever no object covers."""

_BACKGROUNDS = (BACKGROUND, "_background_", "__background__")
_PART = re.compile(rf"({'|'.join(PARTS)})\d*")


@dataclass(frozen=True)
class Drawn:
    """A mask, or what is wrong with its annotations.

    Attributes
    ----------
    target : uint8 array (H, W)
        Values of classes, `IGNORED` where nothing is to be learned.
    too_small : int
        Objects so small that they cover the centre of no pixel.
    faults : tuple of str
        One sentence each; `target` means nothing where there are any.
    """

    target: NDArray[np.uint8]
    too_small: int = 0
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """A picture with its annotations.

    Attributes
    ----------
    part : str
        "train", "val", "test", or "all" where nothing is said.
    name : str
        What it will be called below its folder, without ending, with "/".
    picture : Path or callable
        Its file; or what returns the bytes of the file, or the pixels (H, W, C), or raises DataError.
    where : str
        The place in the annotations, for messages.
    size : (int, int) or None
        Height and width by the annotations, where they say it.
    draw : callable
        From height and width of the picture to its mask; called in any thread, once.
    """

    part: str
    name: str
    picture: Path | Callable[[], bytes | NDArray[Any]]
    where: str
    size: tuple[int, int] | None
    draw: Callable[[int, int], Drawn]


@dataclass(frozen=True)
class Annotations:
    """What a source holds.

    Attributes
    ----------
    classes : mapping of int to str, or None
        The name of each value that a mask may hold besides `IGNORED`; None where nothing names them.
    items : iterable of Item
        Gone through once.
    count : int
        How many items there are.
    faults : tuple of str
        Those that belong to no item.
    notes : tuple of str
        What a person should know.
    """

    classes: Mapping[int, str] | None
    items: Iterable[Item]
    count: int
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def number_classes(names: Iterable[str]) -> dict[str, int]:
    """Return the mask value of each class name: 0 for the background, 1, 2, ... for others as they come.

    Raises
    ------
    DataError
        More classes than a mask of bytes can hold.
    """
    values: dict[str, int] = {}
    for name in names:
        if name.lower() in _BACKGROUNDS:
            values[name] = 0
        elif name not in values:
            values[name] = 1 + sum(value > 0 for value in values.values())
    if max(values.values(), default=0) >= IGNORED:
        raise DataError(f"{max(values.values())} classes", f"at most {IGNORED - 1} and background")
    return values


def name_classes(values: Mapping[str, int]) -> dict[int, str]:
    """Return the name of each mask value, from what `number_classes` returned."""
    return {0: BACKGROUND, **{value: name for name, value in values.items() if value}}


def clean_name(text: str) -> str:
    """Return the name of a class on one line."""
    return printable(" ".join(text.split()))


def safe_stem(path: str) -> str:
    """Return a picture's name without its ending that leads nowhere but below the folder it is put in."""
    parts = [part.lstrip(".") for part in unicodedata.normalize("NFC", path).replace("\\", "/").split("/")]
    parts = [re.sub(r'[<>:"|?*\x00-\x1f]', "_", part).rstrip(" .") for part in parts]
    *folders, last = [part for part in parts if part] or ["picture"]
    stem, dot, _ = last.rpartition(".")
    return "/".join([*folders, stem if dot and stem else last])


def plural(count: int, what: str) -> str:
    """Return "1 picture" or "2 pictures"."""
    return f"{count} {what}{'s' * (count != 1)}"


def size_of(entry: Mapping[str, Any], height: str, width: str) -> tuple[int, int] | None:
    """Return the size that an annotation file gives under these keys, None where it gives no whole numbers."""
    sides = [entry.get(key) for key in (height, width)]
    rows, columns = (int(side) if isinstance(side, int | float) and side % 1 == 0 else None for side in sides)
    return None if rows is None or columns is None else (rows, columns)


def read_object(file: Path, expected: str) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Raises
    ------
    DataError
        It holds something else than `expected`, or no JSON.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read as JSON ({error})") from None
    if not isinstance(content, dict):
        raise DataError(f"{file} holds a {type(content).__name__}", expected)
    return content


def part_of(path: Path, root: Path) -> str:
    """Return the part that a file belongs to by a word of its name, or by a folder below the root.

    instances_val2017.json, train-00000-of-00002.parquet and valid/_annotations.coco.json say it.
    """
    for word in words_of(path, root):
        if match := _PART.fullmatch(word):
            return PARTS[match[1]]
    return "all"


def words_of(path: Path, root: Path) -> list[str]:
    """Return the words of a file's name, and the names of the folders between it and the root, in lower case."""
    folders = path.relative_to(root).parent.parts
    return [word for word in re.split(r"[^a-z0-9]+", path.stem.lower()) if word] + [
        name.lower() for name in reversed(folders)
    ]
