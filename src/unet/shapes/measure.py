"""How thick and how large the regions of a mask are, measured on a bounded number of its pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.labels import Value, as_value
from unet.shapes.components import connected_components

MAX_VALUES = 256
"""So many values of a mask are kept, those with most pixels."""

_ALL_ROWS = 100_000  # pixels of a mask of which every row is looked at; four times as many: every second row
_REGION_PIXELS = 25_000  # pixels of the reduced mask whose connected regions are measured


@dataclass(frozen=True)
class RegionProps:
    """The region of one value of a mask, named as in scikit-image's `regionprops`.

    Attributes
    ----------
    value : int or (int, int, int)
    area : int
        Pixels.
    perimeter_crofton : float
        Length of the border with other values in pixels; the picture's own edge is none.
    centroid_row : float
        Mean height in the picture, from 0 (top) to 1 (bottom).
    components : tuple of (int, int)
        Connected components (diagonal neighbours included) by size: how many, and their area in pixels together, for
        each power of two of the area that occurs.
    """

    value: Value
    area: int
    perimeter_crofton: float
    centroid_row: float
    components: tuple[tuple[int, int], ...]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RegionProps:
        """Read what `dataclasses.asdict` wrote, also after a trip through JSON."""
        components = tuple((int(count), int(area)) for count, area in data["components"])
        value = as_value(data["value"])
        return cls(value, data["area"], data["perimeter_crofton"], data["centroid_row"], components)


def thickness(area: float, perimeter: float) -> float:
    """Return 2 * area / perimeter: the width of a long line, half the diameter of a disc; infinite without border.

    Examples
    --------
    >>> thickness(area=5 * 1000, perimeter=2 * 1000)  # a line 5 pixels wide, 1000 long, its ends left out
    5.0
    """
    return 2 * area / perimeter if perimeter else math.inf


def region_props(
    mask: NDArray[Any], keys: NDArray[Any], counts: NDArray[np.int64], *, rgb: bool = False
) -> tuple[RegionProps, ...]:
    """Return the properties of each value of a mask, the most frequent first.

    Parameters
    ----------
    mask : integer array (H, W)
    keys : integer array (N,)
        All values that occur, in rising order.
    counts : int64 array (N,)
        How many pixels have each.
    rgb : bool
        The values are colours, red << 16 | green << 8 | blue.

    Notes
    -----
    The perimeter is the Cauchy-Crofton estimate from neighbours in four directions [1]_, on evenly spaced rows at full
    resolution: within 6 % for straight borders of any direction, and for lines of a single pixel. Components are those
    of the mask reduced to every n-th pixel, so that lines finer than that fall to pieces.

    References
    ----------
    .. [1] The Crofton formula, https://en.wikipedia.org/wiki/Crofton_formula; the estimate is that of scikit-image's
       `perimeter_crofton`, but for the picture's edge, which is no border here.

    Examples
    --------
    >>> mask = np.zeros((8, 8), dtype=np.uint8)
    >>> mask[1:5, 1:5] = mask[6:, 6:] = 7
    >>> ground, squares = region_props(mask, *np.unique(mask, return_counts=True))
    >>> squares.value, squares.area, squares.components  # a component of 4 pixels and one of 16
    (7, 20, ((1, 4), (1, 16)))
    """
    table: NDArray[np.uint16] | None = None
    if mask.dtype.kind == "u":
        table = np.zeros(int(keys[-1]) + 1, dtype=np.uint16)
        table[keys] = np.arange(keys.size)

    def codes(part: NDArray[Any]) -> NDArray[np.uint16]:
        if table is not None:
            indices: NDArray[np.uint16] = table[part]
            return indices
        return np.searchsorted(keys, part).astype(np.uint16)

    n_values = len(keys)
    perimeters = _perimeters(mask, codes, n_values)
    step = math.ceil(math.sqrt(mask.shape[0] * mask.shape[1] / _REGION_PIXELS))
    small = codes(mask[::step, ::step])
    rows = _centroid_rows(small, n_values)
    components = _components(small, n_values, step)
    kept = np.argsort(-counts, kind="stable")[:MAX_VALUES]
    return tuple(
        RegionProps(from_key(int(keys[k]), rgb), int(counts[k]), float(perimeters[k]), float(rows[k]), components[k])
        for k in kept
    )


def from_key(key: int, rgb: bool) -> Value:
    """Return the value that a number stands for.

    Examples
    --------
    >>> from_key(7, rgb=False), from_key(0xFF8000, rgb=True)
    (7, (255, 128, 0))
    """
    return (key >> 16, key >> 8 & 255, key & 255) if rgb else key


def _perimeters(mask: NDArray[Any], codes: Any, n_values: int) -> NDArray[np.float64]:
    step = math.ceil(math.sqrt(mask.shape[0] * mask.shape[1] / _ALL_ROWS))
    upper, lower = codes(mask[:-1:step]), codes(mask[1::step])
    crossings = np.zeros(n_values)
    # Between crossings of a border, lines along an axis are 1 pixel apart, diagonal ones 1 / sqrt(2).
    for first, second, weight in (
        (upper[:, :-1], upper[:, 1:], 1.0),
        (upper, lower, 1.0),
        (upper[:, :-1], lower[:, 1:], math.sqrt(0.5)),
        (upper[:, 1:], lower[:, :-1], math.sqrt(0.5)),
    ):
        differ = first != second
        for side in (first, second):
            crossings += weight * np.bincount(side[differ], minlength=n_values)
    return crossings * step * math.pi / 8


def _centroid_rows(codes: NDArray[np.uint16], n_values: int) -> NDArray[np.float64]:
    height = codes.shape[0]
    weights = np.repeat((np.arange(height) + 0.5) / height, codes.shape[1])
    counts = np.bincount(codes.ravel(), minlength=n_values)
    rows: NDArray[np.float64] = np.bincount(codes.ravel(), weights, minlength=n_values) / np.maximum(counts, 1)
    return rows


def _components(codes: NDArray[np.uint16], n_values: int, step: int) -> list[tuple[tuple[int, int], ...]]:
    label_map = connected_components(codes).ravel()
    areas = np.bincount(label_map)[1:] * step**2
    owner = np.empty(areas.size + 1, dtype=np.intp)
    owner[label_map] = codes.ravel()
    octaves = np.log2(areas).astype(np.intp)
    bins = owner[1:] * 64 + octaves
    counts = np.bincount(bins, minlength=64 * n_values).reshape(n_values, 64)
    sums = np.bincount(bins, areas, minlength=64 * n_values).astype(np.int64).reshape(n_values, 64)
    return [
        tuple((int(counts[index, octave]), int(sums[index, octave])) for octave in np.flatnonzero(counts[index]))
        for index in range(n_values)
    ]
