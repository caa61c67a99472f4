"""Classes that are rare: which they are, how much they count, and how they are looked for."""

from __future__ import annotations

import math

from unet.data.fingerprint import ClassStats, Fingerprint
from unet.plan.draft import Draft

WEIGHTED, SAMPLED = 0.1, 0.25
"""A class with less than this part of an even share of the pixels has more weight in the loss; may be looked for."""


def rarer_than(about: Fingerprint, part: float) -> list[ClassStats]:
    """Return the classes that occur and have less than this part of an even share of the pixels."""
    present = [facts for facts in about.classes if facts.share > 0]
    return [facts for facts in present if facts.share < part / len(present)]


def met(draft: Draft, facts: ClassStats) -> float:
    """Return the share of random crops that meet a class, if its regions lay anywhere, each as large as a point."""
    shown = min(1.0, math.prod(draft.crop) / math.prod(draft.frame))
    found: float = 1 - (1 - shown) ** facts.regions
    return found * len(facts.pictures) / draft.about.pictures


def looked_for(about: Fingerprint) -> dict[int, tuple[int, ...]]:
    """Return the classes that balanced sampling looks for, and their pictures; the rarest class where none is rare."""
    present = [facts for facts in about.classes if facts.share > 0]
    rare = rarer_than(about, SAMPLED) or [min(present, key=lambda facts: facts.share)]
    return {index: facts.pictures for index, facts in enumerate(about.classes) if facts in rare}


def class_weights(shares: tuple[float, ...]) -> tuple[float, ...]:
    """Return a weight per class: 1 / sqrt(share), with a mean of 1 per pixel; 0 for an absent class.

    Weights by the inverse share, or those of ENet, make rare classes spread far beyond their borders: recall, not IoU.
    """
    raw = [1 / math.sqrt(share) if share > 0 else 0.0 for share in shares]
    mean = sum(weight * share for weight, share in zip(raw, shares, strict=True))
    return tuple(weight / mean for weight in raw)


def listed(classes: list[ClassStats]) -> str:
    """Return the rarest classes by name and share."""
    rarest = sorted(classes, key=lambda facts: facts.share)
    more = f" (and {len(rarest) - 3} more)" if len(rarest) > 3 else ""
    return ", ".join(f"{facts.name} ({facts.share:.2%})" for facts in rarest[:3]) + more
