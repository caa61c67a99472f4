"""From what the masks hold to the class table, or to a clear word on why they hold no classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unet.data.background import is_ground
from unet.data.class_table import ClassTable, Row, find_table, read_table
from unet.data.finding import Finding, errors_in
from unet.data.folders import PARTS
from unet.data.inspection import values as checks
from unet.data.mask_values import MaskValues, listed, option, order_of
from unet.data.scan import Scan
from unet.data.true_values import TrueValues, find_true_values, with_known
from unet.errors import DataError
from unet.labels import (
    IGNORED,
    MAX_CLASSES,
    Color,
    Labels,
    Rule,
    Value,
    as_value,
    background_of,
    default_colors,
    default_names,
)


def resolve_labels(
    scan: Scan,
    *,
    classes: Path | ClassTable | None = None,
    mask_values: Sequence[Value] | None = None,
    ignore: Sequence[Value] | None = None,
    instances: bool = False,
    root: Path | None = None,
) -> tuple[Labels | None, list[Finding]]:
    """Return the class table, or None and why there is none, and whatever else is strange about the values.

    Parameters
    ----------
    scan : Scan
    classes : Path or ClassTable, optional
        A class file, or what one would say; otherwise classes.csv or classes.txt beside the data is taken.
    mask_values : sequence of int or of (int, int, int), optional
        The true values; others in the masks count as the nearest of these.
    ignore : sequence of int or of (int, int, int), optional
        Values that do not count, besides those found: 255 (or -1) beside class numbers, one value more than
        there are names, classes called void or the like. Where it is empty, and not None, these are classes too.
    instances : bool
        The masks number objects: learn object (any value but 0 and those to ignore) or background.
    root : Path, optional
        Where a class file is looked for first, then above the masks.
    """
    findings: list[Finding] = []
    try:
        if not scan.masks:
            raise DataError("no pair of picture and mask that can be used", "at least one", kind="no-pairs")
        present = MaskValues(scan)
        table = table_of(scan, classes, root)
        if table is not None and ignore is not None and not ignore:
            table = replace(table, rows=tuple(replace(row, learned=True) for row in table.rows))
        skipped = ignored_values(ignore or (), present.is_rgb, scan)
        if instances:
            return _objects(present, skipped), findings
        if mask_values is not None:
            return _given(present, tuple(as_value(value) for value in mask_values), skipped, table), findings
        findings += value_findings(present, skipped, table)
        if errors_in(findings):
            return None, findings
        return _labels_present(present, skipped, table), findings
    except DataError as error:
        return None, [*findings, Finding.of(error)]


def table_of(scan: Scan, classes: Path | ClassTable | None, root: Path | None) -> ClassTable | None:
    """Return the class file of a data set, or None where there is none; the parameters are those of `resolve_labels`.

    Raises
    ------
    DataError
        It cannot be read.
    """
    table = classes or find_table(_folders(scan, root))
    return read_table(table) if isinstance(table, Path) else table


def _labels_present(mask_values: MaskValues, skipped: tuple[Value, ...], table: ClassTable | None) -> Labels:
    """Return the table for the values as they are."""
    if mask_values.is_rgb:
        labels = _colored(mask_values, skipped, table)
    elif table is not None:
        labels = _numbered_by(mask_values, skipped, table)
    else:
        labels = _numbered(mask_values, skipped)
    if len(labels) < 2:
        only = ", ".join(str(value) for value in labels.values)
        in_alpha = any(mask.alpha for mask in mask_values.scan.masks)
        raise DataError(
            f"all masks hold one value only ({only})",
            "two or more, one for each class",
            "what is drawn may be in their alpha, which does not count: save that as the masks" if in_alpha else "",
            kind="one-value",
        )
    return labels


def ignored_values(ignore: Sequence[Value], is_rgb: bool, scan: Scan) -> tuple[Value, ...]:
    """Return the values to leave out as the masks hold them: numbers are greys in masks of colours, and the reverse.

    Raises
    ------
    DataError
        A colour that no number stands for.
    """
    palette = next((mask.palette for mask in scan.masks if mask.palette), None)
    values: list[Value] = []
    for value in map(as_value, ignore):
        if is_rgb or isinstance(value, int):
            values.append((value, value, value) if is_rgb and isinstance(value, int) else value)
        elif palette is not None and value in palette:
            values.append(palette.index(value))
        elif palette is None and len(set(value)) == 1:
            values.append(value[0])
        else:
            raise DataError(f"the colour {value} to ignore, but the masks hold numbers", "numbers to ignore")
    return tuple(values)


def value_findings(mask_values: MaskValues, skipped: Sequence[Value], table: ClassTable | None) -> list[Finding]:
    """Return all that is strange about the values, where nobody has named the true ones."""
    swapped = checks.swapped(mask_values)
    if swapped is not None:  # what else there is follows from it
        return [swapped]
    mixed = checks.palette_and_plain(mask_values)
    findings = [checks.palettes(mask_values), mixed]
    stacked = checks.one_hot(mask_values)
    if stacked is not None:
        findings.append(stacked)
    elif mask_values.is_rgb:
        findings += (
            [_strange_colors(mask_values, skipped, table)]
            if table
            else _damage(mask_values, skipped, None) or checks.vanishing(mask_values, skipped)
        )
    elif table is not None:
        findings += _strange_numbers(mask_values, skipped, table)
    else:
        numbered = checks.instances(mask_values)
        damaged = _damage(mask_values, skipped, None)
        vanishing = [] if numbered or damaged else checks.vanishing(mask_values, skipped)
        findings += [numbered] if numbered else damaged or [checks.edge_values(mask_values), *vanishing]
        if IGNORED not in skipped and mixed is None:
            findings.append(checks.two_scales(mask_values))
    return [finding for finding in findings if finding is not None]


def true_values_of(mask_values: MaskValues, skipped: Sequence[Value], table: ClassTable | None) -> TrueValues:
    """Return the true values of damaged masks: as a class file says where it says it, or else as the masks show."""
    if table is not None and mask_values.is_rgb and table.has_colors:
        return with_known(mask_values, [*(row.color for row in table.rows if row.color is not None), *skipped])
    if table is not None and table.has_values and not mask_values.is_rgb:
        values, ignored = values_by(mask_values, skipped, table)
        known = with_known(mask_values, tuple(dict.fromkeys((*values, *ignored))))
        if len(known.foreign) < len(mask_values.scan.pairs):
            return known
    return find_true_values(mask_values)


def _damage(mask_values: MaskValues, skipped: Sequence[Value], table: ClassTable | None) -> list[Finding]:
    """Return what is wrong with masks that hold other values than somebody drew."""
    if not checks.is_damaged(mask_values):
        return []
    return checks.damage(mask_values, true_values_of(mask_values, skipped, table))


def _folders(scan: Scan, root: Path | None) -> list[Path]:
    """Return the folders where a class file may lie: the data's own ones, not what happens to lie above."""
    parent = scan.pairs[0].mask.parent
    if root is not None:
        inside = [folder for folder in (parent, *parent.parents) if root.resolve() in folder.resolve().parents]
        return [root, *inside]
    above = [parent, parent.parent]
    if any(folder.name.lower() in PARTS for folder in above):
        above.append(parent.parent.parent)
    return above


