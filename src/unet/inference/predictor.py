"""From a picture to class indices and probabilities, with one model on one device."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unet import devices
from unet.bundle import Bundle
from unet.errors import InputError
from unet.inference.banded import bytes_per_row, interpolated, lazy, logits_in_bands
from unet.inference.folding import fold_norms
from unet.inference.layouts import JOINS, default_join, lay_out, least_tile_side
from unet.inference.tiled import blended, joined
from unet.models import UNet, geometry_of
from unet.raster.network_input import network_input

BAND_BYTES = 128 << 20
"""Memory for the rows of a big picture that are computed at a time. More makes it hardly faster."""

TILE_BYTES = 320 << 20
"""Memory for what networks other than the plain U-Net compute at a time."""

MAPS, LEAST_CHANNELS = 4, 64
"""Such a network is taken to hold so many maps of its width at full resolution, of so many channels at least."""

MOST_TILES = 16
"""Tiles that are computed at once."""

DEFAULT_THRESHOLD = 0.5

SAMPLE_SIDE = 128
"""Pixels of the square, out of the middle of the first picture, on which a shorter type of number is tried."""

SAFE_AGREEMENT = 0.99
"""Share of its pixels that must get the same class. Trained networks reach 0.9998 in bfloat16."""


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for a picture.

    Attributes
    ----------
    indices : uint8 array (H, W)
        The class of every pixel.
    probabilities : float32 array (K, H, W) or None
        Of each class; of class 1 only (K = 1) for a network with one logit. Only where asked for.
    """

    indices: NDArray[np.uint8]
    probabilities: NDArray[np.float32] | None = None


