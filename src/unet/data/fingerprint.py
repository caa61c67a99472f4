"""What a data set is like, in the few numbers that a plan is made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unet.data.class_counts import class_counts
from unet.data.scan import Scan
from unet.labels import IGNORED, Labels


@dataclass(frozen=True)
class Fingerprint:
    """Sizes in pixels, shares between 0 and 1.

    Attributes
    ----------
    pictures : int
    height, width : int
        Medians.
    largest : (int, int)
        Greatest height and greatest width.
    same_size : bool
    bands : int
        As all pictures have; where they differ, 3 (RGB), or 1 where none has colour.
    white : float
        What becomes 1.0; in 8-bit pictures always 255.
    mean, std : tuple of float
        Per band, of pictures divided by `white`.
    class_shares : tuple of float
        Of the pixels that are not ignored.
    """

    pictures: int
    height: int
    width: int
    largest: tuple[int, int]
    same_size: bool
    bands: int
    white: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_shares: tuple[float, ...]


def fingerprint(scan: Scan, labels: Labels) -> Fingerprint:
    """Return the fingerprint of scanned pairs."""
    heights = np.array([picture.height for picture in scan.pictures])
    widths = np.array([picture.width for picture in scan.pictures])
    bands = _bands({picture.bands for picture in scan.pictures})
    white = _white(scan)
    whites = np.array([[255.0 if picture.dtype == "uint8" else white] for picture in scan.pictures])
    means = np.array([_spread(picture.mean, bands) for picture in scan.pictures]) / whites
    squares = (np.array([_spread(picture.std, bands) for picture in scan.pictures]) / whites) ** 2 + means**2
    mean = means.mean(axis=0)
    std = np.sqrt(np.maximum(squares.mean(axis=0) - mean**2, 1e-8))
    counts = np.zeros(256)
    for mask in scan.masks:
        counts += class_counts(mask, labels)
    counts[IGNORED] = 0
    shares = counts[: len(labels)] / max(counts.sum(), 1)
    return Fingerprint(
        pictures=len(scan.pairs),
        height=int(np.median(heights)),
        width=int(np.median(widths)),
        largest=(int(heights.max()), int(widths.max())),
        same_size=bool(np.ptp(heights) == 0 and np.ptp(widths) == 0),
        bands=bands,
        white=white,
        mean=tuple(float(value) for value in mean),
        std=tuple(float(value) for value in std),
        class_shares=tuple(float(share) for share in shares),
    )


def _bands(found: set[int]) -> int:
    if len(found) == 1:
        return found.pop()
    return 3 if max(found) > 2 else 1


def _spread(values: tuple[float, ...], bands: int) -> tuple[float, ...]:
    # As `match_bands` makes the pictures.
    return values[:bands] if len(values) >= bands else values[:1] * bands


def _white(scan: Scan) -> float:
    # 16-bit and float pictures rarely use their whole range: the brightest percentile stands for white.
    deep = [max(picture.high) for picture in scan.pictures if picture.dtype != "uint8"]
    return (float(max(deep)) or 1.0) if deep else 255.0
