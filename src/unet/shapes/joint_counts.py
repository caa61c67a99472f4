"""How many pixels each pair of labels of two label maps shares, kept sparse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.errors import InputError

_BAND_PIXELS = 1 << 22  # pixels that are compared at a time, so that what is made on the way stays small


@dataclass(frozen=True, eq=False)
class JointCounts:
    """How many pixels have each pair of labels; the counts of parts of a sheet add up to those of the whole.

    Attributes
    ----------
    truth, prediction : int64 array (P,)
        The labels of each pair that occurs, 0 included; sorted, no pair twice.
    pixels : int64 array (P,)
        How many pixels have both.
    """

    truth: NDArray[np.int64]
    prediction: NDArray[np.int64]
    pixels: NDArray[np.int64]

    def __add__(self, other: JointCounts) -> JointCounts:
        return _summed(
            np.concatenate([self.truth, other.truth]),
            np.concatenate([self.prediction, other.prediction]),
            np.concatenate([self.pixels, other.pixels]),
        )


def joint_counts(truth: NDArray[Any], prediction: NDArray[Any], mask: NDArray[Any] | None = None) -> JointCounts:
    """Count the pixels of every pair of labels.

    Parameters
    ----------
    truth, prediction : integer array (H, W)
        Labels, 0 or more. May be mapped files: they are read by rows.
    mask : array (H, W), optional
        Where it is 0, both labels count as 0.

    Raises
    ------
    InputError
        Maps or mask of different sizes, or not of whole numbers from 0 on.

    Examples
    --------
    >>> counts = joint_counts(np.array([[1, 1, 2]]), np.array([[0, 5, 5]]))
    >>> counts.truth, counts.prediction, counts.pixels
    (array([1, 1, 2]), array([0, 5, 5]), array([1, 1, 1]))
    """
    for what, array in (("predicted shapes", prediction), ("content mask", mask)):
        if array is not None and array.shape != truth.shape:
            raise InputError(f"{what} of {_size(array)}", f"{_size(truth)}, the size of the true ones")
    for what, array in (("true", truth), ("predicted", prediction)):
        if array.ndim != 2 or array.dtype.kind not in "bui":
            raise InputError(f"{what} shapes as {array.dtype} {array.shape}", "labels, whole numbers (H, W)")
        if array.dtype.kind == "i" and array.size and int(array.min()) < 0:
            raise InputError(f"{what} shapes with label {array.min()}", "labels from 0 on")
    height, width = truth.shape
    rows = max(1, _BAND_PIXELS // max(1, width))
    bands = [
        _counts_of_band(
            truth[start : start + rows],
            prediction[start : start + rows],
            None if mask is None else mask[start : start + rows],
        )
        for start in range(0, height, rows)
    ] or [JointCounts(*np.empty((3, 0), np.int64))]
    if len(bands) == 1:
        return bands[0]
    return _summed(*(np.concatenate([getattr(b, name) for b in bands]) for name in ("truth", "prediction", "pixels")))


def _counts_of_band(truth: NDArray[Any], prediction: NDArray[Any], mask: NDArray[Any] | None) -> JointCounts:
    """Count pairs run by run: pixels next to each other have the same labels as a rule, so far less is sorted."""
    if mask is not None:
        inside = mask != 0
        truth, prediction = np.where(inside, truth, 0), np.where(inside, prediction, 0)
    first, second = truth.ravel(), prediction.ravel()
    if first.size == 0:
        return JointCounts(*np.empty((3, 0), np.int64))
    ends = np.flatnonzero((first[1:] != first[:-1]) | (second[1:] != second[:-1])) + 1
    starts = np.concatenate([[0], ends])
    lengths = np.diff(starts, append=first.size)
    return _summed(first[starts].astype(np.int64), second[starts].astype(np.int64), lengths)


def _summed(truth: NDArray[np.int64], prediction: NDArray[np.int64], pixels: NDArray[np.int64]) -> JointCounts:
    """Return each pair once, with all its pixels."""
    true_labels, row = np.unique(truth, return_inverse=True)
    predicted_labels, column = np.unique(prediction, return_inverse=True)
    n_columns = max(1, predicted_labels.size)
    keys, pair = np.unique(row.astype(np.int64) * n_columns + column, return_inverse=True)
    sums = np.bincount(pair, weights=pixels, minlength=keys.size)  # exact: below 2**53
    return JointCounts(true_labels[keys // n_columns], predicted_labels[keys % n_columns], sums.astype(np.int64))


def _size(array: NDArray[Any]) -> str:
    return " x ".join(map(str, array.shape[1::-1])) + " pixels" if array.ndim == 2 else f"shape {array.shape}"
