"""Does a training go well? Facts in, remarks in plain words out; no network is touched here.

A false alarm is worse than silence. What is judged by validations is therefore said only when two in a row show it
(or the last one), and only once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean, median, variance
from typing import Any

from unet import files
from unet.training.diagnosis import (
    ABOVE,
    COIN,
    RISEN,
    Check,
    Remark,
    TrainingContext,
    diagnose_classes,
    diagnose_rate,
    diagnose_swings,
    diagnose_waiting,
)

MOST_BAD_STEPS = 10
"""So many steps in a row without a finite loss are no accident of single pictures."""

EXPLOSION = 10.0
"""A loss so many times the median of the latest steps ..."""

MOST_EXPLODED = 5
"""... in so many steps in a row has exploded: single odd batches reach the one, but not the other."""

RECENT = 50
"""Steps that the median is taken of."""

FIRST = 5
"""The median loss of so many first steps, in which the rate is low still, is that of the untrained network."""

BY_CHANCE = 0.01
"""A picture is suspected when it would be in all bad batches by chance with at most this probability."""

LEAST_STEPS = 30
"""Of a training that is judged by its validations: fewer teach nothing, whatever the settings."""

OVERFITTED, TOO_EASY = 0.2, 0.1
"""Differences of mean IoU between training and validation pictures. Training pictures are expected to do better."""

CERTAIN = 3.0
"""Such a difference counts from so many standard errors on: a few pictures differ by chance."""


PASSING = {"one class", "never predicted", "rate too high", "rate too low", "nothing learned", "waiting"}
"""Kinds that every validation judges anew, so that they can pass."""


@dataclass
class Health:
    """What was seen of a training, as plain data: a checkpoint holds it.

    Attributes
    ----------
    remarks : list of Remark
    first, recent : list of float
        Losses of the first steps, and of the latest ones that were in order.
    bad, exploded : int
        Steps in a row whose loss was not finite, or far too large.
    updates : int
        Steps that changed the weights since the last good state.
    left_out : int
        Steps without a finite loss, of the whole training.
    suspects : list of str
        Pictures that were in all of them.
    losses, scores : list of float
        Of the validations.
    pending : list of str
        Kinds of what the last validation showed.
    waited, worked : float
        Seconds since the last validation.
    """

    remarks: list[Remark] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    bad: int = 0
    exploded: int = 0
    updates: int = 0
    left_out: int = 0
    suspects: list[str] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    waited: float = 0.0
    worked: float = 0.0

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Health:
        """Return what `asdict` made plain."""
        health = cls(**state)
        health.remarks = [Remark(**remark) for remark in state.get("remarks", [])]
        return health

    # ---- steps ----

    def count_loss(self, loss: float | None) -> str:
        """Take note of a step's loss, None where it was not finite; return why the run is lost, or nothing."""
        if loss is None:
            self.bad += 1
            return f"no finite loss in {self.bad} steps in a row" if self.bad >= MOST_BAD_STEPS else ""
        self.bad = 0
        self.updates += 1
        if loss == 0:  # all pixels are ignored, or all are right: it does not tell what is usual
            return ""
        if len(self.first) < FIRST:
            self.first.append(loss)
        usual = median(self.recent or self.first)
        if loss > max(EXPLOSION * usual, self.untrained, COIN):
            self.exploded += 1
        else:
            self.exploded = 0
            self.recent = [*self.recent[1 - RECENT :], loss]
        return f"the loss rose from {usual:.3g} to {loss:.3g}" if self.exploded >= MOST_EXPLODED else ""

    def leave_out(self, step: int, names: Sequence[str], context: TrainingContext) -> list[Remark]:
        """Take note of the pictures of a step without a finite loss; return what is new to say about them.

        To be called before `count_loss`.
        """
        before = self.suspects
        self.suspects = [name for name in before if name in names] if self.left_out else list(names)
        self.left_out += 1
        if self.left_out == 1:
            text = f"step {step} had no finite loss or gradient and was left out ({', '.join(names)})"
            remedy = "look for values in them that are huge or no numbers; if it happens again, lower learning_rate"
            return self._add([Remark("not finite", text, remedy, step)])
        chance = len(names) * (len(names) / context.pictures) ** (self.left_out - 1)
        if len(self.suspects) == 1 and not self.bad and chance < BY_CHANCE:  # of many in a row, weights are the cause
            text = f"{self.left_out} steps had no finite loss, and only {self.suspects[0]} was in all of them"
            return self._add([Remark("bad picture", text, "mend this picture or its mask, or take it out", step)])
        return []

    def go_on(self, remark: Remark) -> list[Remark]:
        """Take note that the run went back to its last good state."""
        self.bad = self.exploded = self.updates = 0
        self.remarks.append(remark)
        return [remark]

    def count_seconds(self, waited: float, worked: float) -> None:
        """Take note of the seconds that a step waited for its samples, and of those that it computed."""
        self.waited += waited
        self.worked += worked

    # ---- validations ----

    def check(self, now: Check, context: TrainingContext) -> list[Remark]:
        """Take note of a validation; return what is to be said for the first time."""
        self.losses.append(now.loss)  # NaN where no step had a finite one: no comparison holds then
        self.scores.append(now.score)
        remarks = [
            *diagnose_classes(now, context),
            *diagnose_rate(now, context, self.untrained, self.losses, self.scores, self._knows("rate too high")),
            *diagnose_waiting(now, context, self.waited, self.worked),
            *diagnose_swings(now, self.scores),
        ]
        if now.step < LEAST_STEPS:
            remarks = []
        self.waited = self.worked = 0.0
        kinds = [remark.kind for remark in remarks]
        self.remarks = [
            replace(remark, over=now.step) if remark.kind in PASSING - set(kinds) and remark.over is None else remark
            for remark in self.remarks
        ]
        confirmed = [remark for remark in remarks if remark.kind in self.pending or now.share >= 1]
        self.pending = kinds
        return self._add(confirmed)

    def compare(self, step: int, trained: Sequence[float], held_out: Sequence[float]) -> list[Remark]:
        """Compare the mean IoU of training pictures with that of validation pictures, both picture by picture."""
        if min(len(trained), len(held_out)) < 3:
            return []
        difference = fmean(trained) - fmean(held_out)
        error = math.sqrt(variance(trained) / len(trained) + variance(held_out) / len(held_out))
        if abs(difference) < CERTAIN * error:
            return []
        means = f"mean IoU {fmean(trained):.2f} on training pictures and {fmean(held_out):.2f} on validation pictures"
        if difference > OVERFITTED:
            remedy = "more pictures help most; else a smaller width or a shorter training"
            return self._add([Remark("overfitting", f"{means}: it learns them by heart", remedy, step)])
        if difference < -TOO_EASY:
            remedy = "make sure that no picture or scene is in both (--group), and that the split is a fair one"
            return self._add([Remark("easy validation", f"{means}: these are easier, or known", remedy, step)])
        return []

    @property
    def is_good(self) -> bool:
        """Tell whether the state is worth going back to."""
        # By the very first loss: the weights had not been changed yet.
        sane = not self.losses or self.losses[-1] <= ABOVE * max([COIN, *self.first[:1]])
        return sane and not self.bad and not self.exploded

    @property
    def untrained(self) -> float:
        """Loss of the untrained network, as far as the first steps had not spoilt it already."""
        return min(median(self.first), RISEN * self.first[0]) if self.first else math.nan

    def _knows(self, kind: str) -> bool:
        return any(remark.kind == kind for remark in self.remarks)

    def _add(self, remarks: list[Remark]) -> list[Remark]:
        """Keep remarks, those of a known kind in the place of the old one; return the others."""
        known = {remark.kind: place for place, remark in enumerate(self.remarks)}
        new = [remark for remark in remarks if remark.kind not in known]
        for remark in remarks:
            if remark.kind in known:
                place = known[remark.kind]
                self.remarks[place] = replace(remark, step=self.remarks[place].step)
        self.remarks += new
        return new


def write_remarks(path: Path, remarks: Sequence[Remark]) -> None:
    """Write remarks as JSON, whole or not at all."""
    files.write_json(path, [asdict(remark) for remark in remarks])
