"""Pictures of how well shapes were found: each in the colour of its IoU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.shapes.scores import Matches

_RED_TO_GREEN = np.array([[215, 25, 28], [255, 220, 60], [26, 150, 65]], dtype=float)
_BLUE_TO_ORANGE = np.array([[33, 102, 172], [235, 235, 235], [230, 97, 1]], dtype=float)


def _palette(stops: NDArray[np.float64]) -> tuple[int, ...]:
    """Return RGB of index 0, black, and of 1 to 255 along the stops."""
    places = np.linspace(0, 1, 255)
    bands = [np.interp(places, np.linspace(0, 1, len(stops)), band) for band in stops.T]
    return (0, 0, 0, *np.rint(np.stack(bands, axis=1)).astype(int).ravel().tolist())


SCORE_PALETTE = _palette(_RED_TO_GREEN)
"""Black for no shape, red to yellow to green for an IoU from 0 to 1."""

COMPARISON_PALETTE = _palette(_BLUE_TO_ORANGE)
"""Black for no shape, blue where the first finds the shape better, orange where the second does, pale where none."""


def score_picture(label_map: NDArray[Any], matches: Matches, content: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """Return the shapes of a label map by the IoU of their best match, as indices into `SCORE_PALETTE`.

    Parameters
    ----------
    label_map : integer array (H, W)
    matches : Matches
        Of its shapes.
    content : bool array (H, W), optional
        What is outside is shown as no shape.

    Returns
    -------
    uint8 array (H, W)
        0 where there is no shape, and on label 0 always; 1 for an IoU of 0, 255 for 1.
    """
    return _painted(label_map, matches.labels, matches.iou, content)


def comparison_picture(
    truth: NDArray[Any], first: Matches, second: Matches, content: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    """Return the true shapes by which of two predictions found them better, as indices into `COMPARISON_PALETTE`.

    Parameters
    ----------
    truth : integer array (H, W)
    first, second : Matches
        Of the true shapes in the one and the other prediction.
    content : bool array (H, W), optional

    Returns
    -------
    uint8 array (H, W)
        0 where there is no shape; 128 for equal IoUs, less where the first is better, more where the second is.
    """
    return _painted(truth, first.labels, (second.iou - first.iou + 1) / 2, content)


def _painted(
    label_map: NDArray[Any], labels: NDArray[np.int64], values: NDArray[np.float64], content: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    """Return 1 + 254 * value of each pixel's label."""
    levels = np.rint(1 + 254 * values).astype(np.uint8)
    levels[labels == 0] = 0
    highest = int(label_map.max(initial=0))
    if highest <= 4 * label_map.size:  # numbers may be anything, and a table of all up to them large
        table = np.zeros(highest + 1, np.uint8)
        table[labels] = levels
        painted: NDArray[np.uint8] = table[label_map]
    else:
        place = np.searchsorted(labels, label_map).clip(max=max(0, labels.size - 1))
        painted = np.where(labels[place] == label_map, levels[place], 0).astype(np.uint8)
    if content is not None:
        painted[~content] = 0
    return painted
