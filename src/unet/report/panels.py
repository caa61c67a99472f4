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

IGNORED_COLOR = (255, 255, 255)
"""How samples show pixels that do not count."""

WRONG = np.array([230, 0, 90], dtype=np.float32)


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
    """Cut a sample into its three parts and add a fourth: where truth and prediction differ.

    Returns
    -------
    Panels or None
        None where the file is not three pictures of one size side by side, or cannot be read.
    """
    try:
        whole = raster.read(sample)
    except RasterError:
        return None
    height, width = whole.shape[0], whole.shape[1] // 3
    if whole.shape[1] % 3 or whole.shape[2] != 3 or whole.dtype != np.uint8:
        return None
    picture, truth, prediction = (whole[:, number * width : (number + 1) * width] for number in range(3))
    with TemporaryDirectory() as folder:
        return Panels(
            name=sample.stem.partition("_")[2] or sample.stem,
            picture=_uri(picture, Path(folder) / "picture.jpg"),
            truth=_uri(truth, Path(folder) / "truth.png"),
            prediction=_uri(prediction, Path(folder) / "prediction.png"),
            mistakes=_uri(mistakes(picture, truth, prediction), Path(folder) / "mistakes.jpg"),
            width=width,
            height=height,
        )


def mistakes(picture: NDArray[np.uint8], truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture in pale grey with what was predicted wrongly in red; all arrays are (H, W, 3) uint8."""
    grey = picture.astype(np.float32).mean(axis=2, keepdims=True)
    pale = np.repeat(0.45 * grey + 0.55 * 255, 3, axis=2)
    wrong = (truth != prediction).any(axis=2) & (truth != IGNORED_COLOR).any(axis=2)
    pale[wrong] = 0.2 * pale[wrong] + 0.8 * WRONG
    return np.asarray(pale.astype(np.uint8))


def _uri(picture: NDArray[np.uint8], path: Path) -> str:
    raster.write_picture(path, picture)
    kind = "jpeg" if path.suffix == ".jpg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
