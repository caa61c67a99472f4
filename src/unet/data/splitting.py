"""Which pairs are trained on and which are held out."""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from unet.data.balancing import Side, with_all_classes
from unet.data.pairs import Pair
from unet.errors import DataError


@dataclass(frozen=True)
class Split:
    """Pairs by part, each sorted by name; `test` is empty where none was asked for."""

    train: tuple[Pair, ...]
    val: tuple[Pair, ...]
    test: tuple[Pair, ...] = ()


def split(
    pairs: Sequence[Pair],
    *,
    val: float,
    test: float = 0.0,
    group: str | None = None,
    seed: int = 0,
    classes: Mapping[Pair, frozenset[int]] | None = None,
    alike: Sequence[Collection[Pair]] = (),
) -> Split:
    """Hold shares of the pairs out, at random.

    Parameters
    ----------
    pairs : sequence of Pair
    val, test : float
        The shares of all pictures to validate on and to test on. What is tested on is drawn first.
    group : str, optional
        A regular expression: pairs in whose names it matches the same text (or the same group 1, where it has
        groups) stay on one side.
    seed : int
        Decides which pairs or groups are held out; the order of `pairs` does not.
    classes : mapping of Pair to frozenset of int, optional
        The classes in each picture. As few groups as possible change sides so that each class that two groups show
        is both trained and validated on, and each that three show is tested on too.
    alike : sequence of collection of Pair, optional
        Pictures that look alike (`unet.data.duplicates.alike_groups`): each collection stays on one side. It does
        not where that would leave too little or too much to hold out: less than half or more than twice the share.

    Returns
    -------
    Split
        Each part that is asked for has at least one pair.

    Raises
    ------
    DataError
        Shares or a pattern that leave nothing on one side; a pattern that does not match.
    """
    shares = [share for share in (test, val) if share]
    if not 0 < val < 1 or not 0 <= test < 1:
        raise DataError(f"a share of {val if not 0 < val < 1 else test:g} to hold out", "more than 0 and less than 1")
    if val + test >= 1:
        raise DataError(f"shares of {val:g} to validate on and {test:g} to test on", "less than 1 together")
    grouped = _groups(pairs, group)
    _demand_enough(pairs, grouped, group, len(shares) + 1)
    joined = _joined(grouped, alike)
    parts = _draw(joined, shares, seed, classes) if len(joined) > len(shares) else []
    wanted = [share * len(pairs) for share in shares]
    if joined != grouped and not all(_is_near(len(part), size) for part, size in zip(parts[:-1], wanted, strict=False)):
        parts = []
    *held, rest = parts or _draw(grouped, shares, seed, classes)
    return Split(rest, held[-1], held[0] if test else ())


def folds(
    pairs: Sequence[Pair],
    count: int,
    *,
    group: str | None = None,
    seed: int = 0,
    alike: Sequence[Collection[Pair]] = (),
) -> tuple[tuple[Pair, ...], ...]:
    """Deal the pairs out into parts of about the same size, for cross-validation.

    Parameters
    ----------
    pairs : sequence of Pair
    count : int
    group, seed, alike
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
    grouped = _groups(pairs, group)
    if not 2 <= count <= len(grouped):
        what = f"{len(grouped)} {'groups' if group else 'pictures'}"
        raise DataError(f"{count} folds of {what}", f"from 2 to {len(grouped)} folds")
    joined = _joined(grouped, alike)
    parts = _deal(joined, count, seed) if len(joined) >= count else []
    if joined != grouped and not all(_is_near(len(part), len(pairs) / count) for part in parts):
        parts = []
    return tuple(parts or _deal(grouped, count, seed))


Groups = dict[str, list[Pair]]
"""By name, the pairs that stay together."""


def _draw(
    groups: Groups, shares: Sequence[float], seed: int, classes: Mapping[Pair, frozenset[int]] | None
) -> list[tuple[Pair, ...]]:
    """Return the pairs that each share holds out, and those that are left."""
    pictures = sum(map(len, groups.values()))
    left = dict(groups)
    parts: list[tuple[Pair, ...]] = []
    for number, share in enumerate(shares):
        later = len(shares) - number - 1
        names = sorted(left)
        random.Random(seed).shuffle(names)
        held = _hold_out(left, names, share * pictures, later)
        if classes is not None:
            sides = {name: Side(len(left[name]), _shown(left[name], classes), name in held) for name in names}
            held = with_all_classes(sides, share * pictures, later)
        parts.append(_sorted(left, held))
        left = {name: pairs for name, pairs in left.items() if name not in held}
    return [*parts, _sorted(left, left)]


def _hold_out(groups: Groups, names: Sequence[str], wanted: float, later: int) -> set[str]:
    """Return the names of groups of about as many pictures as wanted; one is left for each part that comes later."""
    held: list[str] = []
    size = 0
    for name in names[: len(names) - 1 - later]:
        if abs(size + len(groups[name]) - wanted) < abs(size - wanted):
            held.append(name)
            size += len(groups[name])
    return set(held) or {min(names, key=lambda name: len(groups[name]))}


def _deal(groups: Groups, count: int, seed: int) -> list[tuple[Pair, ...]]:
    names = sorted(groups)
    random.Random(seed).shuffle(names)
    parts: list[list[Pair]] = [[] for _ in range(count)]
    for name in sorted(names, key=lambda name: -len(groups[name])):  # the large ones first; equals stay shuffled
        min(parts, key=len).extend(groups[name])
    return [tuple(sorted(part)) for part in parts]


def _is_near(size: int, wanted: float) -> bool:
    return wanted / 2 <= size <= 2 * wanted or abs(size - wanted) <= 1


def _shown(pairs: Sequence[Pair], classes: Mapping[Pair, frozenset[int]]) -> frozenset[int]:
    return frozenset[int]().union(*(classes.get(pair, frozenset()) for pair in pairs))


def _sorted(groups: Groups, names: Collection[str]) -> tuple[Pair, ...]:
    return tuple(sorted(pair for name in names for pair in groups[name]))


def _demand_enough(pairs: Sequence[Pair], groups: Groups, pattern: str | None, parts: int) -> None:
    if len(groups) >= parts:
        return
    count = "one group" if len(groups) == 1 else f"{len(groups)} groups"
    what = f"{count} of {len(pairs)} pictures by the pattern {pattern!r}" if pattern else f"{len(pairs)} picture"
    raise DataError(
        what if pattern or len(pairs) == 1 else f"{what}s",
        "at least two, one to train on and one to check on" if parts == 2 else "at least three, one for each part",
        "add pictures, give --val FOLDER, or cut them into blocks (see docs/dataset-toml.md)",
    )


def _groups(pairs: Sequence[Pair], pattern: str | None) -> Groups:
    groups: Groups = {}
    for pair in sorted(pairs):
        groups.setdefault(_group_of(pair, pattern), []).append(pair)
    return groups


def _joined(groups: Groups, alike: Sequence[Collection[Pair]]) -> Groups:
    """Return the groups, those joined of which pictures look alike."""
    name_of = {pair: name for name, pairs in groups.items() for pair in pairs}
    root = {name: name for name in groups}

    def find(name: str) -> str:
        while root[name] != name:
            root[name] = name = root[root[name]]
        return name

    for collection in alike:
        names = sorted({find(name_of[pair]) for pair in collection if pair in name_of})
        root.update(dict.fromkeys(names, names[0]) if names else {})
    joined: Groups = {}
    for name, pairs in groups.items():
        joined.setdefault(find(name), []).extend(pairs)
    return joined


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
