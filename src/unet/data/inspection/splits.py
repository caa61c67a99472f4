"""What is held out: pictures that are on both sides, classes that are on one side only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unet.data.class_counts import class_counts
from unet.data.duplicates import Twin, twins
from unet.data.finding import Finding, counted
from unet.data.scan import Scan
from unet.labels import Labels


def split_findings(train: Scan, val: Scan, labels: Labels | None) -> list[Finding]:
    """Return all that is to be said about the split."""
    alike = twins(train, val)
    findings = [same(alike), nearly_same(alike)]
    if labels is not None and train.masks and val.masks:
        findings += [missing(train, val, labels)]
    return [finding for finding in findings if finding is not None]


def same(alike: Sequence[Twin]) -> Finding | None:
    """Pictures on both sides, pixel for pixel."""
    files = [f"{val_pair.image} is {train_pair.image}" for train_pair, val_pair, distance in alike if distance < 0]
    return Finding.of_files(
        "duplicate-across-split",
        "warning",
        files,
        f"{counted(len(files), 'validation picture')} also to be trained on, pixel for pixel",
        "pictures that training has not seen",
        "remove them, or keep copies on one side by --group REGEX or --val LIST",
    )


def nearly_same(alike: Sequence[Twin]) -> Finding | None:
    """Pictures on both sides that look alike, as frames of a video do."""
    files = [
        f"{val_pair.image} looks like {train_pair.image}" for train_pair, val_pair, distance in alike if distance >= 0
    ]
    return Finding.of_files(
        "near-duplicate-across-split",
        "warning",
        files,
        f"{counted(len(files), 'validation picture looks', 'validation pictures look')} like one to be trained on, "
        "as frames of a video do",
        "pictures that training has not seen, or the scores are too good",
        "keep what belongs together on one side by --group REGEX or --val FOLDER",
    )


def missing(train: Scan, val: Scan, labels: Labels) -> Finding | None:
    """Classes that are on one side only, or on none."""
    here, there = _present(train, labels), _present(val, labels)
    lines = [
        f"{name} is in no {'picture at all' if not (a or b) else 'training mask' if b else 'validation mask'}"
        for name, a, b in zip(labels.names, here, there, strict=True)
        if not (a and b)
    ]
    return Finding.of_files(
        "class-missing",
        "warning",
        lines,
        f"{counted(len(lines), 'class', 'classes')} missing in training or in validation",
        "every class on both sides, to learn it and to score it",
        "hold out others by --val, or add pictures",
    )


def _present(scan: Scan, labels: Labels) -> NDArray[np.bool_]:
    counts = sum((class_counts(mask, labels) for mask in scan.masks), np.zeros(256, np.int64))
    return counts[: len(labels)] > 0
