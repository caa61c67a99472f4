"""`unet evaluate`: a model against pictures with known masks, at the pictures' own resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unet import bundle
from unet.bundle import Bundle
from unet.config import DataConfig
from unet.data.class_table import ClassTable, Row
from unet.data.classes import ignored_values
from unet.data.finding import Finding, stop_on_errors
from unet.data.inspection.files import faulty
from unet.data.manifest import describe
from unet.data.pairs import Pair, is_vector
from unet.data.parts import find_parts, with_regions
from unet.data.prepared import index_labels
from unet.data.scan import Scan, scan, size_faults, without_polygons, without_void
from unet.data.stats import MaskStats
from unet.errors import ConfigError, DataError, InputError
from unet.files import StrPath, as_path, write_json
from unet.inference import evaluation
from unet.inference.predictor import Predictor
from unet.labels import Labels
from unet.metrics.boundary import BoundaryCounts, Tolerance, report_boundaries
from unet.metrics.resampling import confidence
from unet.runs.folder import MODEL, is_run
from unet.runs.opening import open_run
from unet.runs.source import data_config
from unet.runs.targets import check_target
from unet.terminal.display import Display, open_display
from unet.terminal.tables import print_scores


def evaluate(
    model: StrPath,
    data: StrPath | None = None,
    *,
    images: StrPath | None = None,
    masks: StrPath | None = None,
    mask_suffix: str | None = None,
    class_field: str | None = None,
    outline: int | None = None,
    split: str | None = None,
    roi: StrPath | None = None,
    json: StrPath | None = None,
    scale: float | None = None,
    exact: bool = False,
    boundary: bool = False,
    tolerance: str | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Score a model.

    Parameters
    ----------
    model : str or path
        A model file, .safetensors or the Carvana system's .pth; or the folder of a run.
    data : str or path, optional
        Folder with pictures and masks; or give `images` and `masks`. Of a run the data may be left out: a part of its
        own pictures is scored, as they were split when it was decided.
    class_field, outline
        Where the masks are polygons, as in `unet.runs.settings.DataFlags`.
    split : {"all", "train", "val", "test"}, optional
        Which part, where the folder has parts: all by default, and of a run's own pictures those of "val".
    roi : str or path, optional
        What counts: a mask of the pictures' size, a folder with one for each, or polygons in a GeoJSON file, see
        `unet.raster.roi.open_region`.
    json : str or path, optional
        File to write the scores to.
    scale : float, optional
        Overrides the scale that the model file holds.
    exact : bool
        Compute in float32.
    boundary : bool
        Score boundaries too, as `unet.metrics.boundary` says.
    tolerance : str, optional
        How far apart two boundaries may be: pixels ("2"), or a share of the diagonal ("0.75%", which is the default).
    overwrite : bool
        Allow `json` to exist already.

    Returns
    -------
    dict
        What `unet.metrics.confusion.report` returns; `confidence`, from `unet.metrics.resampling`; on demand
        `boundary`, from `unet.metrics.boundary.report_boundaries`.

    Raises
    ------
    InputError
        A file or folder that cannot be used, mask values that the model does not know, or a tolerance that is none.

    Examples
    --------
    >>> import unet
    >>> scores = unet.evaluate("model.safetensors", "data")
    Scores on 4 pictures
    ...
    >>> 0 <= scores["mean_iou"] <= 1
    True
    >>> [row["name"] for row in scores["classes"]]
    ['background', 'foreground']
    """
    model = Path(model)
    json = as_path(json)
    if tolerance is not None and not boundary:
        raise ConfigError(f"tolerance {tolerance!r}", "boundaries to score", "add --boundary, or leave it out")
    allowed = Tolerance.read(tolerance) if tolerance is not None else Tolerance()
    if json is not None:
        check_target(json, overwrite, inputs=[model, *(as_path(each) for each in (data, images, masks, roi))])
    display = open_display()
    run = model if is_run(model) else None
    loaded = bundle.load(model if run is None else run / MODEL, scale=scale)
    if run is not None and data is images is masks is None:
        pairs, labels, which = recorded_part(run, "val" if split is None else split, display)
        pairs = pairs if roi is None else with_regions(pairs, Path(roi), None, display.notify)
    else:
        pairs, labels = described_part(
            data_config(
                root=data, images=images, masks=masks, mask_suffix=mask_suffix, class_field=class_field, outline=outline
            ),
            split or "all",
            as_path(roi),
            loaded,
            display,
        )
        which = ""
    predictor = Predictor(loaded, device=device, exact=exact, notify=display.notify)
    examples = evaluation.EvaluationSet(pairs, labels, loaded.preprocessing, cache_bytes=0)
    boundaries: list[BoundaryCounts] = []
    with display:
        if boundary:
            counts, boundaries = evaluation.count_with_boundaries(predictor, examples, allowed, display.validating)
        else:
            counts = evaluation.count(predictor, examples, display.validating)
    scores = {**evaluation.summarise(counts, pairs, labels), "confidence": confidence(counts)}
    if boundary:
        scores["boundary"] = report_boundaries(boundaries, labels.names, allowed)
    print_scores(scores, f"Scores on {len(pairs)} {which}picture{'s' * (len(pairs) != 1)}")
    if json is not None:
        write_json(json, scores)
        display.notify(f"scores: {json}")
    return scores


