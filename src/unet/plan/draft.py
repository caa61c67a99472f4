"""What is known while a plan is made: the data, the machine, and the settings decided so far."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from unet.config import Config
from unet.data.fingerprint import Fingerprint
from unet.models.spec import SETTINGS
from unet.plan.timing import seconds_to_train
from unet.preprocessing import scaled_size

LEAST_SAMPLES = 1000
"""So many views a narrow network wants on a small data set before its score levels off ..."""

SAMPLES_PER_POWER = 4e-5
"""... and on others this, times (all pixels that it is shown)^(3/4), times (pictures x classes)^(2/3)."""

MOST_VIEWS, MEASURED_PICTURES = 200, 500
"""No picture of so many at most is wanted to be seen more often, of more pictures each less often, by the root: from
there on time buys detail, and width, only."""

LEAST_VIEWS, FEWER_PICTURES = 75, 100
"""Each of so many pictures at most, if shown whole, is to be seen so often before time buys detail, of more pictures
each less often, by the root."""

PIECE = 1 << 22
"""Pixels; a larger picture, seen crop by crop, counts as so many pictures as it has such pieces."""

USUAL_BATCH, USUAL_CROP = 4, 384
"""Samples of a step where their number is given, and the side of one, by which the pixels of such a run are told."""

ENCODER_WIDTH = 16
"""Of the decoder on a pre-trained encoder: what is to be known of the picture is in the encoder."""

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
    ready : float
        Seconds of the time that are gone before the first step.
    processes : int
        How many share each batch; speed is that of all together, memory that of one.
    """

    speed: Speed
    memory: float
    ready: float = 0.0
    processes: int = 1


@dataclass(frozen=True)
class Draft:
    """What is known so far. Properties rest on settings that earlier rules have filled."""

    config: Config
    fingerprint: Fingerprint
    machine: Machine

    @property
    def seconds(self) -> float | None:
        """Time for training steps, None where steps or epochs are given instead."""
        seconds = self.config.training.seconds
        return None if seconds is None else seconds_to_train(seconds, self.machine.ready)

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
    def classes(self) -> int:
        """How many classes occur."""
        return sum(stats.share > 0 for stats in self.fingerprint.classes)

    @property
    def scale(self) -> float:
        """Factor on the size of pictures."""
        return cast(float, self.config.data.scale)

    @property
    def frame(self) -> tuple[int, int]:
        """Height and width of the usual picture, scaled."""
        return scaled_size(self.fingerprint.height, self.fingerprint.width, self.scale)

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
            return training.epochs * math.ceil(self.fingerprint.pictures / batch)
        return self.samples_in_time(self.width, self.crop) / batch

    @property
    def times_seen(self) -> float:
        """How many times the network is shown each part of a picture."""
        samples = self.steps * cast(int, self.config.training.batch_size)
        return samples * math.prod(self.crop) / (self.fingerprint.pictures * math.prod(self.frame))

    def pixels(self, width: int) -> float:
        """Return how many pixels a network of that width is shown in all."""
        training = self.config.training
        if training.steps is not None:
            return training.steps * (training.batch_size or USUAL_BATCH) * float(USUAL_CROP**2)
        if training.epochs is not None:
            return training.epochs * self.fingerprint.pictures * float(USUAL_CROP**2)
        return (self.seconds or 0.0) * self.machine.speed(width)

    @property
    def pictures(self) -> float:
        """How many pictures there are, huge ones counted by their pieces."""
        return self.fingerprint.pictures * max(1.0, self.fingerprint.height * self.fingerprint.width / PIECE)

    def wanted_samples(self, width: int, *, whole: bool = False) -> float:
        """Return how many views of crops, or of whole pictures, time is to be spent on; the rest is in their size."""
        least = LEAST_VIEWS * math.sqrt(self.pictures * min(self.pictures, FEWER_PICTURES)) if whole else 0.0
        return max(LEAST_SAMPLES, least, min(self.samples_by_law(width), self.most_samples))

    @property
    def most_samples(self) -> float:
        """How many views are wanted at most, however much time there is."""
        return MOST_VIEWS * math.sqrt(self.pictures * min(self.pictures, MEASURED_PICTURES))

    def samples_by_law(self, width: int) -> float:
        """Return the same as a law has it that goes through what three data sets did best with: docs/planning.md."""
        pixels = (self.seconds or 0.0) * self.machine.speed(width)
        return float(SAMPLES_PER_POWER * (self.pictures * self.classes) ** (2 / 3) * pixels**0.75)

    def samples_in_time(self, width: int, crop: tuple[int, int]) -> float:
        """Return how many crops a network of that width is shown in the time."""
        return (self.seconds or 0.0) * self.machine.speed(width) / math.prod(crop)
