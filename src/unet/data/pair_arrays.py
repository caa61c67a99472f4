"""A pair of files as arrays: the picture, and the class of each pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.data.pairs import Pair
from unet.errors import DataError
from unet.labels import IGNORED, Labels


def read_pair(pair: Pair, labels: Labels) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Return picture (H, W, C) and target (H, W) of a pair at the file's own size.

    Raises
    ------
    RasterError, DataError
        A file that cannot be read, a mask value that is in no class, sizes that differ; the file is named.
    """
    picture, target = raster.read(pair.image), read_target(pair, labels)
    if target.shape != picture.shape[:2]:
        raise DataError(
            f"{pair.mask}: mask of {target.shape[1]} x {target.shape[0]} px for a picture of "
            f"{picture.shape[1]} x {picture.shape[0]} px",
            "the same size",
        )
    return picture, target


def read_target(pair: Pair, labels: Labels) -> NDArray[np.uint8]:
    """Return the target (H, W) of a pair, ignored outside of its region of interest.

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
        mask = raster.read_mask(pair.mask)
        target = labels.encode(mask)
    except DataError as error:
        raise error.of(pair.mask) from None
    if pair.roi is not None:
        inside = raster.read(pair.roi).any(axis=2)
        if inside.shape != target.shape:
            raise DataError(f"{pair.roi}: a region of {inside.shape[1]} x {inside.shape[0]} px", "the picture's size")
        target[~inside] = IGNORED
    if labels.kind != "instances":
        return target, None
    return target, np.where(target == 1, mask, 0).astype(np.int32)
