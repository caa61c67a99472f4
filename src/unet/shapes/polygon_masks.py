"""Polygons as a mask: any window of it, without the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.affine import Affine, coordinates

_ASIDE = 1e-3
"""Outlines are moved by so little of a pixel. Polygons often lie on the edges of pixels, and then a line of an odd
width ends in their centres: rounding, which differs from window to window, would decide about them."""


class PolygonMask:
    """Polygons, each with the value of its pixels, found by where they lie.

    Parameters
    ----------
    geometries : object array (N,) of shapely polygons and multi-polygons
    values : uint8 or int32 array (N,)
        A pixel has the value of the last polygon that its centre lies in, 0 outside of them all.
    outline : int
        Not the polygons but their outlines are drawn, so many pixels wide; 0: the polygons.

    Examples
    --------
    >>> import shapely
    >>> mask = PolygonMask(np.array([shapely.box(0, 0, 4, 3)]), np.array([7], np.uint8))
    >>> mask.read((1, 2, 3, 4), (1, 0, 0, 0, 1, 0))
    array([[7, 7, 0, 0],
           [7, 7, 0, 0],
           [0, 0, 0, 0]], dtype=uint8)
    """

    def __init__(self, geometries: NDArray[Any], values: NDArray[Any], outline: int = 0) -> None:
        import shapely

        self.geometries, self.values, self.outline = geometries, values, outline
        self._tree = shapely.STRtree(geometries)

    def read(self, window: tuple[int, int, int, int], transform: Affine) -> NDArray[Any]:
        """Return the mask of a window (row, column, height, width) of a raster with that transform."""
        import shapely
        from rasterio.features import rasterize

        row, column, height, width = window
        margin = self.outline
        columns = np.array([column - margin, column + width + margin]).repeat(2)
        rows = np.array([row - margin, row + height + margin, row + height + margin, row - margin])
        around = shapely.Polygon(coordinates(transform, columns, rows))
        near = np.sort(self._tree.query(around, predicate="intersects"))
        if not near.size:
            return np.zeros((height, width), self.values.dtype)
        a, b, c, d, e, f = transform
        inverse = np.linalg.inv(np.array([[a, b], [d, e]], dtype=np.float64))

        def to_pixels(points: NDArray[np.float64]) -> NDArray[np.float64]:
            return (points - (c, f)) @ inverse.T - (column, row)

        shapes = shapely.transform(self.geometries[near], to_pixels)
        if self.outline:
            shapes = shapely.transform(shapes, lambda points: points - _ASIDE)
            lines = shapely.boundary(shapes)
            inside = shapely.box(-2 * margin, -2 * margin, width + 2 * margin, height + 2 * margin)
            shapes = shapely.buffer(shapely.intersection(lines, inside), self.outline / 2, quad_segs=4)
        drawn = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
        if not drawn.any():
            return np.zeros((height, width), self.values.dtype)
        burnt = zip(shapes[drawn], self.values[near][drawn].tolist(), strict=True)
        mask: NDArray[Any] = rasterize(burnt, out_shape=(height, width), dtype=self.values.dtype)
        return mask
