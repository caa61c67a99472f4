"""The samples of a run as pictures for the page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.errors import RasterError
from unet.report.samples import LEGEND_TAG, PANEL_WIDTH, paint_mistakes

IGNORED_COLOR = (255, 255, 255)
"""How samples show pixels that do not count."""


@dataclass(frozen=True)
class Panels:
    """One sample: data URIs of picture, truth, prediction and mistakes, and their size in pixels."""

    name: str
    picture: str
    truth: str
    prediction: str
    mistakes: str
    width: int
    height: int


def panels_of(sample: Path) -> Panels | None:
    """Cut a sample into its four panels.

    Older runs kept three; the mistakes are then where the colours of two of them differ.

    Returns
    -------
    Panels or None
        None where the file is not pictures of one size side by side, or cannot be read.
    """
    try:
        with raster.open(sample) as source:
            whole, below = source.read(), source.tags.get(LEGEND_TAG, "")
    except RasterError:
        return None
    if below.isdecimal() and int(below) < len(whole):
        whole = whole[: len(whole) - int(below)]
    count = 4 if whole.shape[1] == 4 * PANEL_WIDTH else 3
    height, width = whole.shape[0], whole.shape[1] // count
    if whole.shape[1] % count or whole.shape[2] != 3 or whole.dtype != np.uint8:
        return None
    panels = [whole[:, number * width : (number + 1) * width] for number in range(count)]
    picture, truth, prediction = panels[:3]
    mistakes = panels[3] if count == 4 else paint_mistakes(picture, _differences(truth, prediction))
    with TemporaryDirectory() as folder:
        return Panels(
            name=sample.stem.partition("_")[2] or sample.stem,
            picture=_uri(picture, Path(folder) / "picture.jpg"),
            truth=_uri(truth, Path(folder) / "truth.png"),
            prediction=_uri(prediction, Path(folder) / "prediction.png"),
            mistakes=_uri(mistakes, Path(folder) / "mistakes.png"),  # JPEG would take the red from single pixels
            width=width,
            height=height,
        )


def _differences(truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return 1 where two panels (h, w, 3) differ and the first is not of the colour of what does not count."""
    different = (truth != prediction).any(axis=2) & (truth != IGNORED_COLOR).any(axis=2)
    return np.asarray(different, dtype=np.float32)


def _uri(picture: NDArray[np.uint8], path: Path) -> str:
    raster.write_picture(path, picture)
    kind = "jpeg" if path.suffix == ".jpg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
