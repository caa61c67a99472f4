"""The files beside the clean pictures and masks: class table, description, and what was done."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import numpy as np
import tomli_w

from unet.data.repairing.carry_out import Done
from unet.data.repairing.repair_plan import RepairPlan
from unet.labels import IGNORED

_MOST = 20  # files that are listed for each change in the readable log


def write_record(folder: Path, plan: RepairPlan, done: Sequence[Done], source: str) -> None:
    """Write classes.csv, dataset.toml, repair.csv and repair.md."""
    texts = {
        "classes.csv": classes_csv(plan),
        "dataset.toml": dataset_toml(plan),
        "repair.csv": changes_csv(plan, done),
        "repair.md": summary(plan, done, source),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def classes_csv(plan: RepairPlan) -> str:
    """Return the class table: name, value in the masks, colour."""
    rows = zip(plan.labels.names, plan.labels.values, plan.labels.colors, strict=True)
    return _csv([("name", "value", "r", "g", "b"), *((name, value, *color) for name, value, color in rows)])


def dataset_toml(plan: RepairPlan) -> str:
    """Return the description that training reads; parts are told by folders."""
    described = {"images": "images", "masks": "masks", "classes": "classes.csv", "ignore": list(plan.labels.ignored)}
    return tomli_w.dumps({key: value for key, value in described.items() if value})


def changes_csv(plan: RepairPlan, done: Sequence[Done]) -> str:
    """Return a row for each change of a file, and for each file that was left out."""
    rows: list[Sequence[object]] = [("file", "written as", "what", "pixels", "share")]
    for repaired in done:
        size = repaired.job.picture.height * repaired.job.picture.width
        for change in repaired.changes:
            share = "" if change.pixels is None else f"{change.pixels / size:.6f}"
            rows.append((change.file, repaired.job.target, change.what, _blank(change.pixels), share))
    rows += [(left.file, "", f"left out: {left.why}", "", "") for left in plan.left_out]
    return _csv(rows)


def summary(plan: RepairPlan, done: Sequence[Done], source: str) -> str:
    """Return what was done, in Markdown."""
    pixels, bent = (
        np.sum([repaired.pixels for repaired in done], axis=0),
        np.sum([repaired.bent for repaired in done], axis=0),
    )
    lines = [
        f"# A clean copy of {source}",
        "",
        f"{len(done)} pairs written, {len(plan.left_out)} files left out. Pictures are copied byte by byte unless",
        "a line below says otherwise. Every change with its file is in repair.csv.",
        "",
        "## Classes",
        "",
        "| value | name | pixels | of these snapped from other values |",
        "|---|---|---|---|",
    ]
    ignored = [(IGNORED, "(ignored)")] if plan.labels.ignored else []
    for value, name in [*enumerate(plan.labels.names), *ignored]:
        share, moved = pixels[value] / pixels.sum(), bent[value] / max(1, pixels[value])
        lines.append(f"| {value} | {name} | {share:.2%} | {moved:.2%} |")
    lines += ["", f"Of all pixels {bent.sum() / pixels.sum():.2%} were snapped.", ""]
    lines += [f"{note}.\n" for note in plan.notes]
    by_kind: dict[str, list[str]] = {}
    for repaired in done:
        size = repaired.job.picture.height * repaired.job.picture.width
        for change in repaired.changes:
            share = "" if change.pixels is None else f": {change.pixels} pixels ({change.pixels / size:.2%})"
            by_kind.setdefault(change.what, []).append(f"{change.file}{share}")
    for what, files in by_kind.items():
        lines += _section(f"{what[0].upper()}{what[1:]}", files)
    lines += _section("Twice in the data set, and kept", [f"{copy} is {first}" for copy, first in plan.copies])
    lines += _section("Left out", [f"{left.file}: {left.why}" for left in plan.left_out], most=None)
    return "\n".join(lines)


def _section(title: str, files: Sequence[str], most: int | None = _MOST) -> list[str]:
    if not files:
        return []
    more = [] if most is None or len(files) <= most else [f"- and {len(files) - most} more"]
    return [f"## {title} ({len(files)})", "", *(f"- {file}" for file in files[:most]), *more, ""]


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _blank(number: int | None) -> object:
    return "" if number is None else number
