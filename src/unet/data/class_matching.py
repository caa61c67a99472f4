"""The classes of a model in a data set that it was not trained on: by name, else by value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count

from unet.data.classes import resolve_labels, table_of
from unet.data.manifest import Description
from unet.data.scan import Scan
from unet.errors import DataError
from unet.labels import Labels, Value, default_names

Matched = tuple[Labels, list[str]]

MOST_NAMED = 8
"""Classes that a line names."""


def match_classes(model: Labels, scan: Scan, description: Description) -> Matched:
    """Return how the masks of a data set are read as the classes of a model.

    Classes of the same name are the same, whatever their values. Where the data or the model name none, those of the
    same value are, and that is said. What the model does not know by name does not count, which is said too.

    Parameters
    ----------
    model : Labels
        Of the model: names, and the values of the masks that it was trained on.
    scan : Scan
        Of the data.
    description : Description
        Where a class file may lie, and what is ignored.

    Returns
    -------
    Labels
        With the model's names in its order.
    list of str
        What was matched otherwise than by name, and what was left out.

    Raises
    ------
    DataError
        No class is in both, or the class file is wrong.
    """
    if model.kind == "instances" or not scan.masks:
        return model, []
    data = _named(scan, description)
    if data is not None and not _is_made_up(model.names):
        return _by_name(model, data, scan)
    return _by_value(model, data, scan)


def _named(scan: Scan, description: Description) -> Labels | None:
    """Return the classes of the data, if a class file names them."""
    table = table_of(scan, description.classes, description.root)
    if table is None:
        return None
    return resolve_labels(scan, classes=table, ignore=description.ignore, root=description.root)[0]


def _is_made_up(names: Sequence[str]) -> bool:
    return tuple(names) == default_names(len(names))


def _by_name(model: Labels, data: Labels, scan: Scan) -> Matched:
    value_of = {_plain(name): value for name, value in zip(data.names, data.values, strict=True)}
    wanted = [_plain(name) for name in model.names]
    if not value_of.keys() & set(wanted):
        raise DataError(
            f"no class of the data ({_listed(data.names)}) is one of the model ({_listed(model.names)})",
            "classes of the same names",
            "rename them in the class file of the data, or take another model",
        )
    unknown = [name for name in data.names if _plain(name) not in wanted]
    left_out = tuple(value_of[_plain(name)] for name in unknown)
    present = _values_in(scan)
    remarks = []
    if met := [name for name, value in zip(unknown, left_out, strict=True) if value in present]:
        remarks.append(f"warning: the model does not know {_listed(met)}: pixels of these do not count")
    if absent := [name for name in model.names if _plain(name) not in value_of]:
        remarks.append(f"classes matched by name; the data have no {_listed(absent)}")
    taken = {*data.values, *data.ignored, *left_out, *present}
    free = (value for number in count() if (value := _as_kind(number, data.is_rgb)) not in taken)
    values = tuple(value_of[name] if name in value_of else next(free) for name in wanted)
    ignored = tuple(dict.fromkeys((*data.ignored, *left_out)))
    return replace(model, values=values, ignored=ignored, rule=data.rule), remarks


def _by_value(model: Labels, data: Labels | None, scan: Scan) -> Matched:
    if data is None and any(mask.is_rgb for mask in scan.masks) and not model.is_rgb:
        return model, []  # which mask it is, is said by who reads them
    present = {_of_kind(value, model.is_rgb) for value in _values_in(scan)} - {*model.ignored}
    common = [(value, name) for value, name in zip(model.values, model.names, strict=True) if value in present]
    if not common and present and model.rule == "exact":
        raise DataError(
            f"no value of the masks ({_listed(sorted(map(str, present)))}) is one of the model "
            f"({_listed(map(str, model.values))})",
            "masks with the values that the model was trained on",
            "name the classes of the data as the model does, in a classes.csv",
        )
    same_names = data is not None and tuple(data.names) == tuple(model.names)
    is_plain = _is_made_up(model.names) and data is None and (len(model) <= 2 or len(common) == len(model))
    if same_names or is_plain:
        return model, []
    who = "the data name none" if data is None else "the model names none"
    matched = _listed(f"{value} is {name}" for value, name in common)
    return model, [f"warning: classes matched by value, as {who}: {matched}"]


def _values_in(scan: Scan) -> set[Value]:
    return {value for mask in scan.masks for value, _ in mask.values}


def _of_kind(value: Value, is_rgb: bool) -> Value:
    """Return a value as masks of colours hold it: greys among them have three equal bands."""
    return (value, value, value) if is_rgb and isinstance(value, int) else value


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


def _as_kind(number: int, is_rgb: bool) -> Value:
    return (number >> 16 & 255, number >> 8 & 255, number & 255) if is_rgb else number


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - MOST_NAMED} more" if len(every) > MOST_NAMED else ""
    return ", ".join(every[:MOST_NAMED]) + more
