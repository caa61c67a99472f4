"""Colours for shapes, so that a person can tell neighbours apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LINE_SHADE = 0.45  # how bright a shape's border is beside its inside
TINT = 0.5  # how much of a colour is laid over a picture


def label_colors(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a colour for each label, uint8 (N, 3), the same each time; label 0 is black.

    Hues go round by the golden angle, so that labels that follow each other, as those of neighbours often do, differ.

    Examples
    --------
    >>> label_colors(np.array([0, 1, 2])).tolist()
    [[0, 0, 0], [61, 106, 217], [175, 217, 117]]
    """
    numbers = np.asarray(labels, np.int64)
    hue = (0.618034 * numbers) % 1.0 * 6
    pale = (numbers // 2 % 2)[..., None]
    fade = np.clip(np.abs((hue[..., None] + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    saturation, value = np.where(pale, 0.46, 0.72), np.where(pale, 0.85, 0.85)
    colors = np.rint(255 * value * (1 - saturation * (1 - fade)))
    colors[numbers == 0] = 0
    rounded: NDArray[np.uint8] = colors.astype(np.uint8)
    return rounded


def painted(
    label_map: NDArray[Any], colors: NDArray[np.uint8], picture: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Return a picture of a label map: each shape in its colour, darker where another begins.

    Parameters
    ----------
    label_map : integer array (H, W)
    colors : uint8 array (N, 3)
        By label.
    picture : uint8 array (H, W, 3), optional
        What is seen through the colours, and where there is no shape.

    Returns
    -------
    uint8 array (H, W, 3)

    Examples
    --------
    >>> painted(np.array([[0, 1, 1, 1]]), np.array([[0, 0, 0], [100, 100, 200]], np.uint8)).tolist()
    [[[0, 0, 0], [45, 45, 90], [100, 100, 200], [100, 100, 200]]]
    """
    border = np.zeros(label_map.shape, bool)
    across, down = label_map[:, 1:] != label_map[:, :-1], label_map[1:] != label_map[:-1]
    border[:, 1:] |= across
    border[1:] |= down
    lines = (colors * np.float32(LINE_SHADE)).astype(np.uint8)
    both = np.concatenate([colors, lines])
    shown: NDArray[np.uint8] = both[label_map.astype(np.int64) + border * len(colors)]
    if picture is None:
        return shown
    tinted = (picture * np.float32(1 - TINT) + shown * np.float32(TINT)).astype(np.uint8)
    return np.where((label_map == 0)[..., None], picture, np.where(border[..., None], shown, tinted))
