"""What a training sees, as the settings say: samples, how they are changed, and how much their pixels count."""

from __future__ import annotations

from dataclasses import replace

import psutil
import torch
from torch import Tensor

from unet import plan
from unet.commands.source import Source
from unet.config import Config
from unet.data.augment import PRESETS, Augmentation
from unet.data.dataset import Balance, Borders, SegmentationDataset
from unet.data.preprocess import Preprocessing

CACHE_SHARE = 0.4
"""Share of the free memory that decoded training pictures may take."""


def training_set(settled: Config, source: Source, preprocessing: Preprocessing, rim: int = 0) -> SegmentationDataset:
    """Return the samples to train on, of which a network without padding loses the rim."""
    return SegmentationDataset(
        source.train,
        source.labels,
        preprocessing,
        crop=None if settled.data.whole else settled.data.crop,
        augmentation=augmentation_of(settled),
        balance=balance_of(settled, source),
        borders=borders_of(settled, source),
        rim=rim,
        seed=settled.training.seed,
        cache_bytes=int(CACHE_SHARE * psutil.virtual_memory().available / ((settled.training.workers or 0) + 1)),
    )


def augmentation_of(settled: Config) -> Augmentation:
    """Return how samples are changed; only pictures without up and down are mirrored top to bottom."""
    preset, said = PRESETS[settled.training.augment or "none"], settled.augmentation.model_dump(exclude_none=True)
    if "elastic" in said:
        said["elastic_share"] = 0.0
    wanted = replace(preset, **said)
    return replace(wanted, flip_rows=wanted.flip and settled.training.upright is False)


def balance_of(settled: Config, source: Source) -> Balance | None:
    """Return how rare classes are looked for, or None where they are not."""
    share = settled.training.balance
    return Balance(share, plan.looked_for(source.fingerprint)) if share else None


def weights_of(settled: Config, source: Source) -> Tensor | None:
    """Return the class weights, or None where all count the same."""
    if not settled.training.class_weights or len(source.labels) == 1:
        return None
    return torch.tensor(plan.class_weights(source.fingerprint.class_shares))


def borders_of(settled: Config, source: Source) -> Borders | None:
    """Return how much pixels between objects count, class weights included, or None where all count the same."""
    training = settled.training
    if not training.border_weight:
        return None
    weights = weights_of(settled, source)
    return Borders(training.border_weight, training.border_sigma, () if weights is None else tuple(weights.tolist()))
