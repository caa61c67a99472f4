"""The class table: values in mask files to class indices and back."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from unet.data.class_counts import class_indices
from unet.errors import DataError
from unet.labels import IGNORED, MAX_CLASSES, Kind, Labels, Rule, Value, default_colors, default_names

numbers = st.integers(0, 2**31 - 1)
colors = st.tuples(*[st.integers(0, 255)] * 3)


@st.composite
def tables(draw: st.DrawFn) -> Labels:
    """Any table with a rule of "exact", of numbers or of colours, with or without ignored values."""
    limit = draw(st.sampled_from([256, 65536, 2**31]))
    value: st.SearchStrategy[Value] = draw(st.sampled_from([st.integers(0, limit - 1), colors]))
    values = draw(st.lists(value, min_size=1, max_size=30, unique=True))
    count = draw(st.integers(1, len(values)))
    palette = tuple(draw(colors) for _ in range(count))
    return Labels(default_names(count), palette, tuple(values[:count]), tuple(values[count:]))


def table(*values: Value, ignored: tuple[Value, ...] = (), rule: Rule = "exact", kind: Kind = "classes") -> Labels:
    count = len(values)
    return Labels(default_names(count), default_colors(count), values, ignored, rule, kind)


@pytest.mark.slow
@given(tables(), st.data())
def test_decoding_undoes_encoding(labels: Labels, data: st.DataObject) -> None:
    shape = data.draw(array_shapes(min_dims=2, max_dims=2, max_side=12))
    classes = st.integers(0, len(labels) - 1)
    target = data.draw(arrays(np.uint8, shape, elements=classes | st.just(IGNORED) if labels.ignored else classes))
    mask = labels.decode(target)
    assert mask.shape == (*shape, 3) if labels.is_rgb else mask.shape == shape
    assert (labels.encode(mask) == target).all()


@pytest.mark.slow
@given(tables())
def test_plain_data_and_back(labels: Labels) -> None:
    assert Labels.from_dict(json.loads(json.dumps(labels.to_dict()))) == labels


@pytest.mark.slow
@given(tables(), st.data())
def test_unknown_values_are_named(labels: Labels, data: st.DataObject) -> None:
    known = {*labels.values, *labels.ignored}
    if labels.is_rgb:
        wrong = data.draw(colors.filter(lambda value: value not in known))
    else:
        wrong = data.draw(numbers.filter(lambda value: value not in known))
    mask = np.array([[labels.values[0], wrong, wrong]])
    with pytest.raises(DataError) as caught:
        labels.encode(mask.astype(np.uint8) if labels.is_rgb else mask)
    assert str(wrong) in str(caught.value) and "(2 pixels)" in str(caught.value)


def test_default_colors_can_be_told_apart_by_colour_blind_eyes_too() -> None:
    """Hues at even steps were worse: two of the first 12 were 1.5 apart for deuteranopia."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "class_colors.py"
    spec = importlib.util.spec_from_file_location("class_colors", path)
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(measure := importlib.util.module_from_spec(spec))
    # A pair of Sharma, Wu and Dalal's test data for CIEDE2000, and a red and a green that only some eyes tell apart.
    pair = measure.deltaE_ciede2000(np.array([50.0, 2.6772, -79.7751]), np.array([50.0, 0.0, -82.7485]))
    assert pair == pytest.approx(2.0425, abs=1e-4)
    confused = measure.smallest(np.array([(160, 90, 60), (112, 112, 60)]))
    assert confused["deuteranopia"] < 4 < 20 < confused["normal"]
    for count, least in ((12, 14.0), (21, 8.5), (40, 5.5)):
        assert min(measure.smallest(np.array(default_colors(count))).values()) > least
    assert measure.smallest(measure.tinted(default_colors(12)))["normal"] > 14.5, "laid over a picture"
    many = default_colors(MAX_CLASSES)
    assert many[:40] == default_colors(40) and many[0] == (0, 0, 0) and len(many) == MAX_CLASSES


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_all_integer_dtypes_give_the_same(dtype: type) -> None:
    labels = table(0, 7, 200, ignored=(255,))
    target = labels.encode(np.array([[0, 7], [200, 255]], dtype=dtype))
    assert target.dtype == np.uint8 and target.tolist() == [[0, 1], [2, IGNORED]]


def test_drawn_by_hand() -> None:
    labels = table((0, 0, 0), (255, 0, 0), ignored=((9, 9, 9),))
    mask = np.array([[(255, 0, 0), (0, 0, 0), (9, 9, 9)]], dtype=np.uint8)
    assert labels.encode(mask).tolist() == [[1, 0, IGNORED]]
    assert labels.encode(np.array([[0, 9]], dtype=np.uint8)).tolist() == [[0, IGNORED]]  # greys among colours


