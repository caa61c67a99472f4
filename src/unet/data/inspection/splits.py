"""What is held out: pictures that are on both sides, classes that are on one side only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unet.data.class_counts import class_counts
from unet.data.finding import Finding, counted
from unet.data.pairs import Pair
from unet.data.scan import Scan
from unet.data.stats import PictureStats
from unet.labels import Labels

ALIKE = 4
"""Of the 64 bits of two perceptual hashes, so many differ at most between pictures that look alike."""

_APART = 0.05  # of the range of values: means and spreads that differ by more are of different pictures
_ROWS = 4096  # pictures compared at a time

Alike = tuple[Pair, Pair, int]
"""A picture to train on, one to validate on, and how many bits of their hashes differ; -1 for equal pixels."""


def split_findings(train: Scan, val: Scan, labels: Labels | None) -> list[Finding]:
    """Return all that is to be said about the split."""
    alike = twins(train, val)
    findings = [same(alike), nearly_same(alike)]
    if labels is not None and train.masks and val.masks:
        findings += [missing(train, val, labels)]
    return [finding for finding in findings if finding is not None]


def twins(train: Scan, val: Scan) -> list[Alike]:
    """Return for each validation picture the training picture that looks most like it, where any does."""
    twin_of: dict[Pair, Alike] = {}
    known = {picture.digest: pair for pair, picture in zip(train.pairs, train.pictures, strict=True)}
    for pair, picture in zip(val.pairs, val.pictures, strict=True):
        if picture.digest in known and not picture.constant:
            twin_of[pair] = (known[picture.digest], pair, -1)
    ours, theirs = _hashed(train), _hashed(val)
    if ours and theirs:
        bits = _signs([picture for _, picture in theirs])
        for start in range(0, len(ours), _ROWS):
            rows = ours[start : start + _ROWS]
            differ = (64 - _signs([picture for _, picture in rows]) @ bits.T) / 2
            for row, column in np.argwhere(differ <= ALIKE):
                (train_pair, train_picture), (val_pair, val_picture) = rows[row], theirs[column]
                distance = int(differ[row, column])
                if (val_pair not in twin_of or distance < twin_of[val_pair][2]) and _near(train_picture, val_picture):
                    twin_of[val_pair] = (train_pair, val_pair, distance)
    return sorted(twin_of.values(), key=lambda twin: (twin[2], twin[1].name))


def same(alike: Sequence[Alike]) -> Finding | None:
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


def nearly_same(alike: Sequence[Alike]) -> Finding | None:
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


def _hashed(scan: Scan) -> list[tuple[Pair, PictureStats]]:
    rows = zip(scan.pairs, scan.pictures, strict=True)
    return [(pair, picture) for pair, picture in rows if picture.phash is not None]


def _signs(pictures: Sequence[PictureStats]) -> NDArray[np.float32]:
    """Return (N, 64) of -1 and 1: the product of two rows counts the bits that agree less those that differ."""
    raw = b"".join((picture.phash or 0).to_bytes(8, "big") for picture in pictures)
    bits = np.unpackbits(np.frombuffer(raw, np.uint8)).reshape(-1, 64)
    return bits.astype(np.float32) * 2 - 1


def _near(first: PictureStats, second: PictureStats) -> bool:
    """Tell whether two pictures with like hashes are as bright and as rich in contrast, too."""
    brightest = max(*first.high, *second.high, 1e-9)
    same_shape = abs(first.width * second.height - second.width * first.height) <= 0.02 * first.width * second.height
    levels = [(np.mean(a), np.mean(b)) for a, b in ((first.mean, second.mean), (first.std, second.std))]
    return same_shape and all(abs(a - b) <= _APART * brightest for a, b in levels)


def _present(scan: Scan, labels: Labels) -> NDArray[np.bool_]:
    counts = sum((class_counts(mask, labels) for mask in scan.masks), np.zeros(256, np.int64))
    return counts[: len(labels)] > 0
