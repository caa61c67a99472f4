"""Masks that hold something else than classes, and the word on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from unet.data.finding import Finding, counted
from unet.data.mask_values import MaskValues, listed, option, order_of
from unet.data.stats import MaskStats, PictureStats
from unet.data.true_values import TrueValues, edge_only_values, plain_numbers, vanishing_values
from unet.data.value_peaks import MOST_CLASSES
from unet.labels import IGNORED, Color, Value

REPAIR = "mend them by: unet repair DATA --out CLEAN"

_NEAR = 8  # grey levels (of 255) within which a rare value beside a frequent one is taken for a blurred edge
_RARE = 20  # times fewer pixels
_SOLID = 0.5  # share of the pixels of a mask of areas that lie among their like, at least: photographs have fewer
_EDGES = 0.25  # share of all pixels that are edges, at most
_LISTED = 8  # values that a remedy names, at most
_FEW = 32  # values of a mask that was given as a picture, at most


def swapped(mask_values: MaskValues) -> Finding | None:
    """Masks where the pictures should be, and the reverse: few values in the picture, many in the mask."""
    rows = list(zip(mask_values.scan.pairs, mask_values.scan.pictures, mask_values.scan.masks, strict=True))
    files = tuple(
        f"{pair.mask} holds {_value_count(mask)}, its picture {pair.image} {picture.n_values}"
        for pair, picture, mask in rows
        if seems_swapped(picture, mask)
    )
    if not files:
        return None
    what = "the two folders seem" if len(files) > len(rows) / 2 else f"{counted(len(files), 'pair')} seem"
    return Finding.of_files(
        "swapped",
        "error",
        files,
        f"the masks of {counted(len(files), 'pair')} hold more values than their pictures",
        "masks of few values",
        f"{what} to be swapped; if not, name the true values with --mask-values",
    )


def seems_swapped(picture: PictureStats, mask: MaskStats) -> bool:
    """Tell whether a picture holds as few values as a mask, and its mask as many as a picture."""
    return 2 <= picture.n_values <= _FEW and mask.n_values > MOST_CLASSES


def palettes(mask_values: MaskValues) -> Finding | None:
    """One index that stands for two colours."""
    colors: dict[Value, Counter[Color]] = {}
    for mask in mask_values.scan.masks:
        for value, color in _colors(mask).items():
            colors.setdefault(value, Counter())[color] += 1
    most_common = {value: counter.most_common(1)[0][0] for value, counter in colors.items()}
    files = []
    for pair, mask in zip(mask_values.scan.pairs, mask_values.scan.masks, strict=True):
        other = next(((value, color) for value, color in _colors(mask).items() if color != most_common[value]), None)
        if other is not None:
            value, color = other
            files.append(f"{pair.mask}: the palette value {value} is {color}, in others {most_common[value]}")
    return Finding.of_files(
        "palettes-differ",
        "error",
        files,
        f"{counted(len(files), 'mask has', 'masks have')} another palette than the others",
        "one palette for all masks",
        f"{REPAIR}, or name the indices with --mask-values if they are right",
    )


def palette_and_plain(mask_values: MaskValues) -> Finding | None:
    """Indices of a palette in some masks, and in others plain values or colours that are none of them."""
    rows = list(zip(mask_values.scan.pairs, mask_values.scan.masks, strict=True))
    indices = {value for _, mask in rows if mask.palette is not None for value, _ in mask.values}
    if not indices:
        return None
    strange = {
        pair: [value for value, _ in mask.values if value not in indices] for pair, mask in rows if mask.palette is None
    }
    files = tuple(f"{pair.mask} has none and holds {listed(values[:4])}" for pair, values in strange.items() if values)
    return Finding.of_files(
        "palette-and-plain",
        "error",
        files,
        f"some masks have a palette with the values {listed(sorted(indices, key=order_of))}, "
        f"{counted(len(files), 'other has', 'others have')} none and other values",
        "masks of one kind",
        f"{REPAIR}, or name the true values with --mask-values",
    )


def _colors(mask: MaskStats) -> dict[Value, Color]:
    """Return the colours of the palette values that a mask holds."""
    colors = mask.palette or ()
    return {value: colors[value] for value, _ in mask.values if isinstance(value, int) and 0 <= value < len(colors)}


def two_scales(mask_values: MaskValues) -> Finding | None:
    """Some masks count 0, 1, ..., others spread the same classes from 0 to 255, which is then no ignored value."""
    sets = [{value for value, _ in mask.values if isinstance(value, int)} for mask in mask_values.scan.masks]
    small = [bool(values - {0}) and max(values) < _FEW for values in sets]
    wide = [is_wide(values) for values in sets]
    holding = sum(IGNORED in values for values in sets)
    if not any(small) or not any(wide) or sum(wide) < holding:
        return None
    rarer = wide if sum(wide) <= sum(small) else small
    files = tuple(
        f"{pair.mask} holds {listed(sorted(values))}"
        for pair, values, this in zip(mask_values.scan.pairs, sets, rarer, strict=True)
        if this
    )
    counts = sorted(set().union(*(values for values, this in zip(sets, small, strict=True) if this)))
    spread = sorted(set().union(*(values for values, this in zip(sets, wide, strict=True) if this)))
    return Finding.of_files(
        "two-scales",
        "error",
        files,
        f"{counted(sum(wide), 'mask holds', 'masks hold')} {listed(spread)}, {sum(small)} {listed(counts)}",
        "the same values in all masks",
        "save them alike, or add --ignore 255 if 255 is to be left out",
    )


def is_wide(values: Collection[Value]) -> bool:
    """Tell whether values look as if classes were spread from 0 to 255."""
    return IGNORED in values and not any(isinstance(value, int) and 0 < value < _FEW for value in values)


def spread(values: Collection[Value], top: int) -> dict[Value, int] | None:
    """Return the class number of each value if numbers from 0 to `top` were spread evenly from 0 to 255, else None."""
    places: dict[Value, int] = {
        round(255 * number / top) + near: number for number in range(top + 1) for near in (-1, 0, 1)
    }
    numbers = {value: places[value] for value in values if value in places}
    return numbers if len(set(numbers.values())) == len(values) else None


def instances(mask_values: MaskValues) -> Finding | None:
    """Values that number objects."""
    masks = mask_values.scan.masks
    scores = [mask.objects for mask in masks if mask.objects is not None]
    busy = [mask for mask in masks if sum(value != 0 for value, _ in mask.values) >= 3]
    numbers = [value for value in mask_values.counts if isinstance(value, int) and value > 0]
    if not scores or len(scores) < 0.8 * len(busy) or np.mean(scores) < 0.9:
        return None
    wide = any(mask.dtype != "uint8" for mask in masks)
    differ = len({frozenset(value for value, _ in mask.values) for mask in masks}) > 1
    if not (wide or len(numbers) > MOST_CLASSES or (len(numbers) >= 8 and differ)):
        return None
    files = tuple(
        f"{pair.mask}: {_value_count(mask)}"
        for pair, mask in zip(mask_values.scan.pairs, masks, strict=True)
        if mask.objects
    )
    return Finding.of_files(
        "instances",
        "error",
        files,
        f"the masks seem to number objects: {listed(sorted(numbers)[:3])} ... {max(numbers)}, each one blob",
        "one value for each class",
        "to learn object or background add --instances; if they are classes, name them with --mask-values",
    )


def one_hot(mask_values: MaskValues) -> Finding | None:
    """Three bands, one for each class, of which one is 1 at every pixel; other stacks are faults of the scan."""
    bands = {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    if not mask_values.is_rgb or not set(mask_values.counts) <= bands:
        return None
    files = tuple(str(pair.mask) for pair in mask_values.scan.pairs)
    return Finding.of_files(
        "one-hot",
        "error",
        files,
        f"{counted(len(files), 'mask has', 'masks have')} a band for each of 3 classes",
        "one band of class numbers",
        REPAIR,
    )


def damage(mask_values: MaskValues, truth: TrueValues) -> list[Finding]:
    """Values between the true ones, or far too many for classes: by JPEG, by blending, or in a photograph."""
    known = set() if truth.doubt else set(truth.values)
    lossy: list[str] = []
    blurred: list[str] = []
    doubtful: list[str] = []
    foreign: list[str] = []
    pictures: list[str] = []
    for pair, mask in zip(mask_values.scan.pairs, mask_values.scan.masks, strict=True):
        pixels = mask.height * mask.width
        share = sum(count for value, count in mask.values if mask_values.in_common_form(value) in known) / pixels
        line = f"{pair.mask}: {_value_count(mask)}"
        if share == 1:
            continue
        if known and pair not in truth.foreign:
            (lossy if mask.lossy else blurred).append(f"{line}, {share:.1%} of the pixels are true")
        elif mask.n_values > MOST_CLASSES and not (truth.too_near and sum(mask.inner) >= _SOLID * pixels):
            pictures.append(line)
        elif truth.doubt:
            doubtful.append(line)
        else:
            foreign.append(f"{line}; it {truth.foreign[pair]}")
    true = truth.values
    exactly = f"{mask_values.share(true):.1%} of all pixels are {listed(true)}"
    nearest = f"{REPAIR}, or take every pixel as the nearest of these by {option(true)}" if known else ""
    kind = "lossy-mask" if mask_values.lossy else "blended-mask"
    anew = "save them as PNG from their source, or name the true ones with --mask-values"
    findings = (
        Finding.of_files(
            "lossy-mask",
            "error",
            lossy,
            f"{_masks(lossy)} up to {mask_values.value_count()}, but {exactly}: JPEG changes values",
            "one value for each class",
            nearest,
        ),
        Finding.of_files(
            "blended-mask",
            "error",
            blurred,
            f"{_masks(blurred)} up to {mask_values.value_count()}, but {exactly}: edges were blended",
            "one value for each class",
            nearest,
        ),
        Finding.of_files(
            kind,
            "error",
            doubtful,
            f"{_masks(doubtful)} up to {mask_values.value_count()}, and which are true cannot be told: {truth.doubt}",
            "areas of a few values that are far apart",
            anew,
        ),
        Finding.of_files(
            kind,
            "error",
            foreign,
            f"{_masks(foreign)} other values than the {listed(true)} of the others",
            "the same values in all masks",
            anew,
        ),
        Finding.of_files(
            "photo-mask",
            "error",
            pictures,
            f"{_masks(pictures)} up to {mask_values.value_count()}",
            f"one for each class, at most {MOST_CLASSES} without a class file",
            "if they are photographs the files are the wrong ones; if they are classes name them in classes.csv",
        ),
    )
    return [finding for finding in findings if finding is not None]


def _masks(files: Sequence[str]) -> str:
    return counted(len(files), "mask holds", "masks hold")


def edge_values(mask_values: MaskValues) -> Finding | None:
    """Class numbers that occur only where two others meet, as they do in a mask that was resized with blending."""
    edges = sorted(edge_only_values(mask_values), key=order_of)
    share = mask_values.share(edges)
    if mask_values.is_rgb or len(edges) < 2 or share > _EDGES:
        return None
    files = tuple(
        str(pair.mask)
        for pair, mask in zip(mask_values.scan.pairs, mask_values.scan.masks, strict=True)
        if any(value in edges for value, _ in mask.values)
    )
    return Finding.of_files(
        "edge-values",
        "warning",
        files,
        f"the values {listed(edges)} ({share:.2%} of the pixels) occur only at edges between others",
        "classes with an inside",
        "if blending made them, name the true values with --mask-values",
    )


def vanishing(mask_values: MaskValues, skipped: Sequence[Value]) -> list[Finding | None]:
    """Values that hardly a pixel has: accidents that would become classes, and classes too rare to be learned."""
    accidents, rare = vanishing_values(mask_values, skipped)
    if not accidents and not rare:
        return []
    every = sorted((value for value in mask_values.counts if value not in skipped), key=order_of)
    true = [value for value in every if value not in accidents]
    drop = f"--ignore {listed(accidents)}".replace(", ", ",") if plain_numbers(true) else option(true)
    way = "leave these pixels out by" if plain_numbers(true) else "take every pixel as the nearest true value by"
    keep = f"by {option(every)}" if len(every) <= _LISTED else "by naming all classes in a class file"
    return [
        Finding.of_files(
            "stray-values",
            "error",
            mask_values.files_with(accidents),
            f"{_pixels(mask_values, accidents)} a value that hardly occurs: {listed(accidents)}",
            f"{listed(true)} only",
            f"{REPAIR}, or {way} {drop}; if it is a class, keep it {keep}",
        ),
        Finding.of_files(
            "rare-values",
            "warning",
            mask_values.files_with(rare),
            f"{_pixels(mask_values, rare)} a value that hardly occurs: {listed(rare)}",
            "enough of a class to learn it",
            f"if these are accidents, name the true values by {option([v for v in every if v not in rare])}",
        ),
    ]


def _pixels(mask_values: MaskValues, values: Sequence[Value]) -> str:
    return counted(
        sum(mask_values.counts[value] for value in values), "pixel of the masks has", "pixels of the masks have"
    )


def is_damaged(mask_values: MaskValues) -> bool:
    """Tell whether some of the values are none that somebody drew."""
    if mask_values.lossy and mask_values.n_values > 2:
        return True
    if mask_values.n_values > MOST_CLASSES:
        return True
    values = list(mask_values.counts)
    if not mask_values.is_rgb and all(value in (IGNORED, -1) or order_of(value) < (MOST_CLASSES,) for value in values):
        return False  # plain class numbers
    if len(edge_only_values(mask_values)) >= 2:
        return True
    points = np.array([np.atleast_1d(value) for value in values], dtype=np.int64)
    counts = np.array([mask_values.counts[value] for value in values])
    near = np.abs(points[:, None] - points[None]).max(axis=2) <= _NEAR
    return bool((near & (counts[:, None] >= _RARE * counts[None])).any())


def _value_count(mask: MaskStats) -> str:
    return f"{mask.n_values} {'colours' if mask.is_rgb else 'values'}"