@pytest.mark.slow
@given(arrays(np.uint8, (5, 6)))
def test_nearest_takes_the_nearest(mask: np.ndarray) -> None:
    assert (table(0, 255, rule="nearest").encode(mask) == (mask > 127)).all()
    three = table(0, 100, 255, ignored=(7,), rule="nearest").encode(mask)
    distances = np.abs(mask[..., None].astype(int) - np.array([0, 100, 255]))
    assert (three == np.where(mask == 7, IGNORED, distances.argmin(axis=2))).all()


def test_nearest_colour() -> None:
    labels = table((0, 0, 0), (200, 0, 0), rule="nearest")
    assert labels.encode(np.array([[(99, 0, 0), (180, 50, 50)]], dtype=np.uint8)).tolist() == [[0, 1]]


def test_objects_of_any_number_are_one_class() -> None:
    labels = table(0, 1, kind="instances")
    assert labels.encode(np.array([[0, 1, 40000]], dtype=np.uint16)).tolist() == [[0, 1, 1]]


def test_a_colour_mask_for_a_table_of_numbers() -> None:
    with pytest.raises(DataError, match="a colour mask"):
        table(0, 1).encode(np.zeros((2, 2, 3), np.uint8))


@pytest.mark.parametrize(
    ("values", "dtype"), [((0, 1), bool), ((0, 255), np.uint8), ((0, 256), np.uint16), ((0, 70000), np.int32)]
)
def test_masks_are_written_in_the_smallest_kind(values: tuple[int, int], dtype: type) -> None:
    assert table(*values).decode(np.array([[0, 1]], np.uint8)).dtype == dtype


@pytest.mark.parametrize(("values", "ignored"), [((0, 1, 2), -1), ((0, 1), 255), ((0, 1, 2), 300), ((0, 1), -1)])
def test_ignored_pixels_keep_their_value(values: tuple[int, ...], ignored: int) -> None:
    labels = table(*values, ignored=(ignored,))
    assert labels.decode(np.array([[1, IGNORED]], np.uint8)).tolist() == [[1, ignored]]


def test_colours_for_people() -> None:
    labels = Labels(("a", "b"), ((1, 2, 3), (4, 5, 6)), (0, 1))
    assert labels.colorize(np.array([[0, 1, IGNORED]], np.uint8)).tolist() == [[[1, 2, 3], [4, 5, 6], [255, 255, 255]]]
    assert len(labels.palette()) == 768 and labels.palette()[:6] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("count", [1, 2, 3, 30, MAX_CLASSES])
def test_made_up_tables(count: int) -> None:
    labels = Labels.numbered(count)
    assert len(labels) == count == len(set(labels.names)) and labels.values == tuple(range(count))
    assert all(0 <= band <= 255 for color in labels.colors for band in color)
    assert len(set(labels.colors[:24])) == len(labels.colors[:24])


@pytest.mark.parametrize(
    "arguments",
    [
        (("a",), ((0, 0, 0),), (0, 1)),
        ((), (), ()),
        (("a",), ((0, 0, 0),), (0,), (), "most"),
        (tuple(map(str, range(256))), default_colors(256), tuple(range(256))),
    ],
)
def test_tables_that_make_no_sense(arguments: tuple[object, ...]) -> None:
    with pytest.raises(DataError):
        Labels(*arguments)  # type: ignore[arg-type]


def test_thin_classes_are_thickened() -> None:
    labels = replace(table(0, 255, ignored=(7,)), dilated=(0, 1))
    mask = np.array([[0, 0, 0, 0, 7], [0, 255, 0, 0, 7], [0, 0, 0, 0, 255]], dtype=np.uint8)
    expected = [[1, 1, 1, 0, 255], [1, 1, 1, 1, 255], [1, 1, 1, 1, 1]]
    assert labels.encode(mask).tolist() == expected
    assert Labels.from_dict(json.loads(json.dumps(labels.to_dict()))) == labels


@pytest.mark.slow
@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9)), st.integers(1, 4))
def test_thickening_is_a_dilation_by_a_square(line: NDArray[np.bool_], radius: int) -> None:
    labels = replace(table(0, 1), dilated=(0, radius))
    reference = binary_dilation(line, np.ones((2 * radius + 1, 2 * radius + 1)))
    assert (labels.encode(line.astype(np.uint8)) == reference).all()


@pytest.mark.parametrize("dilated", [(1,), (0, -1)])
def test_widths_that_are_none(dilated: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="thicken"):
        replace(table(0, 1), dilated=dilated)


def test_classes_that_are_thickened_are_counted_by_their_values() -> None:
    labels = Labels(("inside", "edge"), ((0, 0, 0), (9, 9, 9)), (0, 255), dilated=(0, 1))
    assert class_indices((0, 255), labels) == (0, 1)