def _objects(mask_values: MaskValues, skipped: tuple[Value, ...]) -> Labels:
    """Return the table for masks of numbers of objects."""
    if mask_values.is_rgb:
        raise DataError(
            f"masks of colours ({mask_values.scan.pairs[0].mask})",
            "numbers of objects, 0 for none",
            "leave out --instances",
            kind="instances",
        )
    if set(mask_values.counts) <= {0, *skipped}:
        what = f"the values 0 and {listed(skipped)}, to be ignored, only" if skipped else "the value 0 only"
        raise DataError(f"all masks hold {what}", "numbers of objects", kind="one-value")
    return Labels(("background", "object"), default_colors(2), (0, 1), tuple(dict.fromkeys(skipped)), kind="instances")


def _given(
    mask_values: MaskValues, values: tuple[Value, ...], skipped: tuple[Value, ...], table: ClassTable | None
) -> Labels:
    """Return the table for the values that the user has named."""
    wants_rgb = {isinstance(value, tuple) for value in values}
    if len(values) < 2 or len(set(values)) != len(values) or len(wants_rgb) != 1:
        raise DataError(
            f"mask values {listed(values)}",
            "two or more different ones, all numbers or all colours",
            kind="mask-values",
        )
    if mask_values.is_rgb and wants_rgb == {False}:
        example = option(find_true_values(mask_values).values[:3] or values)
        raise DataError(
            f"the masks hold colours ({mask_values.where(_commonest_color(mask_values))}), "
            f"the mask values {listed(values)} are numbers",
            f"colours, such as {example}",
            kind="mask-values",
        )
    kept = tuple(value for value in values if value not in skipped)
    rows = [row for row in table.rows if not row.is_void] if table else []
    shown = {(v, v, v) if wants_rgb == {True} and isinstance(v, int) else v for v in mask_values.counts}
    exact = shown <= {*values, *skipped} and mask_values.n_values == len(mask_values.counts)
    return _labels(
        kept, skipped, rows if len(rows) == len(kept) else None, mask_values, "exact" if exact else "nearest"
    )


