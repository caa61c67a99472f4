"""What is known of each shape of a label map: its pixels, its neighbours, the mean of a picture in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def neighbour_pairs(label_map: NDArray[Any]) -> NDArray[np.int64]:
    """Return the pairs of shapes that share an edge of a pixel.

    Parameters
    ----------
    label_map : integer array (H, W)
        0 is no shape.

    Returns
    -------
    int64 array (P, 2)
        The smaller label first; sorted, each pair once.

    Examples
    --------
    >>> neighbour_pairs(np.array([[1, 1, 2], [0, 3, 4]]))
    array([[1, 2],
           [1, 3],
           [2, 4],
           [3, 4]])
    """
    keys = []
    for one, other in ((label_map[:, :-1], label_map[:, 1:]), (label_map[:-1], label_map[1:])):
        differ = (one != other) & (one != 0) & (other != 0)
        pairs = np.stack([one[differ], other[differ]], axis=1).astype(np.int64)
        pairs.sort(axis=1)
        keys.append(pairs[:, 0] << 32 | pairs[:, 1])  # sorting one number is much faster than sorting rows
    return _pairs(np.unique(np.concatenate(keys)))


def join_pairs(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the pairs of several parts of a label map, each once.

    Examples
    --------
    >>> join_pairs([np.array([[1, 2], [2, 3]]), np.array([[1, 2]])])
    array([[1, 2],
           [2, 3]])
    """
    together = np.concatenate(parts) if parts else np.zeros((0, 2), np.int64)
    return _pairs(np.unique(together[:, 0] << 32 | together[:, 1]))


def _pairs(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1)


def both_ways(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return pairs and the same turned round, int64 (2 P, 2), sorted by the first.

    Examples
    --------
    >>> both_ways(np.array([[1, 2], [1, 3]])).tolist()
    [[1, 2], [1, 3], [2, 1], [3, 1]]
    """
    both = np.concatenate([pairs, pairs[:, ::-1]])
    return _pairs(np.sort(both[:, 0] << 32 | both[:, 1]))


def neighbours_of(labels: NDArray[Any], both: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Return how many neighbours each shape has, and which, as text.

    Parameters
    ----------
    labels : integer array (N,)
        The shapes that are asked for.
    both : int64 array (2 P, 2)
        From `both_ways`.

    Returns
    -------
    int32 array (N,), object array (N,) of str

    Examples
    --------
    >>> counts, texts = neighbours_of(np.array([1, 4]), both_ways(np.array([[1, 2], [1, 3], [2, 4]])))
    >>> counts.tolist(), texts.tolist()
    ([2, 1], ['2 3', '2'])
    """
    first = np.searchsorted(both[:, 0], labels, side="left")
    last = np.searchsorted(both[:, 0], labels, side="right")
    texts = np.empty(len(labels), object)
    texts[:] = [
        " ".join(map(str, both[one:end, 1].tolist())) for one, end in zip(first.tolist(), last.tolist(), strict=True)
    ]
    return (last - first).astype(np.int32), texts


def sums_of(label_map: NDArray[Any], values: NDArray[Any], count: int) -> NDArray[np.float64]:
    """Return the sum of values (H, W) over each shape, float64 (count,) by label.

    Examples
    --------
    >>> sums_of(np.array([[1, 1, 2]]), np.array([[0.5, 1.0, 3.0]]), 3)
    array([0. , 1.5, 3. ])
    """
    return np.asarray(np.bincount(label_map.ravel(), weights=values.ravel(), minlength=count), np.float64)


def areas_and_lengths(
    geometries: NDArray[Any], crs: str | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return area and perimeter of polygons, holes counted.

    Parameters
    ----------
    geometries : object array (N,) of shapely polygons
    crs : str, optional
        Of their coordinates. Where these are degrees (longitude, latitude), areas are square metres and lengths metres
        on the CRS's ellipsoid; otherwise they are in the unit of the coordinates.

    Returns
    -------
    float64 array (N,), float64 array (N,)

    Examples
    --------
    >>> import shapely
    >>> areas, lengths = areas_and_lengths(np.array([shapely.box(0, 0, 1, 1)]), "EPSG:4326")
    >>> round(areas[0] / 1e6), round(lengths[0] / 1e3)  # km2 and km at the equator
    (12308, 444)

    Notes
    -----
    On the ellipsoid, areas are those of the authalic projection x = lon, y = q(lat) / 2 [1]_, exact but for edges that
    are straight in degrees; lengths are summed edge by edge with the radii of curvature at the edge's middle latitude.

    References
    ----------
    .. [1] Snyder: "Map Projections: A Working Manual", 1987, equation 3-12.
    """
    import shapely

    ellipsoid = None if crs is None else _ellipsoid(crs)
    if ellipsoid is None:
        planar: NDArray[np.float64] = shapely.area(geometries)
        return planar, np.asarray(shapely.length(geometries), np.float64)
    axis, squared, radians = ellipsoid

    def authalic(points: NDArray[np.float64]) -> NDArray[np.float64]:
        lon, sine = points[:, 0] * radians, np.sin(points[:, 1] * radians)
        e = np.sqrt(squared)
        curved = np.arctanh(e * sine) / e if e else sine
        q = (1 - squared) * (sine / (1 - squared * sine**2) + curved)
        return np.stack([axis * lon, axis * q / 2], axis=1)

    rings, owner = shapely.get_rings(geometries, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    points = points * radians
    inner = ring[1:] == ring[:-1]
    (east, north), lat = np.diff(points, axis=0)[inner].T, ((points[1:, 1] + points[:-1, 1]) / 2)[inner]
    bend = 1 - squared * np.sin(lat) ** 2
    meridian, prime = axis * (1 - squared) / bend**1.5, axis / np.sqrt(bend)
    lengths = np.hypot(meridian * north, prime * np.cos(lat) * east)
    perimeters = np.bincount(owner[ring[1:][inner]], weights=lengths, minlength=len(geometries)).astype(np.float64)
    return np.asarray(shapely.area(shapely.transform(geometries, authalic)), np.float64), perimeters


def _ellipsoid(crs: str) -> tuple[float, float, float] | None:
    """Return a CRS's semi-major axis, squared eccentricity and radians of its unit; None where it is projected."""
    from unet.shapes.vector_files import known_crs

    known = known_crs(crs)
    if not known.is_geographic:
        return None
    found = re.search(r'(?:SPHEROID|ELLIPSOID)\["[^"]*",\s*([0-9.]+),\s*([0-9.]+)', known.to_wkt())
    if found is None:
        return None
    axis, inverse = float(found[1]), float(found[2])
    flattening = 1 / inverse if inverse else 0.0
    return axis, flattening * (2 - flattening), float(known.units_factor[1])
