"""Scores of a network while it is trained, and the model file of the best one."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import unet
from unet import bundle
from unet.bundle import Bundle
from unet.config import Config
from unet.data.pairs import Pair
from unet.devices import Compute
from unet.files import write_json
from unet.inference import evaluation
from unet.inference.predictor import Predictor
from unet.runs.finish import sample
from unet.runs.source import Source
from unet.terminal.display import Display
from unet.training.checkpoint import Progress
from unet.training.job import Validation

MOST_COMPARED = 8
"""Training pictures that are scored beside the validation pictures, to tell what was learned by heart."""


@dataclass
class Evaluator:
    """Scores networks as a user would be shown their masks, and keeps the last one scored when told to.

    Attributes
    ----------
    run : Path
        The run folder.
    template : Bundle
        The model file but for its weights.
    source : Source
    resolved : Config
    compute : Compute
    display : Display
    scores : dict
        Of the last validation, as in evaluation.json.
    """

    run: Path
    template: Bundle
    source: Source
    resolved: Config
    compute: Compute
    display: Display
    scores: dict[str, Any] = field(default_factory=dict)

    @property
    def compared(self) -> Sequence[Pair]:
        """Training pictures that are scored at the end, evenly spread."""
        train, val = self.source.train, self.source.val
        return train[:: ceil(len(train) / min(MOST_COMPARED, len(val)))]

    def as_bundle(self, network: nn.Module, **about: Any) -> Bundle:
        """Return the model file of the weights as they are now."""
        state = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
        return replace(self.template, state=state, **about)

    def validate(self, network: nn.Module) -> Validation:
        """Score the validation pictures."""
        source, training = self.source, self.resolved.training
        predictor = self._predictor(network)
        counts = evaluation.count(predictor, source.val, source.labels, self.display.validating)
        scores = self.scores = evaluation.summarise(counts, source.val, source.labels)
        values = {f"val_{name}": scores[name] or 0.0 for name in ("mean_iou", "mean_dice", "pixel_accuracy")}
        pictures = {"validation": sample(predictor, source.val[0], source.labels)} if training.trackers else {}
        total = np.sum(counts, axis=0)
        return Validation(scores[training.best_by] or 0.0, values, pictures, total, tuple(_ious(scores)))

    def score_trained(self, network: nn.Module) -> list[float]:
        """Return the mean IoU of some training pictures."""
        counts = evaluation.count(self._predictor(network), self.compared, self.source.labels, self.display.validating)
        return _ious(evaluation.summarise(counts, self.compared, self.source.labels))

    def keep(self, network: nn.Module, progress: Progress) -> None:
        """Write the model file of a network that has just been validated, and its scores."""
        scores = {key: value for key, value in self.scores.items() if key not in ("images", "confusion")}
        about = provenance(self.resolved, progress, self.source)
        bundle.save(self.as_bundle(network, scores=scores, provenance=about), self.run / "model.safetensors")
        write_json(self.run / "evaluation.json", self.scores)

    def _predictor(self, network: nn.Module) -> Predictor:
        exact = self.compute.precision == "32-true"
        return Predictor(self.as_bundle(network), device=str(self.compute.device), exact=exact)


def _ious(scores: dict[str, Any]) -> list[float]:
    return [image["mean_iou"] for image in scores["images"] if image["mean_iou"] is not None]


def kept_score(run: Path, resolved: Config) -> float:
    """Return the score of the best weights of a run so far, -1 where it has none."""
    path = run / "model.safetensors"
    scores = bundle.load(path).scores if path.exists() else {}
    return float(scores.get(resolved.training.best_by) or -1.0)


def provenance(resolved: Config, progress: Progress, source: Source) -> dict[str, Any]:
    """Return where a model comes from: settings, data, versions, date."""
    return {
        "unet": unet.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "step": progress.step,
        "seconds": round(progress.seconds, 1),
        "train_pictures": len(source.train),
        "val_pictures": len(source.val),
        "config": resolved.model_dump(mode="json", exclude_none=True),
    }
