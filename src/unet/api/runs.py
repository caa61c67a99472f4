"""`unet.compare_runs`; it needs no torch."""

from __future__ import annotations

import os
from collections.abc import Sequence

from unet.api.calling import checked
from unet.api.results import RunsResult
from unet.files import StrPath
from unet.report.run_lines import differing
from unet.terminal.speech import listening


@checked()
def compare_runs(
    folders: StrPath | Sequence[StrPath] = "runs",
    *,
    csv: StrPath | None = None,
    page: StrPath | None = None,
    overwrite: bool = False,
    verbose: bool = False,
) -> RunsResult:
    """List runs, the best first, with what they reached and the settings that tell them apart.

    Parameters
    ----------
    folders : str or path, or several
        Runs, and folders that hold runs.
    csv : str or path, optional
        A file for the table, with a column for each setting that differs.
    page : str or path, optional
        A file for an HTML page with the table and with all curves over one another.
    overwrite : bool
        Replace these.
    verbose : bool
        Show the table.

    Returns
    -------
    RunsResult

    Raises
    ------
    InputError
        There is no such folder, or a file cannot be written.

    Examples
    --------
    >>> import unet
    >>> found = unet.compare_runs(".")
    >>> found.runs, [path.name for path in found.passed_over]
    ((), ['data'])
    """
    from unet.commands.runs import list_runs

    with listening(verbose) as said:
        listed = list_runs(
            [folders] if isinstance(folders, str | os.PathLike) else folders, csv=csv, page=page, overwrite=overwrite
        )
    return RunsResult(listed.lines, differing(listed.lines), listed.passed_over, tuple(said))
