"""Shapes in files, of whatever kind, as label maps: numbered pixels, edges with shapes between them, polygons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.affine import Affine
from unet.data.content import read_content_mask
from unet.errors import InputError, RasterError
from unet.shapes.components import threshold_components
from unet.shapes.rasterised import bounds_text, polygon_labels
from unet.shapes.vector_files import DRIVERS, read_polygons, reproject

KINDS = ("labels", "edges", "polygons")
"""What a file of shapes may hold: their numbers, the lines between them (where it is above 0), their outlines."""

Window = tuple[slice, slice]
"""Rows and columns of a part of a sheet."""

Notify = Callable[[str], None]

WHOLE: Window = (slice(None), slice(None))


@dataclass(frozen=True)
class Grid:
    """The pixels of a raster file, which polygons are put on.

    Attributes
    ----------
    path : Path
        The raster.
    height, width : int
    transform : tuple of 6 float, optional
        From column and row to map coordinates; None: the raster has no place, and polygons are in pixels.
    crs : str, optional
        Of the map coordinates.
    kind : str, optional
        What the file says of itself.
    """

    path: Path
    height: int
    width: int
    transform: Affine | None = None
    crs: str | None = None
    kind: str | None = None


def grid_of(path: Path) -> Grid:
    """Return the grid of a raster file, of which no more than the header is read.

    Raises
    ------
    InputError
        There is no such file, or it is no raster.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}", "a raster file")
    with raster.open(path) as source:
        return Grid(path, source.height, source.width, source.transform, source.crs, source.kind)


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


def read_content(path: Path, grid: Grid, window: Window = WHOLE, *, notify: Notify) -> NDArray[np.bool_]:
    """Return a part of a content mask, see `unet.data.content.read_content_mask`.

    Raises
    ------
    InputError
        The file cannot be used, or nothing of the part counts.
    """
    size = (grid.height, grid.width)
    content = cut(read_content_mask(path, size, crs=grid.crs, transform=grid.transform, notify=notify), window, path)
    if not content.any():
        raise InputError(f"{path} leaves nothing of the window", "some content")
    return np.asarray(content)


def is_polygons(path: Path, kind: str | None = None) -> bool:
    """Tell by what is said of a file, or else by its name, whether it holds polygons."""
    return kind == "polygons" or (kind is None and path.suffix.lower() in DRIVERS)


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
    with raster.open(path) as source:
        if source.kind in ("labels", "edges"):
            return str(source.kind)
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
    if grid.transform is not None and crs is not None and grid.crs is not None:
        moved = reproject(geometries, crs, grid.crs)
        if moved is not geometries:
            notify(f"{path}: brought to the coordinates of {grid.path}")
        geometries = moved
    label_map = polygon_labels(geometries, (grid.height, grid.width), grid.transform)
    if not label_map.any():
        raise InputError(
            f"{path}: no polygon covers a pixel of the raster ({bounds_text(geometries)})", "polygons of this raster"
        )
    return label_map
