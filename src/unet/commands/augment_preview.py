"""`unet augment-preview`: a sheet of samples as a training would see them, for a person to judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.commands.train import starting_point
from unet.config import Config
from unet.data.augment import Augmentation
from unet.data.dataset import SegmentationDataset
from unet.labels import Labels
from unet.preprocessing import Preprocessing
from unet.report.contact_sheet import fit_within
from unet.report.overlay import overlay, viewable
from unet.runs.folder import data_name
from unet.runs.resolve import resolve
from unet.runs.settings import TrainFlags, check, from_flags, gather
from unet.runs.source import Source, read_source
from unet.runs.targets import check_outside, check_target
from unet.runs.training_set import training_set
from unet.terminal.display import open_display

if TYPE_CHECKING:
    from typing_extensions import Unpack

MOST_ROWS = 8
"""Pictures on the sheet."""

SAMPLES = 4
"""Augmented samples of each."""

_TILE = 240  # pixels of a picture on the sheet, at most
_GAP = 8
_WIDTH = (SAMPLES + 1) * (_TILE + _GAP)
_LEGEND = 155  # pixels for the colour and the name of a class


def augment_preview(
    data: Path | None = None,
    *,
    out: Path | None = None,
    config_file: Path | None = None,
    settings: Mapping[str, str] | None = None,
    overwrite: bool = False,
    **flags: Unpack[TrainFlags],
) -> Path:
    """Draw pictures with their masks, and beside each some samples that a training would make of it.

    The parameters are those of `unet.commands.train.train`, but for:

    Parameters
    ----------
    out : Path, optional
        The sheet; by default augment-NAME.png where the command is run.

    Returns
    -------
    Path
        The sheet.

    Raises
    ------
    InputError
        Data, settings or files that cannot be used.
    """
    wanted = gather(from_flags(data, **flags), config_file, settings or {})
    sheet = out or Path(f"augment-{data_name(wanted.data)}.png")
    check_outside(sheet, wanted.data)
    check_target(sheet, overwrite, "--out")
    check(wanted)
    display = open_display()
    with TemporaryDirectory() as prepared:
        source = read_source(wanted.data, wanted.model.outputs, wanted.training.seed, display, Path(prepared))
        resolved, _, _ = resolve(wanted, source, display)
        samples = training_set(resolved, source, starting_point(None, resolved, source).preprocessing)
        raster.write_picture(sheet, draw(samples, choose(source), heading(samples, resolved)))
    display.say(f"sheet {sheet}")
    return sheet


def choose(source: Source) -> list[tuple[int, int | None, str]]:
    """Return which training pairs to show: their place, the class to look for in them, and why.

    First one for each class but the commonest, the rarest first, then some of the others.
    """
    chosen: dict[int, tuple[int | None, str]] = {}
    classes = sorted(enumerate(source.fingerprint.classes), key=lambda item: item[1].share)
    for rank, (index, stats) in enumerate(classes[:-1]):
        holders = [place for place in stats.pictures if place not in chosen]
        if holders and len(chosen) < MOST_ROWS * 3 // 4:
            place = holders[len(holders) * rank // len(classes)]  # neighbours are often much alike
            chosen[place] = (index, f"{stats.name}, {stats.share:.2%} of all pixels")
    for place in np.linspace(0, len(source.train) - 1, MOST_ROWS).astype(int).tolist():
        if len(chosen) < MOST_ROWS:
            chosen.setdefault(place, (None, "one of the others"))
    return [(place, wanted, why) for place, (wanted, why) in chosen.items()]


def heading(samples: SegmentationDataset, resolved: Config) -> tuple[str, ...]:
    """Return lines that say how samples are made: the strengths that change something, by their names as settings."""
    changes = []
    for field in fields(Augmentation):
        value = getattr(samples.augmentation, field.name)
        if field.name == "elastic_share" and value:
            changes.append(f"elastic {value:g} of the shorter side")
        elif value != field.default:
            changes.append(field.name if value is True else f"{field.name} {value}")
    size = "whole pictures" if samples.crop is None else f"crops of {samples.crop[1]} x {samples.crop[0]} px"
    return (
        f"augment {resolved.training.augment}: {', '.join(changes) or 'nothing is changed'}",
        f"scale {samples.preprocessing.scale:g}, {size}; left the picture, then samples of it; "
        "what is tinted white does not count",
    )


def draw(
    samples: SegmentationDataset, rows: Sequence[tuple[int, int | None, str]], lines: Sequence[str]
) -> NDArray[np.uint8]:
    """Return the sheet, uint8 (H, W, 3)."""
    parts = [raster.caption(lines, _WIDTH), legend(samples.labels)]
    for place, wanted, why in rows:
        layers = samples.scaled(place)
        picture = viewable(layers.picture.permute(1, 2, 0).numpy(), samples.preprocessing.data_range)
        tiles = [_tile(picture, layers.target.numpy(), samples.labels)]
        for number in range(SAMPLES):
            rng = np.random.default_rng((samples.seed, place, number))
            near = None
            if wanted is not None and len(pixels := samples.candidates(place, wanted)):
                row, column = pixels[rng.integers(len(pixels))]
                near = int(row), int(column)
            sample = samples.draw(place, rng, near)
            shown = visible(sample.image.numpy(), samples.preprocessing)
            tiles.append(_tile(shown, sample.target.numpy().astype(np.uint8), samples.labels))
        tallest = max(tile.shape[0] for tile in tiles)
        level = [np.pad(t, ((0, tallest - t.shape[0]), (0, 0), (0, 0)), constant_values=255) for t in tiles]
        parts += [raster.caption([f"{samples.pairs[place].name}: {why}"], _WIDTH), np.concatenate(level, axis=1)]
    return np.concatenate(parts)


def visible(image: NDArray[np.float32], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Return an input of the network (C, h, w) as a picture for people, uint8 (h, w, 3)."""
    picture = image.transpose(1, 2, 0)
    if preprocessing.mean:
        std, mean = (np.array(values, dtype=np.float32) for values in (preprocessing.std, preprocessing.mean))
        picture = picture * std + mean
    return viewable(picture, 1.0)


def legend(labels: Labels) -> NDArray[np.uint8]:
    """Return the colours of the classes with their names, uint8 (h, W, 3)."""
    entries = []
    for name, color in zip(labels.names, labels.colors, strict=True):
        entry = raster.caption([f"      {name}"], _LEGEND)
        entry[2:-2, 4:20] = color
        entries.append(entry)
    columns = _WIDTH // _LEGEND
    entries += [np.full_like(entries[0], 255)] * (-len(entries) % columns)
    lines = [np.concatenate(entries[start : start + columns], axis=1) for start in range(0, len(entries), columns)]
    return np.pad(np.concatenate(lines), ((0, 4), (0, _WIDTH - columns * _LEGEND), (0, 0)), constant_values=255)


def _tile(picture: NDArray[np.uint8], target: NDArray[np.uint8], labels: Labels) -> NDArray[np.uint8]:
    height, width = fit_within(picture.shape, _TILE)
    shown = raster.resize(picture, height, width, "area")
    tile = np.full((height + _GAP, _TILE + _GAP, 3), 255, np.uint8)
    tile[:height, :width] = overlay(shown, raster.resize(target, height, width, "nearest"), labels)
    return tile
