"""What is known while a plan is made: the data, the machine, and the settings decided so far."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from unet.config import Config
from unet.data.fingerprint import Fingerprint
from unet.models.spec import SETTINGS
from unet.preprocessing import scaled_size

TRAINING_SHARE = 0.8
"""Of the time; the rest goes to reading, validation and the report."""

VIEWS = 1000
"""So many views a narrow network wants on a small data set before its score levels off ..."""

VIEWS_PER_ROOT = 0.0045
"""... and on others this, times the square root of all pixels that it is shown, times (pictures x classes)^(2/3)."""

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
    """

    speed: Speed
    memory: float


@dataclass(frozen=True)
class Draft:
    """What is known so far. Properties rest on settings that earlier rules have filled."""

    config: Config
    about: Fingerprint
    machine: Machine

    @property
    def seconds(self) -> float | None:
        """Time for training steps, None where steps or epochs are given instead."""
        seconds = self.config.training.seconds
        return None if seconds is None else TRAINING_SHARE * seconds

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
    def scale(self) -> float:
        """Factor on the size of pictures."""
        return cast(float, self.config.data.scale)

    @property
    def frame(self) -> tuple[int, int]:
        """Height and width of the usual picture, scaled."""
        return scaled_size(self.about.height, self.about.width, self.scale)

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
            return training.epochs * math.ceil(self.about.pictures / batch)
        return self.views_in_time(self.width, self.crop) / batch

    @property
    def seen(self) -> float:
        """How many times the network is shown each part of a picture."""
        views = self.steps * cast(int, self.config.training.batch_size)
        return views * math.prod(self.crop) / (self.about.pictures * math.prod(self.frame))

    def wanted_views(self, width: int) -> float:
        """Return how many views of pictures, or of crops, the time is to be spent on; the rest is in their size."""
        return max(VIEWS, self.views_by_law(width))

    def views_by_law(self, width: int) -> float:
        """Return the same as a law has it that goes through what three data sets did best with: docs/planning.md."""
        classes = sum(facts.share > 0 for facts in self.about.classes)
        pixels = (self.seconds or 0.0) * self.machine.speed(width)
        found: float = VIEWS_PER_ROOT * (self.about.pictures * classes) ** (2 / 3) * math.sqrt(pixels)
        return found

    def views_in_time(self, width: int, crop: tuple[int, int]) -> float:
        """Return how many crops a network of that width is shown in the time."""
        return (self.seconds or 0.0) * self.machine.speed(width) / math.prod(crop)
