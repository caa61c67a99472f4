"""From the summary of an inspection to one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unet.data.inspection.summary import percentage
from unet.files import write_text
from unet.labels import Labels
from unet.report.contact_sheet import SheetPicture
from unet.report.legend import legend_entries
from unet.report.templates import template

MARK = '<meta name="generator" content="unet inspect">'
"""By this a page is known to be ours, and may be replaced by a newer one."""


def write_inspection_page(
    path: Path, summary: dict[str, Any], pictures: Sequence[SheetPicture], labels: Labels | None
) -> None:
    """Write the page: one file that needs no network.

    Parameters
    ----------
    path : Path
    summary : dict
        What `unet.data.inspection.summary.summarise_survey` returns.
    pictures : sequence of SheetPicture
        What `unet.report.contact_sheet.contact_sheet` returns.
    labels : Labels or None
        By which the masks were drawn.
    """
    keys = [] if labels is None else legend_entries(labels, overlaid=True)
    page = template("inspect.html.j2", percent=percentage)
    write_text(path, page.render(**summary, pictures=pictures, keys=keys, mark=MARK))


def is_inspection_page(path: Path) -> bool:
    """Tell whether a file is a page that `write_inspection_page` wrote."""
    return path.is_file() and MARK in path.read_text(encoding="utf-8", errors="replace")[:1000]
