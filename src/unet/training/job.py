"""What a training needs, put together by `unet.runs`, and what it tells."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from unet.data.dataset import SegmentationDataset
from unet.plan.timing import TimeBudget
from unet.trackers import Tracker
from unet.training.diagnosis import TrainingContext
from unet.training.engine import Engine
from unet.training.state import LoopState


@dataclass(frozen=True)
class Tick:
    """What there is to show after a step."""

    step: int
    epoch: float
    share: float
    loss: float
    best: float | None
    rate: float
    pictures_per_second: float
    seconds_left: float | None


class ProgressDisplay(Protocol):
    """Shows a person how the training goes."""

    def tick(self, tick: Tick) -> None:
        """Show a step."""

    def notify(self, text: str) -> None:
        """Show a line that stays."""


@dataclass(frozen=True)
class Validation:
    """The outcome of one validation: the score that decides, numbers for the log, pictures for trackers, the loss.

    `counts` is the confusion matrix (K, K), rows true, `images` the mean IoU of each picture, and `classes` the IoU
    of each class that occurs, by name.
    """

    score: float
    values: dict[str, float]
    loss: float = math.nan
    pictures: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    counts: NDArray[np.int64] | None = None
    images: tuple[float, ...] = ()
    classes: dict[str, float] = field(default_factory=dict)


class Scorer(Protocol):
    """Scores the network under training, and keeps it where it is the best so far, or the last."""

    def validate(self, network: nn.Module) -> Validation:
        """Score the validation pictures."""

    def keep(self, network: nn.Module, state: LoopState) -> None:
        """Keep the network, which has just been validated, as the best one."""

    def score_trained(self, network: nn.Module) -> Sequence[float]:
        """Return the mean IoU of some training pictures."""


@dataclass
class TrainingJob:
    """What the loop works with.

    Attributes
    ----------
    engine : Engine
    dataset : SegmentationDataset
    scorer : Scorer
    trackers : sequence of Tracker
    display : ProgressDisplay
    checkpoints : Path
        The folder of the states.
    remarks : Path
        The file for what does not go well.
    restart : callable
        Gives the network the weights that it had at first.
    budget : TimeBudget
    context : Circumstances
    state : LoopState
        Where to begin; the loop goes on with it.
    epoch_ended : callable, optional
        Called with the network and the number of the epoch that has ended.
    """

    engine: Engine
    dataset: SegmentationDataset
    scorer: Scorer
    trackers: Sequence[Tracker]
    display: ProgressDisplay
    checkpoints: Path
    remarks: Path
    restart: Callable[[], None]
    budget: TimeBudget
    context: TrainingContext
    state: LoopState = field(default_factory=LoopState)
    epoch_ended: Callable[[nn.Module, int], None] | None = None

    @property
    def epochs(self) -> float:
        """Passes over the data so far."""
        return self.state.samples / len(self.dataset)

    @property
    def steps_per_epoch(self) -> int:
        """How many steps see every picture once."""
        return max(1, math.ceil(len(self.dataset) / (self.engine.settings.batch_size or 1)))

    @property
    def total_steps(self) -> int | None:
        """The number of steps of the whole run, None where time decides."""
        settings = self.engine.settings
        if settings.steps is None and settings.epochs is not None:
            return settings.epochs * self.steps_per_epoch
        return settings.steps

    @property
    def share_done(self) -> float:
        """How much of the training is done, 0..1."""
        if self.total_steps is not None:
            return min(1.0, self.state.step / self.total_steps)
        return self.budget.share_done(self.state.seconds, self.state.validation_seconds)