def recorded_part(run: Path, split: str, display: Display) -> tuple[Sequence[Pair], Labels, str]:
    """Return the pairs of a part of a run as it was decided, how their masks are read, and what they are called.

    Raises
    ------
    InputError
        The run has no such part.
    """
    opened = open_run(run, display)
    if split == "all":
        return [pair for pairs in opened.parts.values() for pair in pairs], opened.record.labels, ""
    pairs = opened.parts.get(split, ())
    if not pairs:
        there = ", ".join(name for name, some in opened.parts.items() if some)
        raise InputError(f"the run has no part {split!r}", f"{there} or all", "choose another --split")
    names = {"train": "training ", "val": "validation ", "test": "test "}
    return pairs, opened.record.labels, names[split]


def described_part(
    settings: DataConfig, split: str, roi: Path | None, loaded: Bundle, display: Display
) -> tuple[Sequence[Pair], Labels]:
    """Return the pairs of a part of a data set, once their masks are known to hold the model's classes."""
    description = describe(settings)
    if roi is not None:
        description = replace(description, roi=roi, roi_suffix=None)
    labels = loaded.labels
    if description.masks is not None and is_vector(description.masks):  # drawn in the model's own numbers
        labels = index_labels(labels)
        rows = tuple(Row(name, value=number) for number, name in enumerate(labels.names))
        description = replace(description, classes=ClassTable(description.masks, rows))
    pairs = part(find_parts(description, display.notify), split)
    with display.counting("reading masks and pictures") as progress:
        scanned = without_void(scan(pairs, progress=progress))
    if nothing := without_polygons(scanned):
        raise nothing
    skipped = ignored_values(description.ignore or (), labels.is_rgb, scanned)
    labels = replace(labels, ignored=tuple(dict.fromkeys((*labels.ignored, *skipped))))
    check(scanned, labels)
    return scanned.pairs, labels


def part(parts: dict[str, tuple[Pair, ...]], split: str) -> Sequence[Pair]:
    """Return the pairs of one part of a data set, or all of them.

    Raises
    ------
    InputError
        There is no such part.
    """
    if split == "all":
        return [pair for pairs in parts.values() for pair in pairs]
    if split not in parts:
        there = "all, as there are no parts" if "all" in parts else f"{', '.join(parts)} or all"
        raise InputError(f"the data have no part {split!r}", there, "choose another --split")
    return parts[split]


def check(scanned: Scan, labels: Labels) -> None:
    """Make sure that every mask can be read as the model's classes.

    Raises
    ------
    DataError
        With all files that cannot.
    """
    strange = [
        f"{pair.mask}: {fault}"
        for pair, mask in zip(scanned.pairs, scanned.masks, strict=True)
        if (fault := fault_of(mask, labels))
    ]
    findings = faulty((*scanned.faults, *size_faults(scanned)))
    if strange:
        problem = f"{len(strange)} of {len(scanned.pairs)} pairs cannot be scored"
        findings.append(Finding("unknown-values", "error", problem, files=tuple(strange), count=len(strange)))
    stop_on_errors(findings, "the data")


def fault_of(mask: MaskStats, labels: Labels) -> str:
    """Return what the classes lack of a mask's values in words, or nothing."""
    values = np.array([value for value, _ in mask.values])[:, None]
    fault = ""
    for times in (1, [count for _, count in mask.values]):  # each value once tells whether, every pixel how many
        try:
            labels.encode(np.repeat(values, times, axis=0))
        except DataError as error:
            fault = f"{error.found}; expected {error.expected}, which the model knows"
        else:
            break
    return fault
