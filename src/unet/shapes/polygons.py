"""From a label map to polygons that share their edges exactly, and what is known of each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.affine import PIXELS_UP, Affine, coordinates
from unet.errors import ConfigError, InputError, MissingExtraError
from unet.shapes.stored_rows import Rows
from unet.shapes.tracing import Rings, Turns, find_turns, join_turns

BAND_PIXELS = 1 << 22
"""So many pixels of a label map are looked at a time."""


@dataclass(frozen=True)
class LabelPolygons:
    """One polygon for each label.

    Attributes
    ----------
    labels : integer array (N,)
        Ascending where they come from one label map.
    geometries : object array (N,) of shapely polygons, and of multi-polygons for labels in several pieces
        Corners of pixels: x = column, y = row, downwards; (0, 0) is the upper left corner of the first pixel.
    """

    labels: NDArray[Any]
    geometries: NDArray[Any]


def label_polygons(label_map: NDArray[Any]) -> LabelPolygons:
    """Return the polygons of the shapes of a label map, which cover their pixels exactly.

    Neighbours share their edges: no gap, no overlap, and where three or four shapes meet each has a corner
    (`shapely.coverage_is_valid` holds). Pixels of one label that touch at corners only are pieces of a multi-polygon.

    Parameters
    ----------
    label_map : integer array (H, W)
        0 belongs to no shape.

    Returns
    -------
    LabelPolygons
        By ascending label.

    Raises
    ------
    InputError
        Negative labels, or no integers.
    MissingExtraError
        shapely is not installed.

    Examples
    --------
    >>> shapes = label_polygons(np.array([[1, 1, 2], [1, 0, 2]]))
    >>> for label, geometry in zip(shapes.labels, shapes.geometries):
    ...     print(label, geometry.area, geometry.wkt)
    1 3.0 POLYGON ((0 0, 2 0, 2 1, 1 1, 1 2, 0 2, 0 0))
    2 2.0 POLYGON ((2 0, 3 0, 3 2, 2 2, 2 1, 2 0))
    """
    check_label_map(label_map)
    return polygons_of(_joined([turns for turns, _, _ in _turns_by_band(label_map, BAND_PIXELS)]))


def polygon_batches(label_map: Rows, pixels: int = BAND_PIXELS) -> Iterator[LabelPolygons]:
    """Yield the polygons of `label_polygons`, as soon as their last row has been seen.

    Only what belongs to unfinished shapes is kept, so that the memory is that of a band and of the largest shapes.

    Parameters
    ----------
    label_map : integer array (H, W), or StoredRows
        It is read twice, in bands of rows.
    pixels : int
        So many are looked at in one go.

    Yields
    ------
    LabelPolygons
        By ascending label within a batch; each label is in one batch.

    Raises
    ------
    InputError, MissingExtraError
        As `label_polygons`.

    Examples
    --------
    >>> [batch.labels.tolist() for batch in polygon_batches(np.array([[1, 3], [2, 3], [4, 4]]), pixels=2)]
    [[1], [2, 3, 4]]
    """
    last_row = np.zeros(0, np.int64)
    for first, last in row_bands(label_map.shape, pixels):
        block = label_map[first:last]
        check_label_map(block)
        more = int(block.max()) + 1 - last_row.size
        last_row = np.pad(last_row, (0, max(0, more)))
        last_row[block.ravel()] = last
    kept: list[Turns] = []
    for turns, _, last in _turns_by_band(label_map, pixels):
        known = _joined([*kept, turns])
        finished = last_row[known.label] <= last - (last < len(label_map))
        kept = [known.where(~finished)]
        if finished.any():
            yield polygons_of(known.where(finished))


def check_label_map(label_map: NDArray[Any]) -> None:
    """Make sure that an array is a label map.

    Raises
    ------
    InputError
        It is not.

    Examples
    --------
    >>> check_label_map(np.array([[0, 7]]))
    """
    if label_map.ndim != 2 or label_map.dtype.kind not in "iu" or not label_map.size:
        raise InputError(f"an array of {label_map.dtype} {label_map.shape}", "a label map: whole numbers, (H, W)")
    if label_map.dtype.kind == "i" and label_map.min() < 0:
        raise InputError(f"a label map with the label {label_map.min()}", "0 (no shape), 1, 2, ...")


def polygons_of(turns: Turns) -> LabelPolygons:
    """Return the polygons of shapes from all turns of their outlines; see `label_polygons`.

    Examples
    --------
    >>> polygons_of(find_turns(np.array([[0, 5]]))).labels
    array([5])
    """
    shapely = _shapely()
    rings = join_turns(turns)
    if not rings.label.size:
        return LabelPolygons(rings.label, np.zeros(0, object))
    shell = _shell_of(rings)
    is_hole = rings.area < 0
    order = np.lexsort((is_hole, shell, rings.label))  # by label, by piece, each piece's outline first
    pieces: NDArray[Any] = shapely.polygons(_lines(rings, order), indices=np.cumsum(~is_hole[order]) - 1)
    labels, first, count = np.unique(rings.label[order][~is_hole[order]], return_index=True, return_counts=True)
    geometries = pieces[first]
    several = count > 1
    if several.any():
        mine = np.repeat(several, count)
        geometries[several] = shapely.multipolygons(
            pieces[mine], indices=np.repeat(np.arange(several.sum()), count[several])
        )
    return LabelPolygons(labels, geometries)


def placed(geometries: NDArray[Any], transform: Affine | None) -> NDArray[Any]:
    """Return polygons in map coordinates.

    Parameters
    ----------
    geometries : object array (N,) of shapely polygons
        In pixels, as `label_polygons` gives them.
    transform : tuple of 6 float, optional
        See `unet.affine.Affine`; without it `PIXELS_UP`.

    Returns
    -------
    object array (N,)
        Corners that were the same stay the same to the last bit.

    Examples
    --------
    >>> shape = label_polygons(np.array([[1]])).geometries
    >>> print(placed(shape, (0.5, 0.0, 100.0, 0.0, -0.5, 200.0))[0].wkt)
    POLYGON ((100 200, 100.5 200, 100.5 199.5, 100 199.5, 100 200))
    >>> print(placed(shape, None)[0].wkt)
    POLYGON ((0 0, 1 0, 1 -1, 0 -1, 0 0))
    """
    known = transform if transform is not None else PIXELS_UP
    moved: NDArray[Any] = _shapely().transform(
        geometries, lambda points: coordinates(known, points[:, 0], points[:, 1])
    )
    return moved


def simplified(geometries: NDArray[Any], tolerance: float) -> NDArray[Any]:
    """Return polygons with fewer corners that still share their edges.

    Parameters
    ----------
    geometries : object array (N,) of shapely polygons
        A coverage, as `label_polygons` gives it: all its shapes, since an edge between two is changed once.
    tolerance : float
        In the unit of the coordinates. A corner goes if the triangle that it makes with its neighbours is smaller than
        the tolerance squared, the smallest triangle first (Visvalingam and Whyatt); junctions stay.

    Raises
    ------
    ConfigError
        A tolerance that is negative or no number.

    Examples
    --------
    >>> stairs = label_polygons(np.array([[1, 1, 1], [1, 1, 2], [1, 2, 2], [2, 2, 2]])).geometries
    >>> for shape in simplified(stairs, 1.5):
    ...     print(shape.area, len(shape.exterior.coords) - 1)
    4.5 3
    4.5 3
    """
    if not tolerance >= 0:
        raise ConfigError(f"a tolerance of {tolerance}", "0 or more")
    if tolerance == 0 or not geometries.size:
        return geometries
    simple: NDArray[Any] = _shapely().coverage_simplify(geometries, tolerance)
    return simple


def _shell_of(rings: Rings) -> NDArray[np.int64]:
    """Return the number of the outline that each ring belongs to: itself, or that of the piece whose hole it is."""
    is_hole = rings.area < 0
    shell = np.arange(rings.label.size)
    labels, inverse = np.unique(rings.label, return_inverse=True)
    several = (np.bincount(inverse[~is_hole], minlength=labels.size) > 1)[inverse]
    only = np.empty(labels.size, np.int64)
    only[inverse[~is_hole]] = shell[~is_hole]
    shell[is_hole] = only[inverse[is_hole]]
    holes, shells = np.flatnonzero(is_hole & several), np.flatnonzero(~is_hole & several)
    if holes.size:
        shell[holes] = shells[_innermost(rings, holes, shells)]
    return shell


def _innermost(rings: Rings, holes: NDArray[np.int64], shells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the smallest outline of its own label around each hole, as a place in `shells`."""
    shapely = _shapely()
    # The first corner of a ring is its uppermost, and of these the one furthest to the left: the pixel there is inside.
    first = rings.start[holes]
    inside = shapely.points(rings.col[first] + 0.5, rings.row[first] + 0.5)
    outlines = shapely.polygons(_lines(rings, shells))
    around, hole = shapely.STRtree(inside).query(outlines, predicate="contains")
    same = rings.label[shells][around] == rings.label[holes][hole]
    around, hole = around[same], hole[same]
    largest_first = np.argsort(-rings.area[shells][around], kind="stable")
    found = np.empty(holes.size, np.int64)
    found[hole[largest_first]] = around[largest_first]
    return found


