"""`unet.inspect_data` and `unet.repair`; they need no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unet.api.calling import checked, several
from unet.api.results import ClassInfo, InspectResult, RepairResult
from unet.api.settings import DataSettings, Value, as_flags, data_settings
from unet.data.inspection.summary import summarise_survey
from unet.files import StrPath, as_path
from unet.runs.source import data_config
from unet.terminal.display import open_display
from unet.terminal.speech import listening

if TYPE_CHECKING:
    from typing_extensions import Unpack


@checked(data_settings)
def inspect_data(
    data: StrPath | None = None,
    *,
    out: StrPath | None = None,
    json: StrPath | None = None,
    init: StrPath | None = None,
    overwrite: bool = False,
    verbose: bool = False,
    **settings: Unpack[DataSettings],
) -> InspectResult:
    """Say what a data set holds and what is wrong with it, as `unet.train` checks it first.

    Parameters
    ----------
    data : str or path, optional
        As for `unet.train`.
    out : str or path, optional
        A folder for inspect.html and contact.png, which show pictures and masks; by default nothing is written.
    json : str or path, optional
        A file for all facts and findings.
    init : str or path, optional
        A `dataset.toml` to write, which says what was found.
    overwrite : bool
        Replace these.
    verbose : bool
        Show tables and findings.
    **settings
        What is said of the data: `masks`, `mask_suffix`, `mask_values`, `ignore`, `val` ...

    Returns
    -------
    InspectResult
        Errors among its findings are not raised.

    Raises
    ------
    InputError
        There are no such folders, or the results cannot be written.

    Examples
    --------
    >>> import unet
    >>> found = unet.inspect_data("data")
    >>> found.ok, found.findings, len(found.train), len(found.val)
    (True, (), 3, 1)
    """
    from unet.commands.inspect import inspect as command
    from unet.commands.inspect import look

    flags, _ = as_flags(settings)
    with listening(verbose) as said:
        if out is None:
            chosen = data_config(root=as_path(data), **flags)
            survey, _ = look(chosen, as_path(json), as_path(init), overwrite, open_display())
        else:
            survey = command(data, out=out, json=json, init=init, overwrite=overwrite, **flags)
    rows = summarise_survey(survey, "")["classes"]
    keys = ClassInfo.__annotations__
    return InspectResult(
        tuple(ClassInfo(**{key: row[key] for key in keys}) for row in rows),
        survey.train,
        survey.val,
        survey.test,
        survey.findings,
        as_path(out),
        survey,
        tuple(said),
    )


@checked()
def repair(
    data: StrPath | None = None,
    *,
    out: StrPath,
    images: StrPath | None = None,
    masks: StrPath | None = None,
    mask_suffix: str | None = None,
    classes: StrPath | None = None,
    mask_values: Sequence[Value] | None = None,
    ignore: int | Sequence[int] | None = None,
    instances: str | None = None,
    drop_duplicates: bool = False,
    dry_run: bool = False,
    verbose: bool = False,
) -> RepairResult:
    """Write a copy of a data set that can be trained on; the original stays as it is.

    Parameters
    ----------
    data : str or path, optional
        As for `unet.train`.
    out : str or path
        The new folder.
    instances : {"objects", "borders"}, optional
        The masks number objects: make two classes of them, or three, with borders between objects that touch.
    drop_duplicates : bool
        Leave out pictures that are there twice.
    dry_run : bool
        Only decide what would be done.
    verbose : bool
        Show what is done.
    images, masks, mask_suffix, classes, mask_values, ignore
        As for `unet.train`.

    Returns
    -------
    RepairResult

    Raises
    ------
    InputError
        There are no such folders, there is no telling what the masks mean, or `out` exists.

    Examples
    --------
    >>> import unet
    >>> repaired = unet.repair("data", out="repaired")
    >>> sorted(path.name for path in repaired.folder.iterdir())
    ['classes.csv', 'dataset.toml', 'images', 'masks', 'repair.csv', 'repair.md']
    """
    from unet.commands.repair import repair as command

    with listening(verbose) as said:
        plan = command(
            data, out=out, images=images, masks=masks, mask_suffix=mask_suffix, classes=classes,
            mask_values=mask_values, ignore=several(ignore), instances=instances, drop_duplicates=drop_duplicates,
            dry_run=dry_run,
        )  # fmt: skip
    left_out = tuple((each.file, each.why) for each in plan.left_out)
    return RepairResult(None if dry_run else Path(out), len(plan.jobs), left_out, plan, tuple(said))
