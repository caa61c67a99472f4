"""The end of a run: pictures to look at, and the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import bundle, raster
from unet.data.pair_arrays import read_pair
from unet.data.pairs import Pair
from unet.inference.predictor import Predictor
from unet.labels import Labels
from unet.preprocessing import match_bands
from unet.report.page import write_report
from unet.runs.source import Source

SAMPLES = 6
"""Pictures shown in the report, from the worst to the best."""

SAMPLE_WIDTH = 480
"""Pixels of one picture of a sample."""


def finish_run(run: Path, source: Source, device: str) -> tuple[Path, dict[str, Any]]:
    """Draw samples with the best model of a run and write the report.

    Returns
    -------
    Path, dict
        The report, and the scores of evaluation.json.
    """
    scores = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    best = bundle.load(run / "model.safetensors")
    predictor = Predictor(best, device=device)
    pairs = {pair.name: pair for pair in source.val}
    ranked = [image["name"] for image in scores["images"]]
    places = sorted({round(place) for place in np.linspace(0, len(ranked) - 1, min(SAMPLES, len(ranked)))})
    for rank, place in enumerate(places):
        name = ranked[place].replace("/", "_")
        raster.write_picture(
            run / "samples" / f"{rank:02d}_{name}.png", sample(predictor, pairs[ranked[place]], source.labels)
        )
    page = write_report(run)
    return page, scores


def sample(predictor: Predictor, pair: Pair, labels: Labels) -> NDArray[np.uint8]:
    """Return picture, truth and prediction side by side, as one picture (H, W, 3)."""
    data_range = predictor.bundle.preprocessing.data_range
    picture, target = read_pair(pair, labels)
    predicted = predictor.predict(picture).indices
    panels = (_viewable(picture, data_range), labels.colorize(target), labels.colorize(predicted))
    return np.asarray(np.hstack([_reduced(panel) for panel in panels]), dtype=np.uint8)


def _viewable(picture: NDArray[Any], data_range: float) -> NDArray[np.uint8]:
    rgb = match_bands(picture[..., :1] if picture.shape[2] not in (1, 2, 3, 4) else picture, 3)
    return np.asarray(np.clip(rgb.astype(np.float32) / data_range * 255, 0, 255), dtype=np.uint8)


def _reduced(panel: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height = max(1, round(panel.shape[0] * SAMPLE_WIDTH / panel.shape[1]))
    how = "area" if panel.shape[1] > SAMPLE_WIDTH else "nearest"
    return np.asarray(raster.resize(panel, height, SAMPLE_WIDTH, how), dtype=np.uint8)
