"""How a training ended: what was planned, what was reached, and why that is less where it is."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from unet import files
from unet.errors import ConfigError
from unet.parsing import as_dataclass, read_json
from unet.report import words

FILE = "outcome.json"

SHORT = 0.5
"""A run that did fewer than this share of its planned steps was cut short."""

FEW_STEPS = 30
"""Fewer steps than these teach nothing, whatever was planned."""


@dataclass(frozen=True)
class Outcome:
    """The end of a training.

    Attributes
    ----------
    steps : int
        That were done.
    seconds : float
        That they took, with their validations.
    planned : float
        Steps; 0 where it is not known.
    estimated : bool
        They were, from the time that was given.
    finished : bool
        It came to its end.
    why : str
        It fell short, in words; empty where it did not.
    """

    steps: int
    seconds: float
    planned: float
    estimated: bool
    finished: bool
    why: str = ""

    @property
    def is_short(self) -> bool:
        """Whether far less was done than planned, or hardly anything."""
        return self.steps < max(FEW_STEPS, SHORT * self.planned)

    def sentence(self) -> str:
        """Return what was done, of what was planned, and why not all.

        Examples
        --------
        >>> Outcome(60, 50.0, 60, estimated=False, finished=True).sentence()
        '60 steps in 50 seconds, as planned'
        >>> Outcome(9, 50.0, 61.3, estimated=True, finished=False, why="stopped").sentence()
        '9 steps in 50 seconds, of about 61 planned: stopped'
        """
        done = f"{words.counted(self.steps, 'step')} in {words.duration(self.seconds)}"
        planned = max(1, math.floor(self.planned))
        if not self.planned:
            told = ""
        elif self.steps == planned:
            told = ", as planned"
        else:
            told = f", of {'about ' if self.estimated else ''}{planned:,} planned"
        return f"{done}{told}{': ' if self.why else ''}{self.why}".replace("\N{NO-BREAK SPACE}", " ")


def write_outcome(run: Path, outcome: Outcome) -> None:
    """Write how a training ended into its folder."""
    files.write_json(run / FILE, asdict(outcome))


def read_outcome(run: Path) -> Outcome | None:
    """Return how the training in a folder ended, None where it goes on, was killed, or is of an earlier version."""
    try:
        return as_dataclass(Outcome, read_json((run / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, ConfigError):  # ValueError: no text
        return None
