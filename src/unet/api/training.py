"""`unet.train`, `unet.cross_validate` and `unet.make_plan`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from unet.api.calling import checked
from unet.api.results import CrossValidateResult, PlanResult, ScoreReport, TrainResult
from unet.api.settings import Settings, all_settings, as_flags
from unet.config import Config, to_toml
from unet.errors import ConfigError
from unet.files import StrPath, as_path
from unet.runs.folder import MODEL
from unet.runs.recipes import recipe as recipe_file
from unet.terminal.speech import listening

if TYPE_CHECKING:
    from typing_extensions import Unpack


@checked(all_settings)
def train(
    data: StrPath | None = None,
    *,
    out: StrPath | None = None,
    config: StrPath | Config | None = None,
    recipe: str | None = None,
    resume: StrPath | None = None,
    moved_data: StrPath | None = None,
    load: StrPath | None = None,
    overwrite: bool = False,
    verbose: bool = False,
    **settings: Unpack[Settings],
) -> TrainResult:
    """Train a model and check it on pictures it has not seen.

    Parameters
    ----------
    data : str or path, optional
        Folder with pictures and masks in any of the usual layouts, or a `dataset.toml`; or give `images` and `masks`.
    out : str or path, optional
        The run folder; by default runs/NAME-DATE-TIME.
    config : str, path or Config, optional
        Settings that hold unless something else is said here: a file, or what `unet.make_plan` returned.
    recipe : str, optional
        Settings by name, such as "carvana", in place of `config`.
    resume : str or path, optional
        A run folder to go on with.
    moved_data : str or path, optional
        With `resume`: where the folder of its data is now.
    load : str or path, optional
        A model file to start from; it says what the network is like.
    overwrite : bool
        Use the folder `out` even if it holds a run.
    verbose : bool
        Show the plan, progress and scores, in a terminal or a notebook.
    **settings
        Any setting of docs/configuration.md by its name: `time="2m"`, `loss="ce"`, `width=32`, `val=0.2` ...

    Returns
    -------
    TrainResult

    Raises
    ------
    InputError
        Data, settings or files that cannot be used.
    TrainingError
        The training cannot go on.

    Examples
    --------
    >>> import unet
    >>> result = unet.train("data", out="run", steps=2, loss="ce", width=4, depth=2)
    >>> result.model_path.as_posix(), result.finished, 0 <= result.scores.mean_iou <= 1
    ('run/model.safetensors', True, True)
    >>> unet.train("data", wdith=4)
    Traceback (most recent call last):
    unet.errors.ConfigError: train: unknown keyword 'wdith' (did you mean width?)
    """
    from unet.commands.train import train as command

    flags, texts = as_flags(settings)
    with listening(verbose) as said, _settings_file(config, recipe) as file:
        result = command(
            as_path(data), out=out, config_file=file, resume=resume, moved_data=moved_data, load=load, settings=texts,
            overwrite=overwrite, **flags,
        )  # fmt: skip
    scores = ScoreReport.from_dict(result.scores)
    return TrainResult(result.run, result.model, result.report, scores, result.finished, tuple(said))


@checked(all_settings)
def cross_validate(
    data: StrPath | None = None,
    folds: int | None = None,
    *,
    out: StrPath | None = None,
    config: StrPath | Config | None = None,
    recipe: str | None = None,
    resume: StrPath | None = None,
    moved_data: StrPath | None = None,
    load: StrPath | None = None,
    overwrite: bool = False,
    verbose: bool = False,
    **settings: Unpack[Settings],
) -> CrossValidateResult:
    """Train and score once for each of several parts of the pictures, each held out once.

    Parameters
    ----------
    data : str or path, optional
        As for `unet.train`, without a part to validate on.
    folds : int, optional
        How many parts; 5 as a rule, and not with `resume`.
    out, config, recipe, resume, moved_data, load, overwrite, verbose, **settings
        As for `unet.train`. `time` is that of all folds together, `epochs` and `steps` are those of each.

    Returns
    -------
    CrossValidateResult

    Raises
    ------
    InputError
        Data, settings or files that cannot be used.
    TrainingError
        A training cannot go on.

    Examples
    --------
    >>> import unet
    >>> result = unet.cross_validate("data", folds=2, out="run", steps=1, width=4, depth=2)
    >>> len(result.folds), result.finished
    (2, True)
    """
    from unet.commands.folds import cross_validate as command

    if folds is None and resume is None:
        folds = 5
    if folds is not None and folds < 2:
        raise ConfigError(f"folds = {folds}", "2 or more")
    flags, texts = as_flags(settings)
    with listening(verbose) as said, _settings_file(config, recipe) as file:
        result = command(
            folds, data=as_path(data), out=as_path(out), config_file=file, resume=as_path(resume),
            moved_data=as_path(moved_data), load=as_path(load), settings=texts, overwrite=overwrite, **flags,
        )  # fmt: skip
    return CrossValidateResult(
        result.run,
        result.report,
        ScoreReport.from_dict(result.scores) if result.scores else None,
        tuple(result.folds),
        tuple(result.run / f"fold-{number}" / MODEL for number, _ in enumerate(result.folds, start=1)),
        result.finished,
        tuple(said),
    )


@checked(all_settings)
def make_plan(
    data: StrPath | None = None,
    *,
    out: StrPath | None = None,
    config: StrPath | Config | None = None,
    recipe: str | None = None,
    overwrite: bool = False,
    verbose: bool = False,
    **settings: Unpack[Settings],
) -> PlanResult:
    """Decide how to train, as `unet.train` would, and say why.

    Parameters
    ----------
    out : str or path, optional
        A folder for plan.md and config.toml; by default nothing is written.
    data, config, recipe, overwrite, verbose, **settings
        As for `unet.train`.

    Returns
    -------
    PlanResult

    Raises
    ------
    InputError
        Data, settings or files that cannot be used.

    Examples
    --------
    >>> import unet
    >>> plan = unet.make_plan("data", steps=100, width=8, depth=2)
    >>> plan.config.training.steps, plan.reasons[0].startswith("Computing on")
    (100, True)
    """
    from unet.commands.plan import plan as command

    flags, texts = as_flags(settings)
    with (
        listening(verbose) as said,
        _settings_file(config, recipe) as file,
        TemporaryDirectory(prefix="unet-plan-") as spare,
    ):
        folder = Path(spare) / "plan" if out is None else Path(out)
        result = command(as_path(data), out=folder, config_file=file, settings=texts, overwrite=overwrite, **flags)
    return PlanResult(result.config, result.reasons, None if out is None else result.folder, tuple(said))


@contextmanager
def _settings_file(config: StrPath | Config | None, recipe: str | None) -> Iterator[Path | None]:
    """Give the file that holds the settings, which commands take."""
    if config is not None and recipe is not None:
        raise ConfigError("config and recipe together", "one of them")
    if recipe is not None:
        yield recipe_file(recipe)
    elif isinstance(config, Config):
        with TemporaryDirectory(prefix="unet-settings-") as folder:
            file = Path(folder) / "config.toml"
            file.write_text(to_toml(config), encoding="utf-8")
            yield file
    else:
        yield as_path(config)
