"""What a training sees, as the record of the run says: samples, how they are changed, how much their pixels count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unet import models
from unet.config import Config
from unet.data.augment import PRESETS, Augmentation
from unet.data.dataset import Balance, Borders, SegmentationDataset
from unet.data.pairs import Pair
from unet.data.sample_store import SampleStore
from unet.plan.record import RunRecord


def training_set(record: RunRecord, pairs: Sequence[Pair], store: SampleStore | None = None) -> SegmentationDataset:
    """Return the samples to train on."""
    config = record.config
    return SegmentationDataset(
        pairs,
        record.labels,
        record.preprocessing,
        crop=None if config.data.whole else config.data.crop,
        augmentation=augmentation_of(config),
        balance=balance_of(record, pairs),
        borders=borders_of(record),
        valid_margin=models.geometry_of(record.spec).valid_margin,
        seed=config.training.seed,
        store=store,
    )


def augmentation_of(config: Config) -> Augmentation:
    """Return how samples are changed; only pictures without up and down are mirrored top to bottom."""
    strengths = config.augmentation.model_dump(exclude_none=True)
    if "elastic" in strengths:
        strengths["elastic_share"] = 0.0
    augmentation = replace(PRESETS[config.training.augment or "none"], **strengths)
    return replace(augmentation, flip_rows=augmentation.flip and config.training.upright is False)


def balance_of(record: RunRecord, pairs: Sequence[Pair]) -> Balance | None:
    """Return how rare classes are looked for, or None where they are not."""
    places = {pair.name: place for place, pair in enumerate(pairs)}
    rare = {
        index: holders
        for index, names in record.rare_pictures.items()
        if (holders := tuple(places[name] for name in names if name in places))
    }
    share = record.config.training.balance
    return Balance(share, rare) if share and rare else None


def borders_of(record: RunRecord) -> Borders | None:
    """Return how much pixels between objects count, class weights included, or None where all count the same."""
    training = record.config.training
    if not training.border_weight:
        return None
    return Borders(training.border_weight, training.border_sigma, record.class_weights)