def _lines(rings: Rings, order: NDArray[np.int64]) -> NDArray[Any]:
    """Return some rings, in an order, as rings of shapely."""
    sizes = np.diff(rings.start)[order]
    points = np.repeat(rings.start[order] - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
    coordinates = np.stack([rings.col[points], rings.row[points]], axis=1).astype(np.float64)
    lines: NDArray[Any] = _shapely().linearrings(coordinates, indices=np.repeat(np.arange(order.size), sizes))
    return lines


def _turns_by_band(label_map: Rows, pixels: int) -> Iterator[tuple[Turns, int, int]]:
    """Yield the turns of each band of rows, its first row and the row after its last."""
    for first, last in row_bands(label_map.shape, pixels):
        above = label_map[first - 1] if first else None
        turns = find_turns(label_map[first:last], first, above=above, last=last == len(label_map))
        yield turns, first, last


def _joined(parts: Sequence[Turns]) -> Turns:
    return Turns(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def row_bands(shape: tuple[int, ...], pixels: int = BAND_PIXELS) -> Iterator[tuple[int, int]]:
    """Yield the first row of each band of an array (H, W), and the row after its last.

    Examples
    --------
    >>> list(row_bands((5, 100), pixels=200))
    [(0, 2), (2, 4), (4, 5)]
    """
    height, width = shape
    step = max(1, pixels // width)
    for first in range(0, height, step):
        yield first, min(first + step, height)


def _shapely() -> Any:
    try:
        import shapely
    except ImportError:
        raise MissingExtraError("making polygons", "maps") from None
    return shapely
