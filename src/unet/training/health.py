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

import numpy as np
from numpy.typing import NDArray

from unet import files

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

COIN = math.log(2)
"""Cross-entropy of a coin's toss between two classes. Below it a network knows something (it may have been loaded),
and a loss that stays or rises a little means nothing."""

ABOVE = 1.25
"""The loss of a run with too high a rate stays so far above that of the untrained network; batches vary less."""

RISEN = 2.0
"""The loss has risen to so many times its lowest."""

DROP, BACK = 0.5, 0.8
"""A score that swings falls below the one share of the best so far, comes back above the other, and falls again ..."""

LEAST_DROP = 0.1
"""... by so much at least: scores near zero mean nothing yet."""

PEAK = 0.5
"""From this share of its peak on, the rate is to blame for what the loss does."""

FALLEN, LEARNED = 0.03, 0.1
"""A loss that has fallen neither by the one share since the first validation, nor by the other since the first steps
(which are few, so that it may have by chance), has not fallen."""

FAR = 3.0
"""A rate within this factor of the usual one is not to blame for a loss that does not fall."""

BY_CHANCE = 0.01
"""A picture is suspected when it would be in all bad batches by chance with at most this probability."""

LEAST_STEPS = 30
"""Of a training that is judged by its validations: fewer teach nothing, whatever the settings."""

JUDGED_FROM = 0.25
"""Share of the training from which on one class everywhere is no beginner's fault: it often is one before."""

NEARLY = 0.05
"""All classes but one, predicted on less than this share of their true area, count as not predicted."""

HARDLY = 0.01
"""The same for a single class, whose edges another one may well take."""

STARVING = 0.3
"""Share of the time, spent on waiting for samples, that is worth a remark ..."""

LEAST_WAITED = 5.0
"""... if it comes to so many seconds between two validations."""

OVERFITTED, TOO_EASY = 0.2, 0.1
"""Differences of mean IoU between training and validation pictures. Training pictures are expected to do better."""

CERTAIN = 3.0
"""Such a difference counts from so many standard errors on: a few pictures differ by chance."""


@dataclass(frozen=True)
class Remark:
    """Something that does not go well, since which step, and what to do; `over` is the step at which it had passed."""

    kind: str
    text: str
    remedy: str
    step: int
    over: int | None = None

    def __str__(self) -> str:
        return f"health: {self.text}; {self.remedy}"


