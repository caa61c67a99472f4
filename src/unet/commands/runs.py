"""`unet runs`: which runs there are, how they ended, what they reached, and what tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from unet.data.manifest import FILE_NAME
from unet.errors import InputError
from unet.files import StrPath, as_path, write_text
from unet.report import words
from unet.report.run_lines import METRICS, RunLine, as_csv, by_score, cautions, differing, metrics_of
from unet.report.runs_page import render
from unet.runs.listing import find_runs, read_line
from unet.runs.targets import check_target
from unet.terminal.display import open_display
from unet.terminal.speech import open_console

DEFAULT = Path("runs")
"""Where `unet train` writes runs."""


WIDEST = 10_000
"""Characters in a line where it goes to a file or another program: a run is one line there."""


@dataclass(frozen=True)
class ListedRuns:
    """The runs, the best first, and the folders that are none."""

    lines: tuple[RunLine, ...]
    passed_over: tuple[Path, ...]


def list_runs(
    folders: Sequence[StrPath] = (),
    *,
    csv: StrPath | None = None,
    page: StrPath | None = None,
    overwrite: bool = False,
) -> ListedRuns:
    """List runs, the best first.

    Parameters
    ----------
    folders : sequence of str or path
        Runs, and folders that hold runs; by default "runs".
    csv : str or path, optional
        A file for the table, with a column for each setting that differs.
    page : str or path, optional
        A file for an HTML page with the table and with all curves over one another.
    overwrite : bool
        These two may exist already.

    Returns
    -------
    ListedRuns

    Raises
    ------
    InputError
        There is no such folder, or a file cannot be written.
    """
    chosen = [Path(folder) for folder in folders] or [DEFAULT]
    csv, page = as_path(csv), as_path(page)
    if csv is not None and page is not None and csv.resolve() == page.resolve():
        raise InputError(f"{csv} for both --csv and --page", "a file for each")
    display = open_display()
    runs, others = find_runs(chosen)
    for flag, path in {"--csv": csv, "--page": page}.items():
        if path is not None:
            check_target(path, overwrite, flag, inputs=runs)
    lines = by_score(map(read_line, runs))
    # Before the table, whose reader may go away: unet runs --csv runs.csv | head
    if csv is not None:
        write_text(csv, as_csv(lines))
    if page is not None:
        write_text(page, render(lines))
    if lines:
        print_runs(lines)
    else:
        display.notify(f"no runs in {', '.join(map(str, chosen))}")
    if others:
        display.notify(
            f"passed over: {words.counted(len(others), 'folder')} without the record of a run "
            f"({words.listed([path.name for path in others])})"
        )
    for what, path in {"table": csv, "page": page}.items():
        if path is not None:
            display.notify(f"{what}: {path}")
    return ListedRuns(tuple(lines), tuple(others))


def print_runs(lines: Sequence[RunLine]) -> None:
    """Print a line for each run, in this order, to standard output; a dash stands for "there is none"."""
    keys, metrics = differing(lines), metrics_of(lines)
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("run", overflow="fold", min_width=min(24, max(len(line.folder.as_posix()) for line in lines)))
    table.add_column("state", no_wrap=True)
    table.add_column("score" if len(metrics) > 1 else METRICS[metrics[0]], justify="right", min_width=6)
    for name in ("test", "steps", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("data", overflow="fold")
    table.add_column("began", min_width=len("2026-01-01"))
    for line in lines:
        metric = f" {METRICS[line.metric]}" if len(metrics) > 1 and line.score is not None else ""
        table.add_row(
            Text(line.folder.as_posix()),
            line.state,
            f"{words.score(line.score, 4)}{metric}",
            words.score(line.test_score, 4),
            shown_steps(line),
            words.DASH if line.seconds is None else words.duration(line.seconds),
            Text(short_data(line) or words.DASH),
            f"{line.began:%Y-%m-%d %H:%M}" if line.began else words.DASH,
        )
    console = open_console()
    if not console.is_terminal:
        console.width = WIDEST
    console.print(table)
    for line in lines:
        if line.fault:
            console.print(f"{line.folder.as_posix()} is broken: {line.fault}", markup=False)
    if keys:
        console.print("settings that differ")
    for line in lines:
        if keys and line.settings:
            console.print(f"  {line.folder.as_posix()}: {line.differences(keys) or words.DASH}", markup=False)
    for note in cautions(lines):
        console.print(note, markup=False)


def short_data(line: RunLine) -> str:
    """Return the last part of where the data are, of a dataset.toml its folder; --csv has all of it."""
    path = Path(line.data)
    return path.parent.name or path.name if path.name == FILE_NAME else path.name


def shown_steps(line: RunLine) -> str:
    """Return how many steps a run did, of a cross-validation how many folds it has."""
    if line.folds:
        return words.counted(line.folds, "fold")
    return words.DASH if line.steps is None else f"{line.steps:,}"
