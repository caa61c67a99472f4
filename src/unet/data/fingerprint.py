"""What a data set is like, in the few numbers that a plan is made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
        1 where all pictures are grey, 3 where any is RGB, else the largest number of bands.
    white : float
        What becomes 1.0.
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
    means = np.array([_spread(picture.mean, bands) for picture in scan.pictures]) / white
    squares = (np.array([_spread(picture.std, bands) for picture in scan.pictures]) / white) ** 2 + means**2
    mean = means.mean(axis=0)
    std = np.sqrt(np.maximum(squares.mean(axis=0) - mean**2, 1e-8))
    counts = np.zeros(256)
    for mask in scan.masks:
        values = np.array([value for value, _ in mask.values])
        indices = labels.encode(values[:, None] if values.ndim == 1 else values[:, None, :])[:, 0]
        counts += np.bincount(indices, weights=[count for _, count in mask.values], minlength=256)
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
    # Alpha carries no picture; grey among RGB is spread over three bands.
    plain = {count - 1 if count in (2, 4) else count for count in found}
    return max(plain)


def _spread(values: tuple[float, ...], bands: int) -> tuple[float, ...]:
    values = values[:-1] if len(values) in (2, 4) and len(values) - 1 in (bands, 1) else values
    return values * bands if len(values) == 1 else values[:bands]


def _white(scan: Scan) -> float:
    if all(picture.dtype == "uint8" for picture in scan.pictures):
        return 255.0
    # 16-bit and float pictures rarely use their whole range: the brightest percentile stands for white.
    return float(max(max(picture.high) for picture in scan.pictures)) or 1.0
