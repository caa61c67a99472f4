"""What the content mask of a sheet says of its edge map: no edge outside, or a sure edge on its border."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from unet.errors import InputError

Calibration = Literal["zero", "edge"]


def calibrate(epm: NDArray[Any], content: NDArray[np.bool_], kind: Calibration) -> NDArray[Any]:
    """Return the edge map corrected by what is known of the sheet's content.

    Parameters
    ----------
    epm : uint8 or uint16 array (H, W)
        High on edges.
    content : bool array (H, W)
        False on margins and legends.
    kind : {"zero", "edge"}
        "zero": there is no edge outside of the content. "edge": the inner boundary of the content is an edge for sure,
        the highest value of the type. Both: one after the other.

    Returns
    -------
    array like `epm`

    Raises
    ------
    InputError
        If the sizes differ, or the kind is another.

    Notes
    -----
    The inner boundary is what scikit-image's ``find_boundaries(content, mode="inner")`` gives: pixels of the content
    with a neighbour above, below, left or right that is not. The picture's own edge is none.

    Examples
    --------
    >>> epm = np.array([[7, 7, 7, 7, 7]], dtype=np.uint8)
    >>> content = np.array([[False, True, True, True, True]])
    >>> calibrate(epm, content, "zero")
    array([[0, 7, 7, 7, 7]], dtype=uint8)
    >>> calibrate(epm, content, "edge")
    array([[  7, 255,   7,   7,   7]], dtype=uint8)
    """
    from scipy.ndimage import binary_erosion

    if kind not in get_args(Calibration):
        raise InputError(f"calibration {kind!r}", " or ".join(map(repr, get_args(Calibration))), "choose one of these")
    if epm.shape != content.shape:
        raise InputError(
            f"a content mask of {_size(content)} for an edge map of {_size(epm)}",
            "both of one size",
            "give the mask of this sheet",
        )
    if kind == "zero":
        return np.where(content, epm, epm.dtype.type(0))
    boundary = content & ~binary_erosion(content, border_value=1)
    return np.where(boundary, np.iinfo(epm.dtype).max, epm).astype(epm.dtype, copy=False)


def _size(array: NDArray[Any]) -> str:
    return " x ".join(map(str, array.shape[::-1])) + " px"
