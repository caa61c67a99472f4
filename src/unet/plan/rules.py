"""The rules, each of one setting or two: what was set or decided before is known, and what the user set is left."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

from unet import losses
from unet.models.spec import ENCODERS
from unet.plan.draft import ENCODER_WIDTH, LEAST_SAMPLES, USUAL_BATCH, Draft
from unet.plan.rare import SAMPLED, WEIGHTED, listed, rarer_than, share_of_crops_with
from unet.plan.sizes import (
    BATCHES,
    GOOD_SIDE,
    LEAST_DETAIL,
    LEAST_LEVEL,
    LEAST_SIDE,
    MOST_DEPTH,
    crop_at,
    extent,
    finest,
    geometry,
    least_batch,
    loss_of_detail,
    norm_of,
    room,
    scale_for,
    sees_enough,
    view,
)
from unet.preprocessing import scaled_size

DEFAULT_SECONDS = 1800.0
"""Length of a run that was given neither time nor steps nor epochs."""

WIDTHS = (16, 32, 48, 64)
"""24 takes a CPU with AMX nearly as long as 32: its units take 32 channels at a time."""

GOOD_WIDTH, ROOMY = 32, 2
"""Up to here width comes once views have so many times the pixels of a side of `GOOD_SIDE`, beyond it last ..."""

ENOUGH = 25
"""... or once the law gives each picture so many views, times the root of the number of classes."""

FEW_PICTURES = 10
"""Fewer are too few for the parameters of transposed convolutions, half of the network's."""

MET_OFTEN = 0.25
"""A rare class is looked for if fewer crops than this meet it by chance ..."""

MOST_BALANCED = 1 / 3
"""... by at most so many of the crops."""

AUGMENTATION = (("light", 60), ("medium", 200), ("strong", math.inf))
"""How strong it is, as long as each part of a picture is seen fewer times than that."""

MANY_PICTURES = 1000
"""So many, each seen less than twice, are varied enough by themselves."""

RATES = {"adamw": 2e-3, "adam": 2e-3, "sgd": 1e-2, "rmsprop": 1e-4}
"""Peak learning rates of the narrowest network."""

LOWER_RATES = {"backbone": 0.5, "segformer": 0.3}
"""Times so much for networks with a pre-trained encoder (SegFormer: 6e-4, its authors' rate of what is new)."""

NORMLESS_RATE = 0.25
"""Times so much where no norm keeps the values in bounds."""

ENCODER_RATE = 0.1
"""Rate of a pre-trained encoder, as a share of that of the rest: usual for SegFormer."""

VALIDATION_STEPS, LEAST_VALIDATIONS, MOST_VALIDATIONS = 60, 4, 20

Choice = tuple[dict[str, dict[str, object]], str]
"""Settings as {section: {key: value}}, and the reason."""


def length(draft: Draft) -> Choice | None:
    """Half an hour, where nothing else is said."""
    training = draft.config.training
    if (training.seconds, training.epochs, training.steps) != (None, None, None):
        return None
    reason = f"Time: {DEFAULT_SECONDS / 60:.0f} minutes, as none was given (--time, --epochs or --steps)."
    return {"training": {"seconds": DEFAULT_SECONDS}}, reason


