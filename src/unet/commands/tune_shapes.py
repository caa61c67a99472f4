"""`unet tune-shapes`: the dynamic and area that make the best shapes of an edge map."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unet import files
from unet.commands.evaluate_shapes import common_grid
from unet.data.hashing import content_hash
from unet.data.shape_files import WHOLE, Window, cut, read_content, read_labels
from unet.data.sheets import open_sheet, read_epm
from unet.errors import ConfigError, InputError
from unet.files import StrPath, as_path
from unet.report.charts import Series
from unet.report.figures import heat_map, line_figure
from unet.runs.targets import check_folder
from unet.shapes.calibration import Calibration, calibrate
from unet.shapes.scores import check_iou
from unet.shapes.settings import ShapeSettings
from unet.shapes.tuning import CURVE_IOUS, Candidate, Sheet, grid, score_candidates
from unet.terminal.display import Display, open_display
from unet.terminal.shape_tables import number, print_shape_grid
from unet.terminal.speech import open_console, speaking

if TYPE_CHECKING:
    from unet.bundle import Bundle

DYNAMICS, AREAS, THRESHOLDS = tuple(range(11)), (50, 100, 200, 300, 400, 500), tuple(range(11))
"""What is tried by default: the grid of the published figures."""

GRID = "grid.json"
"""The scores of all settings; a search that was stopped goes on from it."""

SCORES = {"pq": "PQ", "f_auc": "area under F"}
"""What a setting may be chosen by."""

OUTPUTS = (
    *(GRID, "grid.csv", "heatmap_pq.svg", "heatmap_f_auc.svg", "curves.svg"),
    *("sensitivity_dynamic.svg", "sensitivity_area.svg", "components.svg"),
)
_COLUMNS = ("labels_pred", "tp", "fp", "fn", "precision", "recall", "f1", "pq", "sq", "rq", "f_auc", "seconds")


@speaking
def tune_shapes(
    epm: StrPath,
    truth: StrPath,
    out: StrPath,
    *,
    mask: StrPath | None = None,
    calibration: Calibration | None = None,
    dynamics: Sequence[int] = DYNAMICS,
    areas: Sequence[int] = AREAS,
    thresholds: Sequence[int] = THRESHOLDS,
    by: str = "pq",
    iou: float = 0.5,
    count_background: bool = False,
    gt_kind: str | None = None,
    window: Window = WHOLE,
    model: StrPath | None = None,
    workers: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
) -> dict[str, Any]:
    """Score every setting of the filter on an edge map whose true shapes are known, and choose the best.

    Parameters
    ----------
    epm : str or path
        The edge map: 8 or 16 bits, high on edges.
    truth : str or path
        The true shapes: a label map, edges, or polygons.
    out : str or path
        A folder for the tables and figures.
    mask : str or path, optional
        Where it is 0, nothing counts.
    calibration : {"zero", "edge"}, optional
        What the mask says of the edge map, see `unet.shapes.calibration.calibrate`.
    dynamics, areas : sequence of int
        All pairs are tried.
    thresholds : sequence of int
        Of the components that are scored beside, for comparison.
    by : {"pq", "f_auc"}
        The score that chooses; of equal ones the smaller dynamic, then the smaller area.
    iou, count_background, gt_kind, window
        See `unet.commands.evaluate_shapes.evaluate_shapes`; the edge map is cut to the window before it is filtered.
    model : str or path, optional
        A model file, or the folder of a run, that the chosen setting is written into.
    workers : int, optional
        Processes; by default as many as there are processors and memory for.
    resume : bool
        Keep what an earlier search in `out` on the same files has scored.
    overwrite : bool
        Allow files in `out` to exist already.
    verbose : bool
        Show what is said; `unet.tune_shapes` does only where this is True.

    Returns
    -------
    dict
        `inputs`, `by`, `best` (a setting and its scores), and `settings`, all with their scores.

    Raises
    ------
    InputError
        Files that cannot be read, are of different sizes or would be replaced; no true shapes.

    Examples
    --------
    >>> import numpy as np, unet
    >>> lines = np.zeros((16, 16), dtype=np.uint8)
    >>> lines[8] = lines[:, 8] = 255  # four parts
    >>> np.save("edges.npy", lines)
    >>> found = unet.tune_shapes(
    ...     "edges.npy", "edges.npy", "tuned", gt_kind="edges", dynamics=[0], areas=[30], workers=1
    ... )
    >>> found["best"]["dynamic"], found["best"]["area"], found["best"]["tp"]
    (0, 30, 4)
    """
    epm, truth, out, mask, model = Path(epm), Path(truth), Path(out), as_path(mask), as_path(model)
    if by not in SCORES:
        raise ConfigError(f"by {by!r}", " or ".join(SCORES))
    check_iou(iou, "--iou")
    if calibration is not None and mask is None:
        raise ConfigError(f"--calibrate {calibration}", "a content mask too", "add --mask")
    candidates = grid(dynamics, areas, thresholds)
    remedy = "go on with --resume, choose another --out, or allow --overwrite"
    check_folder(out, OUTPUTS, resume or overwrite, remedy, [epm, truth, mask, model])
    chosen_model = None if model is None else _model(model)
    same_grid = common_grid([(epm, "labels"), (truth, gt_kind), *([] if mask is None else [(mask, None)])])
    inputs = _inputs(epm, truth, mask, window, calibration, gt_kind, iou, count_background)
    known = _known(out / GRID, inputs) if resume else {}

    display = open_display()
    content = None if mask is None else read_content(mask, same_grid, window, notify=display.notify)
    edge_map, valid = _edge_map(epm, window, display)
    if valid is not None:  # as `vectorize` takes it: where the edge map holds nothing is no shape
        content = valid if content is None else content & valid
    if content is not None and calibration is not None:
        edge_map = calibrate(edge_map, content, calibration)
    true_map = read_labels(truth, same_grid, gt_kind, window, flag="--gt-kind", notify=display.notify)
    sheet = Sheet(edge_map, true_map, content, count_background, iou)
    shapes = sheet.score(true_map).labels_gt - count_background
    if shapes <= 0:
        raise InputError(f"{truth} holds no shapes there", "true shapes to tune on", "look at --mask and --window")

    results = {candidate: known[candidate] for candidate in candidates if candidate in known}
    missing = [candidate for candidate in candidates if candidate not in results]
    if results:
        display.notify(f"{len(results)} of {len(candidates)} settings are known from {out / GRID}")
    with display.counting("filtering and scoring") as progress:
        progress(len(results), len(candidates))
        for candidate, scores in score_candidates(sheet, missing, workers):
            results[candidate] = scores
            progress(len(results), len(candidates))
            files.write_json(out / GRID, {"inputs": inputs, "settings": _rows(results)})
    results = {candidate: results[candidate] for candidate in candidates}

    best = choose(results, by)
    found = {"inputs": inputs, "by": by, "best": _row(best, results[best]), "settings": _rows(results)}
    files.write_json(out / GRID, found)
    write_outputs(out, results, best, by)
    settings = ShapeSettings(best.dynamic, best.area, calibration)
    values = {(c.dynamic, c.area): scores[by] for c, scores in results.items() if c.threshold is None}
    baseline = {c.threshold: scores[by] for c, scores in results.items() if c.threshold is not None}
    print_shape_grid(values, (best.dynamic, best.area), baseline, SCORES[by])
    chosen = results[best]
    open_console().print(
        f"{best}: {chosen['labels_pred']:,} shapes of {chosen['labels_gt']:,}, PQ {number(chosen['pq'])} = "
        f"{number(chosen['sq'])} x {number(chosen['rq'])}, area under F {number(chosen['f_auc'])}\n"
        f"{vectorize_line(epm, mask, settings)}",
        markup=False,
        emoji=False,
    )
    for hint in hints(candidates, best, baseline, chosen[by]):
        display.notify(hint)
    if chosen_model is not None:
        _write_into(*chosen_model, settings)
        display.notify(f"{chosen_model[0]} now says dynamic {settings.dynamic}, area {settings.area}")
    display.notify(f"tables and figures: {out}")
    return found


def choose(results: dict[Candidate, dict[str, Any]], by: str) -> Candidate:
    """Return the setting of the filter with the highest score; of equal ones the one that filters least."""
    filtered = [candidate for candidate in results if candidate.threshold is None]

    def merit(candidate: Candidate) -> tuple[float, int, int]:
        score = results[candidate][by]
        return (-1.0 if score is None else score), -candidate.dynamic, -candidate.area

    return max(filtered, key=merit)


def hints(
    candidates: Sequence[Candidate], best: Candidate, baseline: dict[int, float | None], reached: float | None
) -> list[str]:
    """Return what should make one doubt the choice: it lies at the end of what was tried, or components are better."""
    lines = []
    for name in ("dynamic", "area"):
        tried = sorted({getattr(candidate, name) for candidate in candidates if candidate.threshold is None})
        value = getattr(best, name)
        if len(tried) > 1 and value in (tried[0], tried[-1]) and value > 0:
            end, more = ("smallest", "smaller") if value == tried[0] else ("largest", "larger")
            lines.append(f"{name} {value} is the {end} that was tried: a {more} one may be better, say --{name}")
    better = {t: score for t, score in baseline.items() if score is not None and score > (reached or 0)}
    if better:
        threshold = max(better, key=lambda t: better[t])
        lines.append(f"components with threshold {threshold} are better than every setting of the filter")
    return lines


def vectorize_line(epm: Path, mask: Path | None, settings: ShapeSettings) -> str:
    """Return the command that makes these shapes of an edge map."""
    words = ["unet", "vectorize", str(epm), "--kind", "epm"]
    if settings.calibrate is not None and mask is not None:
        words += ["--calibrate", settings.calibrate, "--roi", str(mask)]
    words += ["--dynamic", str(settings.dynamic), "--area", str(settings.area), "-o", f"{epm.stem}.gpkg"]
    return shlex.join(words)


def write_outputs(out: Path, results: dict[Candidate, dict[str, Any]], best: Candidate, by: str) -> None:
    """Write the table and the figures of a search."""
    files.write_text(out / "grid.csv", _csv(results))
    filtered = {candidate: scores for candidate, scores in results.items() if candidate.threshold is None}
    dynamics = list(dict.fromkeys(candidate.dynamic for candidate in filtered))
    areas = list(dict.fromkeys(candidate.area for candidate in filtered))
    for key, what in SCORES.items():
        table = [[filtered[Candidate(dynamic, area)][key] for area in areas] for dynamic in dynamics]
        names = [str(dynamic) for dynamic in dynamics], [str(area) for area in areas]
        files.write_text(out / f"heatmap_{key}.svg", heat_map(table, *names, what, "area, pixels", "dynamic"))
    curves = [Series(str(candidate), _curve(scores["curve"])) for candidate, scores in results.items()]
    accent = list(results).index(best)
    figure = line_figure(curves, "F of all settings", "IoU threshold", "F", span=(0, 1), accent=accent)
    files.write_text(out / "curves.svg", figure)
    of_area = [
        Series(f"area {area}", _line((d, filtered[Candidate(d, area)][by]) for d in sorted(dynamics))) for area in areas
    ]
    of_dynamic = [
        Series(f"dynamic {d}", _line((area, filtered[Candidate(d, area)][by]) for area in sorted(areas)))
        for d in dynamics
    ]
    title, what = f"{SCORES[by]} at fixed", SCORES[by]
    files.write_text(out / "sensitivity_dynamic.svg", line_figure(of_area, f"{title} area", "dynamic", what))
    files.write_text(out / "sensitivity_area.svg", line_figure(of_dynamic, f"{title} dynamic", "area, pixels", what))
    components = sorted((c.threshold, scores) for c, scores in results.items() if c.threshold is not None)
    if components:
        lines = [Series(what, _line((t, scores[key]) for t, scores in components)) for key, what in SCORES.items()]
        chosen = f"{best}: {SCORES[by]} {number(results[best][by])}"
        figure = line_figure(lines, f"components alone ({chosen})", "threshold", "score")
        files.write_text(out / "components.svg", figure)


def _edge_map(path: Path, window: Window, display: Display) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """Return a part of an edge map, and where it holds something (None: everywhere)."""
    with open_sheet(path, "epm") as sheet:
        edge_map, valid = read_epm(sheet, display.notify)
    return np.ascontiguousarray(cut(edge_map, window, path)), None if valid is None else cut(valid, window, path)


def _model(path: Path) -> tuple[Path, Bundle]:
    """Return the file of a model, given by itself or by the folder of its run, and what it holds."""
    from unet import bundle  # torch, which the rest does without

    path = bundle.model_file(path)
    if path.suffix.lower() == ".pth":
        raise InputError(f"{path} has no place for settings", "a .safetensors", "turn it into one: unet convert")
    return path, bundle.load(path)


def _write_into(path: Path, model: Bundle, settings: ShapeSettings) -> None:
    from unet import bundle

    bundle.save(replace(model, shapes=settings), path)


def _inputs(
    epm: Path,
    truth: Path,
    mask: Path | None,
    window: Window,
    calibration: str | None,
    gt_kind: str | None,
    iou: float,
    count_background: bool,
) -> dict[str, Any]:
    """Return what scores depend on: the same scores come out where all of it is the same."""
    return {
        **{
            name: None if path is None else {"file": str(path), "hash": content_hash(path)}
            for name, path in (("epm", epm), ("truth", truth), ("mask", mask))
        },
        "window": [[part.start, part.stop] for part in window],
        "calibrate": calibration,
        "gt_kind": gt_kind,
        "iou": iou,
        "count_background": count_background,
    }


def _known(path: Path, inputs: dict[str, Any]) -> dict[Candidate, dict[str, Any]]:
    """Return what an earlier search has scored.

    Raises
    ------
    InputError
        It was about something else, or its file is damaged.
    """
    if not path.exists():
        return {}
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        before, rows = held["inputs"], held["settings"]
        known = {Candidate(row.pop("dynamic"), row.pop("area"), row.pop("threshold")): row for row in rows}
        differs = [name for name in inputs if _essence(before[name]) != _essence(inputs[name])]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error!r})", "a search to go on with", "leave out --resume") from None
    if differs:
        what = f"{path} is of a search with another {' and '.join(differs)}"
        raise InputError(what, "the same files and flags", "choose another --out")
    return known


def _essence(value: Any) -> Any:
    return value["hash"] if isinstance(value, dict) else value


def _row(candidate: Candidate, scores: dict[str, Any]) -> dict[str, Any]:
    return {**asdict(candidate), **scores}


def _rows(results: dict[Candidate, dict[str, Any]]) -> list[dict[str, Any]]:
    return [_row(candidate, scores) for candidate, scores in results.items()]


def _csv(results: dict[Candidate, dict[str, Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["method", "dynamic", "area", "threshold", *_COLUMNS])
    for candidate, scores in results.items():
        setting = ["watershed", candidate.dynamic, candidate.area, ""]
        if candidate.threshold is not None:
            setting = ["components", "", "", candidate.threshold]
        writer.writerow([*setting, *("" if scores[key] is None else scores[key] for key in _COLUMNS)])
    return file.getvalue()


def _curve(values: Sequence[float | None]) -> tuple[tuple[float, float], ...]:
    return _line(zip(CURVE_IOUS.tolist(), values, strict=True))


def _line(points: Iterable[tuple[float, float | None]]) -> tuple[tuple[float, float], ...]:
    return tuple((x, y) for x, y in points if y is not None)
