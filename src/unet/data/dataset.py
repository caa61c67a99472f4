"""Pairs of files as samples for training: read, scaled, cut out and changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from unet import raster
from unet.data.augment import Augmentation, PairTensors, Warp, apply_warp, draw_warp
from unet.data.greys import change_greys, degrade
from unet.data.pair_arrays import read_objects, read_pair
from unet.data.pairs import Pair
from unet.data.sample_store import SampleStore
from unet.labels import IGNORED, Labels
from unet.preprocessing import Preprocessing, normalise
from unet.raster.network_input import rescale
from unet.shapes.border_weights import border_weights, separate_touching
from unet.shapes.components import foreground_components

MAX_CANDIDATES = 64
"""So many pixels of a rare class are remembered of each picture."""

LEAST_KNOWN = 0.25
"""A crop of whose pixels a smaller share has a truth is drawn again, around a pixel that has one: of a sheet with wide
margins every fourth crop would show nothing that counts."""


@dataclass(frozen=True)
class Balance:
    """How rare classes are looked for.

    Attributes
    ----------
    share : float
        Of the samples that show a pixel of a rare class.
    pictures : mapping of int to tuple of int
        The rare classes, and for each the places of the pairs in which it occurs.
    """

    share: float
    pictures: Mapping[int, tuple[int, ...]]


@dataclass(frozen=True)
class Borders:
    """How much more the pixels between objects count; see `border_weights`.

    Attributes
    ----------
    weight : float
        What is added in the narrowest gap, w0 in the paper.
    sigma : float
        In scaled pixels.
    class_weights : tuple of float
        The weights of the classes, to which that is added; empty: all 1.
    """

    weight: float
    sigma: float
    class_weights: tuple[float, ...] = ()

    def weight_map(self, target: NDArray[np.uint8], objects: NDArray[np.int32] | None) -> NDArray[np.float32]:
        """Return the weights (h, w) for a target and its objects, or the regions of its classes without these."""
        base = np.ones(256, dtype=np.float32)
        base[: len(self.class_weights)] = self.class_weights
        objects = foreground_components(target) if objects is None else objects
        return border_weights(objects, w0=self.weight, sigma=self.sigma, base=base[target])


@dataclass(frozen=True)
class ScaledTruth:
    """What a network is to say of a picture at its own scale: target uint8 (h, w), weights float16 (h, w) or None."""

    target: NDArray[np.uint8]
    weights: NDArray[np.float16] | None


def scaled_truth(
    pair: Pair, labels: Labels, target: NDArray[np.uint8], size: tuple[int, int], borders: Borders | None
) -> ScaledTruth:
    """Return the truth that the loss compares with, in training and in validation.

    Parameters
    ----------
    pair : Pair
    labels : Labels
    target : uint8 array (H, W)
        As `read_pair` gives it.
    size : (int, int)
        Height and width of the scaled picture.
    borders : Borders or None
        With them numbered objects that touch are parted by a line of background.
    """
    height, width = size
    scaled = raster.resize(target, height, width, "nearest") if target.shape != size else target
    if borders is None:
        return ScaledTruth(np.ascontiguousarray(scaled), None)
    objects = read_objects(pair, labels) if labels.kind == "instances" else None
    if objects is not None:
        objects = separate_touching(raster.resize(objects, height, width, "nearest"))
        scaled = np.where((scaled == 1) & (objects == 0), np.uint8(0), scaled)
    weights = borders.weight_map(scaled, objects).astype(np.float16)  # precise enough, and smaller
    return ScaledTruth(np.ascontiguousarray(scaled), weights)


@dataclass(frozen=True)
class Sample:
    """One training example: image float32 (C, h, w), target int64 (h, w), the pair's name, weights float32 (h, w)."""

    image: Tensor
    target: Tensor
    name: str
    weights: Tensor | None = None


