"""What one picture or one mask is like, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.data.objects import Shape, shapes_of
from unet.labels import Color, Value, as_value

MOST_VALUES = 1024
"""So many different values of a mask are kept; more are never classes, only counted."""

_SAMPLE = 32768  # pixels of a picture that its statistics are taken from
_BLOB_PIXELS = 100_000  # pixels of a mask that are looked at for separate objects
_BLOB_VALUES = 8  # values of a mask that are looked at for separate objects


@dataclass(frozen=True)
class PictureStats:
    """What a picture is like; numbers per band in the file's own units, from a sample of its pixels.

    Attributes
    ----------
    height, width, bands : int
    dtype : str
        "uint8", "uint16" or "float32".
    mean, std, low, high : tuple of float
        `low` and `high` are the 1st and the 99.9th percentile.
    n_values : int
        How many different numbers there are in the sample: few in a mask that was given as a picture.
    lean : float
        How much brighter the lower half is than the upper one, in standard deviations.
    """

    height: int
    width: int
    bands: int
    dtype: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n_values: int
    lean: float = 0.0


@dataclass(frozen=True)
class MaskStats:
    """What a mask holds.

    Attributes
    ----------
    height, width : int
    dtype : str
        "uint8", "uint16" or "int32".
    values : tuple of (value, count of pixels)
        The most frequent first, at most `MOST_VALUES`; a value is an int or an RGB triple.
    n_values : int
        How many different ones there are.
    lossy : bool
        The file's format changes values (JPEG).
    palette : tuple of (int, int, int) or None
        Colours by index, up to the highest index in use.
    objects : float or None
        The share of the values other than 0 that are one connected blob, as numbers of objects are and class
        numbers seldom. None where the values cannot be numbers of objects.
    shapes : tuple of Shape
        How thick and how large the regions of each value are; empty where they were not measured.
    """

    height: int
    width: int
    dtype: str
    values: tuple[tuple[Value, int], ...]
    n_values: int
    lossy: bool
    palette: tuple[Color, ...] | None
    objects: float | None
    shapes: tuple[Shape, ...] = ()

    @property
    def is_rgb(self) -> bool:
        """True where the values are colours."""
        return isinstance(self.values[0][0], tuple)


def picture_stats(picture: NDArray[Any]) -> PictureStats:
    """Return the statistics of a picture (H, W, C)."""
    height, width, bands = picture.shape
    step = max(1, int(np.ceil(np.sqrt(height * width / _SAMPLE))))
    sample = np.ascontiguousarray(picture[::step, ::step].reshape(-1, bands).T)
    upper, lower = np.array_split(sample, 2, axis=1)
    low, high = np.percentile(sample, (1, 99.9), axis=1)
    return PictureStats(
        height=height,
        width=width,
        bands=bands,
        dtype=picture.dtype.name,
        mean=_floats(sample.mean(axis=1, dtype=np.float64)),
        std=_floats(sample.std(axis=1, dtype=np.float64)),
        low=_floats(low),
        high=_floats(high),
        n_values=len(_count(sample)[0]) if picture.dtype.kind == "u" else len(np.unique(sample)),
        lean=float(np.mean(lower) - np.mean(upper)) / max(float(np.std(sample)), 1e-6) if sample.shape[1] > 1 else 0.0,
    )


def mask_stats(
    mask: NDArray[Any], *, lossy: bool = False, palette: Sequence[Color] | None = None, shapes: bool = True
) -> MaskStats:
    """Return what a mask (H, W) or (H, W, 3) holds; `shapes` of more than `MOST_VALUES` values are not measured."""
    values, counts = _count(mask)
    order = np.argsort(-counts, kind="stable")[:MOST_VALUES]
    kept = tuple((as_value(values[index].tolist()), int(counts[index])) for index in order)
    objects = _objects(mask, values) if mask.ndim == 2 else None
    return MaskStats(
        height=mask.shape[0],
        width=mask.shape[1],
        dtype=mask.dtype.name,
        values=kept,
        n_values=len(values),
        lossy=lossy,
        palette=None if palette is None else tuple(palette[: int(values.max()) + 1]),
        objects=objects,
        shapes=shapes_of(mask, values, counts, numbered=(objects or 0) > 0.5)
        if shapes and len(values) <= MOST_VALUES
        else (),
    )


def _count(mask: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the values that occur, (N,) or (N, 3) in rising order, and how many pixels have each."""
    if mask.ndim == 2 and mask.dtype.kind == "u":
        bins = np.bincount(mask.ravel())
        values = np.flatnonzero(bins)
        return values, bins[values]
    codes = mask.ravel()
    if mask.ndim == 3:
        wide = mask.reshape(-1, 3).astype(np.int32)
        codes = wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]
    # Sorting runs of equal pixels instead of pixels: masks are mostly runs.
    starts = np.flatnonzero(np.diff(codes, prepend=codes[:1] - 1))
    lengths = np.diff(starts, append=codes.size)
    present, inverse = np.unique(codes[starts], return_inverse=True)
    counts = np.bincount(inverse, weights=lengths).astype(np.int64)
    if mask.ndim == 3:
        present = np.stack([present >> 16, present >> 8 & 255, present & 255], axis=1)
    return present, counts


def _objects(mask: NDArray[Any], values: NDArray[Any]) -> float | None:
    """Return the share of values other than 0 that form one blob; see `MaskStats.objects`."""
    numbers = values[values > 0]
    numbered = mask.dtype != np.uint8 or numbers.size > 64 or (numbers.size and numbers[-1] == numbers.size)
    if numbers.size < 3 or not numbered or values[0] < 0:
        return None
    from scipy import ndimage  # slow to import, and needed for few masks

    step = max(1, int(np.ceil(np.sqrt(mask.size / _BLOB_PIXELS))))
    # 0 for the value 0, then 1, 2, ... in the order of the values.
    codes = np.searchsorted(values, mask[::step, ::step]) + (values[0] > 0)
    boxes = [(code, box) for code, box in enumerate(ndimage.find_objects(codes), start=1) if box is not None]
    single = 0
    looked = boxes[:: max(1, len(boxes) // _BLOB_VALUES)]
    for seen, (code, box) in enumerate(looked, start=1):
        single += ndimage.label(codes[box] == code, np.ones((3, 3)))[1] == 1
        if seen - single == 3:  # clearly not
            break
    return single / seen if looked else None


def _floats(values: NDArray[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
