"""From polygons to pixels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def fill_polygons(rings: Sequence[NDArray[np.float64]], height: int, width: int) -> NDArray[np.bool_]:
    """Return the pixels whose centres lie in at least one of the polygons.

    Parameters
    ----------
    rings : sequence of float array (N, 2), N >= 3
        The corners of each polygon as x, y in pixels, the first not repeated. (0, 0) is the outer corner of the
        first pixel, whose centre is (0.5, 0.5): a polygon from (0, 0) to (width, height) covers the picture. A
        polygon that crosses itself is filled by the even-odd rule.
    height, width : int
        In pixels, at least 1; what lies outside is cut off.

    Returns
    -------
    bool array (height, width)
    """
    from rasterio.errors import NotGeoreferencedWarning  # slow to import
    from rasterio.features import rasterize

    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    outlines = [
        {"type": "Polygon", "coordinates": [[*ring.tolist(), ring[0].tolist()]]}
        for ring in rings
        if np.ptp(ring, axis=0).min() > 0  # a level line covers no area, but GDAL draws it
    ]
    if not outlines:
        return np.zeros((height, width), dtype=bool)
    filled: NDArray[np.uint8] = rasterize(outlines, out_shape=(height, width), dtype="uint8")
    return filled.astype(bool)
