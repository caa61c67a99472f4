"""Words on pictures for people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_SIZE = 13  # of the letters, in pixels
_LINE = 18


def caption(lines: Sequence[str], width: int) -> NDArray[np.uint8]:
    """Return dark letters on white, (18 * lines, width, 3); what does not fit into the width is cut off."""
    image = Image.new("RGB", (width, _LINE * len(lines)), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(_SIZE)
    for number, line in enumerate(lines):
        draw.text((4, number * _LINE), line, fill=(30, 30, 30), font=font)
    return np.array(image)
