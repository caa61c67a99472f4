"""`unet import`: annotations of other programs into a folder that `unet train` reads."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from unet.data.class_table import Row
from unet.data.importing.items import Annotations, plural
from unet.data.importing.recognise import FORMATS, recognise
from unet.data.importing.writing import LEFT_OUT, Written, write
from unet.errors import InputError, MissingExtraError
from unet.terminal.display import open_display

OPTIONS: dict[str, tuple[str, ...]] = {
    "coco": ("images", "ignore_crowd"), "labelme": ("line_width", "outside"), "yolo": ("outside",),
    "huggingface": (), "objects": (), "nnunet": (),
}  # fmt: skip
"""What can be said about each format."""


def import_data(
    source: Path,
    out: Path,
    *,
    form: str | None = None,
    images: Path | None = None,
    ignore_crowd: bool = False,
    line_width: float | None = None,
    outside: bool = False,
    link: bool = False,
    skip_empty: bool = False,
    skip_faulty: bool = False,
) -> Written:
    """Turn annotations into masks; see docs/importing.md.

    Parameters
    ----------
    source : Path
        A file or folder in one of the formats.
    out : Path
        A new or empty folder: images, masks and classes.csv, in train, val and test where the source has parts.
    form : {"coco", "labelme", "yolo", "huggingface", "objects", "nnunet"}, optional
        Found out where it is not given.
    images, ignore_crowd, line_width, outside : optional
        For some formats only: see the `read` of `unet.data.importing.coco`, `.labelme` and `.yolo`.
    link, skip_empty, skip_faulty : bool
        See `unet.data.importing.writing.write`.

    Returns
    -------
    Written

    Raises
    ------
    InputError
        A source that cannot be used, with all its faults, or a folder that cannot be written to.
    MissingExtraError
        The format needs a package that is not installed.
    """
    source, out = Path(source), Path(out)
    if form is not None and form not in FORMATS:
        raise InputError(f"format {form!r}", " or ".join(FORMATS))
    form = form or recognise(source)
    options = {
        "images": images,
        "ignore_crowd": ignore_crowd or None,
        "line_width": line_width,
        "outside": outside or None,
    }
    display = open_display()
    annotations = _read(form, source, {name: value for name, value in options.items() if value is not None})
    with display.counting(f"importing {form}") as progress:
        written = write(annotations, out, link=link, skip_empty=skip_empty, skip_faulty=skip_faulty, progress=progress)
    for line in (*annotations.notes, *_summary(written, out, skip_empty)):
        display.notify(line)
    return written


def _read(form: str, source: Path, options: dict[str, Any]) -> Annotations:
    if not source.exists():
        raise InputError(f"no such file or folder: {source}", "annotations to import")
    for name in options:
        if name not in OPTIONS[form]:
            raise InputError(f"--{name.replace('_', '-')} says nothing about the format {form}", remedy="leave it out")
    try:
        reader = import_module(f"unet.data.importing.{form}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("unet"):
            raise
        raise MissingExtraError(f"importing {form}", "import") from None
    annotations: Annotations = reader.read(source, **options)
    return annotations


def _summary(written: Written, out: Path, skip_empty: bool) -> list[str]:
    parts = ", ".join(f"{part} {count}" for part, count in sorted(written.parts.items()))
    names = list(written.classes.values())
    void = [name for name in names if Row(name).is_void]
    lines = [
        plural(sum(written.parts.values()), "picture") + (f" ({parts})" if len(written.parts) > 1 else ""),
        f"{len(names)} classes: {', '.join(names)}",
    ]
    if void:
        lines.append(f"{', '.join(void)} will not count in training, going by the name")
    if written.unused:
        lines.append(f"in no mask: {', '.join(written.unused)}")
    if written.empty:
        lines.append(
            f"{plural(written.empty, 'picture')} without any object: "
            + ("left out" if skip_empty else "all background")
        )
    if written.too_small:
        lines.append(f"{plural(written.too_small, 'object')} too small for a pixel: not in the masks")
    if written.faults:
        lines.append(f"{plural(len(written.faults), 'fault')} left out, listed in {out / LEFT_OUT}")
    return [*lines, f"wrote {out}; train on it by: unet train {out}"]
