"""The data of a command: pairs, their split, the class table, all faults at once before anything long begins."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from unet.config import Config, DataConfig
from unet.data.class_counts import classes_shown
from unet.data.duplicates import alike_groups
from unet.data.finding import Finding, stop_on_errors
from unet.data.fingerprint import Fingerprint, fingerprint
from unet.data.hashing import RecordedFile, stamp
from unet.data.inspection.files import misplaced, unpaired
from unet.data.inspection.survey import Survey, survey
from unet.data.manifest import DEFAULT_VAL, Description, describe
from unet.data.pairs import Pair, pair_up
from unet.data.parts import drawn_table, in_parts
from unet.data.prepared import index_labels, prepare_pairs
from unet.data.scan import Scan, scan, without_polygons, without_void
from unet.data.splitting import Split, split
from unet.errors import ConfigError, DataError, InputError
from unet.labels import Labels, default_colors, default_names
from unet.terminal.display import Display

Parts = dict[str, tuple[Pair, ...]]
"""Pairs by part: "train", "val" and "test" as far as folders or lists say them, or "all"."""


MOST_NAMED = 6
"""Classes that a line names."""

MAX_VAL_BLOCKS = 64
"""So many blocks of large sheets are held out where no share is given, at most: as many megapixels are scored each
time, which takes a CPU a minute or more."""


@dataclass(frozen=True)
class Source:
    """Pairs to train, validate and test on, the class table, and what the training pictures are like.

    Attributes
    ----------
    train, val, test : tuple of Pair
        As training reads them; there may be none to test on.
    labels : Labels
        How their masks are read.
    file_labels : Labels
        How the masks of the data set itself are: the values that the model file must know. They differ where the
        data set was prepared.
    fingerprint : Fingerprint
        Of the training pictures: a plan must not know those that it is checked on.
    files : mapping of Path to RecordedFile
        The user's pictures and masks.
    origins : mapping of Pair to Pair
        What each prepared pair was made from.
    prepared : {"", "parts", "all"}
        As in `unet.plan.record.RunRecord`.
    tile : (int, int) or None
    looks : mapping of Pair to str
        Of the user's pictures, or of the blocks of them, as in `unet.data.stats.PictureStats`.
    """

    train: tuple[Pair, ...]
    val: tuple[Pair, ...]
    test: tuple[Pair, ...]
    labels: Labels
    file_labels: Labels
    fingerprint: Fingerprint
    files: Mapping[Path, RecordedFile]
    origins: Mapping[Pair, Pair]
    prepared: str = ""
    tile: tuple[int, int] | None = None
    looks: Mapping[Pair, str] = field(default_factory=dict)


def read_source(
    settings: DataConfig, classes: int | None, seed: int, display: Display, folder: Path, *, stratified: bool = True
) -> Source:
    """Find, check, prepare and split the pairs that the settings or a `dataset.toml` name.

    Parameters
    ----------
    settings : DataConfig
    classes : int or None
        How many outputs the network is to have.
    seed : int
    display : Display
    folder : Path
        For masks and pictures that have to be made ready first.
    stratified : bool
        A random split puts every class on both sides, and pictures that look alike on one.

    Raises
    ------
    ConfigError
        No folder is named, or a `dataset.toml` is wrong.
    DataError
        Pictures or masks that cannot be used, all of them in one message.
    """
    surveyed = survey_of(settings, seed, display, stratified=stratified)
    labels = file_labels = with_classes(surveyed.usable_labels(place(settings)), classes)
    for finding in surveyed.findings:
        if finding.severity == "warning":
            display.notify(f"warning: {finding.line()}")
    description, scanned = surveyed.description, surveyed.scan
    held = Split(surveyed.train, surveyed.val, surveyed.test)
    files = {**_recorded_files(scanned)}
    looks = {pair: picture.look for pair, picture in zip(scanned.pairs, scanned.pictures, strict=True)}
    origins: dict[Pair, Pair] = {}
    prepared = ""
    is_rgb_by_table = description.file is not None and labels.is_rgb
    in_blocks = any(pair.window for pair in scanned.pairs)
    is_drawn = any(pair.drawing for pair in scanned.pairs)
    is_partly_void = any(picture.void for picture in scanned.pictures)
    reasons = (description.roi, description.tile, in_blocks, is_drawn, is_partly_void, is_rgb_by_table)
    if any(reasons) or any(labels.dilated):
        labels = index_labels(file_labels)
        prepared = "parts" if held.val else "all"
        parts = {"train": held.train, "val": held.val, "test": held.test} if held.val else {"all": held.train}
        ready, origins = prepare_parts(
            {part: pairs for part, pairs in parts.items() if pairs}, file_labels, folder, description.tile, display
        )
        of = dict(zip(scanned.pairs, scanned.pictures, strict=True))
        pictures = {pair: of[origin] for pair, origin in origins.items() if origin.window and origin in of}
        classes_decide = "all" in ready and in_blocks and stratified
        if not classes_decide:
            held = held_out(ready, description, seed) if "all" in ready else _as_split(ready)
        with display.counting("reading prepared masks") as progress:
            pairs = ready["all"] if classes_decide else (*held.train, *held.val)
            scanned = scan(pairs, progress=progress, known_pictures=pictures)
        if classes_decide:
            most = replace(description, val=_enough_blocks(len(pairs), description.val))
            held = held_out(ready, most, seed, classes_shown(scanned, labels))
    figures = fingerprint(scanned.part(held.train), labels)
    shares = [f"{name} {share:.1%}" for name, share in zip(labels.names, figures.class_shares, strict=True)]
    more = f" and {len(shares) - MOST_NAMED} more" if len(shares) > MOST_NAMED else ""
    tested = f", {len(held.test)} to test on" if held.test else ""
    display.notify(
        f"data: {len(held.train)} pairs to train on, {len(held.val)} to validate on{tested}, "
        f"{len(labels)} classes: {', '.join(shares[:MOST_NAMED])}{more}"
    )
    return Source(
        held.train, held.val, held.test, labels, file_labels, figures, files, origins, prepared,
        description.tile, looks,
    )  # fmt: skip


def _enough_blocks(count: int, val: Path | float | None) -> Path | float | None:
    """Return the share of the blocks of large sheets to validate on, where none is given: of very many fewer do."""
    return val if val is not None or count <= MAX_VAL_BLOCKS / DEFAULT_VAL else MAX_VAL_BLOCKS / count


def _recorded_files(scanned: Scan) -> dict[Path, RecordedFile]:
    files: dict[Path, RecordedFile] = {}
    for pair, picture, mask in zip(scanned.pairs, scanned.pictures, scanned.masks, strict=True):
        for path, stats in ((pair.image, picture), (pair.mask, mask)):
            files[path] = RecordedFile(path.absolute(), stats.content_hash, stamp(path))
    return files


def prepare_parts(
    parts: Parts, labels: Labels, folder: Path, tile: tuple[int, int] | None, display: Display
) -> tuple[Parts, dict[Pair, Pair]]:
    """Return the prepared pairs of all parts, and what each was made from; see `unet.data.prepared`."""
    with display.counting("preparing masks") as progress:
        made = prepare_pairs(parts, labels, folder, tile=tile, progress=progress)
    if not any(made.parts.values()):
        raise DataError("no pixel of the pictures counts", "some inside the region of interest and not ignored")
    pictures, count = (sum(map(len, some.values())) for some in (parts, made.parts))
    what = f"{pictures} cut into {count} blocks of about {tile[0]} x {tile[1]} pixels" if tile else f"{count} prepared"
    rest = f"; {made.left_out} in which no pixel counts left out" if made.left_out else ""
    display.notify(f"pictures: {what}, in {folder}{rest}")
    origins: dict[Pair, Pair] = {}
    for part, pairs in made.parts.items():
        sources = {pair.name: pair for pair in parts[part]}
        origins |= {pair: sources.get(pair.name) or sources[pair.name.rpartition("@")[0]] for pair in pairs}
    return made.parts, origins


def _as_split(parts: Parts) -> Split:
    train, val = parts.get("train", ()), parts.get("val", ())
    if not train or not val:
        raise DataError(f"{len(train)} pictures to train on and {len(val)} held out", "at least one of each")
    return Split(train, val, parts.get("test", ()))


def held_out(
    parts: Parts,
    description: Description,
    seed: int,
    classes: Mapping[Pair, frozenset[int]] | None = None,
    alike: Sequence[Collection[Pair]] = (),
) -> Split:
    """Return the pairs to train, validate and test on: as folders or lists say, or shares.

    Parameters
    ----------
    parts : dict of str to tuple of Pair
    description : Description
    seed : int
    classes, alike
        As in `unet.data.splitting.split`.

    Raises
    ------
    DataError
        Nothing is left on one side.
    """
    shares = {part: share for part in ("val", "test") if isinstance(share := getattr(description, part), float)}
    if {"train", "val"} <= parts.keys():
        parted = _as_split(parts)
        if "test" not in shares:
            return parted
        held = split(parted.train, val=shares["test"], group=description.group, seed=seed, classes=classes, alike=alike)
        return Split(held.train, parted.val, held.val)
    pairs = parts.get("all") or parts.get("train") or ()
    if not pairs:
        raise ConfigError(f"only {', '.join(parts)} pairs", "pairs to train on")
    held = split(
        pairs, val=shares.get("val", DEFAULT_VAL), test=shares.get("test", 0.0), group=description.group, seed=seed,
        classes=classes, alike=alike,
    )  # fmt: skip
    return held if held.test else replace(held, test=parts.get("test", ()))


def survey_of(
    settings: DataConfig, seed: int, display: Display, *, patient: bool = False, stratified: bool = True
) -> Survey:
    """Find, read, check and split the pairs of a data set.

    Parameters
    ----------
    patient : bool
        Go on where the pairs cannot be split as the settings say; that is then one of the findings.
    stratified : bool
        As in `read_source`.

    Raises
    ------
    ConfigError, DataError
        There are no such folders, or no pairs, or no such split.
    """
    description = describe(settings)
    if (table := drawn_table(description)) is not None:
        description = replace(description, classes=table)
    if description.file is not None:
        display.notify(f"the data set is as {description.file} says")
    paired = pair_up(
        description.root, images=description.images, masks=description.masks, mask_suffix=description.mask_suffix
    )
    known = unpaired(paired, Path(place(settings)))
    if not any(paired.parts.values()):
        stop_on_errors(known, place(settings))
    parts: Parts = dict(paired.parts)
    try:
        parts = in_parts(paired.parts, description, display.notify)
    except InputError as error:
        if not patient:
            raise
        known.append(Finding.of(error, "split"))
    read = {part: pairs for part, pairs in parts.items() if part != "test" or settings.test is not None}
    with display.counting("reading masks and pictures") as progress:
        found = scan(tuple(pair for pairs in read.values() for pair in pairs), progress=progress)
    scanned = without_void(found)
    if void := set(found.pairs) - set(scanned.pairs):
        display.notify(f"{len(void)} blocks left out, where the sheet holds nothing by its own word")
        read = {part: tuple(pair for pair in pairs if pair not in void) for part, pairs in read.items()}

    if (elsewhere := misplaced(scanned.pairs)) is not None:
        known.append(elsewhere)
    if nothing := without_polygons(scanned):
        raise nothing

    def hold_out(labels: Labels | None) -> tuple[Split, list[Finding]]:
        pairs = tuple(pair for held in read.values() for pair in held)
        in_blocks = description.tile or any(pair.window for pair in pairs)
        if in_blocks and "val" not in read:  # shares of the blocks are held out, once they are made
            return Split(read.get("all") or read.get("train") or pairs, (), ()), []
        classes: dict[Pair, frozenset[int]] | None = None
        alike: Sequence[Collection[Pair]] = ()
        if stratified and labels is not None:
            classes, alike = classes_shown(scanned, labels), alike_groups(scanned)
        try:
            return held_out(read, description, seed, classes, alike), []
        except InputError as error:
            if not patient:
                raise
            return Split(pairs, (), ()), [Finding.of(error, "split")]

    return survey(scanned, description, settings, hold_out, known)


def data_config(**flags: Any) -> DataConfig:
    """Return the settings of the data that a command was given, by their names in `DataConfig`; None: not given.

    Raises
    ------
    ConfigError
        They do not hold.
    """
    plain = {key: str(value) if isinstance(value, Path) else value for key, value in flags.items() if value is not None}
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
        dilated=labels.dilated and labels.dilated + (0,) * len(spare),
    )
