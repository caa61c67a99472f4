"""What an exported file says of itself: all that our model files say, and what the QGIS plugin Deepness looks for."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

from unet import __version__, bundle
from unet.bundle import Bundle
from unet.export.pictures import least_side
from unet.models import geometry_of

TILE = 512
"""Pixels down and across that are proposed to programs which cut pictures into tiles."""

MOST_OVERLAP, USUAL_OVERLAP = 50, 25
"""Per cent of a tile: at most, and for networks that look at all of it."""


def described(model: Bundle, tile: int | None, facts: dict[str, Any]) -> dict[str, str]:
    """Return the metadata of an exported file.

    Parameters
    ----------
    model : Bundle
    tile : int, optional
        The only size of pictures that the file takes, if it does.
    facts : dict
        What has been found out while it was exported.
    """
    geometry = geometry_of(model.spec)
    about = {
        "unet": __version__,
        "input": "the picture's own values, scaled by preprocessing.scale: float32 (N, bands, height, width)",
        "output": "probabilities: float32 (N, classes, height, width)",
        "valid_margin": geometry.valid_margin,
        "receptive_field_radius": geometry.receptive_field_radius,
        "multiple": geometry.multiple,
        "least_side": least_side(geometry),
        "tile": tile,
        **facts,
    }
    exported = replace(model, provenance={**model.provenance, "export": about})
    return {bundle.KEY: bundle.describe(exported), **deepness(model, tile)}


def deepness(model: Bundle, tile: int | None) -> dict[str, str]:
    """Return the entries that Deepness reads, each of them JSON.

    It divides a picture's values by 255, subtracts `standardization_mean` and divides by `standardization_std`: 0 and
    1/255 give the values back, which our graphs take. It documents `tiles_size` and reads `tile_size`.
    """
    geometry, bands = geometry_of(model.spec), model.preprocessing.bands
    side = tile or geometry.at_least(TILE)
    radius = geometry.receptive_field_radius
    overlap = USUAL_OVERLAP if radius is None else min(MOST_OVERLAP, math.ceil(200 * radius / side))
    names = model.labels.names[: max(2, model.spec.classes)]
    # Of several classes the most probable is taken, whatever its probability.
    threshold = 0.0 if model.spec.classes > 1 else 0.5 if model.threshold is None else model.threshold
    entries = {
        "model_type": "Segmentor",
        "class_names": {str(number): name for number, name in enumerate(names)},
        "tile_size": side,
        "tiles_size": side,
        "tiles_overlap": overlap,
        "standardization_mean": [0.0] * bands,
        "standardization_std": [1 / 255] * bands,
        "seg_thresh": threshold,
    }
    return {key: json.dumps(value) for key, value in entries.items()}
