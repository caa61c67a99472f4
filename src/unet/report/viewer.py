"""A picture and its mask side by side: in a window, or in a file where no window can be opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.errors import MissingExtraError
from unet.labels import Labels

STATIC_BACKENDS = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}
"""Parts of matplotlib that cannot open a window."""

MOST_KEYS = 24
"""Classes named under a shown mask."""


class Viewer:
    """Shows pictures with their masks.

    Attributes
    ----------
    interactive : bool
        Whether windows can be opened; if not, `show` writes files.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """

    def __init__(self) -> None:
        try:
            from matplotlib import pyplot  # slow to import, and for this alone
            from matplotlib.patches import Patch
        except ModuleNotFoundError:
            raise MissingExtraError("showing pictures and masks", "viz") from None

        self._pyplot: Any = pyplot
        self._patch = Patch
        self.interactive = pyplot.get_backend().lower() not in STATIC_BACKENDS

    def show(
        self, picture: NDArray[np.uint8], indices: NDArray[np.uint8], labels: Labels, title: str, file: Path
    ) -> None:
        """Show a picture (H, W, 3) and its classes (H, W), and return when the window is closed; or write `file`."""
        figure, axes = self._pyplot.subplots(1, 2, figsize=(12, 5), layout="constrained")
        panels = (title, picture), ("mask", labels.colorize(indices))
        for axis, (name, panel) in zip(axes, panels, strict=True):
            axis.set_title(name)
            axis.imshow(panel, interpolation="nearest")
            axis.set_axis_off()
        colors = ["#" + bytes(color).hex() for color in labels.colors]
        keys = [self._patch(color=color, label=name) for color, name in zip(colors, labels.names, strict=True)]
        figure.legend(handles=keys[:MOST_KEYS], loc="outside lower center", ncols=6, frameon=False)
        if self.interactive:
            self._pyplot.show()
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(file, dpi=100)
        self._pyplot.close(figure)
