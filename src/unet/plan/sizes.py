"""How large the network, the pictures and what is shown of them may be: what time and memory allow."""

from __future__ import annotations

import math
import shlex

from unet.config import ModelConfig
from unet.data.fingerprint import ClassStats, Fingerprint
from unet.models.geometry import Geometry, geometry_of
from unet.models.spec import ENCODERS, SETTINGS, ModelSpec
from unet.plan.draft import LEAST_SAMPLES, Draft
from unet.preprocessing import scaled_size

GOOD_SIDE, LEAST_SIDE = 480, 128
"""Longest side of what the network is shown in pixels: what most objects need to be told apart, the least of use."""

LEAST_DETAIL, GOOD_DETAIL = 2.0, 8.0
"""Thickness of lines and size of the smallest objects in scaled pixels: finer ones are lost; coarser ones are easy."""

LOST_CLASSES = 1 / 3
"""Fewer than this share of the classes may be lost: detail for a few would cost all others their views ..."""

PLENTY = 100
"""... unless there is time to show every picture so many times all the same."""

NARROWEST = 16
"""Width by which that is told."""

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

MOST_DEPTH, LEAST_LEVEL = 4, 4
"""How often the resolution is halved, as in the paper; what is left of a crop across is at least so many pixels."""

BATCHES = {2: 0, 4: 800, 8: 800, 16: 4000, 32: 4000, 64: 4000}
"""Sizes of a batch, and how many steps must be left for each: few steps are worth more than calm ones."""

MIXED_SPREAD, MIXED_BATCH = 1.0, 8
"""Pictures whose brightness differs by more standard deviations than that are of several kinds, some dark, some bright:
batch norm needs so many samples at least for its statistics to be those of all of them. They are smaller ones, so that
a step costs the same."""

PAPER_OUTPUT = 388
"""Longest side of what a network without padding makes of a crop, as in the paper (of 572)."""

PIXEL_BYTES = {"resenc": 190.0}
"""Memory of a training step per pixel and width, where it is not that of `unet`."""

PARAMETERS = {"resenc": 5.0}
"""Times as many parameters as `unet` has."""

ENCODER_BYTES, ENCODER_PARAMETERS = 4000.0, 100e6
"""Memory per pixel, and parameters, that are allowed for a pre-trained encoder: more than those of the usual size."""


def room(draft: Draft, width: int) -> float:
    """Return how many pixels one crop may have for the memory to hold the smallest batch of them."""
    depth = draft.config.model.depth or MOST_DEPTH
    free = draft.machine.memory - parameter_bytes(width, depth, draft.architecture)
    pixel = pixel_bytes(width, len(draft.fingerprint.classes), draft.architecture)
    # However little there is, a plan comes out; training then says that memory does not suffice.
    return max(LEAST_SIDE**2 / 16, free / pixel / min(BATCHES))


def least_batch(draft: Draft) -> int:
    """Return how many samples a batch has at least, in each process."""
    mixed = norm_of(draft.config.model) == "batch" and draft.fingerprint.brightness_spread > MIXED_SPREAD
    return MIXED_BATCH if mixed else min(BATCHES)


def norm_of(model: ModelConfig) -> str:
    """Return which norm a network has."""
    return str(model.norm or SETTINGS[model.architecture].get("norm", "batch"))


def view(draft: Draft, width: int, *, whole: bool = False) -> float:
    """Return how many pixels one crop, or one whole picture, may have for time and memory to suffice."""
    if draft.seconds is None:
        return room(draft, width)
    return min(room(draft, width), draft.pixels(width) / draft.wanted_samples(width, whole=whole))


def sees_enough(draft: Draft, width: int, scale: float) -> bool:
    """Tell whether a network of that width is shown each part of the pictures as often as is wanted at most."""
    figures = draft.fingerprint
    views = max(LEAST_SAMPLES, draft.most_samples) / draft.pictures
    return draft.pixels(width) >= views * figures.pictures * figures.height * figures.width * scale**2


def pixel_bytes(width: int, classes: int, architecture: str = "unet") -> float:
    """Return the memory of a training step per pixel in float32: activations kept for the way back, and logits."""
    return PIXEL_BYTES.get(architecture, 125.0) * width + ENCODER_BYTES * (architecture in ENCODERS) + 26.0 * classes


def parameter_bytes(width: int, depth: int, architecture: str = "unet") -> float:
    """Return the memory of weights, gradients and the two moments of Adam, 31 million parameters at width 64.

    Encoders differ; those of up to 100 million parameters are allowed for.
    """
    own = 31e6 * (width / 64) ** 2 * 4.0 ** (depth - 4)
    return 16 * (ENCODER_PARAMETERS if architecture in ENCODERS else own * PARAMETERS.get(architecture, 1.0))


