"""`unet evaluate-shapes`: label maps, edges or polygons against the true ones, shape by shape."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.data.shape_files import WHOLE, Grid, Window, grid_of, is_polygons, read_content, read_labels
from unet.errors import InputError
from unet.files import StrPath, as_path, as_paths, write_json, write_text
from unet.report.charts import Series
from unet.report.figures import line_figure
from unet.report.shape_pictures import COMPARISON_PALETTE, SCORE_PALETTE, comparison_picture, score_picture
from unet.runs.targets import check_folder, check_target
from unet.shapes.scores import Curve, ShapeScores, check_iou, shape_scores
from unet.terminal.display import open_display
from unet.terminal.shape_tables import number, print_shape_scores
from unet.terminal.speech import speaking

FILES = ("curve.csv", "curve.svg", "scores.json", "summary.txt", "recall.png", "precision.png")
"""What is written of each contender, behind its name and a line."""


@speaking
def evaluate_shapes(
    truth: StrPath,
    predictions: StrPath | Sequence[StrPath],
    *,
    mask: StrPath | None = None,
    iou: float = 0.5,
    count_background: bool = False,
    gt_kind: str | None = None,
    pred_kind: str | None = None,
    window: Window = WHOLE,
    out: StrPath | None = None,
    json: StrPath | None = None,
    overwrite: bool = False,
    verbose: bool = True,
) -> dict[str, Any]:
    """Score shapes against the true ones.

    Parameters
    ----------
    truth : str or path
        A label map, a picture of edges, or a file of polygons.
    predictions : str or path, or a sequence of them
        One or more of the same kinds.
    mask : str or path, optional
        Where it is 0, nothing counts.
    iou : float
        A match is true where its IoU is greater: from 0.5 to below 1.
    count_background : bool
        What is in no shape is one of the shapes, as in the published figures of the atlas of Paris.
    gt_kind, pred_kind : {"labels", "edges", "polygons"}, optional
        What the files hold; by default what they tell.
    window : (slice, slice)
        Rows and columns that all files are cut to before anything else.
    out : str or path, optional
        A folder for curves, figures, scores, summaries and pictures.
    json : str or path, optional
        A file for the scores.
    overwrite : bool
        Allow what is written to exist already.
    verbose : bool
        Show what is said; `unet.evaluate_shapes` does only where this is True.

    Returns
    -------
    dict
        Of one prediction, `name`, `prediction`, `truth` and what `unet.shapes.scores.ShapeScores.to_dict` returns. Of
        several, `contenders`, a list of these.

    Raises
    ------
    InputError
        Files that cannot be read, are of different sizes, do not tell what they hold, or would be replaced.

    Examples
    --------
    >>> import unet
    >>> truth, other = "data/masks/p00_mask.png", "data/masks/p01_mask.png"
    >>> scores = unet.evaluate_shapes(truth, other, gt_kind="labels", pred_kind="labels")
    >>> scores["labels_gt"], scores["labels_pred"]
    (1, 1)
    """
    truth, out, json = Path(truth), as_path(out), as_path(json)
    names = _names(as_paths(predictions))
    inputs = [truth, *names.values(), as_path(mask)]
    if json is not None:
        check_target(json, overwrite, inputs=inputs)
    if out is not None:
        check_folder(out, _files_of(list(names)), overwrite, inputs=inputs)
    check_iou(iou, "--iou")
    files = [(truth, gt_kind), *((path, pred_kind) for path in names.values())]
    grid = common_grid(files if mask is None else [*files, (Path(mask), None)])
    display = open_display()
    content = None if mask is None else read_content(Path(mask), grid, window, notify=display.notify)
    true_map = read_labels(truth, grid, gt_kind, window, flag="--gt-kind", notify=display.notify)
    results: dict[str, ShapeScores] = {}
    with display.counting("scoring") as progress:
        for done, (name, path) in enumerate(names.items()):
            progress(done, len(names))
            label_map = read_labels(path, grid, pred_kind, window, flag="--pred-kind", notify=display.notify)
            results[name] = shape_scores(true_map, label_map, content, count_background, iou)
            if out is not None:
                _write_results(out, name, results[name], true_map, label_map, content)
        if out is not None and len(names) > 1:
            _write_comparison(out, results, true_map, content)
    entries = [
        {"name": name, "truth": str(truth), "prediction": str(names[name]), **result.to_dict()}
        for name, result in results.items()
    ]
    shapes = next(iter(results.values())).labels_gt
    counted = ", what is in none counted as one" if count_background else ""
    print_shape_scores(
        {entry["name"]: entry for entry in entries}, f"{shapes:,} true shapes{counted}; a match is IoU > {iou:g}"
    )
    found = (
        entries[0] if len(entries) == 1 else {"iou": iou, "count_background": count_background, "contenders": entries}
    )
    if json is not None:
        write_json(json, found)
        display.notify(f"scores: {json}")
    if out is not None:
        display.notify(f"curves, figures and pictures: {out}")
    return found


def _names(predictions: Sequence[Path]) -> dict[str, Path]:
    """Return predictions by their file's name without its ending; with it, or the folder's, where that is not enough.

    Raises
    ------
    InputError
        There is none, or one twice.
    """
    if not predictions:
        raise InputError("no prediction", "one or more")
    stems, files = Counter(path.stem for path in predictions), Counter(path.name for path in predictions)
    names = []
    for path in predictions:
        alone = path.stem if stems[path.stem] == 1 else path.name
        names.append(alone if files[path.name] == 1 else f"{path.resolve().parent.name}-{path.stem}")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        same = [str(path) for name, path in zip(names, predictions, strict=True) if name == twice[0]]
        raise InputError(f"predictions of the same name: {', '.join(same)}", "names or folders that differ")
    return dict(zip(names, predictions, strict=True))


def _files_of(names: Sequence[str]) -> list[str]:
    files = [f"{name}_{what}" for name in names for what in FILES]
    return files + (["curves.svg"] if len(names) > 1 else []) + (["comparison.png"] if len(names) == 2 else [])


def common_grid(files: Sequence[tuple[Path, str | None]]) -> Grid:
    """Return the grid of files, before hours are spent on the first of many: rasters of one size, polygons of any.

    Raises
    ------
    InputError
        A file is missing, sizes differ, or there are polygons only.
    """
    grids = []
    for path, kind in files:
        if not path.is_file():
            raise InputError(f"no such file: {path}", "shapes or a content mask")
        if not is_polygons(path, kind):
            grids.append(grid_of(path))
    if not grids:
        raise InputError(
            "polygons only", "one raster at least, whose pixels are counted", "give a content mask as --mask"
        )
    first = grids[0]
    for grid in grids:
        if (grid.height, grid.width) != (first.height, first.width):
            wanted = f"{first.width} x {first.height} as {first.path}"
            raise InputError(f"{grid.path} has {grid.width} x {grid.height} pixels", wanted)
    return next((grid for grid in grids if grid.transform is not None), first)


def _write_results(
    out: Path,
    name: str,
    scores: ShapeScores,
    truth: NDArray[Any],
    prediction: NDArray[Any],
    content: NDArray[np.bool_] | None,
) -> None:
    curve = scores.curve
    write_text(out / f"{name}_curve.csv", curve_csv(curve))
    series = [
        Series(what, points(curve.iou, values))
        for what, values in (("precision", curve.precision), ("recall", curve.recall), ("F", curve.f))
    ]
    figure = line_figure(series, name, "IoU threshold", "share of the shapes, F", span=(0, 1))
    write_text(out / f"{name}_curve.svg", figure)
    write_json(out / f"{name}_scores.json", scores.to_dict())
    write_text(out / f"{name}_summary.txt", summary(name, scores))
    raster.write_mask(out / f"{name}_recall.png", score_picture(truth, scores.truth, content), SCORE_PALETTE)
    raster.write_mask(
        out / f"{name}_precision.png", score_picture(prediction, scores.prediction, content), SCORE_PALETTE
    )


def _write_comparison(
    out: Path, results: dict[str, ShapeScores], truth: NDArray[Any], content: NDArray[np.bool_] | None
) -> None:
    series = [Series(name, points(scores.curve.iou, scores.curve.f)) for name, scores in results.items()]
    write_text(out / "curves.svg", line_figure(series, "F by IoU threshold", "IoU threshold", "F", span=(0, 1)))
    if len(results) == 2:
        first, second = results.values()
        picture = comparison_picture(truth, first.truth, second.truth, content)
        raster.write_mask(out / "comparison.png", picture, COMPARISON_PALETTE)


def points(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Return the points of a line, without those that are not defined."""
    known = ~np.isnan(ys)
    return tuple(zip(xs[known].tolist(), ys[known].tolist(), strict=True))


