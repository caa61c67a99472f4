"""Numbers in words and short figures. A number and its unit are joined by a space that does not break."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from typing import Any

from unet.errors import printable

DASH = "–"
"""Stands for a score that is not defined."""


def shown(value: Any) -> Any:
    """Return what a page shows of a value: texts without what steers a terminal or turns their direction."""
    return printable(value) if type(value) is str else value


def score(value: float | None, digits: int = 3) -> str:
    """Return a score between 0 and 1; a dash where it is not defined."""
    return DASH if value is None else f"{value:.{digits}f}"


def percent(share: float | None) -> str:
    """Return a share in percent, with as many digits as tell it from nothing and from all."""
    if share is None:
        return DASH
    if 0 < share < 0.001:
        return "< 0.1\N{NO-BREAK SPACE}%"
    if 0.999 < share < 1:
        return "> 99.9\N{NO-BREAK SPACE}%"
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def counted(number: int, singular: str, plural: str = "") -> str:
    """Return "1 picture", "12,345 pictures"."""
    return f"{number:,}\N{NO-BREAK SPACE}{singular if number == 1 else plural or singular + 's'}"


def duration(seconds: float) -> str:
    """Return "48 seconds", "9 min 5 s", "3 h 20 min"."""
    if seconds < 100:
        return counted(max(1, round(seconds)), "second")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return _joined(f"{minutes} min {rest} s" if rest else f"{minutes} min")
    hours, minutes = divmod(minutes, 60)
    return _joined(f"{hours} h {minutes} min" if minutes else f"{hours} h")


def _joined(text: str) -> str:
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def file_size(count: int) -> str:
    """Return a number of bytes as people say it."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return _joined(f"{amount:.0f} {unit}" if unit in ("bytes", "kB") else f"{amount:.1f} {unit}")


def large(number: int) -> str:
    """Return "31.0 million", "820,000" or "640"."""
    if number >= 1_000_000:
        return _joined(f"{number / 1e6:.1f} million")
    return f"{round(number, -3):,}" if number >= 10_000 else f"{number:,}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return "a, b and c", or the first ones and how many more there are."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""


def command_line(words: Sequence[str]) -> str:
    """Return words as they are typed into this system's shell."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
