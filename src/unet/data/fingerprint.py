"""What a data set is like, in the few numbers that a plan is made from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unet.data.class_counts import class_counts, class_indices
from unet.data.scan import Scan
from unet.data.stats import MaskStats
from unet.labels import IGNORED, Labels
from unet.preprocessing import FRACTION_OVER
from unet.shapes.measure import RegionProps, thickness

SMALLEST, LARGEST = 0.05, 0.95
"""Shares of a class's pixels that lie in smaller objects than its smallest and its largest: specks do not count."""

LEANING = 0.05
"""Pictures have an up and a down where a class lies so far off the middle on average, in heights of a picture, or one
half is so much brighter, in standard deviations."""


@dataclass(frozen=True)
class ClassStats:
    """What the objects of a class are like, in pixels of the files.

    Attributes
    ----------
    name : str
    share : float
        Of the pixels that are not ignored.
    pictures : tuple of int
        The pictures in which it occurs, by their place in the scan.
    thickness : float
        The width of lines, half the diameter of discs; infinite where it was not measured.
    smallest, largest : float
        Sides of squares as large as its smallest and largest objects; 0 where they were not measured.
    regions : float
        Connected regions in a picture that has any, on average.
    """

    name: str
    share: float
    pictures: tuple[int, ...] = ()
    thickness: float = math.inf
    smallest: float = 0.0
    largest: float = 0.0
    regions: float = 1.0

    @property
    def detail(self) -> float:
        """What is lost first when pictures shrink: the thickness of lines or the size of small objects."""
        return min(self.thickness, self.smallest or math.inf)


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
    data_range : float
        What becomes 1.0; in 8-bit pictures always 255.
    mean, std : tuple of float
        Per band, of pictures divided by `data_range`.
    classes : tuple of ClassStats
    upright : bool
        Pictures have an up and a down: some class lies higher or lower than the middle, or one half is brighter.
    brightness_spread : float
        How far the mean brightness of the pictures differs, in standard deviations within a picture.
    """

    pictures: int
    height: int
    width: int
    largest: tuple[int, int]
    same_size: bool
    bands: int
    data_range: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[ClassStats, ...]
    upright: bool
    brightness_spread: float = 0.0

    @property
    def class_shares(self) -> tuple[float, ...]:
        """Share of each class of the pixels that are not ignored."""
        return tuple(stats.share for stats in self.classes)


def fingerprint(scan: Scan, labels: Labels) -> Fingerprint:
    """Return the fingerprint of scanned pairs."""
    heights = np.array([picture.height for picture in scan.pictures])
    widths = np.array([picture.width for picture in scan.pictures])
    bands = _bands({picture.bands for picture in scan.pictures})
    data_range = _data_range(scan)
    ranges = np.array([[255.0 if picture.dtype == "uint8" else data_range] for picture in scan.pictures])
    means = np.array([_spread(picture.mean, bands) for picture in scan.pictures]) / ranges
    deviations = np.array([_spread(picture.std, bands) for picture in scan.pictures]) / ranges
    squares = deviations**2 + means**2
    mean = means.mean(axis=0)
    std = np.sqrt(np.maximum(squares.mean(axis=0) - mean**2, 1e-8))
    return Fingerprint(
        pictures=len(scan.pairs),
        height=int(np.median(heights)),
        width=int(np.median(widths)),
        largest=(int(heights.max()), int(widths.max())),
        same_size=bool(np.ptp(heights) == 0 and np.ptp(widths) == 0),
        bands=bands,
        data_range=data_range,
        mean=tuple(float(value) for value in mean),
        std=tuple(float(value) for value in std),
        classes=_classes(scan, labels),
        upright=_upright(scan, labels),
        brightness_spread=float(means.mean(axis=1).std() / max(deviations.mean(), 1e-6)),
    )


def _classes(scan: Scan, labels: Labels) -> tuple[ClassStats, ...]:
    counts = np.zeros((len(scan.masks), 256))
    areas, perimeters, holders = np.zeros(256), np.zeros(256), np.zeros(256)
    regions = np.zeros((256, 64, 2))  # class, power of two of the area; number and area of all
    for place, mask in enumerate(scan.masks):
        counts[place] = class_counts(mask, labels)
        classes = _classes_of_shapes(mask, labels)
        holders[list(set(classes))] += 1
        for shape, index in zip(mask.shapes, classes, strict=True):
            areas[index] += shape.area
            perimeters[index] += shape.perimeter_crofton
            for number, area in shape.components:
                regions[index, int(math.log2(area / number))] += number, area
    counts[:, IGNORED] = 0
    shares = counts.sum(axis=0) / max(counts.sum(), 1)
    return tuple(
        ClassStats(
            name=name,
            share=float(shares[index]),
            pictures=tuple(np.flatnonzero(counts[:, index]).tolist()),
            thickness=thickness(areas[index], perimeters[index]),
            smallest=_size(regions[index], SMALLEST),
            largest=_size(regions[index], LARGEST),
            regions=max(1.0, float(regions[index, :, 0].sum() / max(1, holders[index]))),
        )
        for index, name in enumerate(labels.names)
    )


def _classes_of_shapes(mask: MaskStats, labels: Labels) -> tuple[int, ...]:
    return class_indices(tuple([shape.value for shape in mask.shapes]), labels)


def _size(regions: NDArray[np.float64], share: float) -> float:
    """Return the side of a square as large as the object below which that share of all objects' pixels lies."""
    numbers, areas = regions[regions[:, 0] > 0].T
    if not areas.size:
        return 0.0
    place = int(np.searchsorted(np.cumsum(areas), share * areas.sum()))
    return float(math.sqrt(areas[place] / numbers[place]))


def _upright(scan: Scan, labels: Labels) -> bool:
    leaning: list[list[float]] = [[] for _ in labels.names]
    for mask in scan.masks:
        indices = _classes_of_shapes(mask, labels)
        for index in set(indices) - {IGNORED}:
            shapes = [shape for shape, other in zip(mask.shapes, indices, strict=True) if other == index]
            leaning[index].append(_mean_row(shapes) - 0.5)
    return any(map(_is_systematic, [*leaning, [picture.lean for picture in scan.pictures]]))


def _is_systematic(values: Sequence[float]) -> bool:
    """Tell whether the mean of the values is not near 0, nor by chance where it is: three standard errors off."""
    if len(values) < 2:
        return False
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return abs(float(np.mean(values))) > max(LEANING, 3 * error)


def _mean_row(shapes: Sequence[RegionProps]) -> float:
    return sum(shape.centroid_row * shape.area for shape in shapes) / sum(shape.area for shape in shapes)


def _bands(counts: set[int]) -> int:
    if len(counts) == 1:
        return counts.pop()
    return 3 if max(counts) > 2 else 1


def _spread(values: tuple[float, ...], bands: int) -> tuple[float, ...]:
    # As `match_bands` makes the pictures.
    return values[:bands] if len(values) >= bands else values[:1] * bands


def _data_range(scan: Scan) -> float:
    # 16-bit and float pictures rarely use their whole range: the brightest percentile stands for white.
    # Fractions are of 1, as 8-bit pictures are of 255.
    deep = [picture for picture in scan.pictures if picture.dtype != "uint8"]
    if not deep:
        return 255.0
    brightest = max(max(picture.high) for picture in deep)
    is_fraction = all(picture.dtype == "float32" for picture in deep) and FRACTION_OVER < brightest <= 1 + FRACTION_OVER
    return 1.0 if is_fraction else float(brightest) or 1.0
