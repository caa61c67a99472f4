"""The data of a command: pairs, their split, the class table, all faults at once before anything long begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from unet.commands.display import Display
from unet.config import DataConfig
from unet.data.finding import Finding, stop_on_errors
from unet.data.fingerprint import Fingerprint, fingerprint
from unet.data.inspection.files import unpaired
from unet.data.inspection.survey import Survey, survey
from unet.data.pairs import Pair, pair_up, split
from unet.data.scan import scan
from unet.errors import ConfigError, InputError
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
    found = survey_of(settings, seed, display)
    labels = with_classes(found.usable_labels(place(settings)), classes)
    for finding in found.findings:
        if finding.severity == "warning":
            display.say(f"warning: {finding.line()}")
    train, val = found.train, found.val
    about = fingerprint(found.scan.part(train), labels)  # a plan must not know the pictures it is checked on
    shares = ", ".join(f"{name} {share:.1%}" for name, share in zip(labels.names, about.class_shares, strict=True))
    display.say(f"{len(train)} pairs to train on, {len(val)} to validate on, {len(labels)} classes: {shares}")
    return Source(train, val, labels, about)


def survey_of(settings: DataConfig, seed: int, display: Display, *, patient: bool = False) -> Survey:
    """Find, split, read and check the pairs that the settings name.

    Parameters
    ----------
    patient : bool
        Go on where the pairs cannot be split as the settings say; that is then one of the findings.

    Raises
    ------
    ConfigError, DataError
        There are no such folders, or no pairs, or no such split.
    """
    paired = pair_up(
        _path(settings.root),
        images=_path(settings.images),
        masks=_path(settings.masks),
        mask_suffix=settings.mask_suffix,
    )
    known = unpaired(paired, Path(place(settings)))
    if "train" in paired.parts and "val" in paired.parts and (settings.group or settings.val != DataConfig().val):
        display.say("the folders train and val say what is held out; val and group have no effect")
    everything = tuple(pair for pairs in paired.parts.values() for pair in pairs)
    if not everything:
        stop_on_errors(known, place(settings))
    try:
        train, val = _split(paired.parts, settings, seed)
    except InputError as error:
        if not patient:
            raise
        known.append(Finding.of(error, "split"))
        train, val = everything, ()
    with display.counting("reading masks and pictures") as progress:
        seen = scan((*train, *val), progress=progress)
    return survey(seen, train, val, settings, known)


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