class SegmentationDataset(Dataset[Sample]):
    """Samples cut out of pairs, each one decided by (seed, number of the sample) alone.

    Because nothing else decides a sample, training that is stopped after sample n and resumed goes on with the
    same sample n + 1, whatever the number of workers.

    Parameters
    ----------
    pairs : sequence of Pair
    labels : Labels
    preprocessing : Preprocessing
    crop : (int, int) or None
        Height and width of a sample in scaled pixels; None takes whole pictures.
    augmentation : Augmentation
    balance : Balance, optional
        Without it every epoch has every picture once; with it some samples are of other pictures instead.
    borders : Borders, optional
        Without them all pixels count the same, and samples have no weights. With them numbered objects that touch
        are parted by a line of background.
    valid_margin : int
        Pixels on each side of a sample that the network gives no answer for: they may lie beyond the picture.
    seed : int
    store : SampleStore, optional
        Keeps what was decoded. Without it, files are read for each sample.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        labels: Labels,
        preprocessing: Preprocessing,
        *,
        crop: tuple[int, int] | None,
        augmentation: Augmentation,
        balance: Balance | None = None,
        borders: Borders | None = None,
        valid_margin: int = 0,
        seed: int = 0,
        store: SampleStore | None = None,
    ) -> None:
        self.pairs = tuple(pairs)
        self.labels = labels
        self.preprocessing = preprocessing
        self.crop = crop
        self.augmentation = augmentation
        self.balance = balance
        self.borders = borders
        self.valid_margin = valid_margin
        self.seed = seed
        self.store = store
        self._candidates: dict[tuple[int, int], NDArray[np.intp]] = {}

    def __len__(self) -> int:
        return len(self.pairs)

    def scaled(self, index: int) -> PairTensors:
        """Return picture in the file's dtype, target and weights of a pair, all scaled."""
        if self.store is None or (self.pairs[index].window is not None and self.borders is None):
            return self._decode(index)  # blocks of a sheet are read anew: a store would be a copy of the sheet
        return self.store.get(index, self._decode)

    def _decode(self, index: int) -> PairTensors:
        pair = self.pairs[index]
        picture, target = read_pair(pair, self.labels, self.preprocessing)
        scaled = rescale(picture, self.preprocessing)
        truth = scaled_truth(pair, self.labels, target, (scaled.shape[0], scaled.shape[1]), self.borders)
        channels_first = torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))
        weights = None if truth.weights is None else torch.from_numpy(truth.weights)
        return PairTensors(channels_first, torch.from_numpy(truth.target), weights)

    def __getitem__(self, number: int) -> Sample:
        """Return sample `number` of the endless sequence of samples."""
        epoch, position = divmod(number, len(self.pairs))
        index = int(np.random.default_rng((self.seed, epoch)).permutation(len(self.pairs))[position])
        rng = np.random.default_rng((self.seed, epoch, position))
        index, near = self._choose_rare(index, rng)
        return self.draw(index, rng, near)

    def draw(self, index: int, rng: np.random.Generator, near: tuple[int, int] | None = None) -> Sample:
        """Return a sample of a pair, with a pixel (row, column) of the scaled picture in it if that is given."""
        tensors = self.scaled(index)
        if self.crop is None and self.augmentation == Augmentation():
            picture = tensors.picture  # whole and unchanged: no resampling at all
        else:
            size = (tensors.target.shape[0], tensors.target.shape[1])
            crop = self.crop or size
            draw = partial(draw_warp, self.augmentation, size, crop, rng, valid_margin=self.valid_margin)
            warp = draw(near)
            if near is None and known_share(tensors.target, warp, crop, self.valid_margin) < LEAST_KNOWN:
                warp = draw(known_pixel(tensors.target, rng))
            fill = torch.tensor(self.preprocessing.mean or 0.0) * self.preprocessing.data_range
            tensors = apply_warp(tensors, warp, crop, self.augmentation.outside, fill)
            picture = degrade(tensors.picture, self.augmentation, rng, as_jpeg=self.preprocessing.data_range == 255)
        image = torch.from_numpy(normalise(picture.numpy(), self.preprocessing))
        image = change_greys(image, self.augmentation, rng)
        weights = None if tensors.weights is None else tensors.weights.float()
        return Sample(image, tensors.target.long(), self.pairs[index].name, weights)

    def _choose_rare(self, index: int, rng: np.random.Generator) -> tuple[int, tuple[int, int] | None]:
        """Return the picture to take, and a pixel of a rare class in it where one is looked for."""
        if self.balance is None or rng.random() >= self.balance.share:
            return index, None
        rare = list(self.balance.pictures)
        class_index = rare[rng.integers(len(rare))]
        indices = self.balance.pictures[class_index]
        index = indices[rng.integers(len(indices))]
        pixels = self.candidates(index, class_index)
        if not len(pixels):  # gone after scaling
            return index, None
        row, column = pixels[rng.integers(len(pixels))]
        return index, (int(row), int(column))

    def candidates(self, index: int, class_index: int) -> NDArray[np.intp]:
        """Return up to `MAX_CANDIDATES` pixels (row, column) of a class in a scaled picture, always the same ones."""
        key = (index, class_index)
        if key not in self._candidates:
            target = self.scaled(index).target.numpy()
            pixels = np.flatnonzero(target == class_index)
            if pixels.size > MAX_CANDIDATES:
                pixels = np.random.default_rng((self.seed, *key)).choice(pixels, MAX_CANDIDATES, replace=False)
            self._candidates[key] = np.stack(np.unravel_index(pixels, target.shape), axis=1)
        return self._candidates[key]


