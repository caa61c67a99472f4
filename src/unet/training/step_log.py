"""What trackers are told between validations: every so many steps loss, rate and speed."""

from __future__ import annotations

from collections.abc import Sequence

from unet.trackers import Tracker


class StepLog:
    """Tells trackers of every n-th step.

    All of it is known on the host already: the step has fetched its loss to see whether it is finite.

    Parameters
    ----------
    trackers : sequence of Tracker
    every : int
        As the setting `log_every`.
    """

    def __init__(self, trackers: Sequence[Tracker], every: int) -> None:
        self._trackers, self._every = trackers, every
        self._losses: list[float] = []
        self._pictures, self._seconds = 0, 0.0

    def count(self, step: int, loss: float | None, rate: float, pictures: int, seconds: float) -> None:
        """Take note of a step, and tell of it and of those before it if it is the turn.

        Parameters
        ----------
        step : int
        loss : float or None
            None where it was not finite.
        rate : float
            The learning rate.
        pictures : int
        seconds : float
            That it took, and was waited for its samples.
        """
        if loss is not None:
            self._losses.append(loss)
        self._pictures, self._seconds = self._pictures + pictures, self._seconds + seconds
        if step % self._every:
            return
        values = {"step/lr": rate, "step/pictures_per_second": self._pictures / max(self._seconds, 1e-9)}
        if self._losses:
            values["step/loss"] = sum(self._losses) / len(self._losses)
        for tracker in self._trackers:
            tracker.log_step(step, values)
        self._losses, self._pictures, self._seconds = [], 0, 0.0
