"""From a sheet to its shapes: the filtered watershed of an edge map, components of classes, labels as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.data.sheets import Sheet, class_bands, read_epm, read_numbers
from unet.errors import ConfigError, InputError
from unet.labels import Labels
from unet.shapes.attributes import both_ways, join_pairs, neighbour_pairs, sums_of
from unet.shapes.calibration import Calibration, calibrate
from unet.shapes.components import fill_holes, threshold_components
from unet.shapes.holes import bands_without_holes
from unet.shapes.lines import fill_lines
from unet.shapes.polygons import check_label_map, row_bands
from unet.shapes.seams import components_in_bands
from unet.shapes.stored_rows import Rows, StoredRows
from unet.shapes.watershed import filtered_watershed

DYNAMIC, AREA = 7, 400
"""What an edge map is filtered by where nothing is said: a setting of the atlas of Paris."""

IN_MEMORY = 1 << 27
"""Components of more pixels than this are kept on disk."""

Notify = Callable[[str], None]


@dataclass(frozen=True)
class ShapeOptions:
    """How shapes are made of a sheet.

    Attributes
    ----------
    calibrate : {"zero", "edge"} or None
        What the content mask says of an edge map.
    dynamic, area : int or None
        Of the joint closing; `DYNAMIC` and `AREA` where nothing is said.
    threshold : float or None
        For an edge map: components up to this value instead of the watershed. For probabilities of one class: above it
        is the class.
    lines : {"fill", "gap"} or None
        Pixels between shapes go to the nearest shape, or stay free. None: filled for edge maps and lines.
    min_area : int
        Shapes of fewer pixels are left out.
    fill_holes : bool
        Holes with one shape around them are given to it.
    leave_out : tuple of str or None
        Classes by name or index; None: the one called background, or else class 0.

    Raises
    ------
    ConfigError
        Values that make no sense, or contradict each other.
    """

    calibrate: Calibration | None = None
    dynamic: int | None = None
    area: int | None = None
    threshold: float | None = None
    lines: str | None = None
    min_area: int = 0
    fill_holes: bool = False
    leave_out: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("dynamic", "area", "min_area"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ConfigError(f"{name.replace('_', ' ')} {value}", "0 or more")
        if self.threshold is not None and (self.dynamic is not None or self.area is not None):
            raise ConfigError("a threshold with a dynamic or an area", "components or the watershed, not both")
        if self.threshold is not None and not 0 <= self.threshold < np.inf:
            raise ConfigError(f"threshold {self.threshold:g}", "0 or more")
        if self.lines not in (None, "fill", "gap"):
            raise ConfigError(f"lines {self.lines!r}", "fill or gap")


@dataclass(frozen=True, eq=False)
class SheetShapes:
    """The shapes of a sheet.

    Attributes
    ----------
    rows : label map (H, W), in memory or on disk
    highest : int
        The highest label; labels need not be without gaps.
    classes : int array (highest + 1,) or None
        The class index by label.
    names : Labels or None
        The classes as far as they are named.
    probabilities : float64 array (highest + 1,) or None
        By label the mean probability: of an edge, without the lines around the shape, or of the class.
    pairs : int64 array (P, 2)
        Labels of shapes that share an edge, or would if the lines between them were filled.
    ids : int32 array (highest + 1,) or None
        What each label is called in files, where its own number will not do; rising.
    """

    rows: Rows
    highest: int
    classes: NDArray[Any] | None = None
    names: Labels | None = None
    probabilities: NDArray[np.float64] | None = None
    pairs: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    ids: NDArray[np.int32] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.rows.shape
        return height, width

    @cached_property
    def pixels(self) -> NDArray[np.int64]:
        """The area of each label in pixels, int64 (highest + 1,)."""
        total = np.zeros(self.highest + 1, np.int64)
        for band in self.bands():
            total += np.bincount(band.ravel(), minlength=total.size)
        return total

    @cached_property
    def sides(self) -> NDArray[np.int64]:
        """The pairs both ways, sorted; the second by its name in files."""
        both = both_ways(self.pairs)
        return both if self.ids is None else np.stack([both[:, 0], self.ids[both[:, 1]]], axis=1)

    def bands(self) -> Iterator[NDArray[Any]]:
        """Yield the label map in bands of rows."""
        for first, last in row_bands(self.shape):
            yield self.rows[first:last]


def shapes_of(
    sheet: Sheet, options: ShapeOptions, content: NDArray[np.bool_] | None, scratch: Path, notify: Notify
) -> SheetShapes:
    """Return the shapes of a sheet.

    Parameters
    ----------
    sheet : Sheet
    options : ShapeOptions
    content : bool array (H, W), optional
        Nothing outside becomes a shape.
    scratch : Path
        A folder for label maps that are not kept in memory.
    notify : callable
        Is told what a user should know.

    Raises
    ------
    InputError
        Options that the kind of sheet does not have, a sheet without edges or of nothing but edges, no label map.
    """
    _check(sheet, options, content)
    if sheet.kind in ("mask", "probability"):
        found = _class_shapes(sheet, options, content, scratch)
    else:
        found = _edge_shapes(sheet, options, content, notify)
    filled = found
    if options.lines == "fill" or (options.lines is None and sheet.kind in ("epm", "edges")):
        filled = found = replace(found, rows=fill_lines(found.rows[:], content))
    elif sheet.kind in ("epm", "edges"):
        filled = replace(found, rows=fill_lines(found.rows[:], content))  # neighbours across a line are neighbours
    return replace(found, pairs=_pairs(filled.rows))


def _check(sheet: Sheet, options: ShapeOptions, content: NDArray[np.bool_] | None) -> None:
    if options.calibrate is not None and content is None:
        raise InputError(f"--calibrate {options.calibrate} without a content mask", "--roi FILE too")
    for name, kinds in {
        "calibrate": ("epm",), "dynamic": ("epm",), "area": ("epm",), "threshold": ("epm", "probability"),
        "leave_out": ("mask", "probability"),
    }.items():  # fmt: skip
        if getattr(options, name) is not None and sheet.kind not in kinds:
            flag = name.replace("_", "-")
            raise InputError(f"--{flag} for a sheet of kind {sheet.kind}", f"--kind {' or '.join(kinds)}")
    if sheet.kind == "probability" and options.threshold is not None and options.threshold > 1:
        raise InputError(f"--threshold {options.threshold:g} of probabilities", "0 to 1")


def _edge_shapes(sheet: Sheet, options: ShapeOptions, content: NDArray[np.bool_] | None, notify: Notify) -> SheetShapes:
    """Return the shapes of an edge map, of lines, or of a label map."""
    sums = ids = None
    if sheet.kind == "epm":
        epm, valid = read_epm(sheet, notify)
        if valid is not None:
            content = valid if content is None else content & valid
        _check_edges(sheet, epm, content)
        corrected = epm if options.calibrate is None or content is None else calibrate(epm, content, options.calibrate)
        if options.threshold is not None:
            label_map = threshold_components(corrected, options.threshold)
        else:
            dynamic = DYNAMIC if options.dynamic is None else options.dynamic
            area = AREA if options.area is None else options.area
            if options.dynamic is None or options.area is None:
                notify(f"filtered by dynamic {dynamic} and area {area}; --dynamic and --area set them")
            label_map = filtered_watershed(corrected, dynamic, area)
        sums = epm
    elif sheet.kind == "edges":
        edges = read_numbers(sheet)
        _check_edges(sheet, edges, content)
        label_map = threshold_components(edges, 0)
    else:
        label_map = read_numbers(sheet)
        check_label_map(label_map)
        if label_map.max() > np.iinfo(np.int32).max:
            raise InputError(f"{sheet.path} has the label {label_map.max()}", "labels below 2,147,483,648")
        label_map = label_map.astype(np.int32, copy=False)
        if label_map.max() > label_map.size:  # tables by label would be larger than the sheet
            ids, places = np.unique(np.append(label_map.ravel(), np.int32(0)), return_inverse=True)
            label_map = places[:-1].reshape(label_map.shape).astype(np.int32)
    if content is not None:
        label_map = np.where(content, label_map, label_map.dtype.type(0))
    label_map = _tidied(label_map, options, content)
    highest = int(label_map.max())
    means = None
    if sums is not None:
        count = np.maximum(np.bincount(label_map.ravel(), minlength=highest + 1), 1)
        means = sums_of(label_map, sums, highest + 1) / count / 255
    if sheet.kind in ("epm", "edges") and np.count_nonzero(np.bincount(label_map.ravel())[1:]) == 1:
        notify(f"{sheet.path}: no edge encloses anything, all is one shape")
    return SheetShapes(label_map, highest, probabilities=means, ids=ids)


def _check_edges(sheet: Sheet, values: NDArray[Any], content: NDArray[np.bool_] | None) -> None:
    """Refuse sheets from which no shape can come but the sheet itself."""
    seen = values if content is None else values[content]
    low, high = int(seen.min()), int(seen.max())
    if high == 0:
        raise InputError(f"{sheet.path} has no edge: it is 0 everywhere", "an edge map with edges")
    if low == high or (sheet.kind == "edges" and low > 0):
        raise InputError(f"{sheet.path} is edge everywhere: no pixel is below {low}", "an edge map with shapes")


def _tidied(label_map: NDArray[Any], options: ShapeOptions, content: NDArray[np.bool_] | None) -> NDArray[Any]:
    if options.min_area > 1:
        areas = np.bincount(label_map.ravel())
        kept = np.where(areas >= options.min_area, np.arange(areas.size), 0).astype(label_map.dtype)
        label_map = kept[label_map]  # numbers stay, for a label map's mean something
    if options.fill_holes:
        label_map = fill_holes(label_map)
        if content is not None:
            label_map = np.where(content, label_map, label_map.dtype.type(0))
    return label_map


def _class_shapes(sheet: Sheet, options: ShapeOptions, content: NDArray[np.bool_] | None, scratch: Path) -> SheetShapes:
    """Return the components of the classes of a mask or of probabilities, found band by band."""
    left_out = _left_out(sheet, options.leave_out)

    def bands() -> Iterator[NDArray[np.int32]]:
        row = 0
        for indices, _ in class_bands(sheet, options.threshold):
            shown = indices + 1  # 0: no class
            if left_out:
                shown[np.isin(indices, left_out)] = 0
            if content is not None:
                shown[~content[row : row + shown.shape[0]]] = 0
            row += shown.shape[0]
            yield shown

    components = components_in_bands(bands, background=0, min_area=max(1, options.min_area))
    height, width = sheet.shape
    rows: Rows
    if height * width > IN_MEMORY and options.lines != "fill":
        rows = StoredRows(scratch / "labels", width, components.label_bands())
        if options.fill_holes:
            rows = StoredRows(scratch / "filled", width, _within(content, bands_without_holes(rows)))
            (scratch / "labels").unlink()
    else:
        rows = np.concatenate(list(components.label_bands()))
        if options.fill_holes:
            rows = _tidied(rows, replace(options, min_area=0), content)
    count = components.count
    found = SheetShapes(rows, count, np.concatenate([[-1], components.values.astype(np.int64) - 1]), sheet.classes)
    if sheet.kind == "mask":
        return found
    sums, pixels = np.zeros(count + 1), np.zeros(count + 1)
    row = 0
    for indices, probability in class_bands(sheet, options.threshold):
        labels = rows[row : row + indices.shape[0]]
        row += indices.shape[0]
        sums += sums_of(labels, probability, count + 1)
        pixels += np.bincount(labels.ravel(), minlength=count + 1)
    return replace(found, probabilities=sums / np.maximum(pixels, 1))


def _within(content: NDArray[np.bool_] | None, bands: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Yield bands of rows, 0 outside of the content."""
    row = 0
    for band in bands:
        yield band if content is None else np.where(content[row : row + len(band)], band, band.dtype.type(0))
        row += len(band)


def _left_out(sheet: Sheet, wanted: tuple[str, ...] | None) -> list[int]:
    names = sheet.classes.names if sheet.classes is not None else ()
    lower = [name.lower() for name in names]
    if wanted is None:
        return [lower.index("background")] if "background" in lower else [0]
    found = []
    for text in wanted:
        if text.lower() in lower:
            found.append(lower.index(text.lower()))
        elif text.isdecimal() and int(text) < 255:
            found.append(int(text))
        else:
            known = f"one of {', '.join(names)}, or a number" if names else "a number: the file names no classes"
            raise InputError(f"no class {text!r} in {sheet.path}", known)
    return found


def _pairs(rows: Rows) -> NDArray[np.int64]:
    """Return the neighbours in a label map, looked for band by band with one row in common."""
    height, width = rows.shape
    bands = row_bands((height, width))
    return join_pairs([neighbour_pairs(rows[max(0, first - 1) : last]) for first, last in bands])
