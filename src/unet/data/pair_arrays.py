"""A pair of files as arrays: the picture, and the class of each pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.data.pairs import Pair
from unet.data.polygon_truth import polygon_mask
from unet.data.windows import has_void, source_of
from unet.errors import DataError
from unet.labels import IGNORED, Labels
from unet.preprocessing import Preprocessing
from unet.raster import Window
from unet.raster.roi import POLYGON_SUFFIXES, open_region


def read_pair(
    pair: Pair, labels: Labels, preprocessing: Preprocessing | None = None
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Return picture (H, W, C), as `read_picture` does, and target (H, W) of a pair at the file's own size.

    Raises
    ------
    RasterError, DataError
        A file that cannot be read, a mask value that is in no class, sizes that differ; the file is named.
    """
    picture, target = read_picture(pair, preprocessing), read_target(pair, labels)
    if target.shape != picture.shape[:2]:
        raise DataError(
            f"{pair.mask}: mask of {target.shape[1]} x {target.shape[0]} px for a picture of "
            f"{picture.shape[1]} x {picture.shape[0]} px",
            "the same size",
        )
    return picture, target


def read_picture(pair: Pair, preprocessing: Preprocessing | None = None) -> NDArray[Any]:
    """Return the picture (H, W, C) of a pair, or of a block its window.

    Parameters
    ----------
    pair : Pair
    preprocessing : Preprocessing, optional
        Where the file says that it holds nothing, it is of the mean colour of that; without it, black.

    Raises
    ------
    RasterError
        It cannot be read.
    """
    if pair.window is None and not has_void(pair.image):
        return raster.read(pair.image)
    source = source_of(pair.image)
    mean = np.array(preprocessing.mean if preprocessing is not None and preprocessing.mean else (0.0,))
    white = 255.0 if source.dtype == "uint8" or preprocessing is None else preprocessing.data_range
    mean = mean if mean.size == source.bands else mean.mean(keepdims=True)
    return source.read(pair.window, fill=np.broadcast_to(np.rint(mean * white), source.bands).tolist())


def read_mask(pair: Pair, window: Window | None = None) -> NDArray[Any]:
    """Return the mask of a pair as it stands in its file, (H, W) or (H, W, 3), or of a block its window.

    Parameters
    ----------
    pair : Pair
    window : (row, column, height, width), optional
        Of the mask's file, in place of that of the pair.

    Raises
    ------
    RasterError
        It cannot be read.
    """
    window = window or (None if pair.cut_mask else pair.window)
    if pair.drawing is not None:
        return polygon_mask(pair, window)
    return raster.read_mask(pair.mask) if window is None else source_of(pair.mask).read_mask(window)


def read_target(pair: Pair, labels: Labels) -> NDArray[np.uint8]:
    """Return the target (H, W) of a pair, ignored outside of its region of interest and where the picture is void.

    Raises
    ------
    RasterError, DataError
        As `read_target_and_objects` does.
    """
    return read_target_and_objects(pair, labels)[0]


def read_objects(pair: Pair, labels: Labels) -> NDArray[np.int32] | None:
    """Return the numbers of the objects (H, W), 0 for none and where nothing counts, of a pair whose mask numbers them.

    None for masks of classes.

    Raises
    ------
    RasterError, DataError
        As `read_target_and_objects` does.
    """
    return read_target_and_objects(pair, labels)[1]


def read_target_and_objects(pair: Pair, labels: Labels) -> tuple[NDArray[np.uint8], NDArray[np.int32] | None]:
    """Return what `read_target` and what `read_objects` return, from one reading of the mask.

    Raises
    ------
    RasterError, DataError
        A file that cannot be read, a mask value that is in no class, a region of another size; the file is named.
    """
    try:
        mask, target = _encoded(pair, labels)
    except DataError as error:
        raise error.of(pair.mask) from None
    if pair.roi is not None:
        inside = _inside(pair, pair.roi)
        if inside.shape != target.shape:
            raise DataError(f"{pair.roi}: a region of {inside.shape[1]} x {inside.shape[0]} px", "the picture's size")
        target[~inside] = IGNORED
    if not pair.cut_mask and has_void(pair.image):
        valid = source_of(pair.image).read_valid(pair.window)
        if valid.shape == target.shape:  # else whoever reads the picture says so
            target[~valid] = IGNORED
    if labels.kind != "instances":
        return target, None
    return target, np.where(target == 1, mask, 0).astype(np.int32)


def _inside(pair: Pair, roi: Path) -> NDArray[np.bool_]:
    """Return which pixels of a pair, or of its block, lie in a region of interest."""
    if roi.suffix.lower() not in POLYGON_SUFFIXES:
        pixels = raster.read(roi) if pair.window is None else source_of(roi).read(pair.window)
        return np.asarray(pixels.any(axis=2))
    source = source_of(pair.image)
    with open_region(roi, source) as region:
        return region.inside(pair.window or (0, 0, source.height, source.width))


def _encoded(pair: Pair, labels: Labels) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Return the mask of a pair and its classes; lines beside a block are thickened into it."""
    halo = max(labels.dilated, default=0)
    if pair.window is None or pair.cut_mask or not halo:
        mask = read_mask(pair)
        return mask, labels.encode(mask)
    row, column, height, width = pair.window
    source = source_of(pair.image if pair.drawing is not None else pair.mask)
    top, left = max(0, row - halo), max(0, column - halo)
    bottom, right = min(source.height, row + height + halo), min(source.width, column + width + halo)
    mask = read_mask(pair, (top, left, bottom - top, right - left))
    part = (slice(row - top, row - top + height), slice(column - left, column - left + width))
    return mask[part], labels.encode(mask)[part]