@dataclass(frozen=True)
class Circumstances:
    """What remedies depend on.

    Attributes
    ----------
    names : tuple of str
        Of the classes.
    pictures : int
        To train on.
    shares : tuple of float
        Of the classes in the training pictures; empty where they are not known.
    weighted : bool
        Whether rare classes weigh more.
    usual_rate : float
        The usual peak of the optimiser.
    workers : int
        Processes that prepare samples.
    device : str
    """

    names: tuple[str, ...]
    pictures: int = 1
    shares: tuple[float, ...] = ()
    weighted: bool = False
    usual_rate: float = 2e-3
    workers: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Check:
    """A validation: how far the training is (0..1), mean loss of the steps since the last one, score, learning rate.

    `peak` is the highest rate, `counts` the confusion matrix (K, K) of all validation pictures, rows true.
    """

    step: int
    share: float
    loss: float
    score: float
    rate: float
    peak: float
    counts: NDArray[np.int64] | None = None


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
    def of(cls, state: dict[str, Any]) -> Health:
        """Return what `asdict` made plain."""
        health = cls(**state)
        health.remarks = [Remark(**remark) for remark in state.get("remarks", [])]
        return health

    # ---- steps ----

    def take(self, loss: float | None) -> str:
        """Take note of a step's loss, None where it was not finite; return why the run is lost, or nothing."""
        if loss is None:
            self.bad += 1
            return f"no finite loss in {self.bad} steps in a row" if self.bad >= MOST_BAD_STEPS else ""
        self.bad = 0
        self.updates += 1
        if len(self.first) < FIRST:
            self.first.append(loss)
        usual = median(self.recent or self.first)
        if loss > max(EXPLOSION * usual, self.untrained, COIN):
            self.exploded += 1
        else:
            self.exploded = 0
            self.recent = [*self.recent[1 - RECENT :], loss]
        return f"the loss rose from {usual:.3g} to {loss:.3g}" if self.exploded >= MOST_EXPLODED else ""

    def leave_out(self, step: int, names: Sequence[str], about: Circumstances) -> list[Remark]:
        """Take note of the pictures of a step without a finite loss; return what is new to say about them.

        To be called before `take`.
        """
        before = self.suspects
        self.suspects = [name for name in before if name in names] if self.left_out else list(names)
        self.left_out += 1
        if self.left_out == 1:
            text = f"step {step} had no finite loss or gradient and was left out ({', '.join(names)})"
            remedy = "look for values in them that are huge or no numbers; if it happens again, lower learning_rate"
            return self._add([Remark("not finite", text, remedy, step)])
        chance = len(names) * (len(names) / about.pictures) ** (self.left_out - 1)
        if len(self.suspects) == 1 and not self.bad and chance < BY_CHANCE:  # of many in a row, weights are the cause
            text = f"{self.left_out} steps had no finite loss, and only {self.suspects[0]} was in all of them"
            return self._add([Remark("bad picture", text, "mend this picture or its mask, or take it out", step)])
        return []

    def go_on(self, remark: Remark) -> list[Remark]:
        """Take note that the run went back to its last good state."""
        self.bad = self.exploded = self.updates = 0
        self.remarks.append(remark)
        return [remark]

    def time(self, waited: float, worked: float) -> None:
        """Take note of the seconds that a step waited for its samples, and of those that it computed."""
        self.waited += waited
        self.worked += worked

    # ---- validations ----

    def check(self, now: Check, about: Circumstances) -> list[Remark]:
        """Take note of a validation; return what is to be said for the first time."""
        self.losses.append(now.loss)  # NaN where no step had a finite one: no comparison holds then
        self.scores.append(now.score)
        found = [
            *_classes(now, about),
            *self._rate(now, about),
            *_waiting(now, about, self.waited, self.worked),
        ]
        if now.step < LEAST_STEPS:
            found = []
        self.waited = self.worked = 0.0
        kinds = [remark.kind for remark in found]
        self.remarks = [
            replace(remark, over=now.step) if remark.kind in PASSING - set(kinds) and remark.over is None else remark
            for remark in self.remarks
        ]
        confirmed = [remark for remark in found if remark.kind in self.pending or now.share >= 1]
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

    def _rate(self, now: Check, about: Circumstances) -> list[Remark]:
        start, lowest = self.untrained, min(self.losses)
        if not start > COIN:  # a network that was trained before, or no step yet
            return []
        too_high = f"learning rate {now.peak:.3g} is too high"
        lower = f"set learning_rate={_lower(now.peak, about.usual_rate)}"
        if now.rate >= PEAK * now.peak:
            if now.loss > ABOVE * start:
                text = f"{too_high}: the loss, {now.loss:.3g}, is above the untrained network's {start:.3g}"
                return [Remark("rate too high", text, lower, now.step)]
            if now.loss > max(RISEN * lowest, start / 2):
                text = f"{too_high}: the loss rose from {lowest:.3g} to {now.loss:.3g}"
                return [Remark("rate too high", text, lower, now.step)]
            if _swings(self.scores):
                text = f"{too_high}: the score swings ({', '.join(f'{score:.2f}' for score in self.scores[-5:])})"
                return [Remark("rate too high", text, lower, now.step)]
        if now.share >= 1 / 3 and now.loss > max((1 - FALLEN) * self.losses[0], (1 - LEARNED) * start):
            text = f"the loss has hardly fallen, from {start:.3g} to {now.loss:.3g}"
            if now.peak < about.usual_rate / FAR:
                text = f"learning rate {now.peak:.3g} is too low: {text}"
                return [Remark("rate too low", text, f"set learning_rate={about.usual_rate:g}, as is usual", now.step)]
            known = any(remark.kind == "rate too high" for remark in self.remarks)
            if known or now.peak > about.usual_rate * FAR:
                return [Remark("rate too high", f"{too_high}: {text}", lower, now.step)]
            remedy = "see in the report whether the masks fit the pictures, or train longer"
            return [Remark("nothing learned", text, remedy, now.step)]
        return []

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