def size(draft: Draft) -> Choice | None:
    """Choose the width of the network and the scale of the pictures together.

    Time buys pixels, which are shared out between more views and larger ones. Width up to `GOOD_WIDTH` comes before
    views much larger than `GOOD_SIDE` and more than `ENOUGH`; more width comes after the pictures' own resolution and
    as many views as are ever wanted.
    """
    width, scale, fingerprint = draft.config.model.width, draft.config.data.scale, draft.fingerprint
    if (width is not None or not draft.has("width")) and scale is not None:
        return None
    area, side = fingerprint.height * fingerprint.width, max(fingerprint.height, fingerprint.width)
    _, detail = finest(draft)
    good = scale or min(1.0, max(GOOD_SIDE / side, LEAST_DETAIL / detail))
    need = min(area * good**2, GOOD_SIDE**2)
    widths = [width] if width else [w for w in WIDTHS if room(draft, w) >= LEAST_SIDE**2] or [WIDTHS[0]]
    if draft.architecture in ENCODERS:
        widths = [width or ENCODER_WIDTH]
    enough = max(LEAST_SAMPLES, ENOUGH * math.sqrt(draft.classes) * draft.pictures)
    wide = need if draft.seconds is None else ROOMY * need  # a measured speed is not the same each time
    good_widths = [w for w in widths if w <= GOOD_WIDTH]
    chosen = max(
        (w for w in good_widths if view(draft, w) >= wide or draft.samples_by_law(w) >= enough),
        default=widths[0],
    )
    why = "as set"
    if scale is None:
        scale, why = scale_for(draft, chosen, good)
    if draft.seconds is not None and (scale == 1 or draft.config.data.scale):
        crop = crop_at(draft, chosen, scale)
        wider = [w for w in widths if w > chosen and sees_enough(draft, w, scale) and crop_at(draft, w, scale) == crop]
        chosen = max(wider, default=chosen)
    changes: dict[str, dict[str, object]] = {"data": {"scale": scale}}
    name = "The encoder's width"
    if draft.has("width"):
        changes["model"], name = {"width": chosen}, f"Width {chosen}"
    why = "; ".join(filter(None, (why, loss_of_detail(fingerprint, scale))))
    if draft.seconds is None:
        return changes, f"{name}, as no time limit was given to plan for; scale {scale:g}: {why}."
    shown = crop_at(draft, chosen, scale)
    whole = shown == scaled_size(fingerprint.height, fingerprint.width, scale)
    count, wanted = draft.samples_in_time(chosen, shown), draft.wanted_samples(chosen, whole=whole)
    return changes, (
        f"{name}: {draft.seconds:.0f} s of training at {draft.machine.speed(chosen) / 1e6:.2g} million pixels "
        f"per second buy about {count:.0f} views, and {wanted:.0f} are wanted; scale {scale:g}: {why}."
    )


def crop(draft: Draft) -> Choice | None:
    """Whole pictures where they are small or hold large objects, else crops that hold the largest objects."""
    if draft.config.data.crop is not None or draft.config.data.whole:
        return None
    height, width = crop_at(draft, draft.width, draft.scale)
    changes: dict[str, dict[str, object]] = {"data": {"crop": (height, width)}}
    if margin := 2 * geometry(draft).valid_margin:
        return changes, (
            f"Crops of {width} x {height} px, of whose middle {width - margin} x {height - margin} the network without "
            "padding learns; the rest is context, mirrored beyond the picture."
        )
    if (height, width) == draft.frame:
        return changes, f"Whole pictures: {width} x {height} px at this scale."
    largest = extent(draft.fingerprint) * draft.scale
    if not largest:
        why = "there are no large objects that a crop would have to hold"
    elif min(height, width) >= min(largest, *draft.frame):
        why = f"they hold the largest objects, about {largest:.0f} px across"
    else:
        why = f"time and memory allow no more, though the largest objects are about {largest:.0f} px across"
    return changes, f"Crops of {width} x {height} px of {draft.frame[1]} x {draft.frame[0]}: {why}."


def depth(draft: Draft) -> Choice | None:
    """As many levels as a crop has pixels for."""
    if draft.config.model.depth is not None or not draft.has("depth"):
        return None
    if blocks := draft.config.model.blocks:
        return {"model": {"depth": len(blocks) - 1}}, f"Depth {len(blocks) - 1}: as there are stages in blocks."
    if geometry(draft).valid_margin:
        return {"model": {"depth": MOST_DEPTH}}, f"Depth {MOST_DEPTH}, as in the paper; the crops were chosen for it."
    across = min(draft.crop)
    levels = min(MOST_DEPTH, max(1, int(math.log2(max(across / LEAST_LEVEL, 1)))))
    return {"model": {"depth": levels}}, (
        f"Depth {levels}{', as in the paper' if levels == MOST_DEPTH else ''}: "
        f"a crop is {across >> levels} px across at the coarsest level, and at least {LEAST_LEVEL} are wanted."
    )


