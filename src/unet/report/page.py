"""From a run folder to one page."""

from __future__ import annotations

import os
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from unet.report import sections, summary, words
from unet.report.record import Record, read_run

MOST_LISTED = 500
"""Pictures in the list of all pictures."""


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder, from whatever the run has left there.

    Parameters
    ----------
    run : Path
        Holds config.toml and, as far as the run got, plan.md, metrics.csv, evaluation.json, model.safetensors
        and samples/*.png.

    Returns
    -------
    Path
        The page: one file that needs no network.

    Raises
    ------
    InputError
        There is no config.toml, or a file is not what its name says.
    """
    run = Path(run)
    page = run / "report.html"
    draft = page.with_suffix(".html.part")
    draft.write_text(render(read_run(run)), encoding="utf-8")
    os.replace(draft, page)
    return page


def render(record: Record) -> str:
    """Return the page as text."""
    environment = Environment(
        loader=PackageLoader("unet", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"score": words.score, "percent": words.percent}
    images = record.scores["images"] if record.scores else []
    return environment.get_template("page.html.j2").render(
        name="/".join(record.run.resolve().parts[-2:]),
        headline=summary.headline(record),
        story=summary.story(record),
        facts=summary.facts(record),
        notes=summary.notes(record),
        folds=record.folds,
        samples=sections.samples(record),
        classes=sections.classes(record),
        matrix=sections.matrix(record),
        confusions=sections.confusions(record),
        charts=sections.charts(record),
        health=record.health,
        columns={key: title for key, title in sections.COLUMNS.items() if any(key in row for row in record.rows)},
        rows=record.rows,
        images=images[:MOST_LISTED],
        images_left=max(0, len(images) - MOST_LISTED),
        commands=sections.commands(record),
        plan=sections.plan_items(record.plan_text),
        settings=record.settings_text,
        origin=sections.origin(record),
        dash=words.DASH,
        ignored=bool(record.model and record.model.labels.ignored),
    )
