"""The end of a run: the scores of the kept model, of the test part, pictures to look at, and the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.data.pair_arrays import read_pair
from unet.data.pairs import Pair
from unet.files import write_json
from unet.inference import evaluation
from unet.inference.predictor import Predictor
from unet.labels import Labels
from unet.metrics.resampling import confidence
from unet.report.samples import sample_panels, write_sample
from unet.runs.folder import DRAWN

MAX_SAMPLES = 6
"""Pictures shown in the report, from the worst to the best."""

TEST = "test.json"


def score_test_part(
    folder: Path, predictor: Predictor, pairs: Sequence[Pair], labels: Labels, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Score the pictures that neither trained a model nor chose its weights; write test.json and pictures of them."""
    examples = evaluation.EvaluationSet(pairs, labels, predictor.bundle.preprocessing, cache_bytes=0)
    counts = evaluation.count(predictor, examples, progress)
    scores = {**evaluation.summarise(counts, pairs, labels), "confidence": confidence(counts)}
    write_json(folder / TEST, scores)
    draw_samples(folder / "samples" / "test", predictor, pairs, labels, scores)
    return scores


def clear_test_part(folder: Path) -> None:
    """Delete what `score_test_part` has written of an earlier model."""
    for path in (folder / TEST, *folder.glob(f"samples/test/{DRAWN}")):
        path.unlink(missing_ok=True)


def draw_samples(
    folder: Path, predictor: Predictor, pairs: Sequence[Pair], labels: Labels, scores: dict[str, Any]
) -> None:
    """Draw some pictures that were scored, from the worst to the best; those of earlier sessions go."""
    for old in folder.glob(DRAWN):
        old.unlink()
    by_name = {pair.name: pair for pair in pairs}
    ranked = [image["name"] for image in scores["images"] if image["name"] in by_name]
    places = sorted({round(place) for place in np.linspace(0, len(ranked) - 1, min(MAX_SAMPLES, len(ranked)))})
    for rank, place in enumerate(places):
        name = ranked[place].replace("/", "_")
        picture = draw_sample(predictor, by_name[ranked[place]], labels)
        write_sample(folder / f"{rank:02d}_{name}.png", picture, labels)


def draw_sample(predictor: Predictor, pair: Pair, labels: Labels) -> NDArray[np.uint8]:
    """Return picture, truth, prediction and mistakes side by side, as `sample_panels` draws them."""
    picture, target = read_pair(pair, labels)
    predicted = predictor.predict(picture).indices
    return sample_panels(picture, target, predicted, labels, predictor.bundle.preprocessing.data_range)
