"""All that the masks of a data set hold, put together, and how it is put into words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from unet.data.scan import Scan
from unet.data.stats import MOST_VALUES
from unet.labels import Color, Value


class Seen:
    """All values of all masks, as ints, or as triples as soon as one mask has colours."""

    def __init__(self, scan: Scan, is_rgb: bool, counts: Counter[Value]) -> None:
        self.scan, self.is_rgb, self.counts = scan, is_rgb, counts
        self.pixels = sum(mask.height * mask.width for mask in scan.masks)
        self.lossy = [index for index, mask in enumerate(scan.masks) if mask.lossy]
        self.most = max(range(len(scan.masks)), key=lambda index: scan.masks[index].n_values)
        self.n_values = max(len(counts), scan.masks[self.most].n_values)

    @classmethod
    def of(cls, scan: Scan) -> Seen:
        """Put the masks of a scan together."""
        is_rgb = any(mask.is_rgb for mask in scan.masks)
        counts: Counter[Value] = Counter()
        for mask in scan.masks:
            for value, count in mask.values:
                counts[(value, value, value) if is_rgb and isinstance(value, int) else value] += count
        return cls(scan, is_rgb, counts)

    def where(self, value: Value) -> Path:
        """Return a mask file that holds the value."""
        wanted = {value, value[0]} if isinstance(value, tuple) and len(set(value)) == 1 else {value}
        for pair, mask in zip(self.scan.pairs, self.scan.masks, strict=True):
            if any(found in wanted for found, _ in mask.values):
                return pair.mask
        return self.scan.pairs[0].mask

    def what(self) -> str:
        """Return how many values there are, and a file that shows it."""
        more = " or more" if self.n_values > MOST_VALUES else ""
        kind = "colours" if self.is_rgb else "values"
        return f"{self.n_values}{more} {kind} (such as {self.scan.pairs[self.most].mask})"

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
