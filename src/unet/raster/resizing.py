"""A picture at another size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unet.errors import RasterError

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
}
# Pillow multiplies colours by the fourth band of "RGBA" while it resizes; of "RGBX" it leaves them alone.
_MODES = {1: "L", 3: "RGB", 4: "RGBX"}


def resize(picture: NDArray[Any], height: int, width: int, resample: str = "bicubic") -> NDArray[Any]:
    """Return a picture or mask at another size.

    Parameters
    ----------
    picture : array (H, W) or (H, W, C)
        Any integer or float dtype, any number of bands.
    height, width : int
        In pixels, at least 1.
    resample : {"nearest", "bilinear", "bicubic", "area"}
        Pillow's filters, which widen when they reduce and so do not alias. "area" is the mean of the pixels
        covered, and "bilinear" where the picture grows. uint8 results are Pillow's to the bit, but for
        "area", which may differ by 1 from its box filter and is up to five times faster.

    Returns
    -------
    array (height, width) or (height, width, C)
        Of the same dtype; integers are rounded and kept within the range of their type.

    Raises
    ------
    RasterError
        A size below 1 or an unknown filter.
    """
    if resample not in FILTERS:
        raise RasterError(f"resize filter {resample!r}", ", ".join(FILTERS))
    if height < 1 or width < 1 or 0 in picture.shape:
        raise RasterError(
            f"a resize from {picture.shape[1]} x {picture.shape[0]} to {width} x {height} pixels",
            "at least 1 x 1",
        )
    if picture.shape[:2] == (height, width):
        return picture.copy()
    if resample == "area" and (height > picture.shape[0] or width > picture.shape[1]):
        resample = "bilinear"
    if picture.ndim == 2:
        return resize(picture[..., None], height, width, resample)[..., 0]
    if picture.dtype == np.uint8 and picture.shape[2] in _MODES:
        return _resize_bytes(picture, height, width, resample)
    if resample == "nearest":
        rows, columns = nearest_places(picture.shape[0], height), nearest_places(picture.shape[1], width)
        resized: NDArray[Any] = picture[rows[:, None], columns[None]]
        return resized
    bands = [_resize_band(picture[..., band], height, width, resample) for band in range(picture.shape[2])]
    return np.stack(bands, axis=2)


def _resize_bytes(picture: NDArray[Any], height: int, width: int, resample: str) -> NDArray[np.uint8]:
    """Resize uint8 (H, W, C), C in 1, 3, 4."""
    mode = _MODES[picture.shape[2]]
    size = (picture.shape[1], picture.shape[0])
    image = Image.frombuffer(mode, size, np.ascontiguousarray(picture), "raw", mode, 0, 1)
    resized = np.array(_resized(image, height, width, resample))
    return resized.reshape(height, width, picture.shape[2])


def _resize_band(band: NDArray[Any], height: int, width: int, resample: str) -> NDArray[Any]:
    """Resize one band (H, W): bytes as such, others in float32, which holds integers up to 2**24 exactly."""
    if band.dtype == np.uint8:
        return _resize_bytes(band[..., None], height, width, resample)[..., 0]
    image = Image.fromarray(np.ascontiguousarray(band, dtype=np.float32))
    resized = np.asarray(_resized(image, height, width, resample))
    if band.dtype.kind in "iu":
        limits = np.iinfo(band.dtype)
        resized = np.rint(resized).clip(limits.min, limits.max)
    return resized.astype(band.dtype)


def _resized(image: Image.Image, height: int, width: int, resample: str) -> Image.Image:
    if resample == "area":
        if image.width % width == 0 and image.height % height == 0:
            return image.reduce((image.width // width, image.height // height))
        return image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)
    return image.resize((width, height), FILTERS[resample])


def nearest_places(length: int, new_length: int) -> NDArray[np.int32]:
    """Return for each position of the new length, the index of the source pixel that Pillow takes."""
    line = Image.fromarray(np.arange(length, dtype=np.int32)[None])
    indices: NDArray[np.int32] = np.asarray(line.resize((new_length, 1), Image.Resampling.NEAREST))[0]
    return indices
