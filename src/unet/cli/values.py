"""What may stand behind an option: functions from text to value, each with its own word on what is wrong."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet.errors import ConfigError

if TYPE_CHECKING:
    from unet.labels import Value


def _number(text: str, kind: Callable[[str], Any], holds: Callable[[Any], bool], expected: str) -> Any:
    try:
        number = kind(text)
    except ValueError:
        number = None
    if number is None or not holds(number):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected {expected}")
    return number


def positive(text: str) -> int:
    """Read a whole number above 0."""
    return int(_number(text, int, lambda n: n > 0, "a whole number above 0"))


def natural(text: str) -> int:
    """Read a whole number, 0 or more."""
    return int(_number(text, int, lambda n: n >= 0, "a whole number, 0 or more"))


def folds(text: str) -> int:
    """Read a number of folds."""
    return int(_number(text, int, lambda n: n > 1, "2 folds or more"))


def positive_float(text: str) -> float:
    """Read a number above 0."""
    return float(_number(text, float, lambda x: 0 < x < float("inf"), "a number above 0"))


def scale(text: str) -> float:
    """Read a factor above 0 and at most 1."""
    return float(_number(text, float, lambda x: 0 < x <= 1, "a factor above 0 and at most 1"))


def probability(text: str) -> float:
    """Read a number from 0 to 1."""
    return float(_number(text, float, lambda x: 0 <= x <= 1, "a probability from 0 to 1"))


def shard(text: str) -> tuple[int, int]:
    """Read I/N: a part, counted from 1, and how many there are."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected I/N such as 1/4 to 4/4")
    return int(number), int(count)


def numbers(text: str) -> list[int]:
    """Read whole numbers, with commas between them."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected whole numbers such as 11,255") from None


def number_range(text: str) -> list[int]:
    """Read "0..10" and "50,100,200" as whole numbers, 0 or more; both may be mixed."""
    found: list[int] = []
    for part in text.split(","):
        first, dots, last = part.strip().partition("..")
        if not first.isdecimal() or (dots and not last.isdecimal()) or (dots and int(last) < int(first)):
            raise argparse.ArgumentTypeError(f"found {text!r}, expected whole numbers such as 0..10 or 50,100,200")
        found += range(int(first), int(last) + 1) if dots else [int(first)]
    return found


def mask_values(text: str) -> list[Value]:
    """Read "0,255" as grey values and "0,0,0;128,0,0" as colours."""
    if ";" not in text:
        return list(numbers(text))
    colors: list[Value] = []
    for part in text.split(";"):
        match numbers(part):
            case [red, green, blue]:
                colors.append((red, green, blue))
            case _:
                raise argparse.ArgumentTypeError(f"found {part!r}, expected a colour such as 128,0,0")
    return colors


def assignment(text: str) -> tuple[str, str]:
    """Read KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected KEY=VALUE")
    return key.strip(), value.strip()


_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def precision(text: str) -> str:
    """Read a precision by its short name or by that of Lightning Fabric."""
    if text not in ("auto", *_PRECISIONS, *_PRECISIONS.values()):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected auto, fp32, bf16 or fp16")
    return _PRECISIONS.get(text, text)


def window(text: str) -> tuple[slice, slice]:
    """Read ROW0:ROW1,COL0:COL1, where an empty end is that of the picture."""
    parts = []
    for part in text.split(","):
        match part.split(":"):
            case [start, stop] if all(end == "" or end.isdecimal() for end in (start, stop)):
                parts.append(slice(int(start) if start else None, int(stop) if stop else None))
    match parts:
        case [rows, columns] if text.count(",") == 1:
            return rows, columns
    raise argparse.ArgumentTypeError(
        f"found {text!r}, expected ROW0:ROW1,COL0:COL1, such as 0:2000,3800:5400 or :,3800:"
    )


def recipe(text: str) -> Path:
    """Read the name of a recipe as its file."""
    from unet.runs.recipes import recipe as find

    try:
        return find(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
