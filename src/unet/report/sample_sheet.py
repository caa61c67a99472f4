"""A sheet of pictures with samples of them as a training would see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.data.augment import Augmentation
from unet.data.dataset import SegmentationDataset
from unet.labels import Labels
from unet.preprocessing import Preprocessing
from unet.report.contact_sheet import fit_within
from unet.report.legend import legend, widened
from unet.report.overlay import overlay, viewable

SAMPLES = 4
"""Augmented samples of each picture."""

_TILE = 240  # pixels of a picture on the sheet, at most
_GAP = 8
_WIDTH = (SAMPLES + 1) * (_TILE + _GAP)


@dataclass(frozen=True)
class SheetRow:
    """A pair on the sheet.

    Attributes
    ----------
    place : int
        Of the pair in the data set.
    class_index : int or None
        The class whose pixels the samples are drawn around.
    why : str
        Why this pair is shown.
    """

    place: int
    class_index: int | None
    why: str


def describe_samples(samples: SegmentationDataset, preset: str | None) -> tuple[str, ...]:
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
        f"augment {preset}: {', '.join(changes) or 'nothing is changed'}",
        f"scale {samples.preprocessing.scale:g}, {size}; left the picture, then samples of it; "
        "what is tinted white does not count",
    )


def draw_sample_sheet(
    samples: SegmentationDataset, rows: Sequence[SheetRow], heading: Sequence[str]
) -> NDArray[np.uint8]:
    """Return the sheet, uint8 (H, W, 3): each row a picture with its mask laid over it, then samples of it."""
    parts = [raster.caption(heading, _WIDTH), legend(samples.labels, _WIDTH, overlaid=True)]
    for row in rows:
        layers = samples.scaled(row.place)
        picture = viewable(layers.picture.permute(1, 2, 0).numpy(), samples.preprocessing.data_range)
        tiles = [_tile(picture, layers.target.numpy(), samples.labels)]
        for number in range(SAMPLES):
            rng = np.random.default_rng((samples.seed, row.place, number))
            near = None
            if row.class_index is not None and len(pixels := samples.candidates(row.place, row.class_index)):
                near_row, near_column = pixels[rng.integers(len(pixels))]
                near = int(near_row), int(near_column)
            sample = samples.draw(row.place, rng, near)
            shown = denormalised(sample.image.numpy(), samples.preprocessing)
            tiles.append(_tile(shown, sample.target.numpy().astype(np.uint8), samples.labels))
        tallest = max(tile.shape[0] for tile in tiles)
        level = [np.pad(t, ((0, tallest - t.shape[0]), (0, 0), (0, 0)), constant_values=255) for t in tiles]
        name = f"{samples.pairs[row.place].name}: {row.why}"
        parts += [raster.caption([name], _WIDTH), np.concatenate(level, axis=1)]
    widest = max(part.shape[1] for part in parts)  # a very long name
    return np.concatenate([widened(part, widest) for part in parts])


def denormalised(image: NDArray[np.float32], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Return an input of the network (C, h, w) as a picture for people, uint8 (h, w, 3)."""
    picture = image.transpose(1, 2, 0)
    if preprocessing.mean:
        std, mean = (np.array(values, dtype=np.float32) for values in (preprocessing.std, preprocessing.mean))
        picture = picture * std + mean
    return viewable(picture, 1.0)


def _tile(picture: NDArray[np.uint8], target: NDArray[np.uint8], labels: Labels) -> NDArray[np.uint8]:
    height, width = fit_within(picture.shape, _TILE)
    shown = raster.resize(picture, height, width, "area")
    tile = np.full((height + _GAP, _TILE + _GAP, 3), 255, np.uint8)
    tile[:height, :width] = overlay(shown, raster.resize(target, height, width, "nearest"), labels)
    return tile
