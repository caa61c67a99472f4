"""Pictures that are in a data set twice, pixel for pixel, and whether their masks say the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from unet import raster
from unet.data.finding import Finding, counted
from unet.data.pair_arrays import read_mask, read_target
from unet.data.pairs import Pair
from unet.data.scan import Scan
from unet.errors import InputError
from unet.labels import Labels


def copy_findings(scan: Scan, labels: Labels | None) -> list[Finding]:
    """Return what is to be said about pictures that are there twice; blocks of sheets are not compared."""
    differing, alike = [], []
    for first, copy in _copies(scan):
        share = _difference(first, copy, labels)
        if share > 0:
            differing.append(f"{copy.image}: {'size' if share == 2 else format(share, '.2%')} unlike {first.image}")
        else:
            alike.append(f"{copy.image} is {first.image}")
    findings = (
        Finding.of_files(
            "masks-differ",
            "warning",
            differing,
            f"{counted(len(differing), 'picture is', 'pictures are')} there twice with different masks "
            "(share of the pixels)",
            "one mask for a picture",
            "keep the right one of each two; what they learn and score by contradicts itself where the masks differ",
        ),
        Finding.of_files(
            "duplicates",
            "note",
            alike,
            f"{counted(len(alike), 'picture is', 'pictures are')} there twice with the same mask",
            "",
            "they count twice; remove one of each two if that is not meant",
        ),
    )
    return [finding for finding in findings if finding is not None]


def _copies(scan: Scan) -> Iterator[tuple[Pair, Pair]]:
    """Give the pictures that are there twice, each copy with the first of its kind."""
    kinds: dict[tuple[int, int, int], list[int]] = {}
    for place, (pair, picture) in enumerate(zip(scan.pairs, scan.pictures, strict=True)):
        if pair.window is None and not picture.constant:
            kinds.setdefault((picture.digest, picture.height, picture.width), []).append(place)
    for first, *others in kinds.values():
        for other in others:
            known = scan.pictures[first].content_hash
            same_file = known != "" and known == scan.pictures[other].content_hash
            if same_file or _same(scan.pairs[first], scan.pairs[other]):
                yield scan.pairs[first], scan.pairs[other]


def _same(first: Pair, second: Pair) -> bool:
    """Compare all pixels, of which the digest knows some."""
    try:
        return np.array_equal(raster.read(first.image), raster.read(second.image))
    except InputError:
        return False


def _difference(first: Pair, second: Pair, labels: Labels | None) -> float:
    """Return the share of the pixels on which the masks of two pairs differ; 2 where their sizes do."""
    try:
        one, other = (read_mask(pair) if labels is None else read_target(pair, labels) for pair in (first, second))
    except InputError:  # said elsewhere
        return 0.0
    if one.shape[:2] != other.shape[:2]:
        return 2.0
    if one.ndim != other.ndim:  # greys beside colours: not to be told apart without classes
        return 0.0
    unlike = one != other
    return float((unlike if unlike.ndim == 2 else unlike.any(axis=2)).mean())
