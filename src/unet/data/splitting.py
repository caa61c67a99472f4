"""Which pairs are trained on and which are held out."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from unet.data.pairs import Pair
from unet.errors import DataError


def split(
    pairs: Sequence[Pair], *, val: float, group: str | None = None, seed: int = 0
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Hold a share of the pairs out.

    Parameters
    ----------
    pairs : sequence of Pair
    val : float
        The share of pictures to hold out.
    group : str, optional
        A regular expression: pairs in whose names it matches the same text (or the same group 1, where it has
        groups) stay on one side.
    seed : int
        Decides which pairs or groups are held out; the order of `pairs` does not.

    Returns
    -------
    (train, val) : tuples of Pair
        Each with at least one pair, sorted by name.

    Raises
    ------
    DataError
        A share or a pattern that leaves nothing on one side; a pattern that does not match.
    """
    held = set(_held_by_share(pairs, val, group, seed))
    return tuple(sorted(pair for pair in pairs if pair not in held)), tuple(sorted(held))


def folds(
    pairs: Sequence[Pair], count: int, *, group: str | None = None, seed: int = 0
) -> tuple[tuple[Pair, ...], ...]:
    """Deal the pairs out into parts of about the same size, for cross-validation.

    Parameters
    ----------
    pairs : sequence of Pair
    count : int
    group, seed
        As in `split`.

    Returns
    -------
    tuple of tuple of Pair
        `count` of them, each with at least one pair, sorted by name.

    Raises
    ------
    DataError
        Fewer pairs, or groups, than parts; a pattern that does not match.
    """
    groups = _groups(pairs, group)
    if not 2 <= count <= len(groups):
        what = f"{len(groups)} {'groups' if group else 'pictures'}"
        raise DataError(f"{count} folds of {what}", f"from 2 to {len(groups)} folds")
    names = sorted(groups)
    random.Random(seed).shuffle(names)
    parts: list[list[Pair]] = [[] for _ in range(count)]
    for name in sorted(names, key=lambda name: -len(groups[name])):  # the large ones first; equals stay shuffled
        min(parts, key=len).extend(groups[name])
    return tuple(tuple(sorted(part)) for part in parts)


def _groups(pairs: Sequence[Pair], pattern: str | None) -> dict[str, list[Pair]]:
    groups: dict[str, list[Pair]] = {}
    for pair in sorted(pairs):
        groups.setdefault(_group_of(pair, pattern), []).append(pair)
    return groups


def _held_by_share(pairs: Sequence[Pair], share: float, group: str | None, seed: int) -> list[Pair]:
    if not 0 < share < 1:
        raise DataError(f"a share of {share:g} to hold out", "more than 0 and less than 1")
    groups = _groups(pairs, group)
    if len(groups) < 2:
        what = f"one group of {len(pairs)} pictures by the pattern {group!r}" if group else f"{len(pairs)} picture"
        raise DataError(
            what,
            "at least two, one to train on and one to check on",
            "add pictures, give --val FOLDER, or cut them into blocks (see docs/dataset-toml.md)",
        )
    names = sorted(groups)
    random.Random(seed).shuffle(names)
    wanted = share * len(pairs)
    held: list[Pair] = []
    for name in names[:-1]:  # one is left to train on
        if abs(len(held) + len(groups[name]) - wanted) < abs(len(held) - wanted):
            held += groups[name]
    return held or min((groups[name] for name in names), key=len)


def _group_of(pair: Pair, pattern: str | None) -> str:
    if pattern is None:
        return pair.name
    try:
        match = re.search(pattern, pair.name)
    except re.error as error:
        raise DataError(f"the group pattern {pattern!r} ({error})", "a regular expression such as '^[^_]+'") from None
    if match is None:
        raise DataError(f"the group pattern {pattern!r} does not match the name {pair.name!r}", "a match in every name")
    return "\0".join(part or "" for part in match.groups()[:1]) if match.re.groups else match.group()
