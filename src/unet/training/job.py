"""What a training needs, put together by the command, and what it tells."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from unet.config import TrainingConfig
from unet.data.dataset import SegmentationDataset
from unet.devices import Compute
from unet.trackers import Tracker
from unet.training.checkpoint import Progress


@dataclass(frozen=True)
class Tick:
    """What there is to say after a step, for progress displays."""

    step: int
    epoch: float
    share: float
    loss: float
    best: float | None
    rate: float
    pictures_per_second: float
    seconds_left: float | None


class Display(Protocol):
    """Shows a person how the training goes."""

    def tick(self, tick: Tick) -> None:
        """Show a step."""

    def say(self, text: str) -> None:
        """Show a line that stays."""


@dataclass(frozen=True)
class Validation:
    """The outcome of one validation: the score that decides, numbers for the log, pictures for trackers.

    `counts` is the confusion matrix (K, K), rows true, and `images` the mean IoU of each picture.
    """

    score: float
    values: dict[str, float]
    pictures: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    counts: NDArray[np.int64] | None = None
    images: tuple[float, ...] = ()


@dataclass
class Training:
    """What the loop needs, put together by the command.

    Attributes
    ----------
    network : nn.Module
    dataset : SegmentationDataset
    settings : TrainingConfig
        With nothing left open: batch size, learning rate and one of seconds, steps or epochs are set.
    compute : Compute
    validate : callable
        Scores the network as it is.
    keep : callable
        Keeps the network as it is, which has just been validated as the best.
    trackers : sequence of Tracker
    display : Display
    checkpoint : Path
        Where the state is kept; resumed from when `resume` is set.
    class_weights : float Tensor (K,) or None
    kept : float
        Score of the weights that an earlier session kept: later than its checkpoint, perhaps, and not to be replaced
        by something worse.
    seconds : float or None
        Time for the training, its validations included and earlier sessions counted in.
    epoch_ended : callable, optional
        Called with the network and the number of the epoch that has ended.
    class_shares : tuple of float
        Share of each class in the training pictures, where it is known.
    score_trained : callable, optional
        Returns the mean IoU of some training pictures, as `validate` does of validation pictures; called at the end.
    score_share : float
        How long that takes, as a share of a validation.
    remarks : Path, optional
        File for what does not go well.
    """

    network: nn.Module
    dataset: SegmentationDataset
    settings: TrainingConfig
    compute: Compute
    validate: Callable[[nn.Module], Validation]
    keep: Callable[[nn.Module, Progress], None]
    trackers: Sequence[Tracker]
    display: Display
    checkpoint: Path
    class_weights: Tensor | None = None
    seconds: float | None = None
    resume: bool = False
    kept: float = -1.0
    epoch_ended: Callable[[nn.Module, int], None] | None = None
    class_shares: tuple[float, ...] = ()
    score_trained: Callable[[nn.Module], Sequence[float]] | None = None
    score_share: float = 0.0
    remarks: Path | None = None
    progress: Progress = field(default_factory=Progress)
    validation_seconds: float = 0.0

    def total_steps(self) -> int | None:
        """Return the number of steps of the whole run, None where time decides."""
        if self.settings.steps is not None:
            return self.settings.steps
        if self.settings.epochs is not None:
            return self.settings.epochs * self.steps_per_epoch()
        return None

    def steps_per_epoch(self) -> int:
        """Return how many steps see every picture once."""
        return max(1, math.ceil(len(self.dataset) / (self.settings.batch_size or 1)))
