"""How large the network, the pictures and what is shown of them may be: what time and memory allow."""

from __future__ import annotations

import math

from unet.data.fingerprint import Fingerprint
from unet.models.geometry import Geometry, geometry_of
from unet.models.spec import ENCODERS, ModelSpec
from unet.plan.draft import Draft
from unet.preprocessing import scaled_size

GOOD_SIDE, LEAST_SIDE = 480, 128
"""Longest side of what the network is shown in pixels: what most objects need to be told apart, the least of use."""

LEAST_DETAIL, GOOD_DETAIL = 2.0, 8.0
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

MOST_DEPTH, LEAST_LEVEL = 4, 4
"""How often the resolution is halved, as in the paper; what is left of a crop across is at least so many pixels."""

BATCHES = {2: 0, 4: 800, 8: 800, 16: 4000, 32: 4000, 64: 4000}
"""Sizes of a batch, and how many steps must be left for each: few steps are worth more than calm ones."""

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
    pixel = pixel_bytes(width, len(draft.about.classes), draft.architecture)
    # However little there is, a plan comes out; training then says that memory does not suffice.
    return max(LEAST_SIDE**2 / 16, free / pixel / min(BATCHES))


def view(draft: Draft, width: int) -> float:
    """Return how many pixels one crop may have for time and memory to suffice."""
    if draft.seconds is None:
        return room(draft, width)
    return min(room(draft, width), draft.seconds * draft.machine.speed(width) / draft.wanted_views(width))


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
    if not about.valid_margin or draft.config.data.whole or draft.config.data.crop is not None:
        return judged
    sides = [about.at_least(min(side, PAPER_OUTPUT) + 2 * about.valid_margin) for side in judged]
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
