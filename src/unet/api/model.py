"""A trained model as an object: arrays or files in, classes and probabilities out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from unet import bundle as model_file
from unet import raster
from unet.api.calling import checked
from unet.bundle import Bundle
from unet.errors import InputError, did_you_mean
from unet.files import StrPath
from unet.inference.averaging import Ensemble
from unet.inference.predictor import Predictor
from unet.inference.streaming import Scored, check_source, plan_tiles, predict_raster
from unet.labels import Labels
from unet.report.overlay import overlay, viewable

Picture = NDArray[Any] | StrPath
P = TypeVar("P", bound=Picture)


@dataclass(frozen=True)
class Prediction:
    """What a model sees in a picture.

    Attributes
    ----------
    labels : uint8 array (H, W)
        The class of each pixel, by its place in `names`; 255 where the file says that it holds nothing.
    probabilities : float32 array (K, H, W) or None
        Of each class, in the order of `names`; None where they were not wanted.
    names : tuple of str
        The K classes.
    colors : tuple of (int, int, int)
        Their colours in pictures made for people.

    Examples
    --------
    >>> import unet
    >>> seen = unet.load("model.safetensors").predict("data/imgs/p00.png")
    >>> seen.labels.shape, seen.probabilities.shape, seen.names
    ((24, 32), (2, 24, 32), ('background', 'foreground'))
    >>> bool(np.allclose(seen.probabilities.sum(axis=0), 1, atol=1e-6)), round(sum(seen.shares.values()), 6)
    (True, 1.0)
    """

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float32] | None
    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]

    @property
    def shares(self) -> Mapping[str, float]:
        """What part of the picture each class takes, of the pixels that hold something."""
        counts = np.bincount(self.labels.ravel(), minlength=256)[: len(self.names)]
        return dict(zip(self.names, (counts / max(int(counts.sum()), 1)).tolist(), strict=True))

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Return where a class is, bool (H, W).

        Raises
        ------
        InputError
            There is no class of that name.
        """
        where: NDArray[np.bool_] = self.labels == self._index(name)
        return where

    def probability(self, name: str) -> NDArray[np.float32]:
        """Return the probability of a class, float32 (H, W).

        Raises
        ------
        InputError
            There is no class of that name, or probabilities were not wanted.
        """
        if self.probabilities is None:
            raise InputError("a prediction without probabilities", "one with", "predict(..., probabilities=True)")
        values: NDArray[np.float32] = self.probabilities[self._index(name)]
        return values

    def colored(self) -> NDArray[np.uint8]:
        """Return the classes in their colours, uint8 (H, W, 3)."""
        return self._table().colorize(self.labels)

    def over(self, picture: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the picture, (H, W) or (H, W, C), tinted with the colours of the classes, uint8 (H, W, 3).

        Raises
        ------
        InputError
            It is of another size.
        """
        pixels = picture[..., None] if picture.ndim == 2 else picture
        if pixels.shape[:2] != self.labels.shape:
            raise InputError(f"a picture of shape {picture.shape}", f"the size of the prediction, {self.labels.shape}")
        white = {"u1": 255.0, "u2": 65535.0}.get(pixels.dtype.str[1:], 1.0 if pixels.max(initial=0) <= 1 else 255.0)
        return overlay(viewable(pixels, white), self.labels, self._table())

    def save(self, path: StrPath, *, overwrite: bool = False) -> Path:
        """Write the classes as a picture of indices with a palette, whole or not at all.

        Raises
        ------
        InputError
            The file exists, cannot be written, or is of a format that does not keep indices.
        """
        target = Path(path)
        if target.exists() and not overwrite:
            raise InputError(f"{target} exists", "a new file", "choose another name, or overwrite=True")
        kept = raster.INDEX_SUFFIXES - {".npy"}
        if target.suffix.lower() not in kept:
            known = ", ".join(sorted(kept))
            raise InputError(f"{target}: this format does not keep the numbers of classes", f"one of {known}")
        raster.write_mask(target, self.labels, self._table().palette())
        return target

    def _table(self) -> Labels:
        return Labels(self.names, self.colors, tuple(range(len(self.names))))

    def _index(self, name: str) -> int:
        if name in self.names:
            return self.names.index(name)
        raise InputError(f"no class {name!r}", f"one of {', '.join(self.names)}", did_you_mean(name, self.names))


class Model:
    """A trained model, ready to predict; made by `load`.

    Attributes
    ----------
    bundle : Bundle
        All that the model file holds.
    path : Path or None
        That file.
    names : tuple of str
        The classes.
    device : torch.device

    Examples
    --------
    >>> import unet
    >>> model = unet.load("model.safetensors")
    >>> picture = np.zeros((24, 32, 3), dtype=np.uint8)
    >>> model.predict(picture).labels.shape
    (24, 32)
    >>> [seen.labels.shape for seen in model.predict([picture, "data/imgs/p00.png"])]
    [(24, 32), (24, 32)]
    >>> try:
    ...     model.predict(picture.transpose(2, 0, 1))
    ... except unet.InputError as error:
    ...     print(error.found, error.remedy, sep="; ")
    an array of shape (3, 24, 32), bands first; give array.transpose(1, 2, 0)
    """

    def __init__(
        self,
        bundle: Bundle,
        path: Path | None = None,
        *,
        device: str | torch.device = "auto",
        exact: bool = False,
        threshold: float | None = None,
        backend: str | None = None,
    ) -> None:
        self.bundle, self.path = bundle, path
        self._exact, self._threshold, self._backend = exact, threshold, backend
        self._predictor = self._on(device)

    def _on(self, device: str | torch.device) -> Predictor:
        return Predictor(
            self.bundle, device=str(device), exact=self._exact, threshold=self._threshold, backend=self._backend
        )

    def __repr__(self) -> str:
        return f"Model({', '.join(self.names)}; {self._predictor.describe()})"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.bundle.labels.names

    @property
    def labels(self) -> Labels:
        """The class table: names, colours, and the values of the training masks."""
        return self.bundle.labels

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._predictor.device

    def to(self, device: str | torch.device) -> Model:
        """Move the model, and return it.

        Parameters
        ----------
        device : str or torch.device
            "cpu", "cuda", "cuda:1", "mps", or "auto" for the best that is there.

        Raises
        ------
        InputError
            There is no such device.
        """
        self._predictor = self._on(device)
        return self

    def network(self) -> nn.Module:
        """Return the network by itself, on the CPU, in evaluation mode, with weights of its own."""
        network = self.bundle.network()
        network.load_state_dict({name: value.clone() for name, value in network.state_dict().items()}, assign=True)
        return network

    def save(self, path: StrPath) -> Path:
        """Write a model file, whole or not at all.

        Raises
        ------
        InputError
            It cannot be written there.
        """
        model_file.save(self.bundle, path)
        return Path(path)

    @overload
    def predict(self, pictures: Picture, *, probabilities: bool = True) -> Prediction: ...
    @overload
    def predict(self, pictures: list[P] | tuple[P, ...], *, probabilities: bool = True) -> list[Prediction]: ...
    def predict(
        self, pictures: Picture | list[P] | tuple[P, ...], *, probabilities: bool = True
    ) -> Prediction | list[Prediction]:
        """Predict one picture, or several.

        Parameters
        ----------
        pictures : array (H, W) or (H, W, C) of uint8, uint16 or floats; path of a picture file; or a list of such
            Of the kind that the model was trained on: floats in the range of the training pictures.
        probabilities : bool
            Also give the probability of every class: K numbers of 4 bytes for each pixel.

        Returns
        -------
        Prediction, or a list of them

        Raises
        ------
        InputError
            An array of another shape or kind, or a file that cannot be read.
        """
        if isinstance(pictures, (list, tuple)):
            return [self._one(picture, probabilities) for picture in pictures]
        return self._one(pictures, probabilities)

    def _one(self, picture: Picture, probabilities: bool) -> Prediction:
        if isinstance(picture, (str, PathLike)):
            classes, values = self._of_file(Path(picture), probabilities)
        else:
            pixels = as_pixels(picture, self.bundle.preprocessing.bands)
            seen = self._predictor.predict(pixels, probabilities=probabilities)
            classes, values = seen.indices, seen.probabilities
        if values is not None and len(values) == 1 and len(self.names) == 2:  # one logit says both
            values = np.concatenate([1 - values, values])
        return Prediction(classes, values, self.names, self.bundle.labels.colors)

    def _of_file(self, path: Path, probabilities: bool) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        """Predict a file as the command line does, of any size, into memory."""
        if path.is_dir():
            raise InputError(f"{path} is a folder", "a picture file, or a list of them", "unet.predict takes folders")
        ensemble = Ensemble([self._predictor])
        with raster.open(path) as source:
            for words in check_source(source, self.bundle.preprocessing):
                self._predictor.say_once(words, f"{path}: ")
            plan = plan_tiles(ensemble, source.height, source.width)
        classes = np.zeros(plan.size, dtype=np.uint8)
        values = np.zeros((ensemble.channels, *plan.size), dtype=np.float32) if probabilities else None

        def keep(scored: Scored) -> None:
            row, column, height, width = scored.window
            part = slice(row, row + height), slice(column, column + width)
            classes[part] = scored.classes
            if values is not None:
                values[:, part[0], part[1]] = scored.probabilities

        predict_raster(ensemble, path, plan, keep)
        return classes, values


@checked()
def load(
    path: StrPath,
    *,
    device: str | torch.device = "auto",
    scale: float | None = None,
    exact: bool = False,
    threshold: float | None = None,
    backend: str | None = None,
) -> Model:
    """Read a model file, of ours or of the Carvana U-Net, and return it ready to predict.

    Parameters
    ----------
    path : str or path
    device : str or torch.device
        "auto", "cpu", "cuda", "cuda:1" or "mps".
    scale : float, optional
        Replaces the scale that the file holds; files of the Carvana U-Net hold none, 0.5 is meant there.
    exact : bool
        Compute in float32, with torch.
    threshold : float, optional
        For models with one logit: a pixel with a greater probability is foreground.
    backend : {"auto", "torch", "openvino"}, optional
        What computes: by default the environment variable UNET_BACKEND, or else "auto", which is OpenVINO on CPUs
        where it is faster, and torch elsewhere.

    Raises
    ------
    InputError
        There is no such file, or it is not a model; or the device is not there.

    Examples
    --------
    >>> import unet
    >>> model = unet.load("model.safetensors", device="cpu")
    >>> model.names, model.device.type
    (('background', 'foreground'), 'cpu')
    """
    model = model_file.load(path, scale=scale)
    return Model(model, Path(path), device=device, exact=exact, threshold=threshold, backend=backend)


def as_pixels(picture: NDArray[Any], bands: int) -> NDArray[Any]:
    """Return an array that a user gave as a picture (H, W, C) of uint8, uint16 or float32.

    Parameters
    ----------
    picture : array (H, W) or (H, W, C)
    bands : int
        That the model takes.

    Raises
    ------
    InputError
        It has other axes, another order of axes, or another kind of numbers.

    Examples
    --------
    >>> as_pixels(np.zeros((4, 5)), bands=3).shape
    (4, 5, 1)
    """
    if not isinstance(picture, np.ndarray):
        kind = f"{type(picture).__module__}.{type(picture).__qualname__}"
        raise InputError(
            f"a {kind} as picture", "a numpy array, a path, or a list of these", "numpy.asarray makes an array of most"
        )
    shape = picture.shape
    if picture.ndim not in (2, 3) or 0 in shape:
        remedy = "give several pictures as a list" if picture.ndim == 4 else ""
        raise InputError(f"an array of shape {shape}", "(H, W) or (H, W, C), no 0", remedy)
    if picture.ndim == 3:
        usual = {1, 2, 3, 4} if bands in (1, 3) else {bands}
        if shape[2] not in usual and shape[0] in usual:
            what = f"an array of shape {shape}, bands first"
            raise InputError(what, "(H, W, C), bands last", "give array.transpose(1, 2, 0)")
    if picture.dtype.kind == "f":
        picture = picture.astype(np.float32, copy=False)
    elif picture.dtype not in (np.uint8, np.uint16):
        raise InputError(f"an array of {picture.dtype}", "uint8, uint16 or floats", "such as array.astype(numpy.uint8)")
    return picture[..., None] if picture.ndim == 2 else picture
