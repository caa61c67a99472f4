"""What public functions return: plain records with types, to go on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from unet.api.model import Model
    from unet.config import Config
    from unet.data.finding import Finding
    from unet.data.inspection.survey import Survey
    from unet.data.pairs import Pair
    from unet.data.repairing.repair_plan import RepairPlan
    from unet.report.run_lines import RunLine


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class; None where it does not occur, or is never predicted."""

    name: str
    iou: float | None
    dice: float | None
    precision: float | None
    recall: float | None
    pixels: int


@dataclass(frozen=True)
class PictureScores:
    """The scores of one picture; None where no pixel of it counts."""

    name: str
    mean_iou: float | None
    mean_dice: float | None
    pixel_accuracy: float | None


@dataclass(frozen=True)
class ScoreReport:
    """What a model reached on pictures with known masks; docs/scores.md says what each score means.

    Attributes
    ----------
    mean_iou, mean_dice, pixel_accuracy, mean_accuracy, frequency_weighted_iou : float or None
    mean_iou_foreground, mean_dice_foreground : float or None
        Without the class that is called background or the like; None where none is.
    classes : tuple of ClassScores
    pictures : tuple of PictureScores
        The worst first.
    confusion : int array (K, K)
        Pixels; rows are the true classes, columns the predicted ones.
    intervals : mapping of str to (float, float)
        95 % intervals of mean_iou, mean_dice and pixel_accuracy, as far as they were computed.
    everything : dict
        What the command line writes as JSON.
    messages : tuple of str
        What was said on the way.

    Examples
    --------
    >>> import unet
    >>> scores = unet.evaluate("model.safetensors", "data")
    >>> scores.of("foreground").pixels, scores.pictures[0].name in ("p00", "p01", "p02", "p03")
    (320, True)
    """

    mean_iou: float | None
    mean_dice: float | None
    pixel_accuracy: float | None
    mean_accuracy: float | None
    frequency_weighted_iou: float | None
    mean_iou_foreground: float | None
    mean_dice_foreground: float | None
    classes: tuple[ClassScores, ...]
    pictures: tuple[PictureScores, ...]
    confusion: NDArray[np.int64]
    intervals: Mapping[str, tuple[float, float]]
    everything: Mapping[str, Any]
    messages: tuple[str, ...] = ()

    def of(self, name: str) -> ClassScores:
        """Return the scores of a class.

        Raises
        ------
        KeyError
            There is none of that name.
        """
        return {each.name: each for each in self.classes}[name]

    @classmethod
    def from_dict(cls, scores: Mapping[str, Any], messages: tuple[str, ...] = ()) -> ScoreReport:
        """Read what the command line writes as JSON."""
        means = (
            *("mean_iou", "mean_dice", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou"),
            *("mean_iou_foreground", "mean_dice_foreground"),
        )
        of_class, of_picture = ClassScores.__annotations__, PictureScores.__annotations__
        intervals = scores.get("confidence", {})
        return cls(
            **{name: scores.get(name) for name in means},
            classes=tuple(ClassScores(**{key: row.get(key) for key in of_class}) for row in scores["classes"]),
            pictures=tuple(PictureScores(**{key: row.get(key) for key in of_picture}) for row in scores["images"]),
            confusion=np.array(scores["confusion"], dtype=np.int64),
            intervals={name: tuple(intervals[name]) for name in means if intervals.get(name) is not None},
            everything=scores,
            messages=messages,
        )


@dataclass(frozen=True)
class TrainResult:
    """A training.

    Attributes
    ----------
    run : Path
        Its folder, which `unet.train(resume=...)` goes on with and `unet.evaluate` scores.
    model_path : Path
        The model file of the best weights; `model` is what it holds, ready to predict.
    report : Path
        The HTML page.
    scores : ScoreReport
        Of the best weights on the validation pictures.
    finished : bool
        False where the training was stopped before its end.
    messages : tuple of str
        What was said on the way: the plan, warnings, remarks; the reasons are in plan.md of the run.

    Examples
    --------
    >>> import unet
    >>> result = unet.train("data", out="run", steps=1, width=4, depth=2)
    >>> result.model.names
    ('background', 'foreground')
    """

    run: Path
    model_path: Path
    report: Path
    scores: ScoreReport
    finished: bool
    messages: tuple[str, ...] = ()

    @cached_property
    def model(self) -> Model:
        """The trained model, read when it is first asked for."""
        from unet.api.model import load

        return load(self.model_path)


@dataclass(frozen=True)
class CrossValidateResult:
    """A cross-validation.

    Attributes
    ----------
    run : Path
        Its folder; fold-1, fold-2, ... in it are runs of their own.
    report : Path
        The HTML page.
    scores : ScoreReport or None
        Over all pictures, each scored by the model that has not seen it; None where it was stopped before its end.
    folds : tuple of dict
        mean_iou, mean_dice, pixel_accuracy and the number of pictures of each fold that is done.
    model_paths : tuple of Path
        The model file of each of these folds; `unet.predict` averages them where it is given them all.
    finished : bool
    messages : tuple of str
        What was said on the way.

    Examples
    --------
    >>> stopped = CrossValidateResult(Path("run"), Path("run/report.html"), None, (), (), finished=False)
    >>> stopped.scores is None, stopped.folds
    (True, ())
    """

    run: Path
    report: Path
    scores: ScoreReport | None
    folds: tuple[dict[str, Any], ...]
    model_paths: tuple[Path, ...]
    finished: bool
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlanResult:
    """What a training would be like.

    Attributes
    ----------
    config : Config
        Every setting; `unet.train(config=...)` trains by it.
    reasons : tuple of str
        A sentence for each choice.
    folder : Path or None
        Where plan.md and config.toml were written, if a folder was named.
    messages : tuple of str
        What was said on the way.

    Examples
    --------
    >>> import unet
    >>> plan = unet.make_plan("data", steps=10, width=8, depth=2)
    >>> plan.config.model.width, plan.config.training.steps, len(plan.reasons) > 3
    (8, 10, True)
    """

    config: Config
    reasons: tuple[str, ...]
    folder: Path | None
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class PredictResult:
    """The files that were written, and what was said on the way: of each picture the share of each class.

    Examples
    --------
    >>> import unet
    >>> result = unet.predict("model.safetensors", "data/imgs", outputs="masks")
    >>> [path.name for path in result.files]
    ['p00_OUT.png', 'p01_OUT.png', 'p02_OUT.png', 'p03_OUT.png']
    """

    files: tuple[Path, ...]
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassInfo:
    """A class of a data set: its shares of all pixels, and of the pictures that show it."""

    name: str
    value: int | tuple[int, int, int]
    color: tuple[int, int, int]
    pixels: float
    pictures: float


@dataclass(frozen=True)
class InspectResult:
    """What a data set holds and what is wrong with it.

    Attributes
    ----------
    classes : tuple of ClassInfo
        Empty where the masks hold no classes; a finding says why. What does not count is called "(ignored)".
    train, val, test : tuple of Pair
        As `unet.train` would split them.
    findings : tuple of Finding
        Errors, which stop a training, then warnings, then notes; each with `kind`, `found`, `remedy` and `files`.
    folder : Path or None
        Where inspect.html and contact.png were written, if a folder was named.
    survey : Survey
        All that was found.
    messages : tuple of str
        What was said on the way.

    Examples
    --------
    >>> import unet
    >>> found = unet.inspect_data("data")
    >>> found.ok, len(found.train), len(found.val), [each.name for each in found.classes]
    (True, 3, 1, ['background', 'foreground'])
    """

    classes: tuple[ClassInfo, ...]
    train: tuple[Pair, ...]
    val: tuple[Pair, ...]
    test: tuple[Pair, ...]
    findings: tuple[Finding, ...]
    folder: Path | None
    survey: Survey
    messages: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that stop a training."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def ok(self) -> bool:
        """True where nothing stops a training."""
        return not self.errors


@dataclass(frozen=True)
class RepairResult:
    """A clean copy of a data set.

    Attributes
    ----------
    folder : Path or None
        The copy, to train on; None of a dry run.
    kept : int
        Pairs in it.
    left_out : tuple of (str, str)
        Files that could not be repaired safely, and why.
    plan : RepairPlan
        All that is done to each pair.
    messages : tuple of str
        What was said on the way.

    Examples
    --------
    >>> import unet
    >>> repaired = unet.repair("data", out="clean")
    >>> repaired.kept, repaired.left_out, repaired.folder.name
    (4, (), 'clean')
    """

    folder: Path | None
    kept: int
    left_out: tuple[tuple[str, str], ...]
    plan: RepairPlan
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunsResult:
    """Runs beside one another.

    Attributes
    ----------
    runs : tuple of RunLine
        The best first; each with `folder`, `began`, `data`, `state`, `steps`, `seconds`, `metric`, `score`,
        `test_score`, `settings`, `rows` (the validations), `folds` and `fault`.
    differing : tuple of str
        The settings that are not the same in all of them.
    passed_over : tuple of Path
        Folders without the record of a run.
    messages : tuple of str
        What was said on the way.

    Examples
    --------
    >>> import unet
    >>> found = unet.compare_runs(".")
    >>> found.differing, found.messages[0]
    ((), 'no runs in .')
    """

    runs: tuple[RunLine, ...]
    differing: tuple[str, ...]
    passed_over: tuple[Path, ...]
    messages: tuple[str, ...] = ()
