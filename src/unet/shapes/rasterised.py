"""Polygons drawn on the pixels of a raster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.affine import PIXELS_DOWN, PIXELS_UP, Affine


def polygon_labels(
    geometries: NDArray[Any], shape: tuple[int, int], transform: Affine | None = None
) -> NDArray[np.int32]:
    """Return the label map of polygons: each pixel has the number of the last polygon that its centre lies in.

    Parameters
    ----------
    geometries : object array (N,) of shapely polygons and multi-polygons
        In map coordinates; without a transform in pixels, see `pixel_transform`.
    shape : (int, int)
        Height and width.
    transform : tuple of 6 float, optional
        Of the raster, see `unet.affine.Affine`.

    Returns
    -------
    int32 array (H, W)
        1, 2, ... by their order; 0 outside of them.

    Examples
    --------
    >>> import shapely
    >>> polygon_labels(np.array([shapely.box(0, 0, 2, 1), shapely.box(2, 0, 3, 2)]), (2, 3))
    array([[1, 1, 2],
           [0, 0, 2]], dtype=int32)
    """
    labels: NDArray[np.int32] = _drawn(geometries, range(1, len(geometries) + 1), "int32", shape, transform)
    return labels


def polygon_interior(
    geometries: NDArray[Any], shape: tuple[int, int], transform: Affine | None = None
) -> NDArray[np.bool_]:
    """Return the pixels whose centres lie in at least one polygon, bool (H, W); see `polygon_labels`.

    Examples
    --------
    >>> import shapely
    >>> polygon_interior(np.array([shapely.box(1, -2, 3, -1)]), (2, 4)).astype(int)
    array([[0, 0, 0, 0],
           [0, 1, 1, 0]])
    """
    return _drawn(geometries, [1] * len(geometries), "uint8", shape, transform).astype(bool)


def _drawn(
    geometries: NDArray[Any], values: Sequence[int], dtype: str, shape: tuple[int, int], transform: Affine | None
) -> NDArray[Any]:
    from rasterio.features import rasterize
    from rasterio.transform import Affine as RasterioAffine

    if not geometries.size:
        return np.zeros(shape, dtype)
    affine = RasterioAffine(*(pixel_transform(geometries) if transform is None else transform))
    drawn: NDArray[Any] = rasterize(
        zip(geometries, values, strict=True), out_shape=shape, transform=affine, dtype=dtype
    )
    return drawn


def pixel_transform(geometries: NDArray[Any]) -> Affine:
    """Return how polygons in pixels count rows: upwards if all lie at 0 or below, as GIS programs do, else downwards.

    Examples
    --------
    >>> import shapely
    >>> pixel_transform(np.array([shapely.box(0, -5, 9, 0)])) == PIXELS_UP
    True
    """
    import shapely

    return PIXELS_UP if shapely.total_bounds(geometries)[3] <= 0 else PIXELS_DOWN


def bounds_text(geometries: NDArray[Any]) -> str:
    """Return in words where polygons lie.

    Examples
    --------
    >>> import shapely
    >>> bounds_text(np.array([shapely.box(0, 0, 9.5, 2)]))
    'they lie in x 0 to 9.5, y 0 to 2'
    """
    import shapely

    left, low, right, high = shapely.total_bounds(geometries).tolist()
    return f"they lie in x {left:g} to {right:g}, y {low:g} to {high:g}"
