"""A folder of pictures and masks in, a trained, checked and portable segmentation model out.

The public names, and nothing else. Each is imported from its home when it is first asked for, so that
`import unet` takes no time and needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unet import data, errors, losses, metrics, models, tiling
    from unet.api.looking import inspect_data, repair
    from unet.api.model import Model, Prediction, load
    from unet.api.results import (
        CrossValidateResult,
        InspectResult,
        PlanResult,
        PredictResult,
        RepairResult,
        RunsResult,
        ScoreReport,
        TrainResult,
    )
    from unet.api.runs import compare_runs
    from unet.api.scoring import evaluate, predict
    from unet.api.shapes import ExportResult, convert, evaluate_shapes, export_model, map_sheet, tune_shapes, vectorize
    from unet.api.training import cross_validate, make_plan, train
    from unet.bundle import Bundle, save
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
    from unet.labels import Labels
    from unet.models.unet import UNet

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "ConfigError",
    "CrossValidateResult",
    "DataError",
    "ExportResult",
    "InputError",
    "InspectResult",
    "Labels",
    "MissingExtraError",
    "Model",
    "ModelFileError",
    "PlanResult",
    "PredictResult",
    "Prediction",
    "RasterError",
    "RepairResult",
    "RunsResult",
    "ScoreReport",
    "TrainResult",
    "TrainingError",
    "UNet",
    "UnetError",
    "__version__",
    "compare_runs",
    "convert",
    "cross_validate",
    "data",
    "errors",
    "evaluate",
    "evaluate_shapes",
    "export_model",
    "inspect_data",
    "load",
    "losses",
    "make_plan",
    "map_sheet",
    "metrics",
    "models",
    "predict",
    "repair",
    "save",
    "tiling",
    "train",
    "tune_shapes",
    "vectorize",
]

_ROOMS = ("data", "errors", "losses", "metrics", "models", "tiling")

_HOMES = {
    "Bundle": "unet.bundle",
    "ConfigError": "unet.errors",
    "CrossValidateResult": "unet.api.results",
    "DataError": "unet.errors",
    "ExportResult": "unet.api.shapes",
    "InputError": "unet.errors",
    "InspectResult": "unet.api.results",
    "Labels": "unet.labels",
    "MissingExtraError": "unet.errors",
    "Model": "unet.api.model",
    "ModelFileError": "unet.errors",
    "PlanResult": "unet.api.results",
    "PredictResult": "unet.api.results",
    "Prediction": "unet.api.model",
    "RasterError": "unet.errors",
    "RepairResult": "unet.api.results",
    "RunsResult": "unet.api.results",
    "ScoreReport": "unet.api.results",
    "TrainResult": "unet.api.results",
    "TrainingError": "unet.errors",
    "UNet": "unet.models.unet",
    "UnetError": "unet.errors",
    "compare_runs": "unet.api.runs",
    "convert": "unet.api.shapes",
    "cross_validate": "unet.api.training",
    "evaluate": "unet.api.scoring",
    "evaluate_shapes": "unet.api.shapes",
    "export_model": "unet.api.shapes",
    "inspect_data": "unet.api.looking",
    "load": "unet.api.model",
    "make_plan": "unet.api.training",
    "map_sheet": "unet.api.shapes",
    "predict": "unet.api.scoring",
    "repair": "unet.api.looking",
    "save": "unet.bundle",
    "train": "unet.api.training",
    "tune_shapes": "unet.api.shapes",
    "vectorize": "unet.api.shapes",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"unet.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
