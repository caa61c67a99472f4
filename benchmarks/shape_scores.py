"""How long scoring takes: maps of squares, and the same moved by some pixels.

    python benchmarks/shape_scores.py [--side 3300] [--square 10] [--shift 3]

Prints the number of shapes, the processor time of counting and of all scores, and the peak memory above the two maps.
"""

from __future__ import annotations

import argparse
import resource
from time import process_time

import numpy as np

from unet.shapes.joint_counts import joint_counts
from unet.shapes.scores import score_counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=3300, help="of the maps, pixels")
    parser.add_argument("--square", type=int, default=10, help="side of a shape, pixels")
    parser.add_argument("--shift", type=int, default=3, help="pixels to the right and down")
    args = parser.parse_args()
    across = args.side // args.square
    numbers = np.arange(1, across**2 + 1, dtype=np.int32).reshape(across, across)
    truth = np.kron(numbers, np.ones((args.square, args.square), np.int32))
    prediction = np.roll(truth, args.shift, (0, 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = process_time()
    counts = joint_counts(truth, prediction)
    counted = process_time()
    scores = score_counts(counts).to_dict()
    done = process_time()
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{truth.size / 1e6:.1f} million pixels, {scores['labels_gt']:,} and {scores['labels_pred']:,} shapes")
    print(f"{counts.pixels.size:,} pairs counted in {counted - start:.2f} s, scored in {done - counted:.2f} s")
    print(f"{more:.0f} MB above the two maps")


if __name__ == "__main__":
    main()
