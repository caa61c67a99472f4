"""What a run folder tells: every file but config.toml may be missing."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from unet import bundle, config
from unet.bundle import Bundle
from unet.config import Config
from unet.errors import ConfigError, InputError, ModelFileError
from unet.labels import Color, default_colors
from unet.metrics.stored import checked_folds, checked_scores
from unet.parsing import as_dataclass, read_json
from unet.report.outcome import Outcome, read_outcome
from unet.report.run_tables import rows_of, table_of, text_of


@dataclass(frozen=True)
class _Remark:
    """What health.json says of one matter."""

    text: str
    remedy: str
    step: int
    over: int | None
    kind: str = ""


_REMARK = frozenset(each.name for each in fields(_Remark))


@dataclass(frozen=True)
class RunFiles:
    """The files of a run, read.

    Attributes
    ----------
    run : Path
    settings : Config
    settings_text, plan_text : str
        As they stand in their files; empty where there is none.
    rows : tuple of dict
        The validations in metrics.csv, oldest first; values that are missing or no number are left out.
    scores : dict or None
        evaluation.json.
    model : Bundle or None
        The model file.
    health : list of dict or None
        health.json: what did not go well, oldest first.
    samples, test_samples : tuple of Path
        Validation and test pictures side by side with truth, prediction and mistakes, the worst first.
    test : dict or None
        test.json: the scores of pictures that neither trained nor chose the weights.
    folds : list of dict
        The mean scores of each part, where the run is a cross-validation.
    part_sizes : dict of str to int
        The pictures of each part, as pairs.csv says.
    outcome : Outcome or None
        How the training ended.
    """

    run: Path
    settings: Config
    settings_text: str
    plan_text: str
    rows: tuple[dict[str, float], ...]
    scores: dict[str, Any] | None
    model: Bundle | None
    health: list[dict[str, Any]] | None
    samples: tuple[Path, ...]
    folds: tuple[dict[str, Any], ...] = ()
    test: dict[str, Any] | None = None
    test_samples: tuple[Path, ...] = ()
    part_sizes: dict[str, int] = field(default_factory=dict)
    outcome: Outcome | None = None

    @property
    def main_scores(self) -> dict[str, Any] | None:
        """The scores to go by: those of the test pictures, or of the validation pictures where there are none."""
        return self.scores if self.test is None else self.test

    @property
    def swings(self) -> bool:
        """Whether the validations went up and down, so that the best of them, which was kept, is partly luck."""
        return not self.settings.training.keep_last and any(remark["kind"] == "swings" for remark in self.health or ())

    def colors_of(self, scores: dict[str, Any] | None) -> tuple[Color, ...]:
        """Return the colours of the classes scored: the model's, or the usual ones."""
        count = len(scores["classes"]) if scores else 0
        known = self.model.labels.colors if self.model else ()
        return (*known, *default_colors(count)[len(known) :])[:count]


def read_run(run: Path) -> RunFiles:
    """Read the files of a run folder.

    Raises
    ------
    InputError
        There is no config.toml, or a file is not what its name says.
    """
    settings = config.load_toml(run / "config.toml")
    model = run / "model.safetensors"
    return RunFiles(
        run=run,
        settings=settings,
        settings_text=text_of(run / "config.toml"),
        plan_text=text_of(run / "plan.md"),
        rows=rows_of(run / "metrics.csv"),
        scores=_scores(run / "evaluation.json"),
        model=_model(model) if model.exists() else None,
        health=_health(run / "health.json"),
        samples=tuple(sorted((run / "samples").glob("*.png"))),
        folds=_folds(run / "folds.json"),
        test=_scores(run / "test.json"),
        test_samples=tuple(sorted((run / "samples" / "test").glob("*.png"))),
        part_sizes=_part_sizes(run / "pairs.csv"),
        outcome=read_outcome(run),
    )


def _scores(path: Path) -> dict[str, Any] | None:
    text = text_of(path)
    if not text:
        return None
    try:
        return checked_scores(read_json(text))
    except ConfigError as error:
        what = f"{path} holds no scores ({error.found})"
        raise InputError(what, "the evaluation of a run", f"remove {path} to go without") from None


def _health(path: Path) -> list[dict[str, Any]] | None:
    text = text_of(path)
    if not text:
        return None
    try:
        return [
            asdict(as_dataclass(_Remark, {key: remark[key] for key in remark if key in _REMARK}))
            for remark in json.loads(text)
        ]
    except (ValueError, TypeError, RecursionError, ConfigError):
        raise InputError(f"{path} holds no remarks", "those of a training", f"remove {path} to go without") from None


def _folds(path: Path) -> tuple[dict[str, Any], ...]:
    text = text_of(path)
    if not text:
        return ()
    try:
        folds = checked_folds(read_json(text).get("done"))
        return tuple({"number": number, **fold} for number, fold in enumerate(folds, 1))
    except ConfigError:
        raise InputError(f"{path} holds no folds", "those of a cross-validation") from None


def _part_sizes(path: Path) -> dict[str, int]:
    return dict(Counter(row["part"] for row in table_of(path) if row.get("part")))


def _model(path: Path) -> Bundle | None:
    try:
        return bundle.load(path)
    except ModelFileError:
        return None  # the page can do without; `predict` will say what is wrong with the file
