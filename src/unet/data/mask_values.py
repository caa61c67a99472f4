"""All that the masks of a data set hold, put together, and how it is put into words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from unet.data.scan import Scan
from unet.data.stats import MOST_VALUES
from unet.labels import Color, Value


class MaskValues:
    """All values of all masks, as ints, or as triples as soon as one mask has colours.

    Attributes
    ----------
    counts, inner : Counter of values
        How many pixels have each, and how many of these lie among their like (see `MaskStats.inner`).
    """

    def __init__(self, scan: Scan) -> None:
        self.scan, self.is_rgb = scan, any(mask.is_rgb for mask in scan.masks)
        self.counts: Counter[Value] = Counter()
        self.inner: Counter[Value] = Counter()
        for mask in scan.masks:
            for (value, count), inner in zip(mask.values, mask.inner, strict=True):
                self.counts[self.in_common_form(value)] += count
                self.inner[self.in_common_form(value)] += inner
        self.pixels = sum(mask.height * mask.width for mask in scan.masks)
        self.lossy = any(mask.lossy for mask in scan.masks)
        self.n_values = max(len(self.counts), *(mask.n_values for mask in scan.masks))

    def in_common_form(self, value: Value) -> Value:
        """Return a value of one mask as a triple where any mask has colours."""
        return (value, value, value) if self.is_rgb and isinstance(value, int) else value

    def where(self, value: Value) -> Path:
        """Return a mask file that holds the value."""
        wanted = {value, value[0]} if isinstance(value, tuple) and len(set(value)) == 1 else {value}
        for pair, mask in zip(self.scan.pairs, self.scan.masks, strict=True):
            if any(held in wanted for held, _ in mask.values):
                return pair.mask
        return self.scan.pairs[0].mask

    def files_with(self, values: Sequence[Value]) -> tuple[str, ...]:
        """Return a line for each mask that holds any of the values."""
        wanted, lines = set(values), []
        for pair, mask in zip(self.scan.pairs, self.scan.masks, strict=True):
            here = [value for value, _ in mask.values if self.in_common_form(value) in wanted]
            if here:
                lines.append(f"{pair.mask} holds {listed(here, 3)}")
        return tuple(lines)

    def value_count(self) -> str:
        """Return how many values there are, in words."""
        more = " or more" if self.n_values > MOST_VALUES else ""
        return f"{self.n_values}{more} {'colours' if self.is_rgb else 'values'}"

    def share(self, values: Sequence[Value]) -> float:
        """Return the share of all pixels that have one of the values."""
        return sum(self.counts[value] for value in values) / self.pixels

    def palette(self, values: Sequence[int]) -> tuple[Color, ...] | None:
        """Return the masks' own colours for the values, if these differ and are not all grey."""
        known: dict[int, Color] = {}
        for mask in self.scan.masks:
            known.update((i, color) for i, color in enumerate(mask.palette or ()) if i not in known)
        colors = tuple(known[value] for value in values if value in known)
        good = len(set(colors)) == len(values) and any(len(set(color)) > 1 for color in colors)
        return colors if good else None


def order_of(value: Value) -> tuple[int, ...]:
    """Return what values are sorted by."""
    return value if isinstance(value, tuple) else (value,)


def listed(values: Sequence[Value], most: int = 8) -> str:
    """Return the first values and how many more there are."""
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(str(value) for value in values[:most]) + more


def option(values: Sequence[Value]) -> str:
    """Return the flag that names these values."""
    if all(isinstance(value, int) for value in values):
        return f"--mask-values {','.join(map(str, values))}"
    return "--mask-values '" + ";".join(",".join(map(str, order_of(value))) for value in values) + "'"
