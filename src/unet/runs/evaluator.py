"""Scores of a network while it is trained, and the model file of the best one."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import unet
from unet import bundle, processes
from unet.bundle import Bundle
from unet.data.pair_arrays import read_pair
from unet.data.pairs import Pair
from unet.errors import ConfigError
from unet.files import write_json
from unet.inference import evaluation
from unet.inference.predictor import Predictor
from unet.metrics.stored import checked_scores, deciding_score
from unet.parsing import read_json
from unet.plan.record import RunRecord
from unet.report.samples import sample_panels
from unet.runs.folder import MODEL
from unet.runs.validation_loss import ValidationLoss
from unet.terminal.display import Display
from unet.training.job import Validation
from unet.training.state import LoopState

MAX_COMPARED = 8
"""Training pictures that are scored beside the validation pictures, to tell what was learned by heart."""

MAX_TRACKED = 4
"""Validation pictures that trackers are shown with their true and predicted masks, the same at each validation."""

EVALUATION = "evaluation.json"


@dataclass
class Evaluator:
    """Scores networks as a user would be shown their masks, and keeps the last one scored when asked to.

    Attributes
    ----------
    folder : Path
        The run folder.
    record : RunRecord
    train, val : sequence of Pair
    display : Display
    scores : dict
        Of the last validation, as in evaluation.json.
    """

    folder: Path
    record: RunRecord
    train: Sequence[Pair]
    val: Sequence[Pair]
    display: Display
    scores: dict[str, Any] = field(default_factory=dict)

    @property
    def compared(self) -> Sequence[Pair]:
        """Training pictures that are scored at the end, evenly spread."""
        return self.train[:: ceil(len(self.train) / min(MAX_COMPARED, len(self.val)))]

    def as_bundle(self, network: nn.Module, **changes: Any) -> Bundle:
        """Return the model file of the weights as they are now."""
        state = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
        return replace(empty_bundle(self.record), state=state, **changes)

    def validate(self, network: nn.Module) -> Validation:
        """Score the validation pictures."""
        labels, training = self.record.labels, self.record.config.training
        predictor = self._predictor(network)
        pictures: dict[str, NDArray[np.uint8]] = {}

        def show(pair: Pair, predicted: NDArray[np.uint8]) -> None:
            if pair in self._tracked:
                picture, target = read_pair(pair, labels)
                panels = sample_panels(picture, target, predicted, labels, self.record.preprocessing.data_range)
                pictures[f"validation/{pair.name}"] = panels

        counts, loss = evaluation.count_with_loss(predictor, self._validated, self._loss, self.display.validating, show)
        scores = self.scores = evaluation.summarise(counts, self.val, labels)
        values = {f"val_{name}": scores[name] or 0.0 for name in ("mean_iou", "mean_dice", "pixel_accuracy")}
        total = np.sum(counts, axis=0)
        deciding = deciding_score(scores, training.best_by) or 0.0
        classes = {row["name"]: row["iou"] for row in scores["classes"] if row["iou"] is not None}
        return Validation(deciding, values, loss, pictures, total, tuple(_ious(scores)), classes)

    def score_trained(self, network: nn.Module) -> list[float]:
        """Return the mean IoU of some training pictures."""
        labels = self.record.labels
        examples = evaluation.EvaluationSet(self.compared, labels, self.record.preprocessing, cache_bytes=0)
        counts = evaluation.count(self._predictor(network), examples, self.display.validating)
        return _ious(evaluation.summarise(counts, self.compared, labels))

    def keep(self, network: nn.Module, state: LoopState) -> None:
        """Write the model file of a network that has just been validated, and its scores.

        The scores of all pictures come first, under the number of the step: whichever model file is there, its
        scores are there too.
        """
        scores = {key: value for key, value in self.scores.items() if key not in ("images", "confusion")}
        write_json(evaluation_file(self.folder, state.step), self.scores, durable=True)
        model = self.as_bundle(network, scores=scores, provenance=self._provenance(state))
        bundle.save(model, self.folder / MODEL)
        write_json(self.folder / EVALUATION, self.scores)
        for path in self.folder.glob("checkpoints/evaluation-*.json"):
            if path != evaluation_file(self.folder, state.step):
                path.unlink(missing_ok=True)

    def _predictor(self, network: nn.Module) -> Predictor:
        compute = self.record.compute
        return Predictor.from_network(
            network,
            empty_bundle(self.record),
            device=str(compute.device),
            exact=compute.precision == "32-true",
            notify=self.display.notify,
        )

    @cached_property
    def _validated(self) -> evaluation.EvaluationSet:
        return evaluation.EvaluationSet(self.val, self.record.labels, self.record.preprocessing)

    @cached_property
    def _tracked(self) -> Sequence[Pair]:
        """Validation pictures that trackers are shown: some of those that the first process scores, evenly spread."""
        if not self.record.config.training.trackers or not processes.is_first():
            return ()
        own = [self.val[number] for number in processes.share_of(len(self.val))]
        return own[:: ceil(len(own) / MAX_TRACKED)]

    @cached_property
    def _loss(self) -> ValidationLoss:
        return ValidationLoss.of_run(self.record)

    @cached_property
    def seen(self) -> dict[str, Any]:
        """What a model file remembers of the run's pictures."""
        return self.record.seen.to_dict()

    def _provenance(self, state: LoopState) -> dict[str, Any]:
        """Return where a model comes from: settings, data, versions, date."""
        return {
            "unet": unet.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "step": state.step,
            "seconds": round(state.seconds, 1),
            "train_pictures": len(self.train),
            "val_pictures": len(self.val),
            "seen": self.seen,
            "config": self.record.config.model_dump(mode="json", exclude_none=True),
        }


def empty_bundle(record: RunRecord) -> Bundle:
    """Return the model file of a run but for its weights and scores."""
    return Bundle(
        record.spec, record.file_labels, record.preprocessing, threshold=None, scores={}, provenance={}, state={}
    )


def evaluation_file(folder: Path, step: int) -> Path:
    """Return the file with the scores of the model of a step."""
    return folder / "checkpoints" / f"evaluation-{step}.json"


def kept_model(folder: Path, record: RunRecord) -> tuple[float, int]:
    """Return the score of the best weights of a run so far and their step, -1 and 0 where it has none."""
    if not (folder / MODEL).exists():
        return -1.0, 0
    model = bundle.load(folder / MODEL)
    score = deciding_score(model.scores, record.config.training.best_by) or 0.0
    return score, int(model.provenance.get("step", 0))


def read_evaluation(folder: Path, model: Bundle) -> dict[str, Any] | None:
    """Return the scores of all pictures that belong to a model file, None where they are lost."""
    for path in (evaluation_file(folder, int(model.provenance.get("step", -1))), folder / EVALUATION):
        try:
            scores = checked_scores(read_json(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, ConfigError):
            continue
        if all(scores.get(key) == value for key, value in model.scores.items()):
            return scores
    return None


def _ious(scores: dict[str, Any]) -> list[float]:
    return [image["mean_iou"] for image in scores["images"] if image["mean_iou"] is not None]
