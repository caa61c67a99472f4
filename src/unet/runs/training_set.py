"""What a training sees, as the settings say: samples, how they are changed, and how much their pixels count."""

from __future__ import annotations

from dataclasses import replace

import psutil
import torch
from torch import Tensor

from unet import plan
from unet.config import Config
from unet.data.augment import PRESETS, Augmentation
from unet.data.dataset import Balance, Borders, SegmentationDataset
from unet.preprocessing import Preprocessing
from unet.runs.source import Source

CACHE_SHARE = 0.4
"""Share of the free memory that decoded training pictures may take."""


def training_set(
    resolved: Config, source: Source, preprocessing: Preprocessing, valid_margin: int = 0
) -> SegmentationDataset:
    """Return the samples to train on, of which a network without padding loses the rim."""
    return SegmentationDataset(
        source.train,
        source.labels,
        preprocessing,
        crop=None if resolved.data.whole else resolved.data.crop,
        augmentation=augmentation_of(resolved),
        balance=balance_of(resolved, source),
        borders=borders_of(resolved, source),
        valid_margin=valid_margin,
        seed=resolved.training.seed,
        cache_bytes=int(CACHE_SHARE * psutil.virtual_memory().available / ((resolved.training.workers or 0) + 1)),
    )


def augmentation_of(resolved: Config) -> Augmentation:
    """Return how samples are changed; only pictures without up and down are mirrored top to bottom."""
    preset, said = PRESETS[resolved.training.augment or "none"], resolved.augmentation.model_dump(exclude_none=True)
    if "elastic" in said:
        said["elastic_share"] = 0.0
    wanted = replace(preset, **said)
    return replace(wanted, flip_rows=wanted.flip and resolved.training.upright is False)


def balance_of(resolved: Config, source: Source) -> Balance | None:
    """Return how rare classes are looked for, or None where they are not."""
    share = resolved.training.balance
    return Balance(share, plan.looked_for(source.fingerprint)) if share else None


def weights_of(resolved: Config, source: Source) -> Tensor | None:
    """Return the class weights, or None where all count the same."""
    if not resolved.training.class_weights or len(source.labels) == 1:
        return None
    return torch.tensor(plan.class_weights(source.fingerprint.class_shares))


def borders_of(resolved: Config, source: Source) -> Borders | None:
    """Return how much pixels between objects count, class weights included, or None where all count the same."""
    training = resolved.training
    if not training.border_weight:
        return None
    weights = weights_of(resolved, source)
    return Borders(training.border_weight, training.border_sigma, () if weights is None else tuple(weights.tolist()))
