"""A folder of pictures and masks as a dataset of tensors, for a training loop of one's own."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils import data as torch_data

from unet.config import Config
from unet.data.augment import PRESETS, Augmentation
from unet.data.class_counts import classes_shown
from unet.data.classes import resolve_labels
from unet.data.dataset import Sample, SegmentationDataset, collate
from unet.data.duplicates import alike_groups
from unet.data.finding import stop_on_errors
from unet.data.fingerprint import fingerprint
from unet.data.inspection.files import faulty
from unet.data.manifest import DEFAULT_VAL, describe
from unet.data.pairs import Pair
from unet.data.parts import drawn_table, find_parts
from unet.data.scan import scan, size_faults
from unet.data.splitting import split
from unet.errors import ConfigError, InputError
from unet.files import StrPath
from unet.labels import Labels, Value
from unet.preprocessing import Preprocessing

if TYPE_CHECKING:
    from typing_extensions import Unpack

log = logging.getLogger("unet")

Example = tuple[Tensor, Tensor]
"""image float32 (C, h, w), as the network sees it, and target int64 (h, w), where `IGNORED` (255) does not count."""


class MaskFlags(TypedDict, total=False):
    """How masks are found and what they mean, as in `unet.train`."""

    mask_suffix: str | None
    classes: StrPath | None
    mask_values: Sequence[Value] | None
    ignore: Sequence[Value] | None
    instances: bool
    class_field: str | None
    outline: int | None


class Dataset(torch_data.Dataset[Example]):
    """Pictures and masks of a folder as pairs of tensors, which `torch.utils.data.DataLoader` can batch.

    Parameters
    ----------
    data : str or path
        A folder in any of the usual layouts, or a `dataset.toml`.
    part : {"all", "train", "val", "test"}
        Which part, where folders or lists say parts; `split` makes parts of any data set.
    crop : int or (int, int), optional
        Pixels down and across, after scaling, that are cut out at random; by default the whole picture.
    scale : float
        Factor on the size of the pictures, 0 < scale <= 1.
    augment : {"none", "light", "medium", "strong"} or Augmentation
        How samples are changed at random.
    preprocessing : Preprocessing, optional
        Of a model that goes on; by default the brightness of these pictures decides, and `scale`.
    **masks
        `mask_suffix`, `classes`, `mask_values`, `ignore`, `instances`, `class_field` and `outline`, as in `unet.train`.

    Raises
    ------
    InputError
        Pictures or masks that cannot be used, all of them in one message.

    Attributes
    ----------
    pairs : tuple of Pair
    labels : Labels
    preprocessing : Preprocessing

    Notes
    -----
    What is random comes from torch's generator: it follows `torch.manual_seed`, and differs between the workers of a
    `DataLoader` and from epoch to epoch.

    Examples
    --------
    >>> from torch.utils.data import DataLoader
    >>> dataset = Dataset("data", crop=16, augment="light")
    >>> dataset.names
    ('background', 'foreground')
    >>> images, targets = next(iter(DataLoader(dataset, batch_size=4, shuffle=True)))
    >>> images.shape, targets.shape, targets.dtype
    (torch.Size([4, 3, 16, 16]), torch.Size([4, 16, 16]), torch.int64)
    >>> train, val = dataset.split(val=0.25)
    >>> len(train), len(val)
    (3, 1)
    """

    def __init__(
        self,
        data: StrPath,
        *,
        part: str = "all",
        crop: int | tuple[int, int] | None = None,
        scale: float = 1.0,
        augment: str | Augmentation = "none",
        preprocessing: Preprocessing | None = None,
        **masks: Unpack[MaskFlags],
    ) -> None:
        plain = {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in masks.items()}
        settings = Config().updated({"data": {"root": os.fspath(data), "scale": scale, **plain}}).data
        description = describe(settings)
        if (table := drawn_table(description)) is not None:
            description = replace(description, classes=table)
        scanned = scan(_of_part(find_parts(description, log.info), part))
        labels, strange = resolve_labels(
            scanned,
            classes=description.classes,
            mask_values=settings.mask_values,
            ignore=description.ignore,
            instances=settings.instances,
            root=description.root,
        )
        stop_on_errors([*faulty((*scanned.faults, *size_faults(scanned))), *strange], str(data))
        assert labels is not None  # else there is an error among the findings
        if preprocessing is None:
            known = fingerprint(scanned, labels)
            preprocessing = Preprocessing(known.bands, scale, known.data_range, known.mean, known.std)
        self._scan, self._group = scanned, description.group
        self._become(scanned.pairs, labels, preprocessing, crop, augment)

    def _become(
        self,
        pairs: Sequence[Pair],
        labels: Labels,
        preprocessing: Preprocessing,
        crop: int | tuple[int, int] | None,
        augment: str | Augmentation,
    ) -> None:
        if isinstance(augment, str) and augment not in PRESETS:
            raise ConfigError(f"augment {augment!r}", " or ".join(PRESETS))
        self._samples = SegmentationDataset(
            pairs,
            labels,
            preprocessing,
            crop=(crop, crop) if isinstance(crop, int) else crop,
            augmentation=PRESETS[augment] if isinstance(augment, str) else augment,
        )
        self.pairs, self.labels, self.preprocessing = self._samples.pairs, labels, preprocessing

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, by their numbers in targets."""
        return self.labels.names

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Example:
        """Return image and target of a pair."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)  # by which Python knows where a loop over a dataset ends
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        sample = self._samples.draw(index % len(self), rng)
        return sample.image, sample.target

    def split(self, val: float = DEFAULT_VAL, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Return a dataset to train on, and one to validate on, of whole pictures that are not changed at random.

        As in `unet.train` every class is on both sides, and pictures that look alike are on one.

        Parameters
        ----------
        val : float
            Share of the pictures to validate on.
        seed : int

        Raises
        ------
        DataError
            There are too few pictures.
        """
        held = split(
            self.pairs,
            val=val,
            group=self._group,
            seed=seed,
            classes=classes_shown(self._scan, self.labels),
            alike=alike_groups(self._scan),
        )
        return self._with(held.train), self._with(held.val, whole=True)

    def _with(self, pairs: Sequence[Pair], whole: bool = False) -> Dataset:
        made: Dataset = Dataset.__new__(Dataset)
        made._scan, made._group = self._scan.part(pairs), self._group
        crop = None if whole else self._samples.crop
        made._become(pairs, self.labels, self.preprocessing, crop, "none" if whole else self._samples.augmentation)
        return made

    @staticmethod
    def collate(examples: Sequence[Example]) -> Example:
        """Stack examples of different sizes, as `collate_fn` of a `DataLoader`; what is filled up is ignored.

        Examples
        --------
        >>> small, large = ((torch.ones(3, n, n), torch.ones(n, n, dtype=torch.int64)) for n in (1, 2))
        >>> images, targets = Dataset.collate([small, large])
        >>> images.shape, targets[0].tolist()
        (torch.Size([2, 3, 2, 2]), [[1, 255], [255, 255]])
        """
        batch = collate([Sample(image, target, "") for image, target in examples])
        return batch.images, batch.targets


def _of_part(parts: dict[str, tuple[Pair, ...]], part: str) -> list[Pair]:
    if part == "all":
        return [pair for pairs in parts.values() for pair in pairs]
    if part not in parts:
        there = "all, as there are no parts" if "all" in parts else f"{', '.join(parts)} or all"
        raise InputError(f"the data have no part {part!r}", there, "split(val=0.15) makes two parts of all pictures")
    return list(parts[part])
