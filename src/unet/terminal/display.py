"""What a person sees while a command works: a bar on a terminal and in a notebook, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from unet.terminal.bars import bars_for
from unet.terminal.speech import current_speech, open_console

if TYPE_CHECKING:
    from unet.training.job import Tick  # Lightning is slow to import, and prediction does without it


def open_display() -> Display:
    """Return the display for the terminal or the log that this process writes to (standard error)."""
    return Display(open_console(stderr=True))


class Display:
    """Progress and lines of one command; use it as a context around the long part.

    Parameters
    ----------
    console : rich.console.Console
        Bars are drawn only where it is a terminal or a notebook; lines always, unless it is quiet.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._speech = current_speech()
        self._bars: Progress | None = None
        self._training: TaskID | None = None
        self._checking: TaskID | None = None

    def __enter__(self) -> Display:
        self._bars = bars_for(
            self.console,
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
        self._bars = self._training = self._checking = None

    def notify(self, text: str) -> None:
        """Show a line that stays."""
        self._speech.note(text)
        self.console.print(text, markup=False)

    def tick(self, tick: Tick) -> None:
        """Show a step of a training."""
        if self._bars is None:
            return
        if self._training is None:
            self._training = self._bars.add_task("training", total=1.0, detail="", left="")
        left = "" if tick.seconds_left is None else f"{_clock(tick.seconds_left)} left"
        score = "" if tick.best is None else f"best {tick.best:.3f}  "
        detail = f"step {tick.step}  loss {tick.loss:.3f}  {score}{tick.pictures_per_second:.1f} pictures/s"
        self._bars.update(self._training, completed=tick.share, detail=detail, left=left)

    def validating(self, done: int, total: int) -> None:
        """Show how far a validation is."""
        if self._bars is None:
            return
        if self._checking is None:
            self._checking = self._bars.add_task("validation", total=total, detail="", left="")
        self._bars.update(self._checking, completed=done, total=total, detail=f"{done}/{total}", visible=done < total)

    def counting(self, what: str) -> Counting:
        """Return a context whose value is called with (done, total) while `what` goes on."""
        return Counting(self.console, what)


class Counting:
    """A bar for one counted piece of work."""

    def __init__(self, console: Console, what: str) -> None:
        self._bars = bars_for(console, TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._task = TaskID(0)

    def __enter__(self) -> Counting:
        if self._bars is not None:
            self._bars.start()
            self._task = self._bars.add_task("", total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, done: int, total: int) -> None:
        """Show how many are done."""
        if self._bars is not None:
            self._bars.update(self._task, completed=done, total=total)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
