"""Content masks: which part of a sheet counts, as a picture or as polygons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.affine import Affine
from unet.errors import InputError
from unet.shapes.rasterised import polygon_interior
from unet.shapes.vector_files import DRIVERS, read_polygons, reproject


def read_content_mask(
    path: Path,
    shape: tuple[int, int],
    *,
    crs: str | None = None,
    transform: Affine | None = None,
    notify: Callable[[str], None] = lambda text: None,
) -> NDArray[np.bool_]:
    """Return which pixels of a sheet count.

    Parameters
    ----------
    path : Path
        A picture of the sheet's size, 0 outside; or polygons (.geojson, .gpkg, .shp, .fgb), whose inside counts.
        Polygons of another CRS are brought to the sheet's. Where the sheet has no place, they are in pixels, y upwards
        below 0 (as GIS programs draw such a sheet) or downwards.
    shape : (int, int)
        Height and width of the sheet.
    crs, transform : optional
        Of the sheet.
    notify : callable
        Is told what was done to the polygons.

    Returns
    -------
    bool array (H, W)

    Raises
    ------
    InputError
        Another size, no file, or nothing of the sheet inside.
    """
    if path.suffix.lower() in DRIVERS:
        polygons = read_polygons(path)
        geometries = polygons.geometries
        if crs and polygons.crs and transform is not None:
            moved = reproject(geometries, polygons.crs, crs)
            if moved is not geometries:
                notify(f"{path}: brought from {_name(polygons.crs)} to {_name(crs)}")
            geometries = moved
        elif transform is None:
            notify(f"{path}: taken as pixels, for the sheet has no place")
        mask = polygon_interior(geometries, shape, transform)
    else:
        if not path.is_file():
            raise InputError(f"no such file: {path}", "a content mask")
        values = raster.read_mask(path)
        if values.ndim != 2:
            raise InputError(f"{path} holds colours", "a content mask: 0 outside of the content, another value inside")
        if values.shape != shape:
            raise InputError(
                f"{path} has {values.shape[1]} x {values.shape[0]} px",
                f"{shape[1]} x {shape[0]} px, as the sheet",
                "give the mask of this sheet",
            )
        mask = values != 0
    if not mask.any():
        raise InputError(f"{path} leaves nothing of the sheet", "some content")
    return mask


def _name(crs: str) -> str:
    return crs if len(crs) < 30 else "a CRS of its own"
