"""From what the data are like, what the machine can do and the time there is, to settings, each with its reason.

Only settings that the user left open are decided. A rule is one function below; it sees what was set or decided before
it. What the constants rest on is in docs/planning.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from unet import losses
from unet.config import Config
from unet.data.fingerprint import ClassFacts, Fingerprint
from unet.data.preprocess import scaled_size
from unet.models.geometry import Geometry, geometry_of
from unet.models.spec import ENCODERS, SETTINGS, ModelSpec

DEFAULT_SECONDS = 1800.0
"""Length of a run that was given neither time nor steps nor epochs."""

TRAINING_SHARE = 0.8
"""Of the time; the rest goes to reading, validation and the report."""

VIEWS = 1000
"""So many views a narrow network wants on a small data set before its score levels off ..."""

EPOCHS = 15
"""... and so many of each picture on a large one."""

WIDTHS = (16, 24, 32, 48, 64)

GOOD_WIDTH = 32
"""Up to here width comes before resolution finer than `GOOD_SIDE`, beyond it after."""

GOOD_SIDE, LEAST_SIDE = 480, 192
"""Longest side of what the network is shown in pixels: what most objects need to be told apart, the least of use."""

LEAST_DETAIL, GOOD_DETAIL = 3.0, 8.0
"""Thickness of lines and size of the smallest objects in scaled pixels: finer ones are lost; coarser ones are easy."""

LOST_CLASSES = 1 / 3
"""Fewer than this share of the classes may be lost: detail for a few would cost all others their views."""

NEARLY_FULL = 0.97
"""A scale from here on becomes 1."""

CROP = 512
"""Longest side of a training crop in scaled pixels, where no object is larger."""

CONTEXT = 2.0
"""A crop is so many times as wide as the largest objects: most are longer than wide, and have surroundings."""

NEARLY = 1.25
"""A picture that is at most so many times as long as such a crop is taken whole."""

COMPACT = 8.0
"""Objects that are at most so many times as large as thick have an extent that a crop can hold; lines have none."""

MOST_DEPTH, LEAST_LEVEL = 4, 8
"""How often the resolution is halved, as in the paper; what is left of a crop across is at least so many pixels."""

FEW_PICTURES = 10
"""Fewer are too few for the parameters of transposed convolutions, half of the network's."""

BATCHES = {2: 0, 4: 800, 8: 800, 16: 800, 32: 4000, 64: 4000}
"""Sizes of a batch, and how many steps must be left for each: few steps are worth more than calm ones."""

USUAL_BATCH = 4
"""Where the number of steps is given."""

WEIGHTED, SAMPLED = 0.1, 0.25
"""A class with less than this part of an even share of the pixels has more weight in the loss; is looked for ..."""

MET = 0.25
"""... if fewer crops than this meet it by chance ..."""

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

ENCODER_WIDTH = 16
"""Of the decoder on a pre-trained encoder: what is to be known of the picture is in the encoder."""

PAPER_OUTPUT = 388
"""Longest side of what a network without padding makes of a crop, as in the paper (of 572)."""

VALIDATION_STEPS, LEAST_VALIDATIONS, MOST_VALIDATIONS = 60, 4, 20

PIXEL_BYTES = {"resenc": 190.0}
"""Memory of a training step per pixel and width, where it is not that of `unet`."""

PARAMETERS = {"resenc": 5.0}
"""Times as many parameters as `unet` has."""

ENCODER_BYTES, ENCODER_PARAMETERS = 4000.0, 100e6
"""Memory per pixel, and parameters, that are allowed for a pre-trained encoder: more than those of the usual size."""

Speed = Callable[[int], float]
"""Training speed in pixels per second of a network of the given width."""


@dataclass(frozen=True)
class Machine:
    """What a plan needs to know of the machine.

    Attributes
    ----------
    speed : callable
        Measured or modelled; asked for a few widths only.
    memory : float
        Bytes that a training step may take.
    """

    speed: Speed
    memory: float


