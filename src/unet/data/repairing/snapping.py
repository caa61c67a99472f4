"""Values that JPEG or blending has bent, put back to the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.labels import Value

_NEARBY = 3  # pixels from a doubtful one within which a class must have an inside to be present there
_DETOUR = 1.1  # a value lies between two others if the way by it is at most so much longer than the straight one
_ASTRAY = 0.25  # of the way to the second nearest value: pixels farther out say that edges were blurred
_BLURRED = 0.1  # share of such pixels at edges from which on edges are looked at
_AT_ONCE = 50_000  # doubtful pixels
_IN_A_BAND = 1_000_000  # pixels, to keep memory within bounds


def snap(mask: NDArray[Any], values: Sequence[Value]) -> NDArray[Any]:
    """Return a mask with true values only.

    Every pixel takes the nearest value. Where edges are blurred, the pixels between two classes may come nearest to a
    third one that lies between these in grey or colour. It counts there only if it has an inside nearby, which is a
    pixel whose eight neighbours are alike; else the pixel takes the nearest of the classes that have one.
    (Measured by benchmarks/snapping.py, docs/decisions/011-repair.md.)

    Parameters
    ----------
    mask : integer array (H, W), or uint8 array (H, W, 3)
    values : sequence of int or of (int, int, int)
        Two or more; colours if the mask holds colours.

    Returns
    -------
    array
        Of the mask's shape and dtype, where these can hold the values. A mask that holds true values only comes back
        as it is.
    """
    true, mask = _points(values, mask)
    chosen, astray = _nearest(mask, true)
    exact = _filled(mask, true, chosen)
    if (exact == mask).all():
        return mask
    between = _between(true)
    if not between.any():
        return exact
    return _filled(mask, true, _without_blends(mask, true, chosen, astray, between))


def without_accidents(mask: NDArray[Any], accidents: Sequence[Value]) -> NDArray[Any]:
    """Return a mask in which pixels of these values have that of the nearest other pixel.

    Parameters
    ----------
    mask : integer array (H, W), or uint8 array (H, W, 3)
    accidents : sequence of int or of (int, int, int)
        As in `unet.data.true_values.vanishing_values`: few pixels have them.
    """
    from scipy import ndimage  # slow to import

    astray = np.zeros(mask.shape[:2], np.bool_)
    for value in accidents:
        if mask.ndim == 3:
            astray |= (mask == np.array(value)).all(axis=2)
        elif isinstance(value, int) or len(set(value)) == 1:  # a mask of greys among those of colours
            astray |= mask == (value if isinstance(value, int) else value[0])
    if not astray.any() or astray.all():
        return mask
    rows, columns = ndimage.distance_transform_edt(astray, return_distances=False, return_indices=True)
    mended: NDArray[Any] = mask[rows, columns]
    return mended


def nearest(mask: NDArray[Any], values: Sequence[Value]) -> NDArray[Any]:
    """Return a mask in which every pixel has the nearest of the values; parameters as in `snap`."""
    true, mask = _points(values, mask)
    return _filled(mask, true, _nearest(mask, true)[0])


def _points(values: Sequence[Value], mask: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return the values (K, 1) or (K, 3), and the mask in colours where the values are some."""
    true = np.array([np.atleast_1d(value) for value in values], dtype=np.int64)
    is_grey = true.shape[1] == 3 and mask.ndim == 2
    return true, np.repeat(mask[..., None], 3, axis=2) if is_grey else mask


def _filled(mask: NDArray[Any], true: NDArray[np.int64], chosen: NDArray[np.int16]) -> NDArray[Any]:
    """Return the chosen values in the form of a mask."""
    limits = np.iinfo(mask.dtype)
    fits = limits.min <= true.min() and true.max() <= limits.max
    return true.astype(mask.dtype if fits else np.int32)[chosen].reshape(mask.shape)


def _nearest(mask: NDArray[Any], true: NDArray[np.int64]) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Return for each pixel (H, W) the nearest value, and whether it lies far off on the way to another."""
    height, width = mask.shape[:2]
    chosen, astray = np.empty((height, width), np.int16), np.empty((height, width), np.bool_)
    for rows in np.array_split(np.arange(height), -(-height * width // _IN_A_BAND)):
        part = slice(rows[0], rows[-1] + 1)
        wide = mask[part].astype(np.int64)
        codes = wide if mask.ndim == 2 else wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
        present, inverse = np.unique(codes, return_inverse=True)
        bands = (present,) if mask.ndim == 2 else (present >> 16, present >> 8 & 255, present & 255)
        apart = _apart(np.stack(bands, axis=1), true)
        first, second = np.sort(apart, axis=1)[:, :2].T
        far = first > _ASTRAY * (first + second)
        inverse = inverse.reshape(codes.shape)
        chosen[part], astray[part] = apart.argmin(axis=1)[inverse], far[inverse]
    return chosen, astray


def _apart(pixels: NDArray[Any], true: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the distances (N, K) of pixels (N, bands) from the true values."""
    apart: NDArray[np.float64] = np.linalg.norm(pixels[:, None].astype(np.float64) - true[None], axis=2)
    return apart


def _between(true: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (K, K, K): whether class i lies between the classes j and k."""
    apart = _apart(true, true)
    between: NDArray[np.bool_] = apart[:, :, None] + apart[:, None, :] <= _DETOUR * apart[None]
    for index in range(len(true)):
        between[index, index] = between[index, :, index] = False
    return between


def _without_blends(
    mask: NDArray[Any],
    true: NDArray[np.int64],
    chosen: NDArray[np.int16],
    astray: NDArray[np.bool_],
    between: NDArray[np.bool_],
) -> NDArray[np.int16]:
    """Return the classes (H, W) without those that only seem to be there, because they lie between two that are."""
    from scipy import ndimage  # slow to import

    alike = ndimage.minimum_filter(chosen, 3) == ndimage.maximum_filter(chosen, 3)
    at_edges = astray[~alike]
    if not at_edges.size or at_edges.mean() < _BLURRED:
        return chosen
    inside = np.pad(np.where(alike, chosen, -1), _NEARBY, constant_values=-1)
    windows = np.lib.stride_tricks.sliding_window_view(inside, (2 * _NEARBY + 1, 2 * _NEARBY + 1))
    resolved = chosen.copy()
    doubtful = np.asarray(between.any(axis=(1, 2)))
    rows, columns = np.nonzero(doubtful[chosen] & ~alike)
    for start in range(0, len(rows), _AT_ONCE):
        row, column = rows[start : start + _AT_ONCE], columns[start : start + _AT_ONCE]
        window = windows[row, column].reshape(len(row), -1)
        present = np.stack([(window == index).any(axis=1) for index in range(len(true))], axis=1)
        seeming = chosen[row, column]
        wrong = np.zeros(len(row), dtype=np.bool_)
        for index in np.unique(seeming):
            here = seeming == index
            pairs = present[here].astype(np.float32) @ between[index].astype(np.float32)
            wrong[here] = (pairs * present[here]).any(axis=1) & ~present[here, index]
        row, column = row[wrong], column[wrong]
        costs = np.where(present[wrong], _apart(mask[row, column].reshape(-1, true.shape[1]), true), np.inf)
        resolved[row, column] = costs.argmin(axis=1)
    return resolved
