"""From polygons to the label map of a raster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.errors import InputError


def polygon_labels(
    geometries: NDArray[Any], shape: tuple[int, int], transform: Sequence[float] | None = None
) -> NDArray[np.int32]:
    """Return the label map of polygons: each pixel has the number of the last polygon that its centre lies in.

    Parameters
    ----------
    geometries : object array (N,) of shapely polygons and multi-polygons
        In map coordinates; without a transform in pixels, y downwards, or upwards from 0 if all are at y <= 0.
    shape : (int, int)
        Height and width.
    transform : sequence of 6 float, optional
        Of the raster, as in `unet.shapes.polygons.placed`.

    Returns
    -------
    int32 array (H, W)
        1, 2, ... by their order; 0 outside of them.

    Raises
    ------
    InputError
        No polygon covers the centre of a pixel.

    Examples
    --------
    >>> import shapely
    >>> polygon_labels(np.array([shapely.box(0, 0, 2, 1), shapely.box(2, 0, 3, 2)]), (2, 3))
    array([[1, 1, 2],
           [0, 0, 2]], dtype=int32)
    """
    from rasterio.features import rasterize
    from rasterio.transform import Affine

    affine = Affine.identity() if transform is None else Affine(*transform)
    if transform is None and _bounds(geometries)[3] <= 0:
        affine = Affine.scale(1, -1)
    label_map: NDArray[np.int32] = rasterize(
        zip(geometries, range(1, len(geometries) + 1), strict=True),
        out_shape=shape,
        transform=affine,
        dtype="int32",
    )
    if not label_map.any():
        raise InputError(
            f"no polygon covers a pixel of the raster ({_bounds_text(geometries)})", "polygons of this raster"
        )
    return label_map


def _bounds_text(geometries: NDArray[Any]) -> str:
    """Return in words where polygons lie."""
    left, low, right, high = _bounds(geometries)
    return f"they lie in x {left:g} to {right:g}, y {low:g} to {high:g}"


def _bounds(geometries: NDArray[Any]) -> tuple[float, float, float, float]:
    import shapely

    left, low, right, high = shapely.total_bounds(geometries).tolist()
    return left, low, right, high
