"""Classes that are rare: which they are, how much they count, and how they are looked for."""

from __future__ import annotations

import math

from unet.data.fingerprint import ClassStats, Fingerprint
from unet.plan.draft import Draft

WEIGHTED, SAMPLED = 0.1, 0.25
"""A class with less than this part of an even share of the pixels has more weight in the loss; may be looked for."""


def rarer_than(fingerprint: Fingerprint, part: float) -> list[ClassStats]:
    """Return the classes that occur and have less than this part of an even share of the pixels."""
    present = [stats for stats in fingerprint.classes if stats.share > 0]
    return [stats for stats in present if stats.share < part / len(present)]


def share_of_crops_with(draft: Draft, stats: ClassStats) -> float:
    """Return the share of random crops that meet a class, if its regions lay anywhere, each as large as a point."""
    shown = min(1.0, math.prod(draft.crop) / math.prod(draft.frame))
    share: float = 1 - (1 - shown) ** stats.regions
    return share * len(stats.pictures) / draft.fingerprint.pictures


def rare_pictures(fingerprint: Fingerprint) -> dict[int, tuple[int, ...]]:
    """Return the classes that balanced sampling looks for, and their pictures; the rarest class where none is rare."""
    present = [stats for stats in fingerprint.classes if stats.share > 0]
    rare = rarer_than(fingerprint, SAMPLED) or [min(present, key=lambda stats: stats.share)]
    return {index: stats.pictures for index, stats in enumerate(fingerprint.classes) if stats in rare}


def class_weights(shares: tuple[float, ...]) -> tuple[float, ...]:
    """Return a weight per class: 1 / sqrt(share), with a mean of 1 per pixel; 0 for an absent class.

    Weights by the inverse share, or those of ENet, make rare classes spread far beyond their borders: recall, not IoU.
    """
    raw = [1 / math.sqrt(share) if share > 0 else 0.0 for share in shares]
    mean = sum(weight * share for weight, share in zip(raw, shares, strict=True))
    return tuple(weight / mean for weight in raw)


def listed(classes: list[ClassStats]) -> str:
    """Return the rarest classes by name and share."""
    rarest = sorted(classes, key=lambda stats: stats.share)
    more = f" (and {len(rarest) - 3} more)" if len(rarest) > 3 else ""
    return ", ".join(f"{stats.name} ({stats.share:.2%})" for stats in rarest[:3]) + more
