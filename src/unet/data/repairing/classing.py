"""From what masks hold to class numbers: the same values in all masks, only true ones, from 0 on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from unet.config import DataConfig
from unet.data.class_table import ClassTable
from unet.data.classes import ignored_values, resolve_labels, table_of, true_values_of, values_by
from unet.data.finding import Finding, errors_in
from unet.data.inspection import values as checks
from unet.data.mask_values import MaskValues, listed
from unet.data.repairing.file_repair import FileRepair, LeftOut, Step, scan_of
from unet.data.repairing.gathering import Gathered
from unet.data.repairing.objects import BORDER_RADIUS, objects, objects_and_borders
from unet.data.repairing.palettes import common_palette, translated, translation
from unet.data.repairing.snapping import nearest, snap, without_accidents
from unet.data.repairing.stacks import indices_of
from unet.data.true_values import TrueValues, unexplained, vanishing_values, with_known
from unet.errors import DataError
from unet.labels import IGNORED, Labels, Value, default_colors

_BENT = ("lossy-mask", "blended-mask", "photo-mask", "colors-not-in-table", "values-not-in-table")
"""Kinds of findings after which some masks can be mended."""

_UNEXPLAINED = 1e-4  # share of the pixels that is worth a word; at most 1e-5 where no class was missed


def numbered(jobs: list[FileRepair], kind: str, ignore: Sequence[Value] = ()) -> tuple[list[FileRepair], Labels]:
    """Make classes of masks that number objects.

    Parameters
    ----------
    jobs : list of FileRepair
    kind : {"objects", "borders"}
    ignore : sequence of int or of (int, int, int)
        Values that do not count.

    Raises
    ------
    DataError
        The masks hold colours, or no objects.
    """
    present = MaskValues(scan_of(jobs))
    skipped = ignored_values(ignore, present.is_rgb, scan_of(jobs))
    numbers = [value for value in present.counts if isinstance(value, int) and value not in skipped]
    if present.is_rgb or set(numbers) <= {0} or min(numbers) < 0:
        what = "colours" if present.is_rgb else f"the values {listed(sorted(present.counts, key=str), 3)}"
        raise DataError(f"the masks hold {what}", "numbers of objects, 0 for none", "leave out --instances")
    names: tuple[str, ...]
    if kind == "objects":
        step, names = Step("numbers of objects to classes", partial(objects, ignored=skipped)), ("background", "object")
        jobs = [job.then(step) for job in jobs]
    else:
        what = f"numbers of objects to classes, with borders {2 * BORDER_RADIUS} pixels wide between those that touch"
        step = Step(what, partial(objects_and_borders, ignored=skipped))
        names = ("background", "object", "border")
        jobs = [job.then(step, partial(objects, ignored=skipped)) for job in jobs]
    ignored = (IGNORED,) if skipped else ()
    return jobs, Labels(names, default_colors(len(names)), tuple(range(len(names))), ignored)


def classed(jobs: list[FileRepair], settings: DataConfig) -> tuple[list[FileRepair], Labels, list[LeftOut], list[str]]:
    """Give all masks the same values, and only true ones.

    Returns
    -------
    (jobs, labels, left out, notes)
        `labels` are those of the values that the jobs' masks end with.

    Raises
    ------
    DataError
        There is no telling what the masks mean.
    """
    left_out: list[LeftOut] = []
    notes: list[str] = []
    if settings.mask_values is None:
        jobs, strange = _alike(jobs, settings)
        jobs, bent, notes = _mended(jobs, settings)
        left_out = [*strange, *bent]
    else:
        labels = _labels(jobs, settings)
        jobs = _snapped(jobs, (*labels.values, *labels.ignored))
    return jobs, _labels(jobs, settings), left_out, notes


def _alike(jobs: list[FileRepair], settings: DataConfig) -> Gathered:
    """Bring masks with other palettes, with none, or with spread values to the values of most."""
    present = MaskValues(scan_of(jobs))
    if checks.one_hot(present):
        step = Step("bands to class numbers", indices_of)
        return [job.then(step) for job in jobs], []
    spreading = IGNORED not in (settings.ignore or ()) and _table(jobs, settings) is None
    if not (
        checks.palettes(present) or checks.palette_and_plain(present) or (spreading and checks.two_scales(present))
    ):
        return jobs, []
    common = common_palette([job.mask for job in jobs])
    palette = tuple(common.get(value, (0, 0, 0)) for value in range(max(common, default=-1) + 1)) or None
    numbers = common or {value for job in jobs if not checks.is_wide(job.values) for value in job.values}
    top = max((value for value in numbers if isinstance(value, int) and value != IGNORED), default=0)
    done, left_out = [], []
    for job in jobs:
        table = translation(job.mask, common, top)
        if table is None:
            why = f"holds {listed(job.values, 4)}, and which of the values in other masks these are is not known"
            left_out.append(LeftOut(str(job.pair.mask), why))
            continue
        if any(old != new for old, new in table.items()):
            job = job.then(Step("values brought to those of most masks", partial(translated, table=table)))
            job = replace(job, mask=replace(job.mask, palette=palette))
        elif job.mask.palette is not None:
            job = replace(job, mask=replace(job.mask, palette=palette))
        done.append(job)
    return done, left_out


def _mended(jobs: list[FileRepair], settings: DataConfig) -> tuple[list[FileRepair], list[LeftOut], list[str]]:
    """Put bent values back, where there are some, and leave out masks that hold something else."""
    labels, findings = _resolved(jobs, settings)
    if labels is not None:
        return jobs, [], []
    errors = errors_in(findings)
    if [error.kind for error in errors] == ["stray-values"]:
        return _without_accidents(jobs, settings), [], []
    truth = _truth(jobs, settings, errors)
    true, foreign = truth.values, truth.foreign
    if truth.doubt or len(foreign) == len(jobs):
        raise errors[0].error()
    if foreign:  # the others may be as they should be
        rest, left_out, notes = _mended([job for job in jobs if job.pair not in foreign], settings)
        return rest, [*(LeftOut(str(pair.mask), why) for pair, why in foreign.items()), *left_out], notes
    share = unexplained(MaskValues(scan_of(jobs)), true)
    note = (
        f"{share:.2%} of the pixels are near none of {listed(true)}, nor between two of them: if a class is missing, "
        "name all true values with --mask-values or in a class file"
    )
    return _snapped(jobs, true), [], [note] if share > _UNEXPLAINED else []


def _truth(jobs: list[FileRepair], settings: DataConfig, errors: Sequence[Finding]) -> TrueValues:
    """Return the true values of masks that have the faults named.

    Raises
    ------
    DataError
        Faults of another kind.
    """
    for error in errors:
        if error.kind == "instances":
            ways = "say --instances objects or --instances borders, or name the classes with --mask-values"
            raise replace(error, remedy=ways).error()
        if error.kind not in _BENT or (error.kind == "photo-mask" and error.count == len(jobs)):
            raise error.error()
    present, table, skipped = MaskValues(scan_of(jobs)), _table(jobs, settings), settings.ignore or ()
    if table is not None and errors[0].kind == "values-not-in-table":
        values, ignored = values_by(present, skipped, table)
        return with_known(present, tuple(dict.fromkeys((*values, *ignored))))
    return true_values_of(present, skipped, table)


def _snapped(jobs: list[FileRepair], true: Sequence[Value]) -> list[FileRepair]:
    step = Step(f"snapped to {listed(true)}", partial(snap, values=true), bends=True)
    return [job.then(step, partial(nearest, values=true)) for job in jobs]


def _without_accidents(jobs: list[FileRepair], settings: DataConfig) -> list[FileRepair]:
    """Give the few pixels of values that are no classes the value beside them."""
    present = MaskValues(scan_of(jobs))
    accidents, _ = vanishing_values(present, ignored_values(settings.ignore or (), present.is_rgb, present.scan))
    step = Step(
        f"stray values ({listed(accidents)}) replaced by those beside them",
        partial(without_accidents, accidents=accidents),
        bends=True,
    )
    true = [value for value in present.counts if value not in accidents]
    return [job.then(step, partial(nearest, values=true)) for job in jobs]


def _labels(jobs: list[FileRepair], settings: DataConfig) -> Labels:
    """Return the class table of what the masks now hold.

    Raises
    ------
    DataError
        There is none.
    """
    labels, findings = _resolved(jobs, settings)
    if labels is None:
        raise errors_in(findings)[0].error()
    return labels


def _resolved(jobs: list[FileRepair], settings: DataConfig) -> tuple[Labels | None, list[Finding]]:
    return resolve_labels(
        scan_of(jobs),
        classes=_path(settings.classes),
        mask_values=settings.mask_values,
        ignore=settings.ignore,
        root=_path(settings.root),
    )


def _table(jobs: list[FileRepair], settings: DataConfig) -> ClassTable | None:
    return table_of(scan_of(jobs), _path(settings.classes), _path(settings.root))


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
