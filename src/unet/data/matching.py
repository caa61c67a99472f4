"""How names of pictures and of masks are matched: by what they share, by a suffix, or nearly."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

_MOST_COMPARED = 50  # names of one number that a near name is looked for in


def name_in(path: Path, folder: Path) -> str:
    """Return a file's path below a folder without its ending, with "/"."""
    # Composed characters, because macOS hands out decomposed ones.
    text, start = path.as_posix(), f"{folder.as_posix()}/"  # as text, because there may be very many
    inside = text[len(start) :] if text.startswith(start) else path.relative_to(folder).as_posix()
    return unicodedata.normalize("NFC", inside.removesuffix(path.suffix))


def count_suffixes(images: Sequence[str], masks: Sequence[str]) -> Counter[str]:
    """Count, for each suffix, the masks that are called like a picture plus this suffix."""
    known = set(images)
    return Counter(mask[cut:] for mask in masks for cut in range(1, len(mask) + 1) if mask[:cut] in known)


def match_names(
    images: Sequence[str], masks: Sequence[str], suffix: str | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """Return for each picture's name and each mask's name the key under which they meet.

    A suffix that is given is taken from the masks' names; masks without it are left out. Else the suffix that pairs
    most masks wins, the shorter of equals. Where it does not pair them all, what the names of all pictures begin and
    end with is set aside, and so with the masks (img_1 and mask_1).
    """
    if suffix is not None:
        return {name: name for name in images}, {m: m.removesuffix(suffix) for m in masks if m.endswith(suffix)}
    counted = count_suffixes(images, masks)
    suffix = max(counted, key=lambda key: (counted[key], -len(key)), default="")
    key_of_mask = {stem: stem.removesuffix(suffix) if stem.endswith(suffix) else stem for stem in masks}
    key_of_image = {stem: stem for stem in images}
    if set(key_of_mask.values()) != set(images) and len(images) == len(masks) > 1:
        cores = _cores(images), _cores(masks)
        if set(cores[0].values()) == set(cores[1].values()) and len(set(cores[0].values())) == len(images):
            return cores
    return key_of_image, key_of_mask


def _cores(stems: Sequence[str]) -> dict[str, str]:
    """Return each stem without what all of them begin and end with."""
    start = _shared(stems)
    rests = {stem: stem[start:] for stem in stems}
    end = _shared([rest[::-1] for rest in rests.values()])
    return {stem: rest[: len(rest) - end] for stem, rest in rests.items()}


def _shared(texts: Sequence[str]) -> int:
    """Return how many characters all texts begin with."""
    first, last = min(texts), max(texts)  # these two differ the earliest
    return next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))


def nearest_names(images: Iterable[str], masks: Iterable[str]) -> dict[str, str]:
    """Return for names of pictures the nearest name of a mask: the same numbers in it, and almost the same words."""
    by_numbers: dict[tuple[int, ...], list[str]] = {}
    for mask in masks:
        by_numbers.setdefault(numbers_in(mask), []).append(mask)
    near: dict[str, str] = {}
    for image in images:
        rivals = by_numbers.get(numbers_in(image), [])[:_MOST_COMPARED]
        plain = {plain_name(mask): mask for mask in reversed(rivals)}
        name = plain_name(image)
        match = get_close_matches(name, plain, n=1)
        if not match and numbers_in(image):  # the end of the mask's name is misspelt
            match = [other for other in plain if other.startswith(name)]
        if match:
            near[image] = plain[match[0]]
            by_numbers[numbers_in(image)].remove(near[image])
    return near


def numbers_in(name: str) -> tuple[int, ...]:
    """Return the numbers in a name."""
    return tuple(int(digits) for digits in re.findall(r"[0-9]+", name))


def plain_name(name: str) -> str:
    """Return a name without what people mistype: capitals, blanks, dashes, leading zeros."""
    return re.sub(r"[\W_]+|(?<![0-9])0+(?=[0-9])", "", name.casefold())
