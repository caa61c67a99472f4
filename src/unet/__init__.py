"""A folder of pictures and masks in, a trained, checked and portable segmentation model out.

The public names, and nothing else. Each is imported from its home when it is first asked for, so that
`import unet` takes no time and needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unet import errors
    from unet.bundle import Bundle, load, save
    from unet.commands.convert import convert
    from unet.commands.evaluate import evaluate
    from unet.commands.evaluate_shapes import evaluate_shapes
    from unet.commands.inspect import inspect
    from unet.commands.map_ import map_sheet
    from unet.commands.predict import predict
    from unet.commands.repair import repair
    from unet.commands.train import train
    from unet.commands.tune_shapes import tune_shapes
    from unet.commands.vectorize import vectorize
    from unet.errors import (
        ConfigError,
        DataError,
        InputError,
        MissingExtraError,
        ModelFileError,
        RasterError,
        TrainingError,
        UnetError,
    )
    from unet.inference.predictor import Prediction, Predictor
    from unet.labels import Labels
    from unet.models.unet import UNet

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "ConfigError",
    "DataError",
    "InputError",
    "Labels",
    "MissingExtraError",
    "ModelFileError",
    "Prediction",
    "Predictor",
    "RasterError",
    "TrainingError",
    "UNet",
    "UnetError",
    "__version__",
    "convert",
    "errors",
    "evaluate",
    "evaluate_shapes",
    "inspect",
    "load",
    "map_sheet",
    "predict",
    "repair",
    "save",
    "train",
    "tune_shapes",
    "vectorize",
]

_HOMES = {
    "Bundle": "unet.bundle",
    "ConfigError": "unet.errors",
    "DataError": "unet.errors",
    "InputError": "unet.errors",
    "Labels": "unet.labels",
    "MissingExtraError": "unet.errors",
    "ModelFileError": "unet.errors",
    "Prediction": "unet.inference.predictor",
    "Predictor": "unet.inference.predictor",
    "RasterError": "unet.errors",
    "TrainingError": "unet.errors",
    "UNet": "unet.models.unet",
    "UnetError": "unet.errors",
    "convert": "unet.commands.convert",
    "evaluate": "unet.commands.evaluate",
    "evaluate_shapes": "unet.commands.evaluate_shapes",
    "inspect": "unet.commands.inspect",
    "load": "unet.bundle",
    "map_sheet": "unet.commands.map_",
    "predict": "unet.commands.predict",
    "repair": "unet.commands.repair",
    "save": "unet.bundle",
    "train": "unet.commands.train",
    "tune_shapes": "unet.commands.tune_shapes",
    "vectorize": "unet.commands.vectorize",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("unet.errors")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
