"""The data of a command: pairs, their split, the class table, all faults at once before anything long begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unet.config import Config, DataConfig
from unet.data.finding import Finding, stop_on_errors
from unet.data.fingerprint import Fingerprint, fingerprint
from unet.data.inspection.files import unpaired
from unet.data.inspection.survey import Survey, survey
from unet.data.manifest import DEFAULT_VAL, Description, describe
from unet.data.pairs import Pair, pair_up
from unet.data.parts import in_parts
from unet.data.prepared import index_labels, prepare_pairs
from unet.data.scan import scan
from unet.data.splitting import split
from unet.errors import ConfigError, DataError, InputError
from unet.labels import Labels, default_colors, default_names
from unet.terminal.display import Display


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
    found = survey_of(settings, seed, display)
    labels = own_labels = with_classes(found.usable_labels(place(settings)), classes)
    for finding in found.findings:
        if finding.severity == "warning":
            display.say(f"warning: {finding.line()}")
    about, train, val, seen = found.description, found.train, found.val, found.scan
    if about.roi or about.tile or (about.file and labels.is_rgb):
        labels = index_labels(own_labels)
        parts = {"train": train, "val": val} if val else {"all": train}
        parts = prepare_parts(parts, own_labels, prepared, about.tile, display)
        train, val = held_out(parts, about, seed)
        with display.counting("reading prepared masks") as progress:
            seen = scan((*train, *val), progress=progress)
    figures = fingerprint(seen.part(train), labels)  # a plan must not know the pictures it is checked on
    shares = ", ".join(f"{name} {share:.1%}" for name, share in zip(labels.names, figures.class_shares, strict=True))
    display.say(f"{len(train)} pairs to train on, {len(val)} to validate on, {len(labels)} classes: {shares}")
    return Source(train, val, labels, own_labels, figures)


def prepare_parts(
    parts: Mapping[str, tuple[Pair, ...]], labels: Labels, folder: Path, tile: tuple[int, int] | None, display: Display
) -> dict[str, tuple[Pair, ...]]:
    """Return the prepared pairs of the parts that are trained and validated on; see `unet.data.prepared`."""
    with display.counting("preparing masks") as progress:
        made = prepare_pairs(parts, labels, folder, tile=tile, progress=progress)
    if not any(made.parts.values()):
        raise DataError("no pixel of the pictures counts", "some inside the region of interest and not ignored")
    pictures, count = (sum(map(len, some.values())) for some in (parts, made.parts))
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


def survey_of(settings: DataConfig, seed: int, display: Display, *, patient: bool = False) -> Survey:
    """Find, split, read and check the pairs of a data set.

    Parameters
    ----------
    patient : bool
        Go on where the pairs cannot be split as the settings say; that is then one of the findings.

    Raises
    ------
    ConfigError, DataError
        There are no such folders, or no pairs, or no such split.
    """
    about = describe(settings)
    if about.file is not None:
        display.say(f"the data set is as {about.file} says")
    paired = pair_up(about.root, images=about.images, masks=about.masks, mask_suffix=about.mask_suffix)
    known = unpaired(paired, Path(place(settings)))
    everything = tuple(pair for pairs in paired.parts.values() for pair in pairs)
    if not everything:
        stop_on_errors(known, place(settings))
    train: tuple[Pair, ...] = everything
    val: tuple[Pair, ...] = ()
    try:
        parts = in_parts(paired.parts, about, display.say)
        if about.tile and "val" not in parts:  # a share of the blocks is held out, once they are cut
            train = parts.get("all") or parts["train"]
        else:
            train, val = held_out(parts, about, seed)
    except InputError as error:
        if not patient:
            raise
        known.append(Finding.of(error, "split"))
    with display.counting("reading masks and pictures") as progress:
        seen = scan((*train, *val), progress=progress)
    return survey(seen, train, val, about, settings, known)


def data_config(**said: Any) -> DataConfig:
    """Return the settings of the data that a command was given, by their names in `DataConfig`; None: not said.

    Raises
    ------
    ConfigError
        They do not hold.
    """
    plain = {key: str(value) if isinstance(value, Path) else value for key, value in said.items() if value is not None}
    return Config().updated({"data": plain}).data


def place(settings: DataConfig) -> str:
    """Return what the data are called: the folder, or that of the pictures."""
    return settings.root or settings.images or ""


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
