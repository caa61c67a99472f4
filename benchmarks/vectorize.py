"""From label maps to polygons: `python benchmarks/vectorize.py [--epm EPM.png] [--size 3600 3000]`, one core.

Label maps are drawn: each pixel belongs to the nearest of some random points. For comparison, what GDAL's polygonising
takes to yield the same rings (which lack corners where shapes meet, so that neighbours do not share their edges), and
what the checks take. With --epm, the way from an edge map to a file.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import rasterio.features
import shapely
from scipy import ndimage

from unet import raster
from unet.shapes.attributes import neighbour_pairs
from unet.shapes.lines import fill_lines
from unet.shapes.polygons import label_polygons, placed, simplified
from unet.shapes.vector_files import writing_polygons
from unet.shapes.watershed import filtered_watershed


def timed(what: str, function: Callable[..., Any], *args: Any) -> Any:
    wall, cpu = perf_counter(), process_time()
    result = function(*args)
    print(f"| {what} | {process_time() - cpu:.2f} | {perf_counter() - wall:.2f} |", flush=True)
    return result


def cells(height: int, width: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    points = np.zeros((height, width), np.int32)
    points[rng.integers(0, height, count), rng.integers(0, width, count)] = np.arange(1, count + 1)
    nearest = ndimage.distance_transform_edt(points == 0, return_distances=False, return_indices=True)
    return points[tuple(nearest)]


def by_gdal(label_map: np.ndarray) -> list[Any]:
    return [shapely.geometry.shape(geometry) for geometry, _ in rasterio.features.shapes(label_map)]


def write(path: Path, geometries: np.ndarray, labels: np.ndarray) -> None:
    with writing_polygons(path, None) as more:
        more(placed(geometries, None), {"id": labels})


def main() -> None:
    warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, nargs=2, default=(3600, 3000), metavar=("H", "W"))
    parser.add_argument("--epm", type=Path, help="an edge map, of which that much is taken from the upper left")
    args = parser.parse_args()
    height, width = args.size
    print("| what | processor s | wall s |\n|---|---|---|")
    if args.epm is not None:
        epm = np.ascontiguousarray(raster.read(args.epm)[:height, :width, 0])
        lines = timed(f"closing 7/400 and watershed of {epm.size / 1e6:.1f} Mpx", filtered_watershed, epm, 7, 400)
        label_map = timed("lines filled", fill_lines, lines)
        shapes = timed(f"polygons of {label_map.max()} shapes", label_polygons, label_map)
        with tempfile.TemporaryDirectory() as folder:
            timed("GeoPackage", write, Path(folder) / "a.gpkg", shapes.geometries, shapes.labels)
    for count in (3_000, 30_000, 100_000):
        label_map = cells(height, width, count)
        shapes = timed(f"{count:,} cells: polygons", label_polygons, label_map)
        timed("... by GDAL", by_gdal, label_map)
        timed("... neighbours", neighbour_pairs, label_map)
        timed("... simplified, tolerance 1.5", simplified, shapes.geometries, 1.5)
        with tempfile.TemporaryDirectory() as folder:
            timed("... GeoPackage", write, Path(folder) / "a.gpkg", shapes.geometries, shapes.labels)
        assert timed("... checked", shapely.coverage_is_valid, shapes.geometries)


if __name__ == "__main__":
    main()