class Predictor:
    """Predicts pictures of any size in bounded memory.

    Parameters
    ----------
    bundle : Bundle
    device : str
        "auto", "cpu", "cuda", ...
    exact : bool
        Compute in float32. Otherwise a shorter type of number is tried on the first picture, and taken from there on
        if it is faster and gives the same classes.
    threshold : float, optional
        Replaces the bundle's.
    tile : int, optional
        Pixels, down and across, that the network is given at a time. By default as many as memory allows: all of most
        pictures.
    join : str, optional
        How tiles become one picture, see `unet.inference.layouts`; by default as the whole picture would be where
        that costs little, else blended.

    Raises
    ------
    InputError
        Tiles that are too small, or cannot be joined so.

    Attributes
    ----------
    bundle : Bundle
        The one given, without its weights.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "auto",
        exact: bool = False,
        threshold: float | None = None,
        tile: int | None = None,
        join: str | None = None,
    ) -> None:
        self.bundle = replace(bundle, state={})
        self.geometry = geometry_of(bundle.spec)
        if bundle.spec.bilinear:  # corners are aligned: where a value comes from depends on the size of the whole
            self.geometry = replace(self.geometry, receptive_field_radius=None)
        self.tile, self.join = tile, join
        if join is not None and join not in JOINS:
            raise InputError(f"join {join!r}", " or ".join(JOINS))
        if tile is not None or join is not None:
            side = tile or 4096
            lay_out(side, side, self.geometry, side, join or default_join(self.geometry, side))
        self.device = devices.pick(device)
        thresholds = (threshold, bundle.threshold, DEFAULT_THRESHOLD)
        self.threshold = next(value for value in thresholds if value is not None)
        self.dtype = torch.float32
        self._untried = None if exact else fast_dtype(self.device)
        self.layout = torch.contiguous_format if self.device.type == "mps" else torch.channels_last
        network = fold_norms(bundle.network()).to(self.device, self.dtype)
        self.network = network.to(memory_format=self.layout)  # type: ignore[call-overload]

    def describe(self) -> str:
        """Return in a few words what is computed where."""
        scale = self.bundle.preprocessing.scale
        dtype = str(self.dtype).removeprefix("torch.")
        return f"{len(self.bundle.labels)} classes, scale {scale:g}, {self.device.type} in {dtype}"

    def predict(self, picture: NDArray[Any], *, probabilities: bool = False) -> Prediction:
        """Return the classes of a picture (H, W, C) as read from its file, and on demand their probabilities.

        Raises
        ------
        InputError
            The picture has another number of bands than the network takes.
        """
        height, width = picture.shape[:2]
        indices = np.empty((height, width), dtype=np.uint8)
        shape = (self.bundle.spec.classes, height, width)
        maps = np.empty(shape, dtype=np.float32) if probabilities else None
        for top, logits in self._bands(picture):
            bottom = top + logits.shape[1]
            indices[top:bottom] = self._classes(logits).to(torch.uint8).cpu().numpy()
            if maps is not None:
                values = logits.sigmoid() if logits.shape[0] == 1 else logits.softmax(dim=0)
                maps[:, top:bottom] = values.cpu().numpy()
        return Prediction(indices, maps)

    def logits(self, picture: NDArray[Any]) -> NDArray[np.float32]:
        """Return the logits (K, H, W) of a picture (H, W, C), at its own size."""
        return np.concatenate([logits.cpu().numpy() for _, logits in self._bands(picture)], axis=1)

    @torch.inference_mode()
    def _bands(self, picture: NDArray[Any]) -> Iterator[tuple[int, Tensor]]:
        """Give the logits (K, rows, W) of a picture at its own size, with their first row, from top to bottom."""
        height, width = picture.shape[:2]
        image = torch.from_numpy(network_input(picture, self.bundle.preprocessing))[None]
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # float32 is meant where it is asked for
            image = image.to(self.device, memory_format=self.layout)
            if self._untried is not None:
                self._try(self._untried, image)
                self._untried = None
            image = image.to(self.dtype)
            logits = lazy(self._run(image).float())
        if (logits.height, logits.width) != (height, width):
            logits = interpolated(logits, height, width, align_corners=False)
        rows = max(1, self._memory() // (8 * width * self.bundle.spec.classes * 4))
        for top in range(0, height, rows):
            yield top, logits.rows(top, min(top + rows, height))[0]

    def _try(self, dtype: torch.dtype, image: Tensor) -> None:
        """Change over to a type of number if it is faster on a part of the image and gives the same classes."""
        top, left = ((size - min(size, SAMPLE_SIDE)) // 2 for size in image.shape[2:])
        part = image[:, :, top : top + SAMPLE_SIDE, left : left + SAMPLE_SIDE]
        networks = {torch.float32: self.network, dtype: copy.deepcopy(self.network).to(dtype)}

        def classes(kind: torch.dtype) -> Tensor:
            logits = self._tiled(networks[kind], part.to(kind))[0].float()
            return self._classes(logits).cpu()  # which waits until a GPU has done it

        same = (classes(torch.float32) == classes(dtype)).float().mean()
        seconds = devices.shortest([partial(classes, kind) for kind in networks], rounds=1)
        if same >= SAFE_AGREEMENT and seconds[1] < seconds[0]:
            self.network, self.dtype = networks[dtype], dtype

    def _classes(self, logits: Tensor) -> Tensor:
        """Return the classes (H, W) of logits (K, H, W)."""
        return logits[0].sigmoid() > self.threshold if logits.shape[0] == 1 else logits.argmax(dim=0)

    def _run(self, image: Tensor) -> Tensor:
        """Return the logits of an image, in bands or in tiles where it is big."""
        if self.tile is None and self.join is None and isinstance(self.network, UNet) and self.network.local:
            band = self._memory() // bytes_per_row(self.network, image.shape[3], self.dtype)
            if band < image.shape[2]:
                return logits_in_bands(self.network, image, max(band, 16))
            logits: Tensor = self.network(image)
            return logits
        return self._tiled(self.network, image)

    def _tiled(self, network: nn.Module, image: Tensor) -> Tensor:
        """Return the logits of an image, tile by tile; one tile where all of it fits."""
        height, width = image.shape[2:]
        pixel = MAPS * max(LEAST_CHANNELS, self.bundle.spec.width) * image.dtype.itemsize
        room = self._memory() * TILE_BYTES // BAND_BYTES // pixel
        side = self.tile or max(least_tile_side(self.geometry), math.isqrt(room))
        margins = 2 * self.geometry.valid_margin
        if self.tile is None and (height + margins) * (width + margins) <= room:
            side = max(height, width) + margins
        join = self.join or default_join(self.geometry, side)
        tiles = lay_out(height, width, self.geometry, side, join)
        batch = max(1, min(MOST_TILES, room // side**2))
        if join in ("gaussian", "linear") and len(tiles) > 1:
            return blended(network, image, tiles, kind=join, batch=batch)
        return joined(network, image, tiles, valid_margin=self.geometry.valid_margin, batch=batch)

    def _memory(self) -> int:
        if self.device.type == "cuda":
            return max(BAND_BYTES, torch.cuda.mem_get_info(self.device)[0] // 8)
        return BAND_BYTES


def fast_dtype(device: torch.device) -> torch.dtype | None:
    """Return a type of number shorter than float32 that a device has units for, None where it has none."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if device.type == "cpu" and devices.cpu_has_bf16() else None
