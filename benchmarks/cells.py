"""Objects that a model finds: the IoU of their pixels, and F1 of the objects that connected components give.

    python benchmarks/cells.py MODEL IMAGES INSTANCES --names val.txt [--least 50]

INSTANCES holds masks of object numbers of the same names. A component is a true object if their IoU is above 0.5, which
can be so for one object only. Components of fewer than `--least` pixels do not count as found.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from unet import bundle, raster
from unet.inference.predictor import Predictor


def components(found: NDArray[np.bool_], least: int) -> NDArray[np.int64]:
    """Return numbers (H, W) of the components of so many pixels at least, 0 for the rest."""
    numbers = label(found, connectivity=1)
    small = np.bincount(numbers.ravel()) < least
    return np.where(small[numbers], 0, numbers)


def matches(found: NDArray[np.int64], true: NDArray[np.int64]) -> int:
    """Return how many objects have a component whose IoU with them is above 0.5."""
    hits = 0
    for number in np.unique(true[true > 0]):
        own = true == number
        for other in np.unique(found[own & (found > 0)]):
            theirs = found == other
            hits += bool((own & theirs).sum() / (own | theirs).sum() > 0.5)
    return hits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("instances", type=Path)
    parser.add_argument("--names", type=Path, help="a file with the name of a picture on each line (default: all)")
    parser.add_argument("--least", type=int, default=50, metavar="PX")
    args = parser.parse_args()
    names = args.names.read_text(encoding="utf-8").split() if args.names else None
    predictor = Predictor(bundle.load(args.model), exact=True)
    both = either = hits = drawn = found = 0
    for path in sorted(args.images.iterdir()):
        if names is not None and path.name not in names and path.stem not in names:
            continue
        true = raster.read_mask(args.instances / path.name).astype(np.int64)
        cells = predictor.predict(raster.read(path)).indices > 0
        numbers = components(cells, args.least)
        both, either = both + int((cells & (true > 0)).sum()), either + int((cells | (true > 0)).sum())
        hits += matches(numbers, true)
        drawn, found = drawn + len(np.unique(true[true > 0])), found + len(np.unique(numbers[numbers > 0]))
    print(f"IoU of the objects' pixels {both / either:.4f}; {drawn} objects, {found} components, {hits} of them true:")
    print(f"precision {hits / found:.3f}, recall {hits / drawn:.3f}, F1 {2 * hits / (found + drawn):.3f}")


if __name__ == "__main__":
    main()