def upsampling(draft: Draft) -> Choice | None:
    """Fewer parameters for few pictures, and nothing that has to be learned first where there is no time for that."""
    if draft.config.model.bilinear is not None or not draft.has("bilinear"):
        return None
    few = draft.fingerprint.pictures < FEW_PICTURES
    width = cast(int, draft.config.model.width)
    short = draft.seconds is not None and draft.samples_in_time(width, draft.crop) < LEAST_SAMPLES
    return {"model": {"bilinear": few or short}}, (
        f"Up-sampling by interpolation: half the parameters, for {draft.fingerprint.pictures} pictures only."
        if few
        else "Up-sampling by interpolation: transposed convolutions, not yet learned, leave checkerboards."
        if short
        else "Up-sampling by transposed convolution: it learns to sharpen edges, and there are pictures enough."
    )


def deep_supervision(draft: Draft) -> Choice | None:
    """Judge the coarser levels of the decoder too, where there are some."""
    if draft.config.model.deep_supervision is not None or not draft.has("deep_supervision"):
        return None
    deep = (draft.config.model.depth or MOST_DEPTH) > 1
    return {"model": {"deep_supervision": deep}}, (
        "Deep supervision: every level of the decoder gives logits in training, from which the network learns sooner."
        if deep
        else "No deep supervision: there is one level."
    )


def batch_size(draft: Draft) -> Choice | None:
    """Choose the largest batch that leaves enough steps and fits the memory."""
    training = draft.config.training
    if training.batch_size is not None:
        return None
    least = min(BATCHES)
    fitting = [b for b in BATCHES if b * math.prod(draft.crop) <= least * room(draft, draft.width)] or [least]
    if training.steps is not None:
        batch, why = USUAL_BATCH, "calm enough for batch norm, and the number of steps is given"
    else:
        samples = (training.epochs or 0) * draft.fingerprint.pictures
        if draft.seconds is not None:
            samples = int(draft.samples_in_time(draft.width, draft.crop))
        batch = max(b for b, steps in BATCHES.items() if samples / b >= steps)
        why = f"about {samples / batch:.0f} steps"
        larger = [b for b in BATCHES if b > batch]
        if larger:
            why += f"; the next larger one would have to leave {BATCHES[larger[0]]}"
    count = draft.machine.processes
    if batch < count * least_batch(draft):
        batch = count * least_batch(draft)
        why = "the pictures are of several kinds, dark and bright, and batch norm has to see some of each"
        if least_batch(draft) == least:
            why = f"{least} for each process, the least of use"
    if batch > count * max(fitting):
        batch, why = count * max(fitting), "the memory holds no more such crops"
    if count > 1:
        batch = math.ceil(batch / count) * count
        return {"training": {"batch_size": batch}}, (
            f"Batch of {batch}, {batch // count} in each of {count} processes: {why}."
        )
    return {"training": {"batch_size": batch}}, f"Batch of {batch}: {why}."


def loss(draft: Draft) -> Choice | None:
    """Take the sum that serves all data alike; what differs between them is in the weights and the sampling."""
    if draft.config.training.loss is not None:
        return None
    return {"training": {"loss": losses.DEFAULT_LOSS}}, (
        f"Loss {losses.DEFAULT_LOSS}: cross-entropy judges every pixel, Dice lets small classes count like large ones."
    )


def weights(draft: Draft) -> Choice | None:
    """Weigh the cross-entropy where a class is rare."""
    if draft.config.training.class_weights is not None:
        return None
    rare = rarer_than(draft.fingerprint, WEIGHTED)
    return {"training": {"class_weights": bool(rare)}}, (
        f"Class weights: less than a tenth of an even share of the pixels for {listed(rare)}."
        if rare
        else "No class weights: every class has at least a tenth of an even share of the pixels."
    )