def finest(draft: Draft) -> tuple[str, float]:
    """Return what the scale must not lose, in words and in pixels of the files.

    The finest lines or smallest objects of a class, after as many finer classes as may be lost: none of those that the
    user wants to keep, and none where there is time to show every picture often enough at the scale that they need.
    """
    classes = sorted((stats for stats in draft.fingerprint.classes if stats.share), key=lambda stats: stats.detail)
    if not classes:
        return "", math.inf
    exempt = classes[: math.ceil(LOST_CLASSES * len(classes)) - 1]
    kept = [stats for stats in exempt if stats.name in draft.config.data.keep or _is_affordable(draft, stats.detail)]
    stats = [*kept, classes[len(exempt)]][0]
    what = "thickness" if stats.detail == stats.thickness else "smallest objects"
    return f"{what} of {stats.name} ({stats.detail:.1f} px in the files)", stats.detail


def _is_affordable(draft: Draft, detail: float) -> bool:
    """Tell whether every picture can be shown often at a scale that leaves so fine a detail as large as is needed."""
    scale = min(1.0, LEAST_DETAIL / detail)
    wanted = PLENTY * draft.fingerprint.pictures * draft.fingerprint.height * draft.fingerprint.width * scale**2
    return draft.pixels(draft.config.model.width or NARROWEST) >= wanted


def too_fine(fingerprint: Fingerprint, scale: float) -> list[ClassStats]:
    """Return the classes whose detail a scale loses."""
    least = 0.99 * LEAST_DETAIL  # scales are rounded
    return [stats for stats in fingerprint.classes if stats.share and scale < 1 and stats.detail * scale < least]


def loss_of_detail(fingerprint: Fingerprint, scale: float) -> str:
    """Return in words which classes a scale loses and what keeps them; nothing where it loses none."""
    coarse = too_fine(fingerprint, scale)
    names = ", ".join(f"{stats.name} ({stats.detail * scale:.1f} px)" for stats in coarse)
    flags = " ".join(f"--keep {shlex.quote(stats.name)}" for stats in coarse)
    return f"too fine at this scale to be learned well: {names}; to keep them: {flags}" if coarse else ""


def extent(fingerprint: Fingerprint) -> float:
    """Return how large the largest objects are; 0 where there are only lines and surroundings.

    The class with most pixels is taken for what surrounds the others.
    """
    around = max(fingerprint.classes, key=lambda stats: stats.share)
    return max(
        (f.largest for f in fingerprint.classes if f is not around and f.largest <= COMPACT * f.thickness), default=0.0
    )


def scale_for(draft: Draft, width: int, good: float) -> tuple[float, str]:
    """Return the scale for a network of that width, and why; `good` is enough where no time is given.

    It is at least what whole pictures allow. Where these would make objects small, crops take their place: as long
    as they hold the largest objects, or whatever that loses where lines would vanish.
    """
    fingerprint, pixels = draft.fingerprint, view(draft, width, whole=True)
    area, side = fingerprint.height * fingerprint.width, max(fingerprint.height, fingerprint.width)
    name, detail = finest(draft)
    whole = good if draft.seconds is None else math.sqrt(pixels / area)
    limit = "memory" if pixels >= room(draft, width) else "time"
    whole, why = max(whole, LEAST_SIDE / side), f"what the {limit} allows for whole pictures"
    if draft.seconds is None:
        why = f"a longest side of {GOOD_SIDE} px is enough for most objects"
    if draft.config.data.whole:
        return _readable(whole), why
    largest, across = extent(fingerprint), math.sqrt(max(view(draft, width), LEAST_SIDE**2))
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
    """Return (height, width) of a crop at a scale: of what is to be learned, and what a network needs around it."""
    target = target_size(draft, width, scale)
    network = geometry(draft)
    if not network.valid_margin or draft.config.data.whole or draft.config.data.crop is not None:
        return target
    sides = [network.at_least(min(side, PAPER_OUTPUT) + 2 * network.valid_margin) for side in target]
    while math.prod(sides) > room(draft, width) and min(sides) > network.at_least(0):
        sides = [max(network.at_least(0), side - network.multiple) for side in sides]
    return sides[0], sides[1]


def target_size(draft: Draft, width: int, scale: float) -> tuple[int, int]:
    """Return (height, width) of a crop as a network with padding is shown it.

    Never larger than the picture: the borders of a picture would then always lie inside the crop, and the network
    would not learn what a real border, with nothing beyond, looks like.
    """
    if draft.config.data.crop is not None and not draft.config.data.whole:
        return draft.config.data.crop
    frame = scaled_size(draft.fingerprint.height, draft.fingerprint.width, scale)
    most = max(view(draft, width), min(LEAST_SIDE**2, room(draft, width)))
    if draft.config.training.batch_size is None:
        most *= min(BATCHES) / least_batch(draft)
    side = max(CROP, CONTEXT * extent(draft.fingerprint) * scale)
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
