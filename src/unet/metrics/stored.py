"""Scores that lie in files: whether they are those of a run before anything relies on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any

from pydantic import Field

from unet.errors import ConfigError
from unet.labels import background_of
from unet.parsing import as_dataclass

Share = Annotated[float, Field(ge=0, le=1)] | None
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class _Class:
    name: str
    iou: Share
    dice: Share
    precision: Share
    recall: Share
    pixels: Count


@dataclass(frozen=True)
class _Image:
    name: str
    mean_iou: Share
    mean_dice: Share
    pixel_accuracy: Share


@dataclass(frozen=True)
class _Intervals:
    level: float
    mean_iou: tuple[float, float] | None = None
    mean_dice: tuple[float, float] | None = None
    pixel_accuracy: tuple[float, float] | None = None


@dataclass(frozen=True)
class _Scores:
    mean_iou: Share
    mean_dice: Share
    pixel_accuracy: Share
    classes: tuple[_Class, ...]
    confusion: tuple[tuple[Count, ...], ...]
    images: tuple[_Image, ...]
    mean_iou_foreground: Share = None
    mean_dice_foreground: Share = None
    mean_accuracy: Share = None
    frequency_weighted_iou: Share = None
    confidence: _Intervals | None = None

    def __post_init__(self) -> None:
        count = len(self.classes)
        if not count or {count} != {len(self.confusion), *map(len, self.confusion)}:
            raise ConfigError(f"{count} classes and {len(self.confusion)} rows of confusion", "as many of each")


@dataclass(frozen=True)
class _Fold:
    mean_iou: Share
    mean_dice: Share
    pixel_accuracy: Share
    pictures: Count


def checked_scores(plain: object) -> dict[str, Any]:
    """Return what a file such as evaluation.json holds, once it is known to be scores as `report` makes them.

    Raises
    ------
    ConfigError
        It is something else.

    Examples
    --------
    >>> checked_scores({"mean_iou": "good"})
    Traceback (most recent call last):
    ...
    unet.errors.ConfigError: mean_iou = 'good': Input should be a valid number | no mean_dice | no pixel_accuracy
    """
    if not isinstance(plain, dict):
        raise ConfigError(f"a {type(plain).__name__}", "scores by name")
    _check(_Scores, plain)
    return plain


def checked_folds(plain: object) -> list[dict[str, Any]]:
    """Return the mean scores of each fold, once they are known to be such.

    Raises
    ------
    ConfigError
        They are something else.

    Examples
    --------
    >>> checked_folds([{"mean_iou": 0.5, "mean_dice": 0.6, "pixel_accuracy": 0.9, "pictures": 3}])[0]["pictures"]
    3
    """
    if not isinstance(plain, Sequence) or not all(isinstance(fold, dict) for fold in plain):
        raise ConfigError(f"a {type(plain).__name__}", "scores of folds")
    for fold in plain:
        _check(_Fold, fold)
    return list(plain)


def _check(kind: type[Any], plain: Mapping[str, Any]) -> None:
    known = {each.name for each in fields(kind)}
    as_dataclass(kind, {key: value for key, value in plain.items() if key in known})


def deciding_score(scores: Mapping[str, Any], best_by: str) -> float | None:
    """Return the score by which weights are kept; where no class is a background, none is left out of the mean.

    Parameters
    ----------
    scores : mapping
        As in evaluation.json.
    best_by : str
        Setting of that name.

    Examples
    --------
    >>> scores = {"classes": [{"name": "road"}, {"name": "field"}], "mean_iou": 0.75, "mean_iou_foreground": None}
    >>> deciding_score(scores, "mean_iou_foreground")
    0.75
    """
    if background_of([row["name"] for row in scores.get("classes", ())]) is None:
        best_by = best_by.removesuffix("_foreground")
    value = scores.get(best_by)
    return None if value is None else float(value)