def balance(draft: Draft) -> Choice | None:
    """Centre some crops on rare classes that random crops would seldom meet."""
    if draft.config.training.balance is not None:
        return None
    fingerprint, rare = draft.fingerprint, rarer_than(draft.fingerprint, SAMPLED)
    seldom = [stats for stats in rare if share_of_crops_with(draft, stats) < MET_OFTEN]
    if not seldom:
        return {
            "training": {"balance": 0.0}
        }, "No search for rare classes: at random, training meets each often enough."
    share = round(min(MOST_BALANCED, len(rare) / len(fingerprint.classes)), 3)  # an even share for each
    return {"training": {"balance": share}}, (
        f"{share:.0%} of the crops are laid over a pixel of a rare class, {listed(rare)}: "
        f"at random places few would meet {' or '.join(stats.name for stats in seldom[:3])}."
    )


def augmentation(draft: Draft) -> Choice | None:
    """Change pictures the more, the more often they are seen."""
    if draft.config.training.augment is not None:
        return None
    pictures, times_seen = draft.fingerprint.pictures, draft.times_seen
    strength = next(name for name, most in AUGMENTATION if times_seen < most)
    if strength == "light" and pictures < FEW_PICTURES:
        strength = "medium"
    if pictures >= MANY_PICTURES and times_seen < 2:
        strength = "none"
    return {"training": {"augment": strength}}, (
        f"Augmentation {strength}: each part of the {pictures} pictures is seen about {times_seen:.2g} times."
    )


def upright(draft: Draft) -> Choice | None:
    """Mirror top to bottom where that gives pictures of the same kind."""
    if draft.config.training.upright is not None:
        return None
    upright = draft.fingerprint.upright
    return {"training": {"upright": upright}}, (
        "Never mirrored top to bottom: brightness or classes lie higher or lower in all pictures alike."
        if upright
        else "Mirrored top to bottom too: neither brightness nor classes tell up from down."
    )


def learning_rate(draft: Draft) -> Choice | None:
    """Choose a peak that falls with the square root of the width."""
    training = draft.config.training
    if training.learning_rate is not None:
        return None
    norm = norm_of(draft.config.model)
    factor = LOWER_RATES.get(draft.architecture, 1.0) * (NORMLESS_RATE if norm == "none" else 1.0)
    rate = float(f"{factor * RATES[training.optimizer] * math.sqrt(min(1, WIDTHS[0] / draft.width)):.1e}")
    why = f"with {norm} norm for width {draft.width}" if norm != "none" else f"without a norm for width {draft.width}"
    if draft.architecture in ENCODERS:
        why = "beside a pre-trained encoder"
    return {"training": {"learning_rate": rate}}, (
        f"Learning rate {rate:g}: the usual peak of {training.optimizer} {why}."
    )


def encoder_rate(draft: Draft) -> Choice | None:
    """Change what was learned before less than what is new."""
    if draft.config.training.encoder_rate is not None or draft.architecture not in ENCODERS:
        return None
    return {"training": {"encoder_rate": ENCODER_RATE}}, (
        f"The pre-trained encoder learns at {ENCODER_RATE:g} times that rate: it is to keep what it knows."
    )


def validations(draft: Draft) -> Choice | None:
    """Validate often enough to catch the best weights, seldom enough that each can differ."""
    training = draft.config.training
    if training.validations or training.validations_per_epoch or training.validate_every:
        return None
    count = int(min(MOST_VALIDATIONS, max(LEAST_VALIDATIONS, draft.steps // VALIDATION_STEPS)))
    count = max(1, min(count, int(draft.steps)))
    return {"training": {"validations": count}}, (
        f"{count} validations, after about {draft.steps / count:.0f} steps each; "
        "fewer if they take more than a tenth of the time."
    )


RULES: tuple[Callable[[Draft], Choice | None], ...] = (
    length, size, crop, depth, upsampling, deep_supervision, batch_size, loss, weights, balance, augmentation, upright,
    learning_rate, encoder_rate, validations,
)  # fmt: skip
