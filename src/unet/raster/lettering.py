"""Words on pictures for people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

LETTERS = 13
"""Usual size of letters, in pixels."""

_LINE = 18  # pixels from one line to the next, for letters of that size
_MARGIN = 4


def caption(lines: Sequence[str], width: int, size: int = LETTERS) -> NDArray[np.uint8]:
    """Return dark letters of a size on white, (18 / 13 * size * lines, width, 3); what is too long is cut off."""
    line = line_height(size)
    image = Image.new("RGB", (width, line * len(lines)), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for number, text in enumerate(lines):
        draw.text((_MARGIN, number * line), text, fill=(30, 30, 30), font=font)
    return np.array(image)


def line_height(size: int = LETTERS) -> int:
    """Return how many pixels a line of letters of a size takes."""
    return round(size * _LINE / LETTERS)


def caption_width(text: str, size: int = LETTERS) -> int:
    """Return how many pixels a line needs for a text."""
    return round(ImageFont.load_default(size).getlength(text)) + 2 * _MARGIN