def _colored(mask_values: MaskValues, skipped: tuple[Value, ...], table: ClassTable | None) -> Labels:
    """Return the table for masks of colours."""
    if table is None:
        values = sorted((value for value in mask_values.counts if value not in skipped), key=order_of)
        return _labels(tuple(values), skipped, None, mask_values)
    void = tuple(row.color for row in table.rows if row.is_void and row.color is not None)
    rows = [row for row in table.rows if not row.is_void and row.color not in skipped]
    return _labels(tuple(row.color for row in rows if row.color), (*void, *skipped), rows, mask_values)


def _strange_colors(mask_values: MaskValues, skipped: Sequence[Value], table: ClassTable) -> Finding | None:
    """Return the colours of the masks that a class file does not name."""
    if not table.has_colors:
        return Finding(
            "table-without-colors",
            "error",
            f"{table.path} has names only, "
            f"but the masks hold colours ({mask_values.where(_commonest_color(mask_values))})",
            "lines of name,r,g,b",
        )
    known = {*(row.color for row in table.rows), *skipped}
    strange = [value for value, _ in mask_values.counts.most_common() if value not in known]
    if not strange:
        return None
    files = mask_values.files_with(strange)
    return Finding.of_files(
        "lossy-mask" if mask_values.lossy else "colors-not-in-table",
        "error",
        files,
        f"{len(strange)} colours of the masks ({mask_values.share(strange):.2%} of the pixels) "
        f"are not in {table.path}: {listed(strange, 3)}{', JPEG changes values' if mask_values.lossy else ''}",
        "only colours of the table",
        "add them to it, or take each pixel as the nearest with "
        + option(true_values_of(mask_values, skipped, table).values),
    )


def _numbered_by(mask_values: MaskValues, skipped: tuple[Value, ...], table: ClassTable) -> Labels:
    """Return the table for masks of numbers that a class file names."""
    values, ignored = values_by(mask_values, skipped, table)
    kept = [(row, value) for row, value in zip(table.rows, values, strict=True) if value not in ignored]
    return _labels(tuple(value for _, value in kept), ignored, [row for row, _ in kept], mask_values)


def values_by(
    mask_values: MaskValues, skipped: Sequence[Value], table: ClassTable
) -> tuple[list[int], tuple[Value, ...]]:
    """Return the mask value of each line of a class file, and the values that do not count."""
    rows, count = table.rows, len(table.rows)
    numbers = sorted(value for value in mask_values.counts if value not in skipped and isinstance(value, int))
    plain = [value for value in numbers if value not in (IGNORED, -1)]
    top = max(numbers, default=0)
    by_color = _values_by_color(mask_values, table)
    values: list[int]
    if table.has_values:
        values = [row.value for row in rows if row.value is not None]
    elif by_color is not None:
        values = by_color
    elif all(0 <= value < count for value in plain) and not (count == 2 and numbers == [0, 255]):
        values = list(range(count))
    elif all(0 <= value < count for value in numbers[:-1]) and top == count:  # one more than named, the highest
        values = list(range(count))
        skipped = (*skipped, top)
    elif len(numbers) == count:
        values = numbers
    else:
        values = list(range(count))
    void = {value for row, value in zip(rows, values, strict=True) if row.is_void}
    extra = {value for value in numbers if value in (IGNORED, -1) and value not in values}
    return values, tuple(dict.fromkeys((*skipped, *sorted(void | extra))))


