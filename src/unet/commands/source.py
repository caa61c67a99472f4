"""The data of a command: pairs, their split, the class table, all faults at once before anything long begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unet.commands.display import Display
from unet.config import DataConfig
from unet.data.classes import labels_of
from unet.data.fingerprint import Fingerprint, fingerprint
from unet.data.manifest import DEFAULT_VAL, Description, describe
from unet.data.pairs import Pair, split
from unet.data.parts import find_parts
from unet.data.prepare import index_labels, prepare
from unet.data.scan import Scan, scan
from unet.errors import ConfigError, DataError
from unet.labels import Labels, default_colors, default_names


@dataclass(frozen=True)
class Source:
    """Pairs to train and to validate on, the class table, and what the training pictures are like.

    `labels` says how the pairs' masks are read, `own_labels` how the masks of the data set itself are: the values
    that the model file must know. They differ where the data set was prepared.
    """

    train: tuple[Pair, ...]
    val: tuple[Pair, ...]
    labels: Labels
    own_labels: Labels
    fingerprint: Fingerprint


def read_source(settings: DataConfig, classes: int | None, seed: int, display: Display, prepared: Path) -> Source:
    """Find, check, prepare and split the pairs that the settings or a `dataset.toml` name.

    The folder `prepared` is used where masks or pictures have to be made ready first.

    Raises
    ------
    ConfigError
        No folder is named, or a `dataset.toml` is wrong.
    DataError
        Pictures or masks that cannot be used, all of them in one message.
    """
    about = describe(settings)
    if about.file is not None:
        display.say(f"the data set is as {about.file} says")
    parts = find_parts(about, display.say)
    pairs = [pair for part in ("all", "train", "val") for pair in parts.get(part, ())]
    with display.counting("reading masks and pictures") as progress:
        seen = scan(pairs, progress=progress)
    faults = [*seen.faults, *other_bands(seen)]
    if faults:
        raise DataError(f"{len(faults)} of {len(pairs)} pairs cannot be used", faults=faults)
    own_labels = labels_of(
        seen,
        classes=about.classes,
        mask_values=settings.mask_values,
        ignore=about.ignore,
        instances=settings.instances,
        root=about.root,
    )
    labels = own_labels = with_classes(own_labels, classes)
    if about.roi or about.tile or (about.file and labels.is_rgb):
        labels = index_labels(own_labels)
        parts = prepare_parts(parts, own_labels, prepared, about.tile, display)
        with display.counting("reading prepared masks") as progress:
            seen = scan([pair for part in parts.values() for pair in part], progress=progress)
    train, val = held_out(parts, about, seed)
    found = fingerprint(part_of(seen, train), labels)
    shares = ", ".join(f"{name} {share:.1%}" for name, share in zip(labels.names, found.class_shares, strict=True))
    display.say(f"{len(train)} pairs to train on, {len(val)} to validate on, {len(labels)} classes: {shares}")
    return Source(train, val, labels, own_labels, found)


def prepare_parts(
    parts: Mapping[str, tuple[Pair, ...]], labels: Labels, folder: Path, tile: tuple[int, int] | None, display: Display
) -> dict[str, tuple[Pair, ...]]:
    """Return the prepared pairs of the parts that are trained and validated on; see `unet.data.prepare`."""
    wanted = {part: pairs for part, pairs in parts.items() if part != "test"}
    with display.counting("preparing masks") as progress:
        made = prepare(wanted, labels, folder, tile=tile, progress=progress)
    if not any(made.parts.values()):
        raise DataError("no pixel of the pictures counts", "some inside the region of interest and not ignored")
    pictures, count = (sum(map(len, some.values())) for some in (wanted, made.parts))
    what = f"{pictures} cut into {count} blocks of about {tile[0]} x {tile[1]} pixels" if tile else f"{count} prepared"
    rest = f"; {made.left_out} in which no pixel counts left out" if made.left_out else ""
    display.say(f"pictures: {what}, in {folder}{rest}")
    return made.parts


def held_out(
    parts: Mapping[str, tuple[Pair, ...]], about: Description, seed: int
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Return the pairs to train and to validate on: as folders or lists say, or a share.

    Raises
    ------
    DataError
        Nothing is left on one side.
    """
    if {"train", "val"} <= parts.keys():
        train, val = parts["train"], parts["val"]
        if not train or not val:
            raise DataError(f"{len(train)} pictures to train on and {len(val)} held out", "at least one of each")
        return train, val
    pairs = parts.get("all") or parts.get("train") or ()
    if not pairs:
        raise ConfigError(f"only {', '.join(parts)} pairs", "pairs to train on")
    share = about.val if isinstance(about.val, float) else DEFAULT_VAL
    return split(pairs, val=share, group=about.group, seed=seed)


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
