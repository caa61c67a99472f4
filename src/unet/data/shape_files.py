"""Shapes in files, of whatever kind, as label maps: numbered pixels, edges with shapes between them, polygons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.errors import InputError, RasterError
from unet.shapes.components import threshold_components
from unet.shapes.rasterised import Transform, pixel_transform, polygon_labels
from unet.shapes.vector_files import known_crs, read_polygons, reproject

KINDS = ("labels", "edges", "polygons")
"""What a file of shapes may hold: their numbers, the lines between them (where it is above 0), their outlines."""

VECTOR_SUFFIXES = frozenset({".gpkg", ".geojson", ".json", ".shp", ".fgb", ".gml", ".kml", ".parquet"})
"""Lower-case endings of files of polygons."""

Window = tuple[slice, slice]
"""Rows and columns of a part of a sheet."""

Notify = Callable[[str], None]

WHOLE: Window = (slice(None), slice(None))


@dataclass(frozen=True)
class Grid:
    """The pixels of a raster that polygons are put on.

    Attributes
    ----------
    path : Path
        The raster.
    height, width : int
    transform : tuple of 6 float, optional
        From column and row to map coordinates; None: the raster has no place, and polygons are in pixels.
    crs : str, optional
        Of the map coordinates.
    """

    path: Path
    height: int
    width: int
    transform: Transform | None = None
    crs: str | None = None


def grid_of(path: Path) -> Grid:
    """Return the grid of a raster file, of which no more than the header is read.

    Raises
    ------
    InputError
        There is no such file, or it is no raster.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}", "a raster file")
    info = raster.probe(path)
    return Grid(path, info.height, info.width)


def read_labels(
    path: Path, grid: Grid, kind: str | None = None, window: Window = WHOLE, *, flag: str, notify: Notify
) -> NDArray[Any]:
    """Return the label map of a file of shapes.

    Parameters
    ----------
    path : Path
        A raster of the grid's size, or a file of polygons.
    grid : Grid
        What polygons are put on.
    kind : {"labels", "edges", "polygons"}, optional
        By default what the file tells: more than 8 bits are labels, 0 and 255 alone are edges.
    window : (slice, slice)
        The part that is read; edges are cut to it before their shapes are looked for, as if the file ended there.
    flag : str
        The option that names the kind, for the message.
    notify : callable
        Is told where polygons are moved into another coordinate reference system.

    Returns
    -------
    integer array (H, W)
        0 where there is no shape.

    Raises
    ------
    InputError
        The file cannot be read, does not tell its kind, or holds something else.
    MissingExtraError
        Polygons, and shapely or pyogrio is not installed.
    """
    if is_polygons(path, kind):
        return cut(_polygons_on(path, grid, notify), window, path)
    values = cut(_one_band(path), window, path)
    if kind is None:
        kind = _kind_of(values, path, flag)
    if kind == "edges":
        return threshold_components(values)
    if values.dtype.kind == "i" and int(values.min()) < 0:
        raise InputError(f"{path} holds {values.min()}", "labels from 0 on")
    return values


def read_epm(path: Path, window: Window = WHOLE) -> NDArray[np.uint8]:
    """Return an edge map as 8-bit values, high on edges.

    Parameters
    ----------
    path : Path
        Of 8 bits, of 16 bits (65535 becomes 255), or of probabilities from 0 to 1; of several bands the first, of RGB
        the red one.
    window : (slice, slice)
        The part that is read.

    Raises
    ------
    InputError
        The file cannot be read, or holds other numbers.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}", "an edge map")
    values = cut(raster.read(path)[..., 0], window, path)
    if values.dtype == np.uint8:
        return np.asarray(values, dtype=np.uint8)
    if values.dtype == np.uint16:
        return np.asarray((values.astype(np.uint32) + 128) // 257, dtype=np.uint8)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        raise InputError(f"{path} holds values from {low:g} to {high:g}", "8 or 16 bits, or probabilities from 0 to 1")
    return np.asarray(np.rint(values * 255), dtype=np.uint8)


def read_content(path: Path, grid: Grid, window: Window = WHOLE, *, notify: Notify) -> NDArray[np.bool_]:
    """Return where a content mask is not 0, or where a polygon of it lies.

    Raises
    ------
    InputError
        The file cannot be read, has colours, or is 0 everywhere.
    """
    values = _polygons_on(path, grid, notify) if is_polygons(path) else _one_band(path)
    content: NDArray[np.bool_] = cut(values, window, path) != 0
    if not content.any():
        raise InputError(f"{path} is 0 everywhere", "a content mask: 0 outside of the content, another value inside")
    return content


def is_polygons(path: Path, kind: str | None = None) -> bool:
    """Tell by what is said of a file, or else by its name, whether it holds polygons."""
    return kind == "polygons" or (kind is None and path.suffix.lower() in VECTOR_SUFFIXES)


def cut(array: NDArray[Any], window: Window, path: Path) -> NDArray[Any]:
    """Return a part of an array (H, W).

    Raises
    ------
    InputError
        It reaches beyond.
    """
    for part, length, what in zip(window, array.shape, ("rows", "columns"), strict=True):
        start, stop = part.start or 0, length if part.stop is None else part.stop
        if not 0 <= start < stop <= length:
            raise InputError(f"{what} {start}:{stop} of {path}", f"a part of its {what} 0:{length}")
    return array[window]


def _one_band(path: Path) -> NDArray[Any]:
    if not path.is_file():
        raise InputError(f"no such file: {path}", "a raster file")
    values = raster.read_mask(path)
    if values.ndim == 3:
        raise RasterError(f"{path} holds colours", "one band of numbers")
    return values


def _kind_of(values: NDArray[Any], path: Path, flag: str) -> str:
    """Return what values of an unknown kind must be."""
    if values.dtype != np.uint8:
        return "labels"
    found = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    if found.tolist() == [0, 255]:
        return "edges"
    shown = ", ".join(map(str, found[:3])) + (f" and {found.size - 3} more" if found.size > 3 else "")
    raise InputError(
        f"{path} holds the 8-bit values {shown}, which may be labels or edges",
        "labels of 16 or 32 bits, or edges of 0 and 255",
        f"say {flag} labels or {flag} edges",
    )


def _polygons_on(path: Path, grid: Grid, notify: Notify) -> NDArray[np.int32]:
    geometries, _, crs = read_polygons(path)
    if grid.transform is None:
        transform = pixel_transform(geometries)
    else:
        transform = grid.transform
        if crs is not None and grid.crs is not None and known_crs(crs) != known_crs(grid.crs):
            geometries = reproject(geometries, crs, grid.crs)
            notify(f"{path}: moved from {crs} to {grid.crs}, that of {grid.path}")
    try:
        return polygon_labels(geometries, (grid.height, grid.width), transform)
    except InputError as error:
        raise error.of(path) from None
