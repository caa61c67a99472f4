"""Names that are nearly right."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from pathlib import Path

from unet.data.matching import numbers_in, plain_name
from unet.data.pairs import Pair, Pairing

_CLEARER = 0.15  # so much more alike (of 1) are two names that belong together than either and any other


def sure_pairs(pairing: Pairing) -> dict[str, tuple[Pair, ...]]:
    """Return, by part, the nearly matching pictures and masks that can be meant for each other only.

    That is: the numbers in their names are the same, nothing else that is left over comes near, and the two names are
    not both of kinds that are regularly paired with others (car_5 with cat_5_mask).
    """
    images, masks = _by_numbers(pairing.without_mask), _by_numbers(pairing.without_picture)
    regular = {(_kind(pair.image), _kind(pair.mask)) for pairs in pairing.parts.values() for pair in pairs}
    regular_image, regular_mask = {image for image, _ in regular}, {mask for _, mask in regular}

    def is_sure(pair: Pair) -> bool:
        kinds = _kind(pair.image), _kind(pair.mask)
        if kinds[0] in regular_image and kinds[1] in regular_mask and kinds not in regular:
            return False
        other_images = [path for path in images[_group(pair.image)] if path != pair.image]
        other_masks = [path for path in masks[_group(pair.mask)] if path != pair.mask]
        rivals = [*((path, pair.mask) for path in other_images), *((pair.image, path) for path in other_masks)]
        likeness = _likeness(pair.image, pair.mask)
        return all(likeness - _likeness(*rival) >= _CLEARER for rival in rivals)

    return {part: tuple(filter(is_sure, pairs)) for part, pairs in pairing.nearly.items()}


def _by_numbers(paths: Iterable[Path]) -> dict[tuple[object, ...], list[Path]]:
    groups: dict[tuple[object, ...], list[Path]] = {}
    for path in paths:
        groups.setdefault(_group(path), []).append(path)
    return groups


def _group(path: Path) -> tuple[object, ...]:
    return (path.parent, *numbers_in(path.stem))


def _kind(path: Path) -> str:
    return re.sub("[0-9]+", "#", plain_name(path.stem))


def _likeness(image: Path, mask: Path) -> float:
    return SequenceMatcher(None, plain_name(image.stem), plain_name(mask.stem)).ratio()
