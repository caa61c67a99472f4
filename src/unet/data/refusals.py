"""Masks that hold something else than classes: what is found, and the word on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unet.data.seen import Seen, listed, option, order_of
from unet.errors import DataError
from unet.labels import IGNORED, Color, Value

MOST_CLASSES = 64
"""More values than this are taken as classes only where a class file names them."""

_NEAR = 8  # grey levels (of 255) within which a rare value beside a frequent one is taken for a blurred edge
_APART = 24  # grey levels between two values that may both be true
_RARE = 20  # times fewer pixels
_SHARE = 0.01  # of all pixels, that a true value has at least


def refuse_swapped(seen: Seen) -> None:
    """Raise DataError where the pictures hold as few values as masks, and the masks as many as pictures."""
    pictures = np.median([picture.n_values for picture in seen.scan.pictures])
    masks = np.median([mask.n_values for mask in seen.scan.masks])
    if pictures <= 32 and masks > MOST_CLASSES:
        pair = seen.scan.pairs[seen.most]
        raise DataError(
            f"the masks hold {seen.what()}, the pictures {pictures:.0f} (such as {pair.image})",
            "masks of few values",
            "the two folders seem to be swapped; if they are not, name the true values with --mask-values",
        )


def refuse_palettes(seen: Seen) -> None:
    """Raise DataError where one index stands for two colours, or indices meet plain values or colours."""
    first: dict[int, tuple[Color, Path]] = {}
    plain: tuple[Value, Path] | None = None
    for pair, mask in zip(seen.scan.pairs, seen.scan.masks, strict=True):
        for value, _ in mask.values:
            if not isinstance(value, int) or mask.palette is None:
                plain = plain or (value, pair.mask)
            elif value < len(mask.palette):
                color, path = first.setdefault(value, (mask.palette[value], pair.mask))
                if color != mask.palette[value]:
                    raise DataError(
                        f"the palette value {value} is {color} in {path} but {mask.palette[value]} in {pair.mask}",
                        "one palette for all masks",
                        "save the masks as RGB, or name the indices with --mask-values if they are right",
                    )
    plain_masks = [mask for mask in seen.scan.masks if mask.palette is None]
    plain_values = sorted({value for mask in plain_masks for value, _ in mask.values}, key=order_of)
    strange = [value for value in plain_values if value not in first]
    if first and plain and strange:
        path = next(iter(first.values()))[1]
        raise DataError(
            f"{path} has a palette with the values {listed(sorted(first))}, "
            f"{seen.where(strange[0])} has none and holds {listed(strange[:4])}",
            "masks of one kind",
            "save them all alike, or name the true values with --mask-values",
        )


def refuse_two_whites(seen: Seen) -> None:
    """Raise DataError where some masks are 0/1 and others 0/255: 255 is then no ignored value."""
    sets = [{value for value, _ in mask.values} for mask in seen.scan.masks]
    if all(values <= {0, IGNORED} for values in sets if IGNORED in values):
        white = next(index for index, values in enumerate(sets) if IGNORED in values)
        other = next(index for index, values in enumerate(sets) if values - {0, IGNORED})
        raise DataError(
            f"{seen.scan.pairs[white].mask} holds {listed(sorted(sets[white], key=order_of))}, "
            f"{seen.scan.pairs[other].mask} holds {listed(sorted(sets[other], key=order_of))}",
            "the same values in all masks",
            "save them alike, or add --ignore 255 if 255 is to be left out",
        )


def refuse_objects(seen: Seen) -> None:
    """Raise DataError where the values number objects."""
    masks = seen.scan.masks
    scores = [mask.objects for mask in masks if mask.objects is not None]
    busy = [mask for mask in masks if sum(value != 0 for value, _ in mask.values) >= 3]
    numbers = [value for value in seen.counts if isinstance(value, int) and value > 0]
    if not scores or len(scores) < 0.8 * len(busy) or np.mean(scores) < 0.9:
        return
    wide = any(mask.dtype != "uint8" for mask in masks)
    differ = len({frozenset(value for value, _ in mask.values) for mask in masks}) > 1
    if not (wide or len(numbers) > MOST_CLASSES or (len(numbers) >= 8 and differ)):
        return
    raise DataError(
        f"the masks seem to number objects: {listed(sorted(numbers)[:3])} ... {max(numbers)}, each one blob "
        f"(such as {seen.scan.pairs[seen.most].mask})",
        "one value for each class",
        "to learn object or background add --instances; if they are classes, name them with --mask-values",
    )


def refuse_damage(seen: Seen) -> None:
    """Raise DataError where values lie between the true ones, or are far too many for classes."""
    if not _is_damaged(seen):
        return
    true = believed(seen)
    exact = seen.share(true)
    found = f"the masks hold {seen.what()}"
    if exact >= 0.5 and 2 <= len(true) <= MOST_CLASSES:
        cause = "JPEG changes values" if seen.lossy else "edges were blended"
        raise DataError(
            f"{found}, but {exact:.1%} of their pixels are {listed(true)}: {cause}",
            "one for each class",
            f"to take every pixel as the nearest of these add {option(true)}",
        )
    if seen.n_values <= MOST_CLASSES:
        raise DataError(
            f"{found}, and were saved as JPEG, which changes values",
            "one for each class",
            "save them as PNG from their source, or name the true ones with --mask-values",
        )
    raise DataError(
        found,
        f"one for each class, at most {MOST_CLASSES} without a class file",
        "if these are photographs the folder is the wrong one; if they are classes name them in classes.csv",
    )


def _is_damaged(seen: Seen) -> bool:
    if seen.lossy and seen.n_values > 2:
        return True
    if seen.n_values > MOST_CLASSES:
        return True
    values = list(seen.counts)
    if not seen.is_rgb and all(value in (IGNORED, -1) or order_of(value) < (MOST_CLASSES,) for value in values):
        return False  # plain class numbers
    points = np.array([np.atleast_1d(value) for value in values], dtype=np.int64)
    counts = np.array([seen.counts[value] for value in values])
    near = np.abs(points[:, None] - points[None]).max(axis=2) <= _NEAR
    return bool((near & (counts[:, None] >= _RARE * counts[None])).any())


def believed(seen: Seen) -> list[Value]:
    """Return the values that are probably true, sorted: frequent, and apart from one another."""
    true: list[Value] = []
    for value, count in seen.counts.most_common():
        if count < _SHARE * seen.pixels or len(true) > MOST_CLASSES:
            break
        if all(np.abs(np.subtract(value, other)).max() > _APART for other in true):
            true.append(value)
    return sorted(true, key=order_of)