def _strange_numbers(mask_values: MaskValues, skipped: Sequence[Value], table: ClassTable) -> list[Finding]:
    """Return the numbers in the masks that a class file does not name, or why they are none."""
    values, ignored = values_by(mask_values, skipped, table)
    strange = sorted(
        (value for value in mask_values.counts if value not in values and value not in ignored), key=order_of
    )
    if not strange:
        return []
    files = mask_values.files_with(strange)
    return _damage(mask_values, skipped, table) or [
        Finding(
            "values-not-in-table",
            "error",
            f"the masks hold the values {listed(strange)}, {table.path} names {len(table.rows)} classes",
            f"only {listed(values)}",
            "add names, or name values to leave out with --ignore",
            files,
            len(files),
        )
    ]


def _values_by_color(mask_values: MaskValues, table: ClassTable) -> list[int] | None:
    """Return the palette index of every colour of the table, where the masks' palette has them all."""
    palette = next((mask.palette for mask in mask_values.scan.masks if mask.palette), ())
    if not table.has_colors or not all(row.color in palette for row in table.rows):
        return None
    return [palette.index(row.color) for row in table.rows if row.color is not None]


def _numbered(mask_values: MaskValues, skipped: tuple[Value, ...]) -> Labels:
    """Return the table for masks of numbers that nothing names."""
    numbers = sorted(value for value in mask_values.counts if value not in skipped and isinstance(value, int))
    if IGNORED in numbers and len(numbers) > 2 and numbers[-2] < 200 and not checks.spread(numbers, len(numbers) - 1):
        skipped = (*skipped, IGNORED)
    if numbers[0] == -1:
        skipped = (*skipped, -1)
    return _labels(tuple(value for value in numbers if value not in skipped), skipped, None, mask_values)


def _labels(
    values: tuple[Value, ...],
    ignored: tuple[Value, ...],
    rows: Sequence[Row] | None,
    mask_values: MaskValues,
    rule: Rule = "exact",
) -> Labels:
    if not 1 <= len(values) <= MAX_CLASSES:
        raise DataError(f"masks of {len(values)} classes", f"2 to {MAX_CLASSES}", kind="classes")
    numbers = [value for value in values if isinstance(value, int)]
    colors: tuple[Color, ...] | None = None
    if len(numbers) < len(values):
        colors = tuple(value for value in values if not isinstance(value, int))
    elif rows and all(row.color for row in rows):
        colors = tuple(row.color for row in rows if row.color)
    else:
        colors = mask_values.palette(numbers)
    names = tuple(row.name for row in rows) if rows else _made_up_names(values, ignored, mask_values)
    made_up = default_colors(len(values))
    if background_of(names) is None:  # black is for what is left clear
        made_up = default_colors(len(values) + 1)[1:]
    dilated = tuple(row.dilate for row in rows) if rows and any(row.dilate for row in rows) else ()
    labels = Labels(names, colors or made_up, values, tuple(dict.fromkeys(ignored)), rule)
    return replace(labels, dilated=dilated)


def _made_up_names(values: tuple[Value, ...], ignored: Sequence[Value], mask_values: MaskValues) -> tuple[str, ...]:
    """Return names for classes that have none; the first is called background if it looks like one."""
    names = default_names(len(values))
    if len(values) > 2 and order_of(values[0]) in ((0,), (0, 0, 0)) and is_ground(mask_values, values[0], ignored):
        return ("background", *names[1:])
    return names


def _commonest_color(mask_values: MaskValues) -> Value:
    return next(value for value, _ in mask_values.counts.most_common() if isinstance(value, tuple))
