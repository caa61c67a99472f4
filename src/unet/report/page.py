"""From a run folder to one page."""

from __future__ import annotations

from pathlib import Path

from unet import files
from unet.report import sections, summary, words
from unet.report.run_files import RunFiles, read_run
from unet.report.templates import template

MOST_LISTED = 500
"""Pictures in the list of all pictures."""


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder, from whatever the run has left there.

    Parameters
    ----------
    run : Path
        Holds config.toml and, as far as the run got, plan.md, metrics.csv, health.json, pairs.csv,
        model.safetensors, evaluation.json with samples/*.png, and test.json with samples/test/*.png.

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
    files.write_text(page, render(read_run(run)))
    return page


def render(run_files: RunFiles) -> str:
    """Return the page as text."""
    scores = run_files.scores
    return template("page.html.j2", score=words.score, percent=words.percent).render(
        name="/".join(run_files.run.resolve().parts[-2:]),
        headline=summary.headline(run_files),
        story=summary.story(run_files),
        key_figures=summary.key_figures(run_files),
        notes=summary.notes(run_files),
        folds=run_files.folds,
        test=sections.scores_of_test(run_files),
        scored=scores is not None,
        samples=sections.samples(scores, run_files.samples),
        images=scores["images"] if scores else [],
        most_listed=MOST_LISTED,
        classes=sections.classes(scores, run_files.colors_of(scores)),
        matrix=sections.matrix(run_files),
        confusions=sections.confusions(run_files),
        charts=sections.charts(run_files),
        health=run_files.health,
        columns={key: title for key, title in sections.COLUMNS.items() if any(key in row for row in run_files.rows)},
        rows=run_files.rows,
        commands=sections.commands(run_files),
        plan=sections.plan_items(run_files.plan_text),
        settings=run_files.settings_text,
        origin=sections.origin(run_files),
        dash=words.DASH,
        ignored=bool(run_files.model and run_files.model.labels.ignored),
    )