PASSING = {"one class", "never predicted", "rate too high", "rate too low", "nothing learned", "waiting"}
"""Kinds that every validation judges anew, so that they can pass."""


def _classes(now: Check, about: Circumstances) -> list[Remark]:
    if now.counts is None or not now.counts.any():
        return []
    truth, predicted = now.counts.sum(axis=1) / now.counts.sum(), now.counts.sum(axis=0) / now.counts.sum()
    main = int(predicted.argmax())
    rest = 1 - truth[main]
    if now.share >= JUDGED_FROM and rest > 0 and 1 - predicted[main] < NEARLY * rest:
        others = _listed(about.names, truth, [k for k in range(len(truth)) if k != main and truth[k] > 0], 3)
        text = f"nearly every pixel is predicted as {about.names[main]}, and hardly any as {others}"
        remedy = _more_of_rare(about)
        if now.peak > FAR * about.usual_rate:
            remedy = f"set learning_rate={_lower(now.peak, about.usual_rate)}: {now.peak:.3g} is high"
        return [Remark("one class", text, remedy, now.step)]
    never = [k for k in range(len(truth)) if predicted[k] < HARDLY * truth[k]]
    if now.share < 0.5 or not never:
        return []
    unseen = [k for k in never if about.shares and not about.shares[k]]
    text = f"never or hardly predicted: {_listed(about.names, truth, never, 6)}"
    remedy = _more_of_rare(about)
    if unseen:
        names = ", ".join(about.names[k] for k in unseen)
        remedy = f"no training picture shows {names}: split in another way" + (f"; {remedy}" if unseen != never else "")
    return [Remark("never predicted", text, remedy, now.step)]


def _listed(names: Sequence[str], shares: NDArray[np.float64], which: list[int], most: int) -> str:
    """Return "pole (truly 0.9 %), sign (truly 0.2 %)", the largest first."""
    which = sorted(which, key=lambda k: -shares[k])
    said = ", ".join(f"{names[k]} (truly {100 * shares[k]:.2g} %)" for k in which[:most])
    return said + (f" and {len(which) - most} more" if len(which) > most else "")


def _lower(peak: float, usual: float) -> str:
    """Return a third of a learning rate, or the usual one where that is lower still."""
    return f"{usual if peak > FAR * usual else peak / 3:.1g}"


def _more_of_rare(about: Circumstances) -> str:
    # Weights first: they cost nothing. Whoever has them needs the rest.
    longer = "train longer, or at a larger scale in smaller crops"
    return f"{longer}; or add pictures that show it" if about.weighted else f"set class_weights=true; or {longer}"


def _waiting(now: Check, about: Circumstances, waited: float, worked: float) -> list[Remark]:
    if waited < LEAST_WAITED or waited < STARVING * (waited + worked):
        return []
    share = waited / (waited + worked)
    smaller = "save the pictures smaller (at the scale they are trained at)"
    if about.workers:
        text = f"the {about.device} waits {share:.0%} of the time for its samples"
        return [Remark("waiting", text, f"set workers above {about.workers}, or {smaller}", now.step)]
    text = f"{share:.0%} of the time goes into preparing samples"
    return [Remark("waiting", text, f"{smaller}, or set workers=1 to prepare them meanwhile", now.step)]


def _swings(scores: Sequence[float]) -> bool:
    """Tell whether the score fell, came back and fell again."""
    best, falls, low = 0.0, 0, False
    for score in scores:
        best = max(best, score)
        if low:
            low = score < BACK * best
        elif score < min(DROP * best, best - LEAST_DROP):
            low = True
            falls += 1
    return falls > 1


def write_remarks(path: Path, remarks: Sequence[Remark]) -> None:
    """Write remarks as JSON, whole or not at all."""
    files.write_json(path, [asdict(remark) for remark in remarks])
