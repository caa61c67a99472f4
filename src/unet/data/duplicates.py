"""Pictures that are in a data set twice, pixel for pixel or nearly, as frames of a video are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from unet.data.pairs import Pair
from unet.data.scan import Scan
from unet.data.stats import PictureStats

ALIKE = 4
"""Of the 64 bits of two perceptual hashes, so many differ at most between pictures that look alike."""

_APART = 0.05  # of the range of values: means and spreads that differ by more are of different pictures
_SHAPES_APART = 0.02  # of the ratio of width to height
_AT_ONCE = 4_000_000  # pairs of pictures that are compared at a time

Twin = tuple[Pair, Pair, int]
"""A picture to train on, one to validate on, and how many bits of their hashes differ; -1 for equal pixels."""


def twins(train: Scan, val: Scan) -> list[Twin]:
    """Return for each validation picture the training picture that looks most like it, where any does."""
    twin_of: dict[Pair, Twin] = {}
    known = {picture.digest: pair for pair, picture in zip(train.pairs, train.pictures, strict=True)}
    for pair, picture in zip(val.pairs, val.pictures, strict=True):
        if picture.digest in known and not picture.constant:
            twin_of[pair] = (known[picture.digest], pair, -1)
    ours, theirs = np.array(_hashed(train), np.intp), np.array(_hashed(val), np.intp)
    pictures, others = [train.pictures[place] for place in ours], [val.pictures[place] for place in theirs]
    for rows, columns, bits in _near(pictures, others):
        order = np.lexsort((rows, bits))
        _, nearest = np.unique(columns[order], return_index=True)
        for match in order[nearest]:
            pair, distance = val.pairs[theirs[columns[match]]], int(bits[match])
            if pair not in twin_of or distance < twin_of[pair][2]:
                twin_of[pair] = (train.pairs[ours[rows[match]]], pair, distance)
    return sorted(twin_of.values(), key=lambda twin: (twin[2], twin[1].name))


def alike_groups(scan: Scan) -> list[set[Pair]]:
    """Return the sets of two pictures or more that are the same or look alike, directly or by way of others.

    Pictures of one colour are like no others.
    """
    from scipy.sparse import coo_array  # slow to import
    from scipy.sparse.csgraph import connected_components

    group = np.arange(len(scan.pairs))

    def join(first: NDArray[np.intp], second: NDArray[np.intp]) -> None:
        nonlocal group
        first, second = group[first], group[second]
        apart = first != second
        if apart.any():
            edges = coo_array((np.ones(int(apart.sum()), np.int8), (first[apart], second[apart])), (len(group),) * 2)
            group = connected_components(edges, directed=False)[1][group]

    digests = np.array([picture.digest for picture in scan.pictures], dtype=np.int64)
    drawn = np.array([place for place, picture in enumerate(scan.pictures) if not picture.constant], dtype=np.intp)
    _, first_of, which = np.unique(digests[drawn], return_index=True, return_inverse=True)
    join(drawn, drawn[first_of][which.ravel()])
    places = np.array(_hashed(scan), dtype=np.intp)
    pictures = [scan.pictures[place] for place in places]
    for rows, columns, _ in _near(pictures, pictures, lambda: group[places]):
        join(places[rows], places[columns])
    sets: dict[int, set[Pair]] = {}
    for number, pair in zip(group.tolist(), scan.pairs, strict=True):
        sets.setdefault(number, set()).add(pair)
    return [alike for alike in sets.values() if len(alike) > 1]


def _hashed(scan: Scan) -> list[int]:
    """Return the places of the pictures that have a perceptual hash."""
    return [place for place, picture in enumerate(scan.pictures) if picture.phash is not None]


def _near(
    first: list[PictureStats], second: list[PictureStats], groups: Callable[[], NDArray[np.intp]] | None = None
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]]:
    """Give the pictures of two lists that look alike, some rows of the first at a time: places in both, bits apart.

    Pictures with like hashes must be as bright and as rich in contrast, too, and of one shape. Where the two
    lists are one, `groups` returns the group of each picture by then: those of one group are passed over.
    """
    if not first or not second:
        return
    (signs, ratios, peaks, levels), theirs = _features(first), _features(second)
    step = max(1, _AT_ONCE // len(second))
    for start in range(0, len(first), step):
        part, left = slice(start, start + step), 0 if groups is None else start
        agree = signs[part] @ theirs[0][left:].T  # the bits that agree less those that differ
        close = agree >= 64 - 2 * ALIKE
        if groups is not None:
            group = groups()
            close &= group[part, None] != group[None, left:]
        if not close.any():
            continue
        rows, columns = np.nonzero(close)
        distances = ((64 - agree[rows, columns]) / 2).astype(np.int64)
        rows, columns = rows + start, columns + left
        same = np.abs(ratios[rows] - theirs[1][columns]) <= _SHAPES_APART * ratios[rows]
        brightest = np.maximum(peaks[rows], theirs[2][columns])[:, None]
        same &= (np.abs(levels[rows] - theirs[3][columns]) <= _APART * brightest).all(axis=1)
        yield rows[same], columns[same], distances[same]


def _features(
    pictures: list[PictureStats],
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return what pictures are compared by.

    Returns
    -------
    signs : float32 array (N, 64)
        -1 and 1, for the bits of the hash.
    ratios, peaks : float64 array (N,)
        Width by height, and the brightest value.
    levels : float64 array (N, 2)
        Mean and spread.
    """
    raw = b"".join((picture.phash or 0).to_bytes(8, "big") for picture in pictures)
    bits = np.unpackbits(np.frombuffer(raw, np.uint8)).reshape(-1, 64)
    return (
        bits.astype(np.float32) * 2 - 1,
        np.array([picture.width / picture.height for picture in pictures]),
        np.array([max(*picture.high, 1e-9) for picture in pictures]),
        np.array([(fmean(picture.mean), fmean(picture.std)) for picture in pictures]),
    )
