"""Pictures that are in a data set twice."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from unet import raster
from unet.data.repairing.file_repair import FileRepair

_KEPT_FIRST = ("test", "val", "train", "all")


def copies(jobs: Iterable[FileRepair]) -> list[tuple[FileRepair, FileRepair]]:
    """Return the pictures that are in another part too, pixel for pixel, or twice where there are no parts yet.

    Each with the one to keep: that of test before that of val before that of train, else the first by name.
    """
    by_digest: dict[int, list[FileRepair]] = {}
    for job in sorted(jobs, key=lambda job: (_KEPT_FIRST.index(job.part), job.pair)):
        by_digest.setdefault(job.picture.digest, []).append(job)
    return [
        (copy, first)
        for first, *others in by_digest.values()
        for copy in others
        if (copy.part != first.part or copy.part == "all") and _same(copy, first)
    ]


def _same(first: FileRepair, second: FileRepair) -> bool:
    """Compare all pixels, of which the digest knows some."""
    return np.array_equal(raster.read(first.pair.image), raster.read(second.pair.image))
