"""From a picture to class indices and probabilities, with one model on one device."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from threading import Lock, RLock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unet import devices
from unet.bundle import Bundle
from unet.errors import InputError
from unet.inference.backends import Backend, TorchBackend
from unet.inference.backends.exported import check_wanted
from unet.inference.backends.of_model import ModelBackends
from unet.inference.banded import bytes_per_row, interpolated, lazy, logits_in_bands, network_in_bands
from unet.inference.layouts import JOINS, default_join, lay_out, least_tile_side
from unet.inference.prediction import Prediction, classes_of, probabilities_of
from unet.inference.tiled import blended, joined
from unet.models import geometry_of
from unet.preprocessing import conversions
from unet.raster.network_input import network_input, picture_factor

BAND_BYTES = 128 << 20
"""Memory for the rows of a big picture that are computed at a time. More makes it hardly faster."""

TILE_BYTES = 320 << 20
"""Memory for what networks other than the plain U-Net compute at a time."""

GPU_SHARE = 1 / 16
"""Share of a GPU's memory for the rows of a big picture, where that is more. Not of the memory that is free just now:
how a picture is cut, and so the result in its last digits, must not depend on what else runs there."""

MAPS, LEAST_CHANNELS = 4, 64
"""Such a network is taken to hold so many maps of its width at full resolution, of so many channels at least."""

MOST_TILES = 16
"""Tiles or pictures that are computed at once."""

CPU_BATCH_PIXELS = 1 << 15
"""A batch on a CPU has at most so many pixels: of pictures of 64 x 64 px eight at once take half the time of eight, of
pictures of 240 x 180 px as long, and of bigger ones longer, as their features fall out of the caches. In bfloat16
pictures are computed one by one, as the other order of summation would show in the masks."""

OPENVINO_BYTES, OPENVINO_WIDTH = 1 << 29, 16
"""Memory for the maps of what OpenVINO computes at a time, and the least width that is reckoned with: 1024 x 1024 px of
the usual network of 31 million weights in bfloat16."""

MOST_SIDE = 2048
"""Tiles of sheets are no longer than this. The halo of a usual network is then a tenth of the work, or less."""

TORCHS_TURN = Lock()
"""Held while torch computes: it uses all processors for one picture, and switches of the whole process on a GPU."""

WHOLE_BYTES, MOST_WHOLE_PIXELS = 1 << 30, 1 << 24
"""A picture is computed as a whole where two maps of the network's width, in bytes, and its pixels are no more."""

DEFAULT_THRESHOLD = 0.5


