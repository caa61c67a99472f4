"""From polygons to the label map of a raster."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.errors import InputError

Transform = tuple[float, float, float, float, float, float]
"""From column and row to a place: (a * col + b * row + c, d * col + e * row + f)."""

PIXELS_DOWN: Transform = (1, 0, 0, 0, 1, 0)
"""x = column, y = row."""

PIXELS_UP: Transform = (1, 0, 0, 0, -1, 0)
"""x = column, y = -row: how GIS programs show a picture that has no place."""


def polygon_labels(
    geometries: NDArray[Any], shape: tuple[int, int], transform: Transform | None = None
) -> NDArray[np.int32]:
    """Return the label map of polygons: each pixel has the number of the last polygon that its centre lies in.

    Parameters
    ----------
    geometries : object array (N,) of shapely polygons and multi-polygons
        In map coordinates; without a transform in pixels, see `pixel_transform`.
    shape : (int, int)
        Height and width.
    transform : tuple of 6 float, optional
        Of the raster, see `Transform`.

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

    label_map: NDArray[np.int32] = rasterize(
        zip(geometries, range(1, len(geometries) + 1), strict=True),
        out_shape=shape,
        transform=Affine(*(pixel_transform(geometries) if transform is None else transform)),
        dtype="int32",
    )
    if not label_map.any():
        raise InputError(
            f"no polygon covers a pixel of the raster ({bounds_text(geometries)})", "polygons of this raster"
        )
    return label_map


def pixel_transform(geometries: NDArray[Any]) -> Transform:
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
