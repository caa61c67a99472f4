"""Filter and watershed of an edge map: seconds of one core, and memory.

    python benchmarks/shapes.py [EPM.png] [--crop 3000x3600] [--dynamic 7] [--area 200] [--grid] [--compare]

Without a picture, a drawn sheet. `--grid`: the 66 settings of dynamic 0..10 and area 50..500, the tree built once.
`--compare`: other ways to the same tree and flood (scikit-image, scipy, and higra, which `pip install higra` brings),
each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

AREAS = (50, 100, 200, 300, 400, 500)
DYNAMICS = range(11)


def drawn(height: int, width: int) -> np.ndarray:
    """Return the edge map of blocks with streets between them: lines of 3 px, broken and blurred, 0 in between."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    lines = np.zeros((height, width), dtype=np.float32)
    for place in np.cumsum(rng.integers(30, 120, height // 60)):
        lines[place : place + 3] = 1
    for place in np.cumsum(rng.integers(30, 120, width // 60)):
        lines[:, place : place + 3] = 1
    holes = gaussian_filter(rng.standard_normal((height // 8 + 1, width // 8 + 1)), 1)
    lines *= np.kron(holes < 0.4, np.ones((8, 8)))[:height, :width]
    return np.clip(gaussian_filter(lines, 0.8) * 300, 0, 255).astype(np.uint8)


def measured(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    wall, cpu = perf_counter(), process_time()
    result = call()
    return result, {"wall": round(perf_counter() - wall, 2), "cpu": round(process_time() - cpu, 2)}


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def ours(epm: np.ndarray, dynamic: int, area: int) -> dict[str, Any]:
    from scipy import ndimage  # noqa: F401, imports are not what is measured
    from scipy.sparse import csgraph  # noqa: F401

    from unet.shapes.closing import min_tree
    from unet.shapes.watershed import flood

    before = peak()
    tree, building = measured(lambda: min_tree(epm))
    filtered, closing = measured(lambda: tree.closing_and_minima(dynamic, area))
    label_map, flooding = measured(lambda: flood(*filtered))
    return {
        "tree": building,
        "closing": closing,
        "flood": flooding,
        "labels": int(label_map.max()),
        "bytes_per_pixel": round((peak() - before) / epm.size, 1),
    }


def grid(epm: np.ndarray) -> dict[str, Any]:
    from unet.shapes.closing import min_tree
    from unet.shapes.watershed import filtered_watershed

    tree, building = measured(lambda: min_tree(epm))
    times = [measured(lambda d=d, a=a: filtered_watershed(tree, d, a))[1] for d in DYNAMICS for a in AREAS]
    return {
        "settings": len(times),
        "cpu": round(building["cpu"] + sum(time["cpu"] for time in times), 1),
        "wall": round(building["wall"] + sum(time["wall"] for time in times), 1),
        "slowest": max(time["cpu"] for time in times),
    }


def skimage_tree(epm: np.ndarray) -> Callable[[], Any]:
    from skimage.morphology import max_tree

    return lambda: max_tree(255 - epm, connectivity=2)


def higra_tree(epm: np.ndarray) -> Callable[[], Any]:
    import higra

    return lambda: higra.component_tree_min_tree(higra.get_8_adjacency_graph(epm.shape), epm)


def skimage_flood(epm: np.ndarray) -> Callable[[], Any]:
    from skimage.segmentation import watershed

    from unet.shapes.closing import min_tree

    filtered, minima = min_tree(epm).closing_and_minima(7, 200)
    return lambda: watershed(filtered, minima, connectivity=2, watershed_line=True)


def scipy_flood(epm: np.ndarray) -> Callable[[], Any]:
    """Without lines between the shapes."""
    from scipy.ndimage import watershed_ift

    from unet.shapes.closing import min_tree

    filtered, minima = min_tree(epm).closing_and_minima(7, 200)
    return lambda: watershed_ift(filtered, minima, structure=np.ones((3, 3)))


OTHERS = {
    "tree, skimage max_tree": skimage_tree,
    "tree, higra": higra_tree,
    "flood, skimage": skimage_flood,
    "flood, scipy ift (no lines)": scipy_flood,
}


def other(name: str, epm: np.ndarray) -> dict[str, Any]:
    call = OTHERS[name](epm)
    before = peak()
    _, times = measured(call)
    return {**times, "bytes_per_pixel": round((peak() - before) / epm.size, 1)}


def alone(function: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    """Call it in a new process, so that its peak is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("epm", type=Path, nargs="?")
    parser.add_argument("--crop", help="HEIGHTxWIDTH from the middle; of a drawn sheet, its size (3000x3600)")
    parser.add_argument("--dynamic", type=int, default=7)
    parser.add_argument("--area", type=int, default=200)
    parser.add_argument("--grid", action="store_true")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    size = tuple(map(int, args.crop.split("x"))) if args.crop else None
    if args.epm:
        from unet import raster

        epm = raster.read(args.epm)[..., 0]
        if size:
            top, left = ((whole - part) // 2 for whole, part in zip(epm.shape, size, strict=True))
            epm = np.ascontiguousarray(epm[top : top + size[0], left : left + size[1]])
    else:
        epm = drawn(*(size or (3000, 3600)))
    results = {
        "epm": {
            "name": args.epm.name if args.epm else "drawn",
            "shape": epm.shape,
            "zeros": round((epm == 0).mean(), 3),
        },
        f"{args.dynamic}/{args.area}": alone(ours, epm, args.dynamic, args.area),
    }
    if args.grid:
        results["grid"] = alone(grid, epm)
    if args.compare:
        for name in OTHERS:
            results[name] = alone(other, name, epm)
    for name, result in results.items():
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in result.items()))
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
