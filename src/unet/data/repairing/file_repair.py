"""What is to be done to one pair: steps from the mask as it is to class numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.data.pairs import Pair
from unet.data.repairing.stacks import indices_of
from unet.data.scan import Scan
from unet.data.stats import MaskStats, PictureStats
from unet.labels import Value, as_value

Edit = Callable[[NDArray[Any]], NDArray[Any]]
"""From a mask (H, W) or (H, W, 3) to another."""


@dataclass(frozen=True)
class Step:
    """A change of a mask.

    Attributes
    ----------
    what : str
        In words, the same for all masks that it is done to for the same reason.
    how : callable
        Array to array.
    bends : bool
        It decides what pixels mean; those that it changes are counted by class.
    """

    what: str
    how: Edit
    bends: bool = False


@dataclass(frozen=True)
class FileRepair:
    """A pair and what is done to it.

    Attributes
    ----------
    part : str
        "train", "val", "test" or "all".
    pair : Pair
    picture : PictureStats
    mask : MaskStats
        As the steps leave it.
    stacked : bool
        The file of the mask holds a band for each class.
    steps : tuple of Step
    remarks : tuple of str
        What is done besides.
    """

    part: str
    pair: Pair
    picture: PictureStats
    mask: MaskStats
    stacked: bool = False
    steps: tuple[Step, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """Path without ending below the new folders of pictures and of masks, with "/"."""
        return self.pair.name if self.part == "all" else f"{self.part}/{self.pair.name}"

    @property
    def values(self) -> tuple[Value, ...]:
        """What the mask holds after the steps, the most frequent first."""
        return tuple(value for value, _ in self.mask.values)

    def read(self) -> NDArray[Any]:
        """Return the mask before the steps, (H, W) or (H, W, 3).

        Raises
        ------
        RasterError
            The file cannot be read.
        """
        path = self.pair.mask
        return indices_of(raster.read_bands(path)) if self.stacked else raster.read_mask(path)

    def then(self, step: Step, by_value: Edit | None = None) -> FileRepair:
        """Return the job with one more step, which changes values only; without it if it changes nothing.

        `by_value` is given where the step also looks at neighbours: what it does to values as a rule.
        """
        mask = _changed(self.mask, by_value or step.how)
        is_same = (mask.dtype, mask.values, mask.n_values) == (self.mask.dtype, self.mask.values, self.mask.n_values)
        if is_same:
            mask = replace(mask, palette=self.mask.palette)
        return replace(self, steps=self.steps if is_same else (*self.steps, step), mask=mask)

    def resized(self, step: Step) -> FileRepair:
        """Return the job with one more step, after which the mask has its picture's size."""
        old, new = self.mask, (self.picture.height, self.picture.width)
        factor = new[0] * new[1] / (old.height * old.width)
        values = tuple((value, round(count * factor)) for value, count in old.values)
        inner = tuple(round(count * factor) for count in old.inner)
        mask = replace(old, height=new[0], width=new[1], values=values, inner=inner)
        return replace(self, steps=(*self.steps, step), mask=mask)


@dataclass(frozen=True)
class LeftOut:
    """A file that does not go into the clean copy, with its partner, and why."""

    file: str
    why: str

    @classmethod
    def of(cls, pair: Pair, text: str) -> LeftOut:
        """Return the word on a pair: a sentence that begins with the name of the faulty file."""
        file = next((path for path in (pair.image, pair.mask) if text.startswith(f"{path} ")), pair.image)
        return cls(str(file), text.removeprefix(f"{file} "))


def scan_of(jobs: Iterable[FileRepair]) -> Scan:
    """Return what a scan would find after the steps."""
    jobs = tuple(jobs)
    pictures, masks = tuple(job.picture for job in jobs), tuple(job.mask for job in jobs)
    return Scan(tuple(job.pair for job in jobs), pictures, masks, ())


def _changed(mask: MaskStats, how: Edit) -> MaskStats:
    """Return what is in a mask after a change that goes by value."""
    old = np.array([value for value, _ in mask.values], dtype=mask.dtype)
    new = how(old[:, None])[:, 0]
    sums: dict[Value, tuple[int, int]] = {}
    for value, (_, count), inner in zip(new.tolist(), mask.values, mask.inner, strict=True):
        key = as_value(value)
        counted, among = sums.get(key, (0, 0))
        sums[key] = counted + count, among + inner
    order = sorted(sums, key=lambda value: -sums[value][0])
    return replace(
        mask,
        dtype=new.dtype.name,
        values=tuple((value, sums[value][0]) for value in order),
        inner=tuple(sums[value][1] for value in order),
        n_values=len(order),
        lossy=False,
        palette=None,
    )
