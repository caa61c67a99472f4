"""Runs beside one another on one page: a table, and their curves over one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from unet.report import words
from unet.report.charts import Series, line_chart
from unet.report.run_lines import METRICS, RunLine, cautions, differing, metrics_of, shown_setting
from unet.report.templates import template

COLOURED = 10
"""So many runs, the best, have a colour of their own; the curves of the others are grey."""


@dataclass(frozen=True)
class OverlaidChart:
    """A figure with the curve of every run that has one."""

    title: str
    svg: Markup


def render(lines: Sequence[RunLine]) -> str:
    """Return the page as text; it needs no network.

    Parameters
    ----------
    lines : sequence of RunLine
        The best first.
    """
    metrics = metrics_of(lines)
    return template("runs.html.j2", score=words.score, duration=words.duration, setting=shown_setting).render(
        headline=headline(lines),
        story=story(lines),
        runs=lines,
        keys=differing(lines),
        metric=METRICS[metrics[0]] if len(metrics) == 1 else "score",
        metrics=METRICS if len(metrics) > 1 else {},
        charts=charts(lines),
        coloured=COLOURED,
        dash=words.DASH,
    )


def headline(lines: Sequence[RunLine]) -> str:
    """Return how many runs there are, and the best one."""
    count = words.counted(len(lines), "run")
    if not lines or lines[0].score is None:
        return count
    best = lines[0]
    return f"{count}, the best with {METRICS[best.metric]} {words.score(best.score)}"


def story(lines: Sequence[RunLine]) -> str:
    """Return how the runs ended, and whether they can be compared."""
    states = [line.state for line in lines]
    told = words.listed([f"{states.count(state)} {state}" for state in dict.fromkeys(states)])
    remarks = [f"{note[0].upper()}{note[1:]}." for note in cautions(lines)]
    return " ".join([*([f"{told}."] if told else []), *remarks])


def charts(lines: Sequence[RunLine]) -> list[OverlaidChart]:
    """Return the curves that any run has numbers for; the i-th run is the i-th line of each."""
    kinds = {metric.removesuffix("_foreground") for metric in metrics_of(lines)}
    metric = kinds.pop() if len(kinds) == 1 else "mean_iou"
    wanted = {
        f"val_{metric}": f"Validation: {METRICS[metric]}",
        "train_loss": "Training loss",
        "val_loss": "Validation loss",
    }
    result = []
    for key, title in wanted.items():
        series = [
            Series(line.folder.as_posix(), tuple((row["step"], row[key]) for row in line.rows if key in row))
            for line in lines
        ]
        count = sum(bool(line.points) for line in series)
        if count:
            what = f"{title} by training step, of {words.counted(count, 'run')}"
            result.append(OverlaidChart(title, line_chart(series, what=what)))
    return result
