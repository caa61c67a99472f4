"""What a validation says of a training: facts in, remarks in plain words out; no network is touched here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

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

SWING = 0.08
"""Validations swing that fall by so much twice, from one to the next, after the first quarter of them."""

PEAK = 0.5
"""From this share of its peak on, the rate is to blame for what the loss does."""

FALLEN, LEARNED = 0.03, 0.1
"""A loss that has fallen neither by the one share since the first validation, nor by the other since the first steps
(which are few, so that it may have by chance), has not fallen."""

FAR = 3.0
"""A rate within this factor of the usual one is not to blame for a loss that does not fall."""

ONE_CLASS_FROM = 0.25
"""Share of the training from which on one class everywhere is no beginner's fault: it often is one before."""

NEARLY = 0.05
"""All classes but one, predicted on less than this share of their true area, count as not predicted."""

HARDLY = 0.01
"""The same for a single class, whose edges another one may well take."""

STARVING = 0.3
"""Share of the time, spent on waiting for samples, that is worth a remark ..."""

LEAST_WAITED = 5.0
"""... if it comes to so many seconds between two validations."""


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
class TrainingContext:
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


def diagnose_rate(
    now: Check,
    context: TrainingContext,
    untrained: float,
    losses: Sequence[float],
    scores: Sequence[float],
    known: bool,
) -> list[Remark]:
    """Return what the losses and the scores of all validations say of the learning rate.

    Parameters
    ----------
    untrained : float
        The loss of the untrained network.
    known : bool
        The rate was found too high before.
    """
    start, lowest = untrained, min(losses)
    if not start > COIN:  # a network that was trained before, or no step yet
        return []
    too_high = f"learning rate {now.peak:.3g} is too high"
    lower = f"set learning_rate={_lower(now.peak, context.usual_rate)}"
    if now.rate >= PEAK * now.peak:
        if now.loss > ABOVE * start:
            text = f"{too_high}: the loss, {now.loss:.3g}, is above the untrained network's {start:.3g}"
            return [Remark("rate too high", text, lower, now.step)]
        if now.loss > max(RISEN * lowest, start / 2):
            text = f"{too_high}: the loss rose from {lowest:.3g} to {now.loss:.3g}"
            return [Remark("rate too high", text, lower, now.step)]
        if _swings(scores):
            text = f"{too_high}: the score swings ({', '.join(f'{score:.2f}' for score in scores[-5:])})"
            return [Remark("rate too high", text, lower, now.step)]
    if now.share >= 1 / 3 and now.loss > max((1 - FALLEN) * losses[0], (1 - LEARNED) * start):
        text = f"the loss has hardly fallen, from {start:.3g} to {now.loss:.3g}"
        if now.peak < context.usual_rate / FAR:
            text = f"learning rate {now.peak:.3g} is too low: {text}"
            return [Remark("rate too low", text, f"set learning_rate={context.usual_rate:g}, as is usual", now.step)]
        if known or now.peak > context.usual_rate * FAR:
            return [Remark("rate too high", f"{too_high}: {text}", lower, now.step)]
        remedy = "see in the report whether the masks fit the pictures, or train longer"
        return [Remark("nothing learned", text, remedy, now.step)]
    return []


def diagnose_classes(now: Check, context: TrainingContext) -> list[Remark]:
    """Return what the predicted classes say: one class everywhere, classes that are never predicted."""
    if now.counts is None or not now.counts.any():
        return []
    truth, predicted = now.counts.sum(axis=1) / now.counts.sum(), now.counts.sum(axis=0) / now.counts.sum()
    main = int(predicted.argmax())
    rest = 1 - truth[main]
    if now.share >= ONE_CLASS_FROM and rest > 0 and 1 - predicted[main] < NEARLY * rest:
        others = _listed(context.names, truth, [k for k in range(len(truth)) if k != main and truth[k] > 0], 3)
        text = f"nearly every pixel is predicted as {context.names[main]}, and hardly any as {others}"
        remedy = _more_of_rare(context)
        if now.peak > FAR * context.usual_rate:
            remedy = f"set learning_rate={_lower(now.peak, context.usual_rate)}: {now.peak:.3g} is high"
        return [Remark("one class", text, remedy, now.step)]
    never = [k for k in range(len(truth)) if predicted[k] < HARDLY * truth[k]]
    if now.share < 0.5 or not never:
        return []
    unseen = [k for k in never if context.shares and not context.shares[k]]
    text = f"never or hardly predicted: {_listed(context.names, truth, never, 6)}"
    remedy = _more_of_rare(context)
    if unseen:
        names = ", ".join(context.names[k] for k in unseen)
        remedy = f"no training picture shows {names}: split in another way" + (f"; {remedy}" if unseen != never else "")
    return [Remark("never predicted", text, remedy, now.step)]


def _listed(names: Sequence[str], shares: NDArray[np.float64], which: list[int], most: int) -> str:
    """Return "pole (truly 0.9 %), sign (truly 0.2 %)", the largest first."""
    which = sorted(which, key=lambda k: -shares[k])
    listing = ", ".join(f"{names[k]} (truly {100 * shares[k]:.2g} %)" for k in which[:most])
    return listing + (f" and {len(which) - most} more" if len(which) > most else "")


def _lower(peak: float, usual: float) -> str:
    """Return a third of a learning rate, or the usual one where that is lower still."""
    return f"{usual if peak > FAR * usual else peak / 3:.1g}"


def _more_of_rare(context: TrainingContext) -> str:
    # Weights first: they cost nothing. Whoever has them needs the rest.
    longer = "train longer, or at a larger scale in smaller crops"
    return f"{longer}; or add pictures that show it" if context.weighted else f"set class_weights=true; or {longer}"


def diagnose_waiting(now: Check, context: TrainingContext, waited: float, worked: float) -> list[Remark]:
    """Return whether too much time goes into waiting for samples; the seconds are those since the last validation."""
    if waited < LEAST_WAITED or waited < STARVING * (waited + worked):
        return []
    share = waited / (waited + worked)
    smaller = "save the pictures smaller (at the scale they are trained at)"
    if context.workers:
        text = f"the {context.device} waits {share:.0%} of the time for its samples"
        return [Remark("waiting", text, f"set workers above {context.workers}, or {smaller}", now.step)]
    text = f"{share:.0%} of the time goes into preparing samples"
    return [Remark("waiting", text, f"{smaller}, or set workers=1 to prepare them meanwhile", now.step)]


def diagnose_swings(now: Check, scores: Sequence[float]) -> list[Remark]:
    """Return whether the scores of all validations go up and down, so that the best of them is partly luck."""
    falls = sum(before - after > SWING for before, after in pairwise(scores[len(scores) // 4 :]))
    if falls < 2:
        return []
    listing = ", ".join(f"{score:.2f}" for score in scores[-6:])
    text = f"validations swing ({listing}): the best of them is partly luck"
    remedy = "trust a test part (--test 0.2); larger batches, norm=instance or a lower learning_rate calm them"
    return [Remark("swings", text, remedy, now.step)]


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