class Predictor:
    """Predicts pictures of any size in bounded memory.

    Parameters
    ----------
    bundle : Bundle
    device : str
        "auto", "cpu", "cuda", ...
    precision : {"auto", "32-true", "bf16-mixed", "16-mixed"}
        "auto" is what the device has units for, see `unet.devices.inference_dtype`. Weights and activations are
        bfloat16 or float16; logits are brought to the picture's size in float32.
    exact : bool
        Compute in float32, the same as the precision "32-true".
    threshold : float, optional
        Replaces the bundle's.
    tile : int, optional
        Pixels, down and across, that the network is given at a time. By default as many as memory allows: all of most
        pictures.
    join : str, optional
        How tiles become one picture, see `unet.inference.layouts`; by default as the whole picture would be where
        that costs little, else blended.
    backend : {"auto", "torch", "openvino"}, optional
        What computes; by default what the environment variable UNET_BACKEND says, or else "auto", see
        `unet.inference.backends.choose`.
    at_once : int
        Pictures that several threads want predicted at a time: OpenVINO computes small ones beside one another.
    notify : callable
        Given a line, once, when a picture has to be computed in float32, or torch has to stand in.

    Raises
    ------
    InputError
        A device, a precision or a backend that is not to be had, tiles that are too small or cannot be joined so.

    Attributes
    ----------
    bundle : Bundle
        The one given, without its weights.
    dtype : torch.dtype
        What is computed in.
    backend : Backend
        What computes.

    Notes
    -----
    A picture's result depends on the model, the device, the backend and the precision; not on the time that anything
    takes, nor on the pictures before it. A picture whose logits are infinite or NaN in bfloat16 or float16 is computed
    in float32.

    Examples
    --------
    >>> from unet import bundle
    >>> predictor = Predictor(bundle.load("model.safetensors"))
    >>> picture = np.zeros((24, 32, 3), dtype=np.uint8)
    >>> prediction = predictor.predict(picture, probabilities=True)
    >>> prediction.indices.shape, prediction.probabilities.shape
    ((24, 32), (2, 24, 32))
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "auto",
        precision: str = "auto",
        exact: bool = False,
        threshold: float | None = None,
        tile: int | None = None,
        join: str | None = None,
        backend: str | None = None,
        at_once: int = 1,
        notify: Callable[[str], None] = warnings.warn,
    ) -> None:
        self.bundle = replace(bundle, state={})
        self.geometry = geometry_of(bundle.spec)
        if bundle.spec.bilinear:  # corners are aligned: where a value comes from depends on the size of the whole
            self.geometry = replace(self.geometry, receptive_field_radius=None)
        self.tile, self.join, self.notify = tile, join, notify
        if join is not None and join not in JOINS:
            raise InputError(f"join {join!r}", " or ".join(JOINS))
        if tile is not None or join is not None:
            side = tile or 4096
            lay_out(side, side, self.geometry, side, join or default_join(self.geometry, side))
        if bundle.graph is not None:
            check_wanted(backend, device)
        self.device = devices.pick(device if bundle.graph is None else "cpu")
        if exact and precision not in ("auto", "32-true"):
            raise InputError(f"precision {precision!r} for an exact prediction", "32-true", "leave one of them out")
        self.dtype = devices.inference_dtype(self.device, "32-true" if exact else precision)
        self.threshold = next(each for each in (threshold, bundle.threshold, DEFAULT_THRESHOLD) if each is not None)
        self.recomputed, self._said = 0, set[str]()
        sees_all = self.geometry.receptive_field_radius is None
        self.backends = ModelBackends(bundle, self.device, self.dtype, backend, exact, sees_all, notify, at_once)
        self.backend = self.backends.main
        self._torch_takes_large = self.backends.torch_takes_large and tile is None and join is None
        self._guard = RLock()  # of what is said, and counted, of pictures that several threads have predicted

    @classmethod
    def from_network(cls, network: nn.Module, template: Bundle, **options: Any) -> Predictor:
        """Return a predictor for a network under training, good until the network's weights change.

        It costs as much as a copy of the weights, and none leaves its device. torch computes it, as nothing is said.

        Parameters
        ----------
        network : nn.Module
            Of the template's `spec`.
        template : Bundle
            All but the weights.
        options
            As for `Predictor`.
        """
        return cls(replace(template, state=network.state_dict()), **{"backend": "torch", **options})

    @property
    def network(self) -> nn.Module:
        """The network that torch computes; an AttributeError where another backend does."""
        if not isinstance(self.backend, TorchBackend):
            raise AttributeError(f"no torch network: {self.backend.name} computes")
        return self.backend.network

    def describe(self) -> str:
        """Return in a few words what is computed where."""
        scale = self.bundle.preprocessing.scale
        dtype = str(self.dtype).removeprefix("torch.")
        more = f", {self.recomputed} in float32" if self.recomputed else ""
        where = f"{self.device.type} in {dtype}{more}, {self.backends.choice}"
        return f"{len(self.bundle.labels)} classes, scale {scale:g}, {where}"

    def say_once(self, words: str, before: str = "") -> None:
        """Give `notify` a line, `before` in front of it, the first time that these words are said."""
        with self._guard:
            is_new = words not in self._said
            self._said.add(words)
        if is_new:
            self.notify(before + words)

    def predict(self, picture: NDArray[Any], *, probabilities: bool = False, as_trained: bool = False) -> Prediction:
        """Return the classes of a picture (H, W, C) as read from its file, and on demand their probabilities.

        Parameters
        ----------
        picture : uint8, uint16 or float32 array (H, W, C)
            Of the bands and of the range of values that the network was trained on. What can be converted is, and
            `notify` is told what and how, once: grey and RGB, 8 bits, fractions of 0 to 1 for 8 bits.
        probabilities : bool
        as_trained : bool
            The picture is of the training's own data, and its values are not questioned.

        Raises
        ------
        InputError
            The picture has another number of bands than the network takes, or its values another range.
        """
        factor = None if as_trained else self._factor(picture)
        (logits,) = self._logits(network_input(picture, self.bundle.preprocessing, factor)[None])
        return self._prediction(logits, picture.shape[0], picture.shape[1], probabilities)

    def classes(self, logits: Tensor, height: int, width: int) -> NDArray[np.uint8]:
        """Return the classes (height, width) of a picture of that size whose logits (K, h, w) `whole_logits` gave."""
        return self._prediction(logits, height, width).indices

    def batch_size(self, height: int, width: int) -> int:
        """Return how many network inputs of a size are best computed at once."""
        if self.geometry.valid_margin or self.tile is not None or self.join is not None:
            return 1
        room = self._tile_pixels(self.backend)
        if self.device.type == "cpu":
            room = min(room, CPU_BATCH_PIXELS) if self.dtype == torch.float32 else 0
        return max(1, min(MOST_TILES, room // (height * width)))

    def logits(self, picture: NDArray[Any]) -> NDArray[np.float32]:
        """Return the logits (K, H, W) of a picture (H, W, C), at its own size."""
        (small,) = self._logits(network_input(picture, self.bundle.preprocessing, self._factor(picture))[None])
        return np.concatenate([band.cpu().numpy() for _, band in self._bands(small, *picture.shape[:2])], axis=1)

    def _factor(self, picture: NDArray[Any]) -> float:
        """Return what the values of a picture are multiplied by, and say what is done to it."""
        preprocessing = self.bundle.preprocessing
        factor = picture_factor(picture, preprocessing)
        for words in conversions(picture.shape[2], picture.dtype.name, factor, preprocessing):
            self.say_once(words)
        return factor

    def whole_logits(self, images: NDArray[np.float32]) -> Tensor:
        """Return the logits (N, K, h, w) of network inputs (N, C, h, w), as `predict` computes them, on the device.

        A big one is computed in bands or in tiles; more than one are not more than `batch_size`.
        """
        return self._logits(images)

    def tile_logits(self, images: NDArray[np.float32]) -> Tensor:
        """Return the logits of tiles (N, C, h, w), which lack the network's margin, in float32, on the device."""
        return self._logits(images, self._run_once)

    def tile_side(self) -> int:
        """Return the side of tiles that are computed one at a time, where none was asked for."""
        if self.tile is not None:
            return self.tile
        least = least_tile_side(self.geometry)
        if self._torch_takes_large or network_in_bands(self.backend) is not None:  # of bands the memory is known
            side = math.isqrt(4 * self._memory() // (4 * self.bundle.spec.width))
            most = MOST_SIDE if self.geometry.receptive_field_radius is not None else MOST_SIDE // 2
            return max(least, min(side, most) // 64 * 64)
        return max(least, math.isqrt(self._tile_pixels(self.backend)))

    def tiles_at_once(self, height: int, width: int) -> int:
        """Return how many tiles of a size are computed together: on a CPU one, which is as fast."""
        if self.device.type == "cpu":
            return 1
        return max(1, min(MOST_TILES, self._tile_pixels(self.backend) // (height * width)))

    def whole_pixels(self) -> int:
        """Return how many pixels of a network's input are computed as a whole, where no tiles were asked for."""
        if self.tile is not None or self.join is not None:
            return 0
        if self.alike:  # OpenVINO knows no bands: what does not fit is tiles
            return self._tile_pixels(self.backend)
        return min(MOST_WHOLE_PIXELS, WHOLE_BYTES // (2 * self.bundle.spec.width))

    @torch.inference_mode()
    def _logits(self, images: NDArray[np.float32], run: Callable[[Backend, Tensor], Tensor] | None = None) -> Tensor:
        """Return the logits (N, K, h, w) of network inputs (N, C, h, w) in float32, on the device."""
        run = run or self._run
        x = torch.from_numpy(images).to(self.device)
        turn = TORCHS_TURN if self._is_torchs(x) else nullcontext()  # OpenVINO takes turns by itself
        on_gpu = self.device.type == "cuda"  # float32 is meant where it is asked for
        with turn, torch.backends.cudnn.flags(enabled=True, allow_tf32=False) if on_gpu else nullcontext():
            logits = run(self.backend, x)
            if self.dtype != torch.float32 and not logits.sum().isfinite():  # quick to tell; sums overflow sooner
                for number in (~logits.isfinite().flatten(1).all(dim=1)).nonzero().flatten().tolist():
                    logits[number] = self._in_float32(x[number : number + 1], run)[0]
        return logits

    def _in_float32(self, image: Tensor, run: Callable[[Backend, Tensor], Tensor]) -> Tensor:
        dtype = str(self.dtype).removeprefix("torch.")
        self.say_once(f"a picture's logits are not finite in {dtype}: such pictures are computed in float32")
        with self._guard:
            self.recomputed += 1
            backend = self.backends.in_float32()
        return run(backend, image)

    @torch.inference_mode()
    def _prediction(self, logits: Tensor, height: int, width: int, probabilities: bool = False) -> Prediction:
        """Return what the logits (K, h, w) of a picture of that size say."""
        indices = np.empty((height, width), dtype=np.uint8)
        values = np.empty((len(logits), height, width), dtype=np.float32) if probabilities else None
        for top, band in self._bands(logits, height, width):
            rows = slice(top, top + band.shape[1])
            indices[rows] = classes_of(band, self.threshold).to(torch.uint8).cpu().numpy()
            if values is not None:
                values[:, rows] = probabilities_of(band).cpu().numpy()
        return Prediction(indices, values)

    @torch.inference_mode()
    def _bands(self, logits: Tensor, height: int, width: int) -> Iterator[tuple[int, Tensor]]:
        """Give logits (K, h, w) brought to a picture's size, (K, rows, width), with their first row, from the top."""
        source = lazy(logits[None])
        if (source.height, source.width) != (height, width):
            source = interpolated(source, height, width, align_corners=False)
        rows = max(1, self._memory() // (8 * width * len(logits) * 4))
        for top in range(0, height, rows):
            yield top, source.rows(top, min(top + rows, height))[0]

    def _run(self, backend: Backend, image: Tensor) -> Tensor:
        """Return the logits of images, of a big one in bands or in tiles."""
        if len(image) > 1:  # not more than `batch_size`
            return backend(image)
        backend = self._suited(backend, image)
        if self.tile is None and self.join is None and network_in_bands(backend) is not None:
            return self._run_once(backend, image)
        return self._tiled(backend, image)

    def _suited(self, backend: Backend, images: Tensor) -> Backend:
        """Return what computes images of a size."""
        if backend.name == "openvino" and self._is_torchs(images):
            return self.backends.in_torch(backend.dtype)
        return backend

    def _is_torchs(self, images: Tensor) -> bool:
        """Tell whether torch computes images of a size."""
        if self._torch_takes_large:
            return images.shape[2] * images.shape[3] > self._tile_pixels(self.backend)
        return self.backend.name != "openvino"

    def _run_once(self, backend: Backend, images: Tensor) -> Tensor:
        """Return the logits of tiles: a big one is computed in bands, and nothing is cut or filled up."""
        backend = self._suited(backend, images)
        network = network_in_bands(backend)
        if len(images) == 1 and network is not None:
            band = self._memory() // bytes_per_row(network, images.shape[3], backend.dtype)
            if band < images.shape[2]:
                image = images.to(backend.dtype, memory_format=self.backends.layout)
                return logits_in_bands(network, image, max(band, 16)).float()
        return backend(images)

    def _tiled(self, backend: Backend, image: Tensor) -> Tensor:
        """Return the logits of an image, tile by tile; one tile where all of it fits."""
        height, width = image.shape[2:]
        room = self._tile_pixels(backend)
        side = self.tile or max(least_tile_side(self.geometry), math.isqrt(room))
        margins = 2 * self.geometry.valid_margin
        if self.tile is None and (height + margins) * (width + margins) <= room:
            side = max(least_tile_side(self.geometry), max(height, width) + margins)
        join = self.join or default_join(self.geometry, side)
        tiles = lay_out(height, width, self.geometry, side, join, self.alike and self.tile is None)
        if len(tiles) == 1 and tiles[0].shape == (height, width):
            return backend(image)
        batch = max(1, min(MOST_TILES, room // side**2))
        if join in ("gaussian", "linear") and len(tiles) > 1:
            return blended(backend, image, tiles, kind=join, batch=batch)
        return joined(backend, image, tiles, valid_margin=self.geometry.valid_margin, batch=batch)

    @property
    def alike(self) -> bool:
        """Whether tiles of a picture are best of one size: each size is compiled for."""
        return self.backend.name == "openvino" and not self._torch_takes_large

    def _tile_pixels(self, backend: Backend) -> int:
        """Return how many pixels are given at a time to a network that is not computed in bands."""
        width = self.bundle.spec.width
        if backend.name == "openvino":
            least = OPENVINO_WIDTH if self.bundle.spec.architecture in ("unet", "paper") else LEAST_CHANNELS
            return OPENVINO_BYTES // (MAPS * max(least, width) * backend.dtype.itemsize)
        pixel = MAPS * max(LEAST_CHANNELS, width) * backend.dtype.itemsize
        return self._memory() * TILE_BYTES // BAND_BYTES // pixel

    def _memory(self) -> int:
        if self.device.type == "cuda":
            total = torch.cuda.get_device_properties(self.device).total_memory
            return max(BAND_BYTES, int(total * GPU_SHARE))
        return BAND_BYTES
