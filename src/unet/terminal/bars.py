"""Progress bars: drawn on a terminal, drawn anew in the output of a notebook's cell, left out of logs."""

from __future__ import annotations

from importlib import import_module
from io import StringIO
from time import monotonic
from typing import Any

from rich.console import Console
from rich.progress import Progress, ProgressColumn, TaskID

WIDTH = 90
"""Characters of a bar in a notebook, which has no width of its own."""

SECONDS = 0.2
"""A notebook's bar is drawn anew no sooner than after this."""


def bars_for(console: Console, *columns: ProgressColumn) -> Progress | None:
    """Return bars for a place where they can be seen, or None; rich's own ones need ipywidgets in notebooks."""
    if console.quiet:
        return None
    if console.is_jupyter:
        return NotebookBars(*columns)
    return Progress(*columns, console=console, transient=True) if console.is_terminal else None


class NotebookBars(Progress):
    """Bars as plain text in the output of a cell, gone when they are done; needs IPython alone."""

    def __init__(self, *columns: ProgressColumn) -> None:
        plain = Console(file=StringIO(), width=WIDTH, force_jupyter=False, force_terminal=False)
        super().__init__(*columns, console=plain, auto_refresh=False)
        self._place: Any = None
        self._drawn = 0.0

    def start(self) -> None:
        """Make room in the output."""
        show = import_module("IPython.display").display  # where there are notebooks, there is IPython
        self._place = show({"text/plain": ""}, raw=True, display_id=True)

    def stop(self) -> None:
        """Leave nothing behind."""
        if self._place is not None:
            self._place.update({"text/plain": ""}, raw=True)
        self._place = None

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Note how far a task is, and draw it from time to time."""
        super().update(task_id, **changes)
        self.refresh()

    def refresh(self) -> None:
        """Draw the bars, if it is time."""
        if self._place is None or monotonic() - self._drawn < SECONDS:
            return
        with self.console.capture() as captured:
            self.console.print(self.get_renderable())
        self._place.update({"text/plain": captured.get().rstrip()}, raw=True)
        self._drawn = monotonic()
