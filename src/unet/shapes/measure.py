"""How thick and how large the regions of a mask are, measured on a bounded number of its pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.labels import Value, as_value

MOST_SHAPES = 256
"""So many values of a mask are kept, those with most pixels."""

_ALL_ROWS = 100_000  # pixels of a mask of which every row is looked at; four times as many: every second row
_REGION_PIXELS = 25_000  # pixels of the reduced mask whose connected regions are measured
_BLENDED = 8  # so many values between dark and white are no classes but blends of some
_PEAK_SHARE, _PEAK_GAP = 0.01, 16  # a value that others were blended from: that frequent, that far from the next


@dataclass(frozen=True)
class Shape:
    """The regions of one value of a mask.

    Attributes
    ----------
    value : int or (int, int, int)
    area : int
        Pixels.
    perimeter : float
        Length of the border with other values in pixels; the picture's own edge is none.
    row : float
        Mean height in the picture, from 0 (top) to 1 (bottom).
    regions : tuple of (int, int)
        Connected regions (diagonal neighbours included) by size: how many, and their area in pixels together, for
        each power of two of the area that occurs.
    """

    value: Value
    area: int
    perimeter: float
    row: float
    regions: tuple[tuple[int, int], ...]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Shape:
        """Read what `dataclasses.asdict` wrote, also after a trip through JSON."""
        regions = tuple((int(count), int(area)) for count, area in data["regions"])
        return cls(as_value(data["value"]), data["area"], data["perimeter"], data["row"], regions)


def thickness(area: float, perimeter: float) -> float:
    """Return 2 * area / perimeter: the width of a long line, half the diameter of a disc; infinite without border."""
    return 2 * area / perimeter if perimeter else math.inf


def measure_shapes(
    mask: NDArray[Any], keys: NDArray[Any], counts: NDArray[np.int64], *, rgb: bool = False, numbered: bool = False
) -> tuple[Shape, ...]:
    """Return the shapes of a mask.

    Parameters
    ----------
    mask : integer array (H, W)
    keys : integer array (N,)
        All values that occur, in rising order.
    counts : int64 array (N,)
        How many pixels have each.
    rgb : bool
        The values are colours, red << 16 | green << 8 | blue.
    numbered : bool
        The values number objects. Otherwise many grey values are taken for blends (JPEG, anti-aliasing) of the
        frequent ones, each pixel then counting as the nearest of these.

    Notes
    -----
    The perimeter is the Cauchy-Crofton estimate from neighbours in four directions, on evenly spaced rows at full
    resolution: within 6 % for straight borders of any direction, and for lines of a single pixel. Regions are those
    of the mask reduced to every n-th pixel, so that lines finer than that fall to pieces.
    """
    table: NDArray[np.uint16] | None = None
    if mask.dtype.kind == "u":
        table = np.zeros(int(keys[-1]) + 1, dtype=np.uint16)
        table[keys] = np.arange(keys.size)
        between = np.count_nonzero((keys > 64) & (keys < 255))
        if mask.dtype == np.uint8 and between > _BLENDED and not numbered:
            peaks = _peaks(keys, counts)
            nearest = np.abs(keys[:, None] - keys[peaks]).argmin(axis=1)
            table[keys] = nearest
            counts = np.bincount(nearest, weights=counts).astype(np.int64)
            keys = keys[peaks]

    def codes(part: NDArray[Any]) -> NDArray[np.uint16]:
        if table is not None:
            found: NDArray[np.uint16] = table[part]
            return found
        return np.searchsorted(keys, part).astype(np.uint16)

    kinds = len(keys)
    perimeters = _perimeters(mask, codes, kinds)
    step = math.ceil(math.sqrt(mask.shape[0] * mask.shape[1] / _REGION_PIXELS))
    small = codes(mask[::step, ::step])
    rows = _rows(small, kinds)
    regions = _regions(small, kinds, step)
    kept = np.argsort(-counts, kind="stable")[:MOST_SHAPES]
    return tuple(
        Shape(from_key(int(keys[k]), rgb), int(counts[k]), float(perimeters[k]), float(rows[k]), regions[k])
        for k in kept
    )


def from_key(key: int, rgb: bool) -> Value:
    """Return the value that a number stands for."""
    return (key >> 16, key >> 8 & 255, key & 255) if rgb else key


def _peaks(keys: NDArray[Any], counts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the places of the values that others were blended from, in rising order."""
    peaks: list[int] = []
    for place in np.argsort(-counts, kind="stable"):
        if counts[place] < _PEAK_SHARE * counts.sum() and peaks:
            break
        if all(abs(int(keys[place]) - int(keys[peak])) >= _PEAK_GAP for peak in peaks):
            peaks.append(int(place))
    return np.array(sorted(peaks), dtype=np.intp)


def _perimeters(mask: NDArray[Any], codes: Any, kinds: int) -> NDArray[np.float64]:
    step = math.ceil(math.sqrt(mask.shape[0] * mask.shape[1] / _ALL_ROWS))
    upper, lower = codes(mask[:-1:step]), codes(mask[1::step])
    found = np.zeros(kinds)
    # Between crossings of a border, lines along an axis are 1 pixel apart, diagonal ones 1 / sqrt(2).
    for one, other, weight in (
        (upper[:, :-1], upper[:, 1:], 1.0),
        (upper, lower, 1.0),
        (upper[:, :-1], lower[:, 1:], math.sqrt(0.5)),
        (upper[:, 1:], lower[:, :-1], math.sqrt(0.5)),
    ):
        differ = one != other
        for side in (one, other):
            found += weight * np.bincount(side[differ], minlength=kinds)
    return found * step * math.pi / 8


def _rows(codes: NDArray[np.uint16], kinds: int) -> NDArray[np.float64]:
    height = codes.shape[0]
    weights = np.repeat((np.arange(height) + 0.5) / height, codes.shape[1])
    counts = np.bincount(codes.ravel(), minlength=kinds)
    rows: NDArray[np.float64] = np.bincount(codes.ravel(), weights, minlength=kinds) / np.maximum(counts, 1)
    return rows


def _regions(codes: NDArray[np.uint16], kinds: int, step: int) -> list[tuple[tuple[int, int], ...]]:
    from skimage.measure import label  # slow to import, and scans that are remembered do without it

    numbers = label(codes.astype(np.int32), background=-1, connectivity=2).ravel()  # type: ignore[no-untyped-call]
    areas = np.bincount(numbers)[1:] * step**2
    owner = np.empty(areas.size + 1, dtype=np.intp)
    owner[numbers] = codes.ravel()
    octaves = np.log2(areas).astype(np.intp)
    bins = owner[1:] * 64 + octaves
    counts = np.bincount(bins, minlength=64 * kinds).reshape(kinds, 64)
    sums = np.bincount(bins, areas, minlength=64 * kinds).astype(np.int64).reshape(kinds, 64)
    return [
        tuple((int(counts[kind, octave]), int(sums[kind, octave])) for octave in np.flatnonzero(counts[kind]))
        for kind in range(kinds)
    ]
