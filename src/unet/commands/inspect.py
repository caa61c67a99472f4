"""`unet inspect`: what a data set holds and what is wrong with it, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.console import Console
from rich.table import Table
from rich.text import Text

from unet.config import TrainingConfig
from unet.data.finding import SEVERITIES, shortened
from unet.data.inspection.summary import summarise_survey
from unet.data.inspection.survey import Survey
from unet.data.manifest import to_toml
from unet.errors import InputError
from unet.files import write_json, write_text
from unet.report.contact_sheet import SheetPicture, contact_sheet, write_contact_sheet
from unet.runs.source import data_config, place, survey_of
from unet.runs.targets import check_outside, check_target
from unet.terminal.display import open_display

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from unet.runs.settings import DataFlags

MARK = '<meta name="generator" content="unet inspect">'
"""By this a page is known to be ours, and may be replaced by a newer one."""

_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold"}


def inspect(
    data: Path | None = None,
    *,
    json: Path | None = None,
    out: Path | None = None,
    init: Path | None = None,
    overwrite: bool = False,
    **flags: Unpack[DataFlags],
) -> Survey:
    """Check a data set as `train` does, print all that is found, and draw pictures with their masks.

    Parameters
    ----------
    data, **flags
        As in `unet.commands.train.train`.
    json : Path, optional
        A file for all facts and findings, with all files.
    out : Path, optional
        The folder for contact.png and inspect.html; by default inspect-NAME where the command is run.
    init : Path, optional
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
    settings = data_config(root=data, **flags)
    where = place(settings)
    folder = out or Path(f"inspect-{Path(where).resolve().name}")
    check_outside(folder, settings)
    _check_folder(folder, overwrite)
    for target, flag in ((json, "--json"), (init, "--init")):
        if target is not None:
            check_target(target, overwrite, flag)
    display = open_display()
    survey = survey_of(settings, TrainingConfig().seed, display, patient=True)
    summary = summarise_survey(survey, where)
    print_summary(summary)
    if json is not None:
        write_json(json, summary)
        display.say(f"facts {json}")
    if init is not None:
        write_manifest(init, survey)
        display.say(f"data  {init}; train from it: unet train {init}")
    shown = contact_sheet(survey)
    folder.mkdir(parents=True, exist_ok=True)
    write_page(summary, shown, folder / "inspect.html")
    display.say(f"page  {folder / 'inspect.html'}")
    if shown:
        write_contact_sheet(shown, folder / "contact.png")
        display.say(f"sheet {folder / 'contact.png'}")
    return survey


def write_manifest(path: Path, survey: Survey) -> None:
    """Write a `dataset.toml` that says what was found.

    Raises
    ------
    InputError
        The masks hold other values than those of classes.
    """
    if survey.labels is None or survey.labels.rule != "exact":
        raise InputError("masks with other values than those of classes", "exact ones for --init", "unet repair first")
    root, val = survey.description.root, survey.description.val
    split = {} if val is None else {"val": val if isinstance(val, float) else val.resolve().as_posix()}
    text = to_toml((*survey.train, *survey.val), survey.labels, split, path.parent)
    if root is not None and root.resolve() != path.parent.resolve():
        text = f"root = {dumps(root.resolve().as_posix(), ensure_ascii=False)}\n{text}"
    path.write_text(text, encoding="utf-8")


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
    ours = page.is_file() and MARK in page.read_text(encoding="utf-8", errors="replace")[:1000]
    if not overwrite and not ours and any((folder / name).exists() for name in ("contact.png", page.name)):
        raise InputError(f"{folder} holds other pages", "a new folder", "choose another --out, or allow --overwrite")


def print_summary(summary: dict[str, Any]) -> None:
    """Print what there is and what was found to standard output."""
    console = Console(highlight=False, soft_wrap=True)
    if summary["parts"]:
        _print_table(console, ("name", "pairs", "sizes", "bands", "depth", "pictures", "masks"), summary["parts"])
    if summary["classes"]:
        _print_table(console, ("name", "value", "pixels", "pictures", "train", "val"), summary["classes"])
    if summary["values"]:
        _print_table(console, ("value", "pixels", "masks"), summary["values"])
    for finding in summary["findings"]:
        console.print()
        line = Text(finding["severity"], _STYLES[finding["severity"]])
        console.print(line.append(f" {finding['kind']}: {finding['found']}", "default"))
        if finding["expected"]:
            console.print(f"  expected: {finding['expected']}", markup=False)
        if finding["remedy"]:
            console.print(f"  remedy:   {finding['remedy']}", markup=False)
        for file in shortened(finding["files"], 3):
            console.print(f"    {file}", markup=False)
    counts = {name: sum(finding["severity"] == name for finding in summary["findings"]) for name in SEVERITIES}
    console.print()
    console.print(", ".join(f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items()))


def write_page(summary: dict[str, Any], shown: Sequence[SheetPicture], path: Path) -> None:
    """Write the page: one file that needs no network."""
    environment = Environment(
        # The style and the templates lie together; the module of the report would bring torch along.
        loader=PackageLoader("unet", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["percent"] = _percent
    text = environment.get_template("inspect.html.j2").render(**summary, shown=shown, mark=MARK)
    write_text(path, text)


def _print_table(console: Console, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    table = Table()
    for column in columns:
        number = isinstance(rows[0][column], (int, float))
        table.add_column({"name": ""}.get(column, column), justify="right" if number else "left")
    for row in rows:
        cells = (_percent(row[column]) if isinstance(row[column], float) else str(row[column]) for column in columns)
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)


def _percent(share: float) -> str:
    return f"{share:.2%}" if share < 0.1 else f"{share:.1%}"
