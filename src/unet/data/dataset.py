"""Pairs of files as samples for training: read once, scaled once, kept in memory while they fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from unet import raster
from unet.data.augment import Augmentation, apply_warp, change_greys, draw_warp
from unet.data.pair_arrays import read_pair
from unet.data.pairs import Pair
from unet.data.preprocess import Preprocessing, normalise, shrink
from unet.labels import IGNORED, Labels

CANDIDATES = 64
"""So many pixels of a rare class are remembered of each picture."""


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
class Sample:
    """One training example: image float32 (C, h, w), target int64 (h, w), and the pair's name."""

    image: Tensor
    target: Tensor
    name: str


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
    seed : int
    cache_bytes : int
        Scaled pictures are kept in memory up to this size, and read again from there on.
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
        seed: int = 0,
        cache_bytes: int = 0,
    ) -> None:
        self.pairs = tuple(pairs)
        self.labels = labels
        self.preprocessing = preprocessing
        self.crop = crop
        self.augmentation = augmentation
        self.balance = balance
        self.seed = seed
        self._room = cache_bytes
        self._cache: dict[int, tuple[Tensor, Tensor]] = {}
        self._candidates: dict[tuple[int, int], NDArray[np.intp]] = {}

    def __len__(self) -> int:
        return len(self.pairs)

    def scaled(self, index: int) -> tuple[Tensor, Tensor]:
        """Return picture (C, h, w) in the file's dtype and uint8 target (h, w) of a pair, both scaled."""
        if index in self._cache:
            return self._cache[index]
        picture, target = read_pair(self.pairs[index], self.labels)
        small = shrink(picture, self.preprocessing)
        if small.shape[:2] != target.shape:
            target = raster.resize(target[..., None], small.shape[0], small.shape[1], "nearest")[..., 0]
        if small.dtype == np.uint16:  # torch has next to no arithmetic for it
            small = small.astype(np.float32)
        pair = torch.from_numpy(np.ascontiguousarray(small.transpose(2, 0, 1))), torch.from_numpy(target.copy())
        size = sum(part.nbytes for part in pair)
        if size <= self._room:
            self._room -= size
            self._cache[index] = pair
        return pair

    def __getitem__(self, number: int) -> Sample:
        """Return sample `number` of the endless sequence of samples."""
        epoch, position = divmod(number, len(self.pairs))
        index = int(np.random.default_rng((self.seed, epoch)).permutation(len(self.pairs))[position])
        rng = np.random.default_rng((self.seed, epoch, position))
        index, near = self._look_for_rare(index, rng)
        picture, target = self.scaled(index)
        crop = self.crop or (target.shape[0], target.shape[1])
        if self.crop is None and self.augmentation == Augmentation():
            image = picture.float()  # whole and unchanged: no resampling at all
        else:
            warp = draw_warp(self.augmentation, (target.shape[0], target.shape[1]), crop, rng, near)
            image, target = apply_warp(picture, target, warp, crop)
        image = torch.from_numpy(normalise(image.numpy().transpose(1, 2, 0), self.preprocessing))
        image = change_greys(image, self.augmentation, rng)
        return Sample(image, target.long(), self.pairs[index].name)

    def _look_for_rare(self, index: int, rng: np.random.Generator) -> tuple[int, tuple[int, int] | None]:
        """Return the picture to take, and a pixel of a rare class in it where one is looked for."""
        if self.balance is None or rng.random() >= self.balance.share:
            return index, None
        rare = list(self.balance.pictures)
        wanted = rare[rng.integers(len(rare))]
        holders = self.balance.pictures[wanted]
        index = holders[rng.integers(len(holders))]
        pixels = self.candidates(index, wanted)
        if not len(pixels):  # lost in scaling
            return index, None
        row, column = pixels[rng.integers(len(pixels))]
        return index, (int(row), int(column))

    def candidates(self, index: int, wanted: int) -> NDArray[np.intp]:
        """Return up to `CANDIDATES` pixels (row, column) of a class in a scaled picture, the same ones every time."""
        if (index, wanted) not in self._candidates:
            target = self.scaled(index)[1].numpy()
            places = np.flatnonzero(target == wanted)
            if places.size > CANDIDATES:
                places = np.random.default_rng((self.seed, index, wanted)).choice(places, CANDIDATES, replace=False)
            self._candidates[index, wanted] = np.stack(np.unravel_index(places, target.shape), axis=1)
        return self._candidates[index, wanted]


class Numbers(Sampler[int]):
    """The sample numbers first, first + 1, ... up to `stop`."""

    def __init__(self, first: int, stop: int) -> None:
        self.first, self.stop = first, stop

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.stop))

    def __len__(self) -> int:
        return self.stop - self.first


@dataclass(frozen=True)
class Batch:
    """Samples of one size: images float32 (N, C, h, w), targets int64 (N, h, w), names."""

    images: Tensor
    targets: Tensor
    names: tuple[str, ...]


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples; smaller ones are filled up with zeros (the mean grey) that count as ignored."""
    height = max(sample.target.shape[0] for sample in samples)
    width = max(sample.target.shape[1] for sample in samples)
    images = torch.zeros(len(samples), samples[0].image.shape[0], height, width)
    targets = torch.full((len(samples), height, width), IGNORED, dtype=torch.int64)
    for place, sample in enumerate(samples):
        h, w = sample.target.shape
        images[place, :, :h, :w] = sample.image
        targets[place, :h, :w] = sample.target
    return Batch(images, targets, tuple(sample.name for sample in samples))