@dataclass(frozen=True)
class Plan:
    """Settings without gaps, and a sentence for each choice."""

    config: Config
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Draft:
    """What is known so far. Properties rest on settings that earlier rules have filled."""

    config: Config
    about: Fingerprint
    machine: Machine

    @property
    def seconds(self) -> float | None:
        """Time for training steps, None where steps or epochs are given instead."""
        seconds = self.config.training.seconds
        return None if seconds is None else TRAINING_SHARE * seconds

    @property
    def wanted_views(self) -> int:
        """How many views of pictures, or of crops, there should be at least."""
        return max(VIEWS, EPOCHS * self.about.pictures)

    @property
    def width(self) -> int:
        """Of the network."""
        return self.config.model.width or ENCODER_WIDTH

    @property
    def architecture(self) -> str:
        """Name of the network's kind."""
        return self.config.model.architecture

    def has(self, setting: str) -> bool:
        """Tell whether the network has such a setting."""
        return setting in SETTINGS[self.architecture]

    @property
    def scale(self) -> float:
        """Factor on the size of pictures."""
        return cast(float, self.config.data.scale)

    @property
    def frame(self) -> tuple[int, int]:
        """Height and width of the usual picture, scaled."""
        return scaled_size(self.about.height, self.about.width, self.scale)

    @property
    def crop(self) -> tuple[int, int]:
        """Height and width of what the network is shown."""
        crop = self.config.data.crop
        return self.frame if crop is None or self.config.data.whole else crop

    @property
    def steps(self) -> float:
        """How many steps there will be."""
        training, batch = self.config.training, cast(int, self.config.training.batch_size)
        if training.steps is not None:
            return training.steps
        if training.epochs is not None:
            return training.epochs * math.ceil(self.about.pictures / batch)
        return views_in_time(self, self.width, self.crop) / batch

    @property
    def seen(self) -> float:
        """How many times the network is shown each part of a picture."""
        views = self.steps * cast(int, self.config.training.batch_size)
        return views * math.prod(self.crop) / (self.about.pictures * math.prod(self.frame))


Choice = tuple[dict[str, dict[str, object]], str]
"""Settings as {section: {key: value}}, and the reason."""


def decide(config: Config, fingerprint: Fingerprint, machine: Machine) -> Plan:
    """Fill the open settings, rule by rule."""
    draft, reasons = Draft(config, fingerprint, machine), []
    for rule in RULES:
        choice = rule(draft)
        if choice is not None:
            changes, reason = choice
            draft = replace(draft, config=draft.config.updated(changes))
            reasons.append(reason)
    return Plan(draft.config, tuple(reasons))


# --- the rules: each returns None where the user has set what it would decide


def length(draft: Draft) -> Choice | None:
    """Half an hour, where nothing else is said."""
    training = draft.config.training
    if (training.seconds, training.epochs, training.steps) != (None, None, None):
        return None
    reason = f"Time: {DEFAULT_SECONDS / 60:.0f} minutes, as none was given (--time, --epochs or --steps)."
    return {"training": {"seconds": DEFAULT_SECONDS}}, reason


def size(draft: Draft) -> Choice | None:
    """Choose the width of the network and the scale of the pictures together.

    Time buys pixels. They are spent in this order: enough views at `GOOD_SIDE` by the narrowest network; width up to
    `GOOD_WIDTH`; resolution up to the pictures' own; width up to the widest.
    """
    width, scale, about = draft.config.model.width, draft.config.data.scale, draft.about
    if (width is not None or not draft.has("width")) and scale is not None:
        return None
    area, side = about.height * about.width, max(about.height, about.width)
    _, detail = finest(about)
    good = scale or min(1.0, max(GOOD_SIDE / side, LEAST_DETAIL / detail))
    need = min(area * good**2, GOOD_SIDE**2)
    widths = [width] if width else [w for w in WIDTHS if room(draft, w) >= LEAST_SIDE**2] or [WIDTHS[0]]
    if draft.architecture in ENCODERS:
        widths = [width or ENCODER_WIDTH]
    chosen = max((w for w in widths if w <= GOOD_WIDTH and view(draft, w) >= need), default=widths[0])
    why = "as set"
    if scale is None:
        scale, why = scale_for(draft, chosen, good)
    if draft.seconds is not None and (scale == 1 or draft.config.data.scale):
        crop = math.prod(crop_at(draft, chosen, scale))
        chosen = max((w for w in widths if w > chosen and view(draft, w) >= crop), default=chosen)
    changes: dict[str, dict[str, object]] = {"data": {"scale": scale}}
    name = "The encoder's width"
    if draft.has("width"):
        changes["model"], name = {"width": chosen}, f"Width {chosen}"
    lost = [facts for facts in about.classes if facts.share and facts.detail * scale < LEAST_DETAIL]
    if lost and scale < 1:
        names = ", ".join(f"{facts.name} ({facts.detail * scale:.1f} px)" for facts in lost)
        why += f"; too fine there to be learned well: {names}"
    if draft.seconds is None:
        return changes, f"{name}, as no time limit was given to plan for; scale {scale:g}: {why}."
    count = views_in_time(draft, chosen, crop_at(draft, chosen, scale))
    return changes, (
        f"{name}: {draft.seconds:.0f} s of training at {draft.machine.speed(chosen) / 1e6:.2g} million pixels "
        f"per second buy about {count:.0f} views, and {draft.wanted_views} are wanted; scale {scale:g}: {why}."
    )


