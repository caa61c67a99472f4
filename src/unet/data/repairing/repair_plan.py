"""What is to be done to a data set, decided before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from unet.config import DataConfig
from unet.data.finding import shortened
from unet.data.mask_values import listed
from unet.data.pairs import Pair, Pairing
from unet.data.repairing.classing import classed, numbered
from unet.data.repairing.copies import copies
from unet.data.repairing.file_repair import FileRepair, LeftOut, Step
from unet.data.repairing.fitting import fitted
from unet.data.repairing.gathering import gather, unswapped, usable
from unet.data.scan import Scan
from unet.errors import DataError
from unet.labels import IGNORED, Labels


@dataclass(frozen=True)
class RepairPlan:
    """What is to be done.

    Attributes
    ----------
    jobs : tuple of FileRepair
        Sorted by part and name; no two targets differ in capitals only.
    labels : Labels
        The classes of the clean masks, whose values are 0, 1, ... and `IGNORED` for what does not count.
    left_out : tuple of LeftOut
    copies : tuple of (str, str)
        Pictures that are there twice, and which other they are.
    notes : tuple of str
        What else should be known.
    """

    jobs: tuple[FileRepair, ...]
    labels: Labels
    left_out: tuple[LeftOut, ...]
    copies: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def make_plan(
    pairing: Pairing,
    sure: Mapping[str, tuple[Pair, ...]],
    scan: Scan,
    settings: DataConfig,
    instances: str | None = None,
    *,
    drop_copies: bool = False,
) -> RepairPlan:
    """Decide what to do.

    Parameters
    ----------
    pairing : Pairing
    sure : mapping of str to tuple of Pair
        By part, more pairs: those of `sure_pairs`.
    scan : Scan
        Of all pairs, in all parts.
    settings : DataConfig
        What the user says about the masks.
    instances : {"objects", "borders"}, optional
        The masks number objects; what to make of them.
    drop_copies : bool
        Leave out pictures that are there twice.

    Raises
    ------
    DataError
        There is no telling what the masks mean, or too little is left.
    """
    jobs, left_out = gather(pairing, sure, scan)
    _demand_enough(jobs, left_out)
    jobs, strange = usable(jobs)
    if settings.mask_values is None and instances is None:  # nobody says that many values are right
        jobs, swapped = unswapped(jobs)
        strange += swapped
    jobs, unfit = fitted(jobs)
    left_out += [*strange, *unfit]
    _demand_enough(jobs, left_out)
    twice = copies(jobs)
    if drop_copies:
        dropped = {copy.pair: first for copy, first in twice}
        left_out += [LeftOut(str(pair.image), f"the same as {first.pair.image}") for pair, first in dropped.items()]
        jobs, twice = [job for job in jobs if job.pair not in dropped], []
    notes: list[str] = []
    if instances is not None:
        jobs, labels = numbered(jobs, instances, settings.ignore or ())
    else:
        jobs, labels, more, notes = classed(jobs, settings)
        left_out += more
    _demand_enough(jobs, left_out)
    what = f"values {listed((*labels.values, *labels.ignored))} to class numbers"
    jobs = [job.then(Step(what, labels.encode)) for job in jobs]
    clean = replace(
        labels,
        values=tuple(range(len(labels))),
        ignored=(IGNORED,) if any(IGNORED in job.values for job in jobs) else (),
        rule="exact",
    )
    return RepairPlan(
        tuple(_with_unique_names(jobs)),
        clean,
        tuple(left_out),
        tuple((str(copy.pair.image), str(first.pair.image)) for copy, first in twice),
        tuple(notes),
    )


def _demand_enough(jobs: list[FileRepair], left_out: list[LeftOut]) -> None:
    """Make sure that there is something to train on and to validate on.

    Raises
    ------
    DataError
        There is not, with what was left out and why.
    """
    parts = Counter(job.part for job in jobs)
    if parts["train"] + parts["all"] == 0 or len(jobs) - parts["test"] < 2:
        raise DataError(
            f"{len(jobs)} pair{'s' * (len(jobs) != 1)} that can be used or repaired",
            "at least two, one to train on and one to validate on",
            faults=shortened([f"{left.file}: {left.why}" for left in left_out]),
        )


def _with_unique_names(jobs: list[FileRepair]) -> list[FileRepair]:
    """Rename pictures whose names differ in capitals only, which some systems do not tell apart."""
    taken: set[str] = set()
    named = []
    for job in jobs:
        name, number = job.pair.name, 2
        while job.target.casefold() in taken:
            job = replace(job, pair=replace(job.pair, name=f"{name}_{number}"))
            number += 1
        taken.add(job.target.casefold())
        named.append(job)
    return named