def curve_csv(curve: Curve) -> str:
    """Return precision, recall and F at each observed IoU as a table; empty where not defined."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["iou", "precision", "recall", "f"])
    columns = (curve.iou, curve.precision, curve.recall, curve.f)
    for row in zip(*(column.tolist() for column in columns), strict=True):
        writer.writerow(["" if value != value else repr(value) for value in row])
    return file.getvalue()


def summary(name: str, scores: ShapeScores) -> str:
    """Return the scores in words."""
    found = scores.to_dict()
    background = "label 0 is one of the shapes" if scores.count_background else "label 0 is no shape"
    lines = [
        f"{name}",
        f"{scores.labels_gt} true shapes, {scores.labels_pred} predicted ({background})",
        f"true matches (IoU > {scores.iou:g}): {scores.tp}; not true: {scores.fp}; missed: {scores.fn}",
        *(f"{what} {number(found[key])}" for what, key in (("precision", "precision"), ("recall", "recall"))),
        f"F1 {number(found['f1'])}",
        f"PQ {number(found['pq'])} = SQ {number(found['sq'])} x RQ {number(found['rq'])}",
        f"area under F over the observed IoUs from 0.5: {number(found['f_auc'])}",
        "",
        "IoU >   precision  recall  F",
        *(
            f"{row['iou']:<7g} {number(row['precision']):>9}  {number(row['recall']):>6}  {number(row['f'])}"
            for row in found["table"]
        ),
    ]
    return "\n".join(lines) + "\n"