def crop(draft: Draft) -> Choice | None:
    """Whole pictures where they are small or hold large objects, else crops that hold the largest objects."""
    if draft.config.data.crop is not None or draft.config.data.whole:
        return None
    height, width = crop_at(draft, draft.width, draft.scale)
    changes: dict[str, dict[str, object]] = {"data": {"crop": (height, width)}}
    if lost := 2 * geometry(draft).lost:
        return changes, (
            f"Crops of {width} x {height} px, of whose middle {width - lost} x {height - lost} the network without "
            "padding learns; the rest is context, mirrored beyond the picture."
        )
    if (height, width) == draft.frame:
        return changes, f"Whole pictures: {width} x {height} px at this scale."
    largest = extent(draft.about) * draft.scale
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
    if geometry(draft).lost:
        return {"model": {"depth": MOST_DEPTH}}, f"Depth {MOST_DEPTH}, as in the paper; the crops were chosen for it."
    across = min(draft.crop)
    levels = min(MOST_DEPTH, max(1, int(math.log2(max(across / LEAST_LEVEL, 1)))))
    return {"model": {"depth": levels}}, (
        f"Depth {levels}{', as in the paper' if levels == MOST_DEPTH else ''}: "
        f"a crop is {across >> levels} px across at the coarsest level, and at least {LEAST_LEVEL} are wanted."
    )


