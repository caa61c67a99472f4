"""From a picture to class indices and probabilities, with one model on one device."""

from __future__ import annotations

import copy
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
from unet.data.preprocess import prepare
from unet.inference.banded import bytes_per_row, interpolated, logits_in_bands, stored
from unet.inference.folding import fold_norms
from unet.models import UNet, geometry_of
from unet.models.blocks import mirrored

BAND_BYTES = 128 << 20
"""Memory for the rows of a big picture that are computed at a time. More makes it hardly faster."""

DEFAULT_THRESHOLD = 0.5

SAMPLE_SIDE = 128
"""Pixels of the square, out of the middle of the first picture, on which a shorter type of number is tried."""

SAFE_AGREEMENT = 0.99
"""Share of its pixels that must get the same class. Trained networks reach 0.9998 in bfloat16."""


@dataclass(frozen=True)
class Prediction:
    """What a model says about a picture.

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

    Attributes
    ----------
    bundle : Bundle
        The one given, without its weights.
    """

    def __init__(
        self, bundle: Bundle, *, device: str = "auto", exact: bool = False, threshold: float | None = None
    ) -> None:
        self.bundle = replace(bundle, state={})
        self.lost = geometry_of(bundle.spec).lost
        self.device = devices.pick(device)
        given = (threshold, bundle.threshold, DEFAULT_THRESHOLD)
        self.threshold = next(value for value in given if value is not None)
        self.dtype = torch.float32
        self._untried = None if exact else fast_dtype(self.device)
        self.layout = torch.contiguous_format if self.device.type == "mps" else torch.channels_last
        network = fold_norms(bundle.network()).to(self.device, self.dtype)
        self.network = network.to(memory_format=self.layout)  # type: ignore[call-overload]

    def describe(self) -> str:
        """Return in a few words what is computed where."""
        about = self.bundle.preprocessing
        kind = str(self.dtype).removeprefix("torch.")
        return f"{len(self.bundle.labels)} classes, scale {about.scale:g}, {self.device.type} in {kind}"

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
        shares = np.empty(shape, dtype=np.float32) if probabilities else None
        for top, logits in self._bands(picture):
            bottom = top + logits.shape[1]
            indices[top:bottom] = self._classes(logits).to(torch.uint8).cpu().numpy()
            if shares is not None:
                share = logits.sigmoid() if logits.shape[0] == 1 else logits.softmax(dim=0)
                shares[:, top:bottom] = share.cpu().numpy()
        return Prediction(indices, shares)

    def logits(self, picture: NDArray[Any]) -> NDArray[np.float32]:
        """Return the logits (K, H, W) of a picture (H, W, C), at its own size."""
        return np.concatenate([logits.cpu().numpy() for _, logits in self._bands(picture)], axis=1)

    @torch.inference_mode()
    def _bands(self, picture: NDArray[Any]) -> Iterator[tuple[int, Tensor]]:
        """Give the logits (K, rows, W) of a picture at its own size, with their first row, from top to bottom."""
        height, width = picture.shape[:2]
        image = torch.from_numpy(prepare(picture, self.bundle.preprocessing))[None]
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # float32 is meant where it is asked for
            image = image.to(self.device, memory_format=self.layout)
            if self._untried is not None:
                self._try(self._untried, image)
                self._untried = None
            image = image.to(self.dtype)
            logits = stored(self._run(image).float())
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
            logits = self._whole(networks[kind], part.to(kind))[0].float()
            return self._classes(logits).cpu()  # which waits until a GPU has done it

        same = (classes(torch.float32) == classes(dtype)).float().mean()
        seconds = devices.shortest([partial(classes, kind) for kind in networks], rounds=1)
        if same >= SAFE_AGREEMENT and seconds[1] < seconds[0]:
            self.network, self.dtype = networks[dtype], dtype

    def _classes(self, logits: Tensor) -> Tensor:
        """Return the classes (H, W) of logits (K, H, W)."""
        return logits[0].sigmoid() > self.threshold if logits.shape[0] == 1 else logits.argmax(dim=0)

    def _run(self, image: Tensor) -> Tensor:
        """Return the logits of an image, in bands where it is big."""
        if isinstance(self.network, UNet) and self.network.local:
            band = self._memory() // bytes_per_row(self.network, image.shape[3], self.dtype)
            if band < image.shape[2]:
                return logits_in_bands(self.network, image, max(band, 16))
        return self._whole(self.network, image)

    def _whole(self, network: nn.Module, image: Tensor) -> Tensor:
        """Return the logits of all of an image, which is mirrored at its borders where a network needs more."""
        if self.lost:
            for dim in (2, 3):
                image = mirrored(image, self.lost, self.lost, dim)
        logits: Tensor = network(image)
        return logits

    def _memory(self) -> int:
        if self.device.type == "cuda":
            return max(BAND_BYTES, torch.cuda.mem_get_info(self.device)[0] // 8)
        return BAND_BYTES


def fast_dtype(device: torch.device) -> torch.dtype | None:
    """Return a type of number shorter than float32 that a device has units for, None where it has none."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if device.type == "cpu" and devices.cpu_has_bf16() else None
