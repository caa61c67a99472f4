"""Where the time of a run goes: for training, for validations, and what is kept back for the end. All of it here."""

from __future__ import annotations

from dataclasses import dataclass

TRAINING_SHARE = 0.8
"""Of a time, planned for training steps; the rest goes to reading, validation and the report."""

REPORT_SECONDS = 6.0
"""Kept back for the last pictures and the report."""

VALIDATION_SHARE = 0.1
"""Validations take at most this share ..."""

COMPARISON_SHARE = 0.03
"""... and the scoring of some training pictures, at the end, this one, or it is left out."""

MARGIN = 1.1
"""The validation that ends a run is taken to last so many times as long as the one before."""


def seconds_to_train(total: float, ready: float = 0.0) -> float:
    """Return how much of a time can be planned for training steps: never more than it holds.

    Parameters
    ----------
    total : float
        From start to report.
    ready : float
        Seconds until the first step.

    Examples
    --------
    >>> seconds_to_train(600, ready=20), seconds_to_train(20, ready=8), seconds_to_train(5, ready=8)
    (480.0, 6.0, 0.0)
    """
    return max(0.0, min(TRAINING_SHARE * total, total - REPORT_SECONDS - ready))


@dataclass(frozen=True)
class TimeBudget:
    """The time of a run from its first step on.

    Attributes
    ----------
    seconds : float or None
        For training and all scoring, earlier sessions counted in; None where steps or epochs decide.
    comparison_share : float
        How long it takes to score training pictures for comparison, in validations.
    test_share : float
        How long it takes to score the test part, in validations.
    """

    seconds: float | None = None
    comparison_share: float = 0.0
    test_share: float = 0.0

    @classmethod
    def of_run(cls, total: float | None, spent: float, comparison_share: float, test_share: float) -> TimeBudget:
        """Return what is left of a total, from start to report, when so many seconds were spent on getting ready."""
        seconds = None if total is None else total - REPORT_SECONDS - spent
        return cls(seconds, comparison_share, test_share)

    def compares(self, validation_seconds: float) -> bool:
        """Tell whether there is time to score training pictures for comparison."""
        cost = self.comparison_share * validation_seconds
        return self.comparison_share > 0 and (self.seconds is None or cost <= COMPARISON_SHARE * self.seconds)

    def share_done(self, spent: float, validation_seconds: float) -> float:
        """Return how much of the training is done, 0..1, after so many seconds."""
        ends = 1 + self.test_share + (self.comparison_share if self.compares(validation_seconds) else 0.0)
        usable = (self.seconds or 0.0) - MARGIN * ends * validation_seconds
        return min(1.0, spent / max(1e-3, usable))

    def validation_gap(self, gap: float, validation_seconds: float) -> float:
        """Return the share of the training between two validations: `gap`, or more where they take too long."""
        if self.seconds is None:
            return gap
        return max(gap, validation_seconds / (VALIDATION_SHARE * max(self.seconds, 1)))
