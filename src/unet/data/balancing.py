"""Groups of pictures that change sides, so that no class is missing on one side of a split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST_TRIED = 64  # groups of one side that are tried in exchange for all of the other


@dataclass(frozen=True)
class Side:
    """A group: how many pictures it has, the classes in them, and whether it is held out."""

    pictures: int
    classes: frozenset[int]
    is_held: bool


def with_all_classes(groups: Mapping[str, Side], wanted: float, later: int = 0) -> set[str]:
    """Return the names of the groups to hold out, which hold each class that enough groups show.

    Where no class is missing these are the ones that are held out already. Otherwise one after another a group is
    exchanged for another, or moved: the exchange after which the fewest classes are missing, of equal ones that after
    which about as many pictures are held out as wanted, of these the first. It goes on until no exchange helps.

    Parameters
    ----------
    groups : mapping of str to Side
        In the order in which they are tried.
    wanted : float
        How many pictures to hold out.
    later : int
        How many parts will be drawn from those that are left: each class should be left for them and for training.
    """
    names = list(groups)
    held = np.array([groups[name].is_held for name in names])
    sizes = np.array([groups[name].pictures for name in names])
    known = sorted(frozenset[int]().union(*(group.classes for group in groups.values())))
    shows = np.array([[index in groups[name].classes for index in known] for name in names], dtype=np.int64)
    shows = shows.reshape(len(names), len(known))
    total = shows.sum(axis=0)
    need_rest = np.where(total > 1, np.minimum(total, 1 + later), 0)  # what only one group shows stays where it is
    need_held = np.where(total > 1, np.minimum(total - need_rest, 1), 0)
    most = max(sizes[held].sum(), sizes.sum() / 2)

    def missing(in_held: NDArray[np.int64]) -> NDArray[np.int64]:
        lack: NDArray[np.int64] = np.maximum(need_held - in_held, 0) + np.maximum(need_rest - total + in_held, 0)
        return np.asarray(lack.sum(axis=-1))

    while (lack := int(missing(shows[held].sum(axis=0)))) > 0:
        in_held, held_pictures = shows[held].sum(axis=0), sizes[held].sum()
        best: tuple[int, float, int, int] | None = None
        outs = _tried(~held, shows[:, in_held < need_held])
        backs = _tried(held, shows[:, total - in_held < need_rest], every=True)
        no_shows, no_sizes = np.vstack([shows, np.zeros_like(total)]), np.append(sizes, 0)  # -1: no group
        for out in outs:
            size = held_pictures + no_sizes[out] - no_sizes[backs]
            lacks = missing(in_held + no_shows[out] - no_shows[backs])
            count = held.sum() + (out >= 0) - (backs >= 0)
            fits = (count > 0) & (count < len(names) - later) & (size <= most)
            lacks = np.where(fits, lacks, lack)
            away = np.abs(size - wanted)
            place = np.lexsort((away, lacks))[0]
            exchange = (int(lacks[place]), float(away[place]), int(out), int(backs[place]))
            if exchange[0] < lack and (best is None or exchange[:2] < best[:2]):
                best = exchange
        if best is None:
            break
        for place in best[2:]:
            if place >= 0:
                held[place] = not held[place]
    return {name for name, is_held in zip(names, held, strict=True) if is_held}


def _tried(side: NDArray[np.bool_], shows: NDArray[np.int64], every: bool = False) -> NDArray[np.intp]:
    """Return the groups of a side to try, and -1 for none: those that show one of the classes, or any."""
    useful = np.flatnonzero(side & shows.any(axis=1))
    others = np.flatnonzero(side & ~shows.any(axis=1))
    tried = np.concatenate([useful, others])
    return np.append(tried if every else tried[:_MOST_TRIED], -1)
