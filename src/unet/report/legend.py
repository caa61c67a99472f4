"""The colours of the classes with their names, on pictures for people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.labels import IGNORED, Color, Labels

NOT_COUNTED = "not counted"
"""What is said of the white of ignored pixels."""

_OUTLINE = (120, 120, 120)
_CLEAR = (225, 225, 225)  # the box of a class that is not tinted; white is that of what does not count
_LETTERS_PER_WIDTH = 75  # of large pictures, which are seen reduced


def legend(
    labels: Labels, width: int, *, shown: NDArray[np.uint8] | None = None, overlaid: bool = False
) -> NDArray[np.uint8]:
    """Return a box of its colour and the name of each class, line by line.

    Parameters
    ----------
    labels : Labels
    width : int
        Of the picture that it belongs to; a name that is longer makes the legend wider.
    shown : uint8 array (H, W), optional
        Class indices: only what occurs among them is named. Otherwise all classes, and what is ignored if anything is.
    overlaid : bool
        The background leaves the picture clear, as `unet.report.overlay.overlay` draws it: it is said to be clear.

    Returns
    -------
    uint8 array (h, w, 3)
        On white; letters grow with the width of the picture.
    """
    size = max(raster.LETTERS, width // _LETTERS_PER_WIDTH)
    entries = legend_entries(labels, shown=shown, overlaid=overlaid)
    line, box = raster.line_height(size), size
    drawn = []
    for name, color in entries:
        words = raster.caption([name], raster.caption_width(name, size), size)
        entry = np.full((line + 2, words.shape[1] + box + size, 3), 255, np.uint8)
        entry[1 : 1 + line, box + 4 : box + 4 + words.shape[1]] = words
        top = (line - box) // 2 + 1
        entry[top : top + box, 4 : 4 + box] = _OUTLINE
        entry[top + 1 : top + box - 1, 5 : 3 + box] = color
        drawn.append(entry)
    lines: list[list[NDArray[np.uint8]]] = [[]]
    for entry in drawn:
        if lines[-1] and sum(each.shape[1] for each in lines[-1]) + entry.shape[1] > width:
            lines.append([])
        lines[-1].append(entry)
    strips = [np.concatenate(each, axis=1) for each in lines if each]
    if not strips:
        return np.full((0, width, 3), 255, np.uint8)
    widest = max(width, *(strip.shape[1] for strip in strips))
    return np.concatenate([widened(strip, widest) for strip in strips])


def legend_entries(
    labels: Labels, *, shown: NDArray[np.uint8] | None = None, overlaid: bool = False
) -> list[tuple[str, Color]]:
    """Return what a legend says: names and colours; the parameters are those of `legend`.

    Examples
    --------
    >>> from unet.labels import Labels
    >>> legend_entries(Labels(("background", "car"), ((0, 0, 0), (0, 90, 255)), (0, 1)), overlaid=True)
    [('background (left clear)', (225, 225, 225)), ('car', (0, 90, 255))]
    """
    places = range(len(labels)) if shown is None else [place for place in np.unique(shown) if place < len(labels)]
    entries = [
        (f"{labels.names[place]} (left clear)", _CLEAR)
        if overlaid and place == labels.background
        else (labels.names[place], labels.colors[place])
        for place in places
    ]
    if labels.ignored if shown is None else (shown == IGNORED).any():
        entries.append((NOT_COUNTED, (255, 255, 255)))
    return entries


def with_legend(picture: NDArray[np.uint8], key: NDArray[np.uint8], *, above: bool = False) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) with a legend below it, or above; the narrower of both is widened by white."""
    width = max(picture.shape[1], key.shape[1])
    parts = [widened(picture, width), widened(key, width)]
    return np.concatenate(parts[::-1] if above else parts)


def widened(picture: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) with white on its right up to a width."""
    return np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=255)
