"""Shapes in files, of whatever kind, as label maps: numbered pixels, edges with shapes between them, polygons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.errors import InputError, RasterError

KINDS = ("labels", "edges", "polygons")
"""What a file of shapes may hold: their numbers, the lines between them (where it is above 0), their outlines."""

VECTOR_SUFFIXES = frozenset({".gpkg", ".geojson", ".json", ".shp", ".fgb", ".gml", ".kml", ".parquet"})
"""Lower-case endings of files of polygons."""

Window = tuple[slice, slice]
"""Rows and columns of a part of a sheet."""

WHOLE: Window = (slice(None), slice(None))


def read_labels(path: Path, kind: str | None = None, window: Window = WHOLE, flag: str = "--kind") -> NDArray[Any]:
    """Return the label map of a raster file of shapes.

    Parameters
    ----------
    path : Path
    kind : {"labels", "edges"}, optional
        By default what the file tells: more than 8 bits are labels, 0 and 255 alone are edges.
    window : (slice, slice)
        The part that is read; edges are cut to it before their shapes are looked for, as if the file ended there.
    flag : str
        The option that names the kind, for the message.

    Returns
    -------
    integer array (H, W)
        0 where there is no shape.

    Raises
    ------
    InputError
        The file cannot be read, does not tell its kind, or holds something else.
    """
    values = cut(_one_band(path), window, path)
    if kind is None:
        kind = _kind_of(values, path, flag)
    if kind == "edges":
        return components_between(values)
    if values.dtype.kind == "i" and int(values.min()) < 0:
        raise InputError(f"{path} holds {values.min()}", "labels from 0 on")
    return values


def components_between(edges: NDArray[Any]) -> NDArray[np.int32]:
    """Return the 4-connected components of what is no edge, 0 on the edges themselves (values above 0)."""
    from scipy import ndimage

    label_map: NDArray[np.int32] = ndimage.label(edges <= 0)[0]
    return label_map


def read_content(path: Path, window: Window = WHOLE) -> NDArray[np.bool_]:
    """Return where a content mask is not 0.

    Raises
    ------
    InputError
        The file cannot be read, has colours, or is 0 everywhere.
    """
    content: NDArray[np.bool_] = cut(_one_band(path), window, path) != 0
    if not content.any():
        raise InputError(f"{path} is 0 everywhere", "a content mask: 0 outside of the content, another value inside")
    return content


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


def is_vector_file(path: Path) -> bool:
    """Tell by its name whether a file holds polygons."""
    return path.suffix.lower() in VECTOR_SUFFIXES


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
