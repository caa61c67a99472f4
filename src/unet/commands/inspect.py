"""`unet inspect`: what a data set holds and what is wrong with it, before anything is trained."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet.config import DataConfig, TrainingConfig
from unet.data.inspection.summary import summarise_survey
from unet.data.inspection.survey import Survey
from unet.data.manifest import to_toml
from unet.errors import InputError
from unet.files import StrPath, as_path, write_json, write_text
from unet.report.contact_sheet import contact_sheet, sheet_labels, write_contact_sheet
from unet.report.inspection_page import is_inspection_page, write_inspection_page
from unet.runs.source import data_config, place, survey_of
from unet.runs.targets import check_outside, check_target, inputs_of
from unet.terminal.display import Display, open_display
from unet.terminal.inspection import print_inspection

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from unet.runs.settings import DataFlags


def inspect(
    data: StrPath | None = None,
    *,
    json: StrPath | None = None,
    out: StrPath | None = None,
    init: StrPath | None = None,
    overwrite: bool = False,
    **flags: Unpack[DataFlags],
) -> Survey:
    """Check a data set as `train` does, print all that is found, and draw pictures with their masks.

    Parameters
    ----------
    data, **flags
        As in `unet.commands.train.train`.
    json : str or path, optional
        A file for all facts and findings, with all files.
    out : str or path, optional
        The folder for contact.png and inspect.html; by default inspect-NAME where the command is run.
    init : str or path, optional
        A `dataset.toml` to write there, which says what was found: to edit, and to train from.
    overwrite : bool
        Replace the JSON file, the `dataset.toml`, and pages that `inspect` has not written.

    Returns
    -------
    Survey
        Errors among its findings are not raised.

    Raises
    ------
    InputError
        There are no such folders, or the results cannot be written.
    """
    json, out, init = as_path(json), as_path(out), as_path(init)
    settings = data_config(root=data, **flags)
    folder = out or Path(f"inspect-{Path(place(settings)).resolve().name}")
    check_outside(folder, settings)
    _check_folder(folder, overwrite)
    display = open_display()
    survey, summary = look(settings, json, init, overwrite, display)
    labels = sheet_labels(survey)
    pictures = contact_sheet(survey, labels) if labels is not None else []
    folder.mkdir(parents=True, exist_ok=True)
    write_inspection_page(folder / "inspect.html", summary, pictures, labels)
    display.notify(f"page: {folder / 'inspect.html'}")
    if pictures and labels is not None:
        write_contact_sheet(pictures, labels, folder / "contact.png")
        display.notify(f"sheet: {folder / 'contact.png'}")
    return survey


def look(
    settings: DataConfig, json: Path | None, init: Path | None, overwrite: bool, display: Display
) -> tuple[Survey, dict[str, Any]]:
    """Check a data set, print all that is found, write it where that is wanted, and return it twice: also in words.

    Raises
    ------
    InputError
        As `inspect`.
    """
    for target, flag in ((json, "--json"), (init, "--init")):
        if target is not None:
            check_target(target, overwrite, flag, inputs_of(settings))
    where = place(settings)
    survey = survey_of(settings, TrainingConfig().seed, display, patient=True)
    summary = summarise_survey(survey, where)
    print_inspection(summary)
    if json is not None:
        write_json(json, summary)
        display.notify(f"facts: {json}")
    if init is not None:
        write_manifest(init, survey)
        display.notify(f"data: {init}; train from it: unet train {init}")
    return survey, summary


def write_manifest(path: Path, survey: Survey) -> None:
    """Write a `dataset.toml` that says what was found.

    Raises
    ------
    InputError
        The masks hold other values than those of classes.
    """
    if survey.labels is None or survey.labels.rule != "exact" or survey.labels.kind != "classes":
        raise InputError("masks with other values than those of classes", "exact ones for --init", "unet repair first")
    root, val = survey.description.root, survey.description.val
    split = {} if val is None else {"val": val if isinstance(val, float) else val.resolve().as_posix()}
    text = to_toml((*survey.train, *survey.val), survey.labels, split, path.parent)
    if root is not None and root.resolve() != path.parent.resolve():
        text = f"root = {dumps(root.resolve().as_posix(), ensure_ascii=False)}\n{text}"
    write_text(path, text)


def _check_folder(folder: Path, overwrite: bool) -> None:
    """Make sure, before anything is read, that the results may lie in a folder: not over others'.

    Raises
    ------
    InputError
        They may not.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file", "a folder", "choose another --out")
    page = folder / "inspect.html"
    replaces = any((folder / name).exists() for name in ("contact.png", page.name))
    if replaces and not overwrite and not is_inspection_page(page):
        raise InputError(f"{folder} holds other pages", "a new folder", "choose another --out, or allow --overwrite")
