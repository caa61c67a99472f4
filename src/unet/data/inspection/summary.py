"""What an inspection says, as plain data: for the terminal, for the page and for JSON alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from unet.data.class_counts import class_counts
from unet.data.inspection.survey import Survey
from unet.data.mask_values import MaskValues
from unet.data.pairs import Pair
from unet.data.scan import Scan
from unet.labels import IGNORED, Labels

MOST_VALUES = 12
"""Mask values that are listed where they make no classes."""


def summarise_survey(survey: Survey, data: str) -> dict[str, Any]:
    """Return all facts as lists, texts and numbers.

    Returns
    -------
    dict
        data: the folder. parts: what pairs there are in each. classes: with their shares (or none, and values instead),
        and in how many pictures of each part they are. findings: as in `Finding`.
    """
    parts = [_part(name, survey.scan.part(pairs)) for name, pairs in _pairs(survey).items()]
    return {
        "data": data,
        "parts": parts,
        "classes": [] if survey.labels is None else _classes(survey, survey.labels),
        "values": _values(survey.scan) if survey.labels is None and survey.scan.masks else [],
        "findings": [asdict(finding) for finding in survey.findings],
    }


def _pairs(survey: Survey) -> dict[str, tuple[Pair, ...]]:
    """Return the pairs of each part that has any."""
    parts = {"train": survey.train, "val": survey.val, "test": survey.test}
    return {part: pairs for part, pairs in parts.items() if pairs}


def _part(name: str, scan: Scan) -> dict[str, Any]:
    return {
        "name": name,
        "pairs": len(scan.pairs),
        "sizes": _sizes([(picture.width, picture.height) for picture in scan.pictures]),
        "bands": _kinds(picture.bands for picture in scan.pictures),
        "depth": _kinds(picture.dtype for picture in scan.pictures),
        "pictures": _kinds(f"{picture.format} {picture.mode}" for picture in scan.pictures),
        "masks": _kinds(f"{mask.format} {mask.mode}" for mask in scan.masks),
    }


def _sizes(sizes: list[tuple[int, int]]) -> str:
    different = sorted(set(sizes), key=lambda size: size[0] * size[1])
    shown = [f"{width} x {height}" for width, height in different]
    return " or ".join(shown) if len(shown) <= 2 else f"{shown[0]} to {shown[-1]} ({len(shown)} sizes)"


def _kinds(kinds: Iterable[Any]) -> str:
    """Return the kinds there are, the most frequent first, with their counts where there are several."""
    counter = Counter(kinds)
    if len(counter) == 1:
        return str(next(iter(counter)))
    return ", ".join(f"{kind} ({count})" for kind, count in counter.most_common())


def _classes(survey: Survey, labels: Labels) -> list[dict[str, Any]]:
    """Return a row for each class and one for what does not count."""
    scan = survey.scan
    counts = np.array([class_counts(mask, labels) for mask in scan.masks])
    place = {pair: number for number, pair in enumerate(scan.pairs)}
    parts = {part: [place[pair] for pair in pairs if pair in place] for part, pairs in _pairs(survey).items()}
    rows = [(name, labels.values[index], labels.colors[index], index) for index, name in enumerate(labels.names)]
    if counts[:, IGNORED].any():
        rows.append(("(ignored)", labels.ignored[0], (255, 255, 255), IGNORED))
    return [
        {
            "name": name,
            "value": value,
            "color": color,
            "pixels": float(counts[:, index].sum() / counts.sum()),
            "pictures": float((counts[:, index] > 0).mean()),
            **{part: int((counts[places, index] > 0).sum()) for part, places in parts.items()},
        }
        for name, value, color, index in rows
    ]


def _values(scan: Scan) -> list[dict[str, Any]]:
    mask_values = MaskValues(scan)
    masks = Counter(mask_values.in_common_form(value) for mask in scan.masks for value, _ in mask.values)
    return [
        {"value": value, "pixels": count / mask_values.pixels, "masks": masks[value]}
        for value, count in mask_values.counts.most_common(MOST_VALUES)
    ]


def percentage(share: float) -> str:
    """Return a share in percent, small ones with two decimals."""
    return f"{share:.2%}" if share < 0.1 else f"{share:.1%}"
