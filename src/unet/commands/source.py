"""The data of a command: pairs, their split, the class table, all faults at once before anything long begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unet.commands.display import Display
from unet.config import DataConfig
from unet.data.classes import labels_of
from unet.data.fingerprint import Fingerprint, fingerprint
from unet.data.pairs import Pair, find_pairs, split
from unet.data.scan import Scan, scan
from unet.errors import ConfigError, DataError
from unet.labels import Labels, default_colors, default_names


@dataclass(frozen=True)
class Source:
    """Pairs to train and to validate on, the class table, and what the training pictures are like."""

    train: tuple[Pair, ...]
    val: tuple[Pair, ...]
    labels: Labels
    fingerprint: Fingerprint


def read_source(settings: DataConfig, classes: int | None, seed: int, display: Display) -> Source:
    """Find, split and check the pairs that the settings name.

    Raises
    ------
    ConfigError
        No folder is named.
    DataError
        Pictures or masks that cannot be used, all of them in one message.
    """
    found = find_pairs(
        _path(settings.root),
        images=_path(settings.images),
        masks=_path(settings.masks),
        mask_suffix=settings.mask_suffix,
    )
    if "train" in found and "val" in found and (settings.group or settings.val != DataConfig().val):
        display.say("the folders train and val say what is held out; val and group have no effect")
    train, val = _split(found, settings, seed)
    with display.counting("reading masks and pictures") as progress:
        seen = scan((*train, *val), progress=progress)
    faults = [*seen.faults, *other_bands(seen)]
    if faults:
        raise DataError(f"{len(faults)} of {len(train) + len(val)} pairs cannot be used", faults=faults)
    labels = labels_of(
        seen,
        classes=_path(settings.classes),
        mask_values=settings.mask_values,
        ignore=settings.ignore,
        instances=settings.instances,
        root=_path(settings.root),
    )
    labels = with_classes(labels, classes)
    about = fingerprint(part_of(seen, train), labels)
    shares = ", ".join(f"{name} {share:.1%}" for name, share in zip(labels.names, about.class_shares, strict=True))
    display.say(f"{len(train)} pairs to train on, {len(val)} to validate on, {len(labels)} classes: {shares}")
    return Source(train, val, labels, about)


def part_of(seen: Scan, pairs: Sequence[Pair]) -> Scan:
    """Return what was found in some of the pairs: a plan must not know the pictures it is checked on."""
    wanted = set(pairs)
    places = [place for place, pair in enumerate(seen.pairs) if pair in wanted]
    return Scan(
        pairs=tuple(seen.pairs[place] for place in places),
        pictures=tuple(seen.pictures[place] for place in places),
        masks=tuple(seen.masks[place] for place in places),
        faults=seen.faults,
    )


def other_bands(seen: Scan) -> list[str]:
    """Name the pictures that cannot be given the others' number of bands, as grey and RGB can (alpha is dropped)."""
    if not seen.pictures:
        return []
    usual, _ = Counter(picture.bands for picture in seen.pictures).most_common(1)[0]
    good = {usual} if usual > 4 else {1, 2, 3, 4}
    return [
        f"{pair.image} has {picture.bands} bands, most others have {usual}; remove or replace it"
        for pair, picture in zip(seen.pairs, seen.pictures, strict=True)
        if picture.bands not in good
    ]


def with_classes(labels: Labels, classes: int | None) -> Labels:
    """Return the labels for a network with that many outputs; outputs that no mask speaks of get a spare value.

    Raises
    ------
    ConfigError
        The masks hold more classes. One output for two classes is right: it tells them apart by its sign.
    """
    have = len(labels)
    if classes is None or classes == have or (classes == 1 and have == 2):
        return labels
    if classes < have or labels.is_rgb:
        raise ConfigError(f"{classes} classes asked for, {have} in the masks ({', '.join(labels.names)})", f"{have}")
    spare = tuple(value for value in range(256) if value not in labels.values + labels.ignored)[: classes - have]
    return replace(
        labels,
        names=labels.names + default_names(classes)[have:],
        colors=labels.colors + default_colors(classes)[have:],
        values=labels.values + spare,
    )


def _split(
    found: dict[str, tuple[Pair, ...]], settings: DataConfig, seed: int
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    if "val" in found and "train" in found:
        return found["train"], found["val"]
    pairs = found.get("all") or found.get("train") or ()
    if not pairs:
        raise ConfigError(f"only {', '.join(found)} pairs", "pairs to train on")
    try:
        val: float | Path = float(settings.val)
    except ValueError:
        val = Path(settings.val)
    return split(pairs, val=val, group=settings.group, seed=seed)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
