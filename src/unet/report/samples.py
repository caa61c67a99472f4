"""A picture with its truth, its prediction and the mistakes beside it: what a run keeps of its pictures to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.labels import IGNORED, Labels
from unet.report.legend import legend, with_legend
from unet.report.overlay import viewable

PANEL_WIDTH = 480
"""Pixels of each of the four panels, whatever the picture's size."""

LEGEND_TAG = "unet:legend"
"""Says in a file how many rows at its bottom are the colours of the classes."""

MOST_HEIGHT = 960
"""Pixels: taller pictures are narrower than their panel, with white beside them."""

_MISTAKE = np.array([230, 0, 90], dtype=np.float32)
_OPACITY = (0.35, 0.8)  # of a mistake that is hardly a pixel of the panel, and of one that fills it


def sample_panels(
    picture: NDArray[Any], target: NDArray[np.uint8], predicted: NDArray[np.uint8], labels: Labels, data_range: float
) -> NDArray[np.uint8]:
    """Return picture, truth, prediction and mistakes side by side.

    Parameters
    ----------
    picture : array (H, W, C)
        As read from its file.
    target, predicted : uint8 arrays (H, W)
        Class indices; what is `IGNORED` in the target is no mistake.
    labels : Labels
        Colours of the classes.
    data_range : float
        The value to show as white in a picture that is not uint8.

    Returns
    -------
    uint8 array (h, 4 * PANEL_WIDTH, 3)
        Classes are reduced by taking the nearest pixel, so that no colours are blended; mistakes are found at full
        size, and one that is smaller than a pixel of the panel is still seen.
    """
    full_height, full_width = target.shape
    factor = min(PANEL_WIDTH / full_width, MOST_HEIGHT / full_height)
    height, width = max(1, round(full_height * factor)), max(1, round(full_width * factor))
    how = "area" if factor < 1 else "nearest"
    shown = raster.resize(viewable(picture, data_range), height, width, how)
    truth, prediction = (
        labels.colorize(raster.resize(indices, height, width, "nearest")) for indices in (target, predicted)
    )
    wrong = ((target != predicted) & (target != IGNORED)).astype(np.float32)
    mistakes = paint_mistakes(shown, raster.resize(wrong, height, width, how))
    margin = ((0, 0), (0, PANEL_WIDTH - width), (0, 0))
    return np.hstack([np.pad(panel, margin, constant_values=255) for panel in (shown, truth, prediction, mistakes)])


def write_sample(path: Path, panels: NDArray[np.uint8], labels: Labels) -> None:
    """Write the panels that `sample_panels` returns with the colours of the classes below them.

    Raises
    ------
    RasterError
        The file cannot be written.
    """
    key = legend(labels, panels.shape[1])[:, : panels.shape[1]]
    raster.write_picture(path, with_legend(panels, key), tags={LEGEND_TAG: str(len(key))})


def paint_mistakes(picture: NDArray[np.uint8], share: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a picture in pale grey with its mistakes in red.

    Parameters
    ----------
    picture : uint8 array (h, w, 3)
    share : float32 array (h, w)
        How much of each pixel is wrong, 0 to 1.
    """
    grey = picture.astype(np.float32).mean(axis=2, keepdims=True)
    pale = 0.45 * grey + 0.55 * 255
    least, most = _OPACITY
    opacity = np.where(share > 0, least + (most - least) * share, 0)[..., None]
    return np.asarray((pale * (1 - opacity) + _MISTAKE * opacity).astype(np.uint8))
