"""`unet evaluate`: a model against pictures with known masks, at the pictures' own resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unet import bundle
from unet.data.classes import ignored_values
from unet.data.finding import Finding, stop_on_errors
from unet.data.inspection.files import faulty
from unet.data.manifest import describe
from unet.data.pairs import Pair
from unet.data.parts import find_parts
from unet.data.scan import Scan, scan, size_faults
from unet.data.stats import MaskStats
from unet.errors import ConfigError, DataError, InputError
from unet.files import write_json
from unet.inference import evaluation
from unet.inference.predictor import Predictor
from unet.labels import Labels
from unet.metrics.boundary import BoundaryCounts, Tolerance, report_boundaries
from unet.metrics.resampling import confidence
from unet.runs.source import data_config
from unet.runs.targets import check_target
from unet.terminal.display import open_display
from unet.terminal.tables import print_scores


def evaluate(
    model: Path,
    data: Path | None = None,
    *,
    images: Path | None = None,
    masks: Path | None = None,
    mask_suffix: str | None = None,
    split: str = "all",
    json: Path | None = None,
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
    model : Path
        A model file, .safetensors or the Carvana system's .pth.
    data : Path, optional
        Folder with pictures and masks; or give `images` and `masks`.
    split : {"all", "train", "val", "test"}
        Which part, where the folder has parts.
    json : Path, optional
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
    """
    if tolerance is not None and not boundary:
        raise ConfigError(f"tolerance {tolerance!r}", "boundaries to score", "add --boundary, or leave it out")
    allowed = Tolerance.read(tolerance) if tolerance is not None else Tolerance()
    if json is not None:
        check_target(json, overwrite)
    display = open_display()
    loaded = bundle.load(model, scale=scale)
    about = describe(data_config(root=data, images=images, masks=masks, mask_suffix=mask_suffix))
    pairs = part(find_parts(about, display.say), split)
    with display.counting("reading masks and pictures") as progress:
        seen = scan(pairs, progress=progress)
    labels = loaded.labels
    skipped = ignored_values(about.ignore or (), labels.is_rgb, seen)
    labels = replace(labels, ignored=tuple(dict.fromkeys((*labels.ignored, *skipped))))
    check(seen, labels)
    predictor = Predictor(loaded, device=device, exact=exact)
    boundaries: list[BoundaryCounts] = []
    with display:
        if boundary:
            counts, boundaries = evaluation.count_with_boundaries(predictor, pairs, labels, allowed, display.validating)
        else:
            counts = evaluation.count(predictor, pairs, labels, display.validating)
    scores = {**evaluation.summarise(counts, pairs, labels), "confidence": confidence(counts)}
    if boundary:
        scores["boundary"] = report_boundaries(boundaries, labels.names, allowed)
    print_scores(scores, f"Scores on {len(pairs)} picture{'s' * (len(pairs) != 1)}")
    if json is not None:
        write_json(json, scores)
        display.say(f"scores in {json}")
    return scores


def part(found: dict[str, tuple[Pair, ...]], split: str) -> Sequence[Pair]:
    """Return the pairs of one part of a data set, or all of them.

    Raises
    ------
    InputError
        There is no such part.
    """
    if split == "all":
        return [pair for pairs in found.values() for pair in pairs]
    if split not in found:
        there = "all, as there are no parts" if "all" in found else f"{', '.join(found)} or all"
        raise InputError(f"the data have no part {split!r}", there, "choose another --split")
    return found[split]


def check(seen: Scan, labels: Labels) -> None:
    """Make sure that every mask can be read as the model's classes.

    Raises
    ------
    DataError
        With all files that cannot.
    """
    strange = [
        f"{pair.mask}: {fault}"
        for pair, mask in zip(seen.pairs, seen.masks, strict=True)
        if (fault := fault_of(mask, labels))
    ]
    findings = faulty((*seen.faults, *size_faults(seen)))
    if strange:
        found = f"{len(strange)} of {len(seen.pairs)} pairs cannot be scored"
        findings.append(Finding("unknown-values", "error", found, files=tuple(strange), count=len(strange)))
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
