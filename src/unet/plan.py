"""From what the data are like, what the machine can do and the time there is, to settings, each with its reason.

Only settings that the user left open are decided. Every rule below is one function of a few numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from unet.config import Config
from unet.data.fingerprint import Fingerprint
from unet.data.preprocess import scaled_size

DEFAULT_SECONDS = 1800.0
"""Length of a run that was given neither time nor steps nor epochs."""

STEPS = 800
"""So many steps come before larger batches: while they are few, twice as many are worth more than calmer ones."""

BATCHES = (2, 4, 8, 16)

CROP = 512
"""Longest side of a training crop in scaled pixels; smaller pictures are taken whole."""

VIEWS = 1000
"""So many views a narrow network wants on a small data set before its score levels off ..."""

EPOCHS = 15
"""... and so many of each picture on a large one."""

TRAINING_SHARE = 0.8
"""Of the time; the rest goes to reading, validation and the report."""

WIDTHS = (16, 24, 32, 48, 64)

GOOD_SIDE, LEAST_SIDE = 480, 192
"""Longest side of a scaled picture in pixels: what most objects need to be told apart, and the least of use."""

GOOD_WIDTH = 32
"""Up to here width comes before resolution finer than `GOOD_SIDE`, beyond it after."""


@dataclass(frozen=True)
class Plan:
    """Settings without gaps, and a sentence for each choice."""

    config: Config
    reasons: tuple[str, ...]


Speed = Callable[[int], float]
"""Training speed in pixels per second of a network of the given width."""


def decide(config: Config, fingerprint: Fingerprint, speed: Speed) -> Plan:
    """Fill the open settings.

    Parameters
    ----------
    config : Config
    fingerprint : Fingerprint
    speed : callable
        Measured or modelled; asked for a few widths only.

    Returns
    -------
    Plan
    """
    reasons: list[str] = []
    training, data, model = config.training, config.data, config.model
    changes: dict[str, dict[str, object]] = {"data": {}, "model": {}, "training": {}}

    if training.seconds is None and training.epochs is None and training.steps is None:
        changes["training"]["seconds"] = DEFAULT_SECONDS
        reasons.append(f"Time: {DEFAULT_SECONDS / 60:.0f} minutes, as none was given (--time, --epochs or --steps).")
        training = training.model_copy(update={"seconds": DEFAULT_SECONDS})

    width, scale = model.width, data.scale
    if width is None or scale is None:
        width, scale, why = size_for_time(width, scale, fingerprint, training.seconds, speed)
        changes["model"]["width"], changes["data"]["scale"] = width, scale
        reasons.append(why)

    if training.batch_size is None:
        if training.seconds is not None:
            views = affordable_views(fingerprint, width, scale, training.seconds, speed)
        else:
            views = (training.epochs or 0) * fingerprint.pictures
        batch = batch_for(views)
        changes["training"]["batch_size"] = batch
        reasons.append(f"Batch of {batch}: the largest that leaves {STEPS} steps, or else the smallest of use.")

    if data.crop is None and not data.whole:
        crop = crop_for(fingerprint, scale)
        changes["data"]["crop"] = crop
        reasons.append(
            f"Crops of {crop[1]} x {crop[0]} px: the usual picture at this scale, and at most {CROP} px of it."
        )
    if training.class_weights is None:
        weighted = wants_weights(fingerprint.class_shares)
        changes["training"]["class_weights"] = weighted
        if weighted:
            reasons.append("Class weights: the rarest class has less than a tenth of an even share of the pixels.")
    if training.learning_rate is None:
        rate = usual_rate(training.optimizer)
        changes["training"]["learning_rate"] = rate
        reasons.append(f"Learning rate {rate:g}: the usual peak of {training.optimizer} for a network with batch norm.")
    return Plan(config.updated(changes), tuple(reasons))


def size_for_time(
    width: int | None, scale: float | None, fingerprint: Fingerprint, seconds: float | None, speed: Speed
) -> tuple[int, float, str]:
    """Choose the width of the network and the scale of the pictures together.

    Time buys pixels. They are spent in this order: enough views of every picture at `GOOD_SIDE` by the narrowest
    network; width up to `GOOD_WIDTH`; resolution up to the pictures' own; width up to the widest.
    """
    area, side = fingerprint.height * fingerprint.width, max(fingerprint.height, fingerprint.width)
    good = scale or min(1.0, GOOD_SIDE / side)
    if seconds is None:
        chosen = width or GOOD_WIDTH
        good = scale or _readable(good)
        return chosen, good, f"Width {chosen} and scale {good:g}: no time limit was given to plan for."
    views = max(VIEWS, EPOCHS * fingerprint.pictures)
    training = TRAINING_SHARE * seconds

    def affordable(candidate: int) -> float:
        """Scale at which this width gets its views."""
        return math.sqrt(training * speed(candidate) / views / area)

    widths = (width,) if width else WIDTHS
    chosen = max((w for w in widths if w <= GOOD_WIDTH and affordable(w) >= good), default=widths[0])
    chosen_scale = scale or min(1.0, max(affordable(chosen), LEAST_SIDE / side))
    chosen = max((w for w in widths if w > chosen and affordable(w) >= chosen_scale >= 1), default=chosen)
    chosen_scale = scale or _readable(chosen_scale)
    count = affordable_views(fingerprint, chosen, chosen_scale, seconds, speed)
    why = (
        f"Width {chosen} at scale {chosen_scale:g}: {training:.0f} s of training at {speed(chosen) / 1e6:.2f} Mpx/s "
        f"buy about {count:.0f} views of such pictures, {count / fingerprint.pictures:.0f} of each; {views} are wanted."
    )
    return chosen, chosen_scale, why


def affordable_views(fingerprint: Fingerprint, width: int, scale: float, seconds: float, speed: Speed) -> float:
    """Return how many scaled pictures the network sees in the time."""
    return TRAINING_SHARE * seconds * speed(width) / (fingerprint.height * fingerprint.width * scale**2)


def batch_for(views: float) -> int:
    """Return the largest batch that leaves `STEPS` steps."""
    return max((batch for batch in BATCHES if views / batch >= STEPS), default=BATCHES[0])


def _readable(scale: float) -> float:
    """Round a scale down to hundredths."""
    return 1.0 if scale >= 1 else max(0.01, math.floor(scale * 100) / 100)


def crop_for(fingerprint: Fingerprint, scale: float) -> tuple[int, int]:
    """Return (height, width) of a crop: the median scaled picture, cut at `CROP`.

    Never larger than the picture: the borders of a picture would then always lie inside the crop, and the network
    would not learn what a real border, with nothing beyond, looks like.
    """
    height, width = scaled_size(fingerprint.height, fingerprint.width, scale)
    return min(CROP, height), min(CROP, width)


def usual_rate(optimizer: str) -> float:
    """Return the usual peak learning rate of an optimiser, for a network with batch norm."""
    return 2e-3 if optimizer in ("adamw", "adam") else 1e-2 if optimizer == "sgd" else 1e-4


def wants_weights(shares: tuple[float, ...]) -> bool:
    """Tell whether a class that occurs has less than a tenth of an even share of the pixels."""
    present = [share for share in shares if share > 0]
    return bool(present) and min(present) < 0.1 / len(present)


def class_weights(shares: tuple[float, ...]) -> tuple[float, ...]:
    """Return a weight per class: 1 / sqrt(share), with a mean of 1 per pixel; 0 for an absent class.

    Weights by the inverse share, or those of ENet, make rare classes spread far beyond their borders: recall, not IoU.
    """
    raw = [1 / math.sqrt(share) if share > 0 else 0.0 for share in shares]
    mean = sum(weight * share for weight, share in zip(raw, shares, strict=True))
    return tuple(weight / mean for weight in raw)


def to_markdown(reasons: tuple[str, ...]) -> str:
    """Return the reasons as a page for people."""
    return "# Plan\n\n" + "\n".join(f"- {reason}" for reason in reasons) + "\n"