def upsampling(draft: Draft) -> Choice | None:
    """Fewer parameters for few pictures."""
    if draft.config.model.bilinear is not None or not draft.has("bilinear"):
        return None
    few = draft.about.pictures < FEW_PICTURES
    return {"model": {"bilinear": few}}, (
        f"Up-sampling by interpolation: half the parameters, for {draft.about.pictures} pictures only."
        if few
        else "Up-sampling by transposed convolution: it learns to sharpen edges, and there are pictures enough."
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
        views = (training.epochs or 0) * draft.about.pictures
        if draft.seconds is not None:
            views = int(views_in_time(draft, draft.width, draft.crop))
        batch = max(b for b, steps in BATCHES.items() if views / b >= steps)
        why = f"about {views / batch:.0f} steps"
        larger = [b for b in BATCHES if b > batch]
        if larger:
            why += f"; the next larger one would have to leave {BATCHES[larger[0]]}"
    if batch > max(fitting):
        batch, why = max(fitting), "the memory holds no more such crops"
    return {"training": {"batch_size": batch}}, f"Batch of {batch}: {why}."


def loss(draft: Draft) -> Choice | None:
    """Take the sum that serves all data alike; what differs between them is in the weights and the sampling."""
    if draft.config.training.loss is not None:
        return None
    return {"training": {"loss": losses.USUAL}}, (
        f"Loss {losses.USUAL}: cross-entropy judges every pixel, Dice lets small classes count like large ones."
    )


def weights(draft: Draft) -> Choice | None:
    """Weigh the cross-entropy where a class is rare."""
    if draft.config.training.class_weights is not None:
        return None
    rare = rarer_than(draft.about, WEIGHTED)
    return {"training": {"class_weights": bool(rare)}}, (
        f"Class weights: less than a tenth of an even share of the pixels for {_listed(rare)}."
        if rare
        else "No class weights: every class has at least a tenth of an even share of the pixels."
    )


def balance(draft: Draft) -> Choice | None:
    """Centre some crops on rare classes that random crops would seldom meet."""
    if draft.config.training.balance is not None:
        return None
    about, rare = draft.about, rarer_than(draft.about, SAMPLED)
    seldom = [facts for facts in rare if met(draft, facts) < MET]
    if not seldom:
        return {
            "training": {"balance": 0.0}
        }, "No search for rare classes: at random, training meets each often enough."
    share = round(min(MOST_BALANCED, len(rare) / len(about.classes)), 3)  # an even share for each
    return {"training": {"balance": share}}, (
        f"{share:.0%} of the crops are laid over a pixel of a rare class, {_listed(rare)}: "
        f"at random places few would meet {' or '.join(facts.name for facts in seldom[:3])}."
    )


def augmentation(draft: Draft) -> Choice | None:
    """Change pictures the more, the more often they are seen."""
    if draft.config.training.augment is not None:
        return None
    pictures, seen = draft.about.pictures, draft.seen
    strength = next(name for name, most in AUGMENTATION if seen < most)
    if strength == "light" and pictures < FEW_PICTURES:
        strength = "medium"
    if pictures >= MANY_PICTURES and seen < 2:
        strength = "none"
    return {"training": {"augment": strength}}, (
        f"Augmentation {strength}: each part of the {pictures} pictures is seen about {seen:.2g} times."
    )


def upright(draft: Draft) -> Choice | None:
    """Mirror top to bottom where that gives pictures of the same kind."""
    if draft.config.training.upright is not None:
        return None
    told = draft.about.upright
    return {"training": {"upright": told}}, (
        "Never mirrored top to bottom: brightness or classes lie higher or lower in all pictures alike."
        if told
        else "Mirrored top to bottom too: neither brightness nor classes tell up from down."
    )


def learning_rate(draft: Draft) -> Choice | None:
    """Choose a peak that falls with the square root of the width."""
    training = draft.config.training
    if training.learning_rate is not None:
        return None
    norm = draft.config.model.norm or SETTINGS[draft.architecture].get("norm", "batch")
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
    return {"training": {"validations": count}}, (
        f"{count} validations, after about {draft.steps / count:.0f} steps each; "
        "fewer if they take more than a tenth of the time."
    )


RULES: tuple[Callable[[Draft], Choice | None], ...] = (
    length, size, crop, depth, upsampling, batch_size, loss, weights, balance, augmentation, upright, learning_rate,
    encoder_rate, validations,
)  # fmt: skip


# --- what the rules rest on


def views_in_time(draft: Draft, width: int, crop: tuple[int, int]) -> float:
    """Return how many crops the network is shown in the time."""
    return (draft.seconds or 0.0) * draft.machine.speed(width) / math.prod(crop)


def room(draft: Draft, width: int) -> float:
    """Return how many pixels one crop may have for the memory to hold the smallest batch of them."""
    depth = draft.config.model.depth or MOST_DEPTH
    free = draft.machine.memory - parameter_bytes(width, depth, draft.architecture)
    pixel = pixel_bytes(width, len(draft.about.classes), draft.architecture)
    # However little there is, a plan comes out; training then says that memory does not suffice.
    return max(LEAST_SIDE**2 / 16, free / pixel / min(BATCHES))


def view(draft: Draft, width: int) -> float:
    """Return how many pixels one crop may have for time and memory to suffice."""
    if draft.seconds is None:
        return room(draft, width)
    return min(room(draft, width), draft.seconds * draft.machine.speed(width) / draft.wanted_views)


def pixel_bytes(width: int, classes: int, architecture: str = "unet") -> float:
    """Return the memory of a training step per pixel in float32: activations kept for the way back, and logits."""
    return PIXEL_BYTES.get(architecture, 110.0) * width + ENCODER_BYTES * (architecture in ENCODERS) + 26.0 * classes


def parameter_bytes(width: int, depth: int, architecture: str = "unet") -> float:
    """Return the memory of weights, gradients and the two moments of Adam, 31 million parameters at width 64.

    Encoders differ; those of up to 100 million parameters are allowed for.
    """
    own = 31e6 * (width / 64) ** 2 * 4.0 ** (depth - 4)
    return 16 * (ENCODER_PARAMETERS if architecture in ENCODERS else own * PARAMETERS.get(architecture, 1.0))


def finest(about: Fingerprint) -> tuple[str, float]:
    """Return what the scale must not lose, in words and in pixels of the files.

    The finest lines or smallest objects of a class, after as many finer classes as may be lost.
    """
    found = sorted((facts for facts in about.classes if facts.share), key=lambda facts: facts.detail)
    if not found:
        return "", math.inf
    facts = found[math.ceil(LOST_CLASSES * len(found)) - 1]
    what = "thickness" if facts.detail == facts.thickness else "smallest objects"
    return f"{what} of {facts.name} ({facts.detail:.1f} px in the files)", facts.detail


def extent(about: Fingerprint) -> float:
    """Return how large the largest objects are; 0 where there are only lines and surroundings.

    The class with most pixels is taken for what surrounds the others.
    """
    around = max(about.classes, key=lambda facts: facts.share)
    return max(
        (f.largest for f in about.classes if f is not around and f.largest <= COMPACT * f.thickness), default=0.0
    )


def scale_for(draft: Draft, width: int, good: float) -> tuple[float, str]:
    """Return the scale for a network of that width, and why; `good` is enough where no time is given.

    It is at least what whole pictures allow. Where these would make objects small, crops take their place: as long
    as they hold the largest objects, or whatever that loses where lines would vanish.
    """
    about, pixels = draft.about, view(draft, width)
    area, side = about.height * about.width, max(about.height, about.width)
    name, detail = finest(about)
    whole = good if draft.seconds is None else math.sqrt(pixels / area)
    limit = "memory" if pixels >= room(draft, width) else "time"
    whole, why = max(whole, LEAST_SIDE / side), f"what the {limit} allows for whole pictures"
    if draft.seconds is None:
        why = f"a longest side of {GOOD_SIDE} px is enough for most objects"
    if draft.config.data.whole:
        return _readable(whole), why
    largest, across = extent(about), math.sqrt(max(pixels, LEAST_SIDE**2))
    roomy = min(GOOD_DETAIL / detail, across / (CONTEXT * largest) if largest else math.inf)
    needed = LEAST_DETAIL / detail
    if max(needed, roomy) > whole:
        goal = (
            f"below {LEAST_DETAIL:g} px it would be lost" if needed >= roomy else f"{GOOD_DETAIL:g} px are easy to see"
        )
        whole, why = max(needed, roomy), f"crops instead of whole pictures, for the {name}: {goal}"
    return _readable(whole), "the pictures' own resolution" if whole >= 1 else why


def geometry(draft: Draft) -> Geometry:
    """Return what the network needs of its input; encoders, whose networks have padding, are not asked."""
    kind = "unet" if draft.architecture in ENCODERS else draft.architecture
    return geometry_of(ModelSpec(kind, depth=draft.config.model.depth or MOST_DEPTH))


def crop_at(draft: Draft, width: int, scale: float) -> tuple[int, int]:
    """Return (height, width) of a crop at a scale: of what is to be judged, and what a network needs around it."""
    judged = judged_at(draft, width, scale)
    about = geometry(draft)
    if not about.lost or draft.config.data.whole or draft.config.data.crop is not None:
        return judged
    sides = [about.at_least(min(side, PAPER_OUTPUT) + 2 * about.lost) for side in judged]
    while math.prod(sides) > room(draft, width) and min(sides) > about.at_least(0):
        sides = [max(about.at_least(0), side - about.multiple) for side in sides]
    return sides[0], sides[1]


def judged_at(draft: Draft, width: int, scale: float) -> tuple[int, int]:
    """Return (height, width) of a crop as a network with padding is shown it.

    Never larger than the picture: the borders of a picture would then always lie inside the crop, and the network
    would not learn what a real border, with nothing beyond, looks like.
    """
    if draft.config.data.crop is not None and not draft.config.data.whole:
        return draft.config.data.crop
    frame = scaled_size(draft.about.height, draft.about.width, scale)
    most = max(view(draft, width), min(LEAST_SIDE**2, room(draft, width)))
    side = max(CROP, CONTEXT * extent(draft.about) * scale)
    if draft.config.data.whole or (max(frame) <= NEARLY * side and math.prod(frame) <= 1.1 * most):
        return frame
    short = min(side, math.sqrt(most), *frame)
    long = min(side, most / short)
    height, wide = (min(length, long if length == max(frame) else short) for length in frame)
    step = 1 << (MOST_DEPTH + (draft.architecture in ENCODERS))
    return _even(height, frame[0], step), _even(wide, frame[1], step)


def _even(length: float, frame: int, step: int) -> int:
    """Round a crop down to what every level of a network halves evenly; a whole picture stays whole."""
    return frame if length >= frame else max(step, int(length) // step * step)


def _readable(scale: float) -> float:
    """Round a scale down to two digits; what is nearly 1 becomes 1, as resampling would cost detail for nothing."""
    if scale >= NEARLY_FULL:
        return 1.0
    unit = 10.0 ** (math.floor(math.log10(scale)) - 1)
    return round(math.floor(scale / unit + 1e-6) * unit, 9)


def rarer_than(about: Fingerprint, part: float) -> list[ClassFacts]:
    """Return the classes that occur and have less than this part of an even share of the pixels."""
    present = [facts for facts in about.classes if facts.share > 0]
    return [facts for facts in present if facts.share < part / len(present)]


def met(draft: Draft, facts: ClassFacts) -> float:
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


def _listed(classes: list[ClassFacts]) -> str:
    """Return the rarest classes by name and share."""
    rarest = sorted(classes, key=lambda facts: facts.share)
    more = f" (and {len(rarest) - 3} more)" if len(rarest) > 3 else ""
    return ", ".join(f"{facts.name} ({facts.share:.2%})" for facts in rarest[:3]) + more


def to_markdown(reasons: tuple[str, ...]) -> str:
    """Return the reasons as a page for people."""
    return "# Plan\n\n" + "\n".join(f"- {reason}" for reason in reasons) + "\n"
