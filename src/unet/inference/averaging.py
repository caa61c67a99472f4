"""Several views of a picture, and several models, as one: their probabilities are averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unet.errors import InputError
from unet.inference.layouts import least_tile_side
from unet.inference.prediction import classes_of, probabilities_of
from unet.inference.predictor import Predictor
from unet.models import Geometry
from unet.preprocessing import normalise

AUGMENTATIONS = ("flips", "d4")
"""Mirrored left to right and top to bottom; or that and turned by quarters, all eight ways to lay a square down."""

View = tuple[int, bool]
"""Quarter turns, then mirrored."""

_VIEWS: dict[str | None, tuple[View, ...]] = {
    None: ((0, False),),
    "flips": ((0, False), (0, True), (2, False), (2, True)),
    "d4": tuple((turns, mirrored) for mirrored in (False, True) for turns in range(4)),
}


class Ensemble:
    """What predicts a sheet: one model or several, of one view of it or several.

    Parameters
    ----------
    predictors : sequence of Predictor
        At least one; of the same bands, classes and scale.
    tta : {"flips", "d4"}, optional
        Views whose probabilities are averaged.

    Raises
    ------
    InputError
        The models do not go together; the first difference is named.

    Attributes
    ----------
    first : Predictor
        Its preprocessing, labels and device stand for all.
    geometry : Geometry
        Of the network that looks farthest.
    averaged : bool
        `scores` gives probabilities, and not logits.
    alike : bool
        Tiles are best of one size, see `Predictor.alike`.
    """

    def __init__(self, predictors: Sequence[Predictor], tta: str | None = None) -> None:
        if tta not in _VIEWS:
            raise InputError(f"test-time augmentation {tta!r}", " or ".join(AUGMENTATIONS))
        self.predictors, self.first, self.views = tuple(predictors), predictors[0], _VIEWS[tta]
        for number, other in enumerate(predictors[1:], start=2):
            _check_alike(self.first, other, number)
        radii = [predictor.geometry.receptive_field_radius for predictor in predictors]
        self.geometry = Geometry(
            self.first.geometry.valid_margin,
            None if None in radii else max(radius for radius in radii if radius is not None),
            max(predictor.geometry.multiple for predictor in predictors),
        )
        self.alike = any(predictor.alike for predictor in predictors)
        self.averaged = len(predictors) > 1 or len(self.views) > 1
        self.threshold = float(np.mean([predictor.threshold for predictor in predictors]))

    @property
    def channels(self) -> int:
        """How many scores a pixel has."""
        return self.first.bundle.spec.classes

    def tile_side(self) -> int:
        """Return the side of tiles, where none was asked for."""
        side = min(predictor.tile_side() for predictor in self.predictors)
        return max(side, least_tile_side(self.geometry))

    def whole_pixels(self) -> int:
        """Return how many pixels of a picture, as the network sees it, are computed as a whole."""
        return min(predictor.whole_pixels() for predictor in self.predictors)

    def scores(self, images: NDArray[np.generic], whole: bool, outside: NDArray[np.bool_] | None = None) -> Tensor:
        """Return the scores (N, K, h, w) of tiles or of a whole picture, in float32.

        Parameters
        ----------
        images : array (N, C, H, W)
            In the file's values, at the network's scale.
        whole : bool
            See `Predictor.whole_logits` and `Predictor.tile_logits`.
        outside : bool array (H, W), optional
            Pixels that are no part of the picture: the network is given its mean colour there.
        """
        total: Tensor | None = None
        for predictor in self.predictors:
            inputs = np.stack([normalise(image, predictor.bundle.preprocessing) for image in images])
            if outside is not None:
                inputs[:, :, outside] = 0
            run: Callable[[NDArray[np.float32]], Tensor] = predictor.whole_logits if whole else predictor.tile_logits
            for view in self.views:
                logits = _undone(run(_seen(inputs, view)), view)
                if not self.averaged:
                    return logits
                with torch.inference_mode():
                    scores = torch.stack([probabilities_of(one) for one in logits]).to(self.first.device)
                    total = scores if total is None else total + scores
        assert total is not None  # there is at least one model and one view
        return total / (len(self.predictors) * len(self.views))

    @torch.inference_mode()
    def classes(self, scores: Tensor) -> Tensor:
        """Return the classes (H, W) of scores (K, H, W)."""
        if self.averaged and len(scores) == 1:
            return scores[0] > self.threshold
        return classes_of(scores, self.threshold)

    @torch.inference_mode()
    def probabilities(self, scores: Tensor) -> Tensor:
        """Return the probabilities (K, H, W) of scores (K, H, W); K as in `Prediction`."""
        return scores if self.averaged else probabilities_of(scores)

    def describe(self) -> str:
        """Return in a few words what is computed where."""
        words = [self.first.describe()]
        if len(self.predictors) > 1:
            words.append(f"the mean of {len(self.predictors)} models")
        if len(self.views) > 1:
            words.append(f"the mean of {len(self.views)} views")
        return ", ".join(words)


def _check_alike(first: Predictor, other: Predictor, number: int) -> None:
    ours, theirs = first.bundle, other.bundle
    pairs = [
        ("bands", ours.spec.bands, theirs.spec.bands),
        ("logits", ours.spec.classes, theirs.spec.classes),
        ("class names", ", ".join(ours.labels.names), ", ".join(theirs.labels.names)),
        ("a scale of", ours.preprocessing.scale, theirs.preprocessing.scale),
        ("a margin of", first.geometry.valid_margin, other.geometry.valid_margin),
        ("a brightest value of", ours.preprocessing.data_range, theirs.preprocessing.data_range),
        ("a resampling by", ours.preprocessing.resample, theirs.preprocessing.resample),
    ]
    for what, mine, its in pairs:
        if mine != its:
            raise InputError(
                f"models to be averaged: number {number} has {what} {its}", f"{what} {mine}, as the first has",
                "average models that were trained alike",
            )  # fmt: skip


def _seen(images: NDArray[np.float32], view: View) -> NDArray[np.float32]:
    turns, mirrored = view
    images = np.rot90(images, turns, axes=(2, 3))
    return np.ascontiguousarray(images[..., ::-1] if mirrored else images)


def _undone(logits: Tensor, view: View) -> Tensor:
    turns, mirrored = view
    if not turns and not mirrored:
        return logits  # torch would copy it
    return torch.rot90(logits.flip(3) if mirrored else logits, -turns, dims=(2, 3))
