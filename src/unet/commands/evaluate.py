"""`unet evaluate`: a model against pictures with known masks, at the pictures' own resolution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unet import bundle
from unet.bundle import Bundle
from unet.config import DataConfig
from unet.data.class_matching import match_classes
from unet.data.class_table import ClassTable, Row
from unet.data.classes import ignored_values
from unet.data.finding import Finding, counted, stop_on_errors
from unet.data.inspection.files import faulty
from unet.data.manifest import describe
from unet.data.pairs import Pair, is_vector
from unet.data.parts import find_parts, with_regions
from unet.data.prepared import index_labels
from unet.data.scan import Scan, scan, size_faults, without_polygons, without_void
from unet.data.seen import TRAIN, VAL, Seen
from unet.data.stats import MaskStats, PictureStats
from unet.errors import ConfigError, DataError, InputError
from unet.files import StrPath, as_path, write_json
from unet.inference import evaluation
from unet.inference.predictor import Predictor
from unet.labels import Labels
from unet.metrics.boundary import BoundaryCounts, Tolerance, report_boundaries
from unet.metrics.confusion import Counts
from unet.metrics.resampling import confidence
from unet.preprocessing import Preprocessing, conversions, value_factor
from unet.runs.folder import MODEL, is_run
from unet.runs.opening import open_run
from unet.runs.source import data_config
from unet.runs.targets import check_target
from unet.terminal.display import Display, open_display
from unet.terminal.tables import print_scores

MEANS = {"mean_iou": "mean IoU", "mean_dice": "mean Dice", "pixel_accuracy": "pixel accuracy"}
"""What is said of the pictures that a model has not seen."""


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
    backend: str | None = None,
    boundary: bool = False,
    tolerance: str | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Score a model.

    Parameters
    ----------
    model : str or path
        A model file, .safetensors or the Carvana system's .pth; or the folder of a run, whose own record says what it
        was trained on.
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
        Compute in float32, with torch.
    backend : {"auto", "torch", "openvino"}, optional
        What computes: by default UNET_BACKEND or else "auto", see `unet.inference.backends.choose`.
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
        `boundary`, from `unet.metrics.boundary.report_boundaries`. `trained_on` and `validated_on` count the pictures
        that the model was trained on, and those that chose its weights: None where the model file does not say.
        `unseen` holds the means over the other pictures, where there are both.

    Raises
    ------
    InputError
        A file or folder that cannot be used, mask values that the model does not know, or a tolerance that is none.
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
    own = run is not None and data is images is masks is None
    if run is not None and own:
        pairs, labels, seen = recorded_part(run, "val" if split is None else split, display)
        pairs = pairs if roi is None else with_regions(pairs, Path(roi), None, display.notify)
    else:
        pairs, labels, seen = described_part(
            data_config(
                root=data, images=images, masks=masks, mask_suffix=mask_suffix, class_field=class_field, outline=outline
            ),
            split or "all",
            as_path(roi),
            loaded,
            display,
        )
    predictor = Predictor(loaded, device=device, exact=exact, backend=backend, notify=display.notify)
    loaded = predictor.bundle  # without the weights, which the predictor has
    examples = evaluation.EvaluationSet(pairs, labels, loaded.preprocessing, cache_bytes=0, as_trained=own)
    boundaries: list[BoundaryCounts] = []
    with display:
        if boundary:
            counts, boundaries = evaluation.count_with_boundaries(predictor, examples, allowed, display.validating)
        else:
            counts = evaluation.count(predictor, examples, display.validating)
    scores = {**evaluation.summarise(counts, pairs, labels), "confidence": confidence(counts)}
    scores |= known_pictures(counts, pairs, labels, seen)
    if boundary:
        scores["boundary"] = report_boundaries(boundaries, labels.names, allowed)
    print_scores(scores, f"Scores on {len(pairs)} picture{'s' * (len(pairs) != 1)}{known_in_words(scores)}")
    tell_known(scores, model, display)
    if json is not None:
        write_json(json, scores)
        display.notify(f"scores: {json}")
    return scores


Part = tuple[Sequence[Pair], Labels, list[str] | None]
"""Pairs, how their masks are read, and for each "train" or "val" if the model has seen it; None: nobody knows."""


def recorded_part(run: Path, split: str, display: Display) -> Part:
    """Return the pairs of a part of a run as it was decided.

    Raises
    ------
    InputError
        The run has no such part.
    """
    opened = open_run(run, display)
    chosen = [(pair, part) for part, pairs in opened.parts.items() if split in (part, "all") for pair in pairs]
    if not chosen:
        there = ", ".join(name for name, some in opened.parts.items() if some)
        raise InputError(f"the run has no part {split!r}", f"{there} or all", "choose another --split")
    seen = ["" if part == "test" else part for _, part in chosen]
    return [pair for pair, _ in chosen], opened.record.labels, seen


def described_part(settings: DataConfig, split: str, roi: Path | None, loaded: Bundle, display: Display) -> Part:
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
    remarks: list[str] = []
    if not any(pair.drawing for pair in scanned.pairs):
        labels, remarks = match_classes(labels, scanned, description)
    skipped = ignored_values(description.ignore or (), labels.is_rgb, scanned)
    labels = replace(labels, ignored=tuple(dict.fromkeys((*labels.ignored, *skipped))))
    check(scanned, labels, loaded.preprocessing)
    for line in (*remarks, *conversions_in(scanned, loaded.preprocessing)):
        display.notify(line)
    remembered = Seen.from_dict(loaded.provenance.get("seen"))
    return scanned.pairs, labels, None if remembered is None else remembered.parts(scanned.pairs, scanned.pictures)


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
        remedy = "choose another --split; what a run held out is scored by: unet evaluate RUN --split " + split
        raise InputError(f"the data have no part {split!r}", there, remedy)
    return parts[split]


def known_pictures(
    counts: Sequence[Counts], pairs: Sequence[Pair], labels: Labels, seen: list[str] | None
) -> dict[str, Any]:
    """Return how many pictures the model has seen, and the means over the others where there are both."""
    if seen is None:
        return {"trained_on": None, "validated_on": None}
    known: dict[str, Any] = {"trained_on": seen.count(TRAIN), "validated_on": seen.count(VAL)}
    others = [place for place, part in enumerate(seen) if not part]
    if 0 < len(others) < len(seen):
        scores = evaluation.summarise([counts[place] for place in others], [pairs[place] for place in others], labels)
        known["unseen"] = {"pictures": len(others)} | {name: scores[name] for name in MEANS}
    return known


def known_in_words(scores: dict[str, Any]) -> str:
    """Return what the title of a table says of the pictures that the model has seen."""
    parts = {"trained_on": "the model was trained on", "validated_on": "chose its weights"}
    told = [f"{scores[key]} {what}" for key, what in parts.items() if scores[key]]
    return f", of which {' and '.join(told)}" if told else ""


def tell_known(scores: dict[str, Any], model: Path, display: Display) -> None:
    """Say so where scores are better than they would be on new pictures."""
    if scores["trained_on"] is None:
        display.notify(f"{model} does not say which pictures it was trained on: whether these are new is not known")
    elif scores["trained_on"]:
        many = f"{scores['trained_on']} of {len(scores['images'])} pictures"
        run = model if model.is_dir() else model.parent
        remedy = f"; what was held out: unet evaluate {run} --split val" if is_run(run) else ""
        display.notify(f"warning: the model was trained on {many}: scores on new ones are lower as a rule{remedy}")
    if unseen := scores.get("unseen"):
        means = ", ".join(f"{what} {unseen[name]:.4f}" for name, what in MEANS.items() if unseen[name] is not None)
        many = f"{unseen['pictures']} picture{'s' * (unseen['pictures'] != 1)}"
        display.notify(f"on the {many} that it has not seen: {means}")


def check(scanned: Scan, labels: Labels, preprocessing: Preprocessing) -> None:
    """Make sure that every mask can be read as the model's classes, and that it can take every picture.

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
    ranges = [
        f"{pair.image}: {fault}"
        for pair, picture in zip(scanned.pairs, scanned.pictures, strict=True)
        if (fault := range_fault(picture, preprocessing))
    ]
    if ranges:
        data_range = preprocessing.data_range
        expected = f"about 0 to {data_range:.4g}, as the model was trained on"
        problem = f"{counted(len(ranges), 'picture')} of another range of values"
        remedy = "convert them as the training pictures were converted"
        findings.append(Finding("other-range", "error", problem, expected, remedy, tuple(ranges), len(ranges)))
    stop_on_errors(findings, "the data")


def range_fault(picture: PictureStats, preprocessing: Preprocessing) -> str:
    """Return why a model cannot take the values of a picture, or nothing."""
    try:
        value_factor(picture.dtype, min(picture.low), max(picture.high), preprocessing)
    except InputError as error:
        return error.found
    return ""


def conversions_in(scanned: Scan, preprocessing: Preprocessing) -> list[str]:
    """Return a line for each way in which pictures are made such as the model takes, with their number."""
    count: Counter[str] = Counter()
    for picture in scanned.pictures:
        factor = value_factor(picture.dtype, min(picture.low), max(picture.high), preprocessing)
        count.update(conversions(picture.bands, picture.dtype, factor, preprocessing))
    return [f"{number} of {len(scanned.pictures)} pictures: {words}" for words, number in count.items()]


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