def known_share(target: Tensor, warp: Warp, crop: tuple[int, int], valid_margin: int) -> float:
    """Return about which share of the pixels that a crop asks for has a truth: turns and shears are left out."""
    halves = ((side / 2 - valid_margin) / warp.zoom for side in crop)
    rows, cols = (
        slice(max(0, int(centre - half)), int(centre + half) + 1)
        for centre, half in zip((warp.row, warp.col), halves, strict=True)
    )
    part = target.numpy()[rows, cols]
    return float(np.count_nonzero(part != IGNORED) / part.size)


def known_pixel(target: Tensor, rng: np.random.Generator) -> tuple[int, int] | None:
    """Return one of the pixels (row, column) that have a truth, each as likely; None where none has."""
    known = target.numpy() != IGNORED
    up_to = np.cumsum(np.count_nonzero(known, axis=1))  # row by row: a list of all pixels of a sheet would be huge
    if not up_to[-1]:
        return None
    row = int(np.searchsorted(up_to, rng.integers(up_to[-1]), side="right"))
    return row, int(rng.choice(np.flatnonzero(known[row])))


@dataclass(frozen=True)
class Batch:
    """Samples of one size: images float32 (N, C, h, w), targets int64 (N, h, w), names, weights float32 (N, h, w)."""

    images: Tensor
    targets: Tensor
    names: tuple[str, ...]
    weights: Tensor | None = None

    def pin_memory(self) -> Batch:
        """Return the batch in memory that a GPU copies from fast; DataLoader calls it too."""
        weights = None if self.weights is None else self.weights.pin_memory()
        return Batch(self.images.pin_memory(), self.targets.pin_memory(), self.names, weights)


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples; smaller ones are filled up with zeros (the mean grey) that count as ignored."""
    height = max(sample.target.shape[0] for sample in samples)
    width = max(sample.target.shape[1] for sample in samples)
    images = torch.zeros(len(samples), samples[0].image.shape[0], height, width)
    targets = torch.full((len(samples), height, width), IGNORED, dtype=torch.int64)
    weights = None if samples[0].weights is None else torch.zeros(len(samples), height, width)
    for index, sample in enumerate(samples):
        h, w = sample.target.shape
        images[index, :, :h, :w] = sample.image
        targets[index, :h, :w] = sample.target
        if weights is not None and sample.weights is not None:
            weights[index, :h, :w] = sample.weights
    return Batch(images, targets, tuple(sample.name for sample in samples), weights)
