"""Where the pixels of an open raster come from: memory, or a mapped array. (Those of TIFF: `unet.raster.geotiff`.)"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unet.raster import reading
from unet.raster.arrays import bands_last, load_array
from unet.raster.windows import Window, cut_out


class Pixels(Protocol):
    """Where a source's pixels come from: all bands but alpha, as they are stored."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    def picture(self, window: Window) -> NDArray[Any]:
        """Return the pixels as a picture's, (h, w, C): palettes are colours."""

    def mask(self, window: Window) -> NDArray[Any]:
        """Return the pixels as a mask's, (h, w, C): palettes are indices."""

    def valid(self, window: Window) -> NDArray[np.bool_] | None:
        """Return where there is something, (h, w); None: everywhere."""

    def close(self) -> None:
        """Let go of the file."""


class Decoded:
    """A file that is decoded as a whole, when it is first asked for."""

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self._picture: NDArray[Any] | None = None
        self._mask: NDArray[Any] | None = None
        self._decoding = Lock()  # threads may share what is in memory, and it is decoded once

    def picture(self, window: Window) -> NDArray[Any]:
        """Return the pixels of a picture; see `Pixels`."""
        with self._decoding:
            if self._picture is None:
                self._picture = reading.read(self.path)
            return cut_out(self._picture, window)

    def mask(self, window: Window) -> NDArray[Any]:
        """Return the pixels of a mask; see `Pixels`."""
        with self._decoding:
            if self._mask is None:
                self._mask = np.atleast_3d(reading.read_mask(self.path))
            return cut_out(self._mask, window)

    def valid(self, window: Window) -> None:
        """Return None: there is something everywhere."""

    def close(self) -> None:
        """Let go of the pixels."""
        self._picture = self._mask = None


class Mapped:
    """A .npy file."""

    def __init__(self, path: Path) -> None:
        self._array = bands_last(load_array(path), path)
        height, width, bands = self._array.shape
        self.shape, self.dtype = (height, width, bands), self._array.dtype

    def picture(self, window: Window) -> NDArray[Any]:
        """Return the pixels of a picture; see `Pixels`."""
        return np.array(cut_out(self._array, window))

    def mask(self, window: Window) -> NDArray[Any]:
        """Return the pixels of a mask; see `Pixels`."""
        return np.array(cut_out(self._array, window))

    def valid(self, window: Window) -> None:
        """Return None: there is something everywhere."""

    def close(self) -> None:
        """Let go of the pixels."""
        del self._array
