"""Tiles: every pixel is kept once, phases are kept, borders are filled as they should."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet.tiling import (
    Span,
    Tile,
    abutting_spans,
    blend_weights,
    cut,
    even_spans,
    grid,
    halo_spans,
    overlapping_spans,
    places,
    valid_spans,
    window_spans,
)

LENGTHS = st.integers(1, 700)


def kept(spans: list[Span], length: int) -> bool:
    """Tell whether the spans keep each pixel once, in order, out of what they see."""
    inside = all(span.start <= span.first < span.last <= span.stop for span in spans)
    edges = [spans[0].first, *(span.last for span in spans)]
    return inside and edges[0] == 0 and edges[-1] == length and edges[1:-1] == [span.first for span in spans[1:]]


@given(length=LENGTHS, depth=st.integers(1, 4), bottom=st.integers(1, 12), valid_margin=st.integers(0, 92))
def test_valid_tiles_keep_every_pixel_at_its_phase(length: int, depth: int, bottom: int, valid_margin: int) -> None:
    multiple = 1 << depth
    side = 2 * valid_margin + bottom * multiple + 3
    spans = valid_spans(length, side, valid_margin, multiple)
    assert kept(spans, length)
    for span in spans:
        assert span.length == side
        assert (span.start + valid_margin) % multiple == 0
        assert span.start + valid_margin <= span.first and span.last <= span.stop - valid_margin  # the margin is lost


@pytest.mark.parametrize(
    ("side", "rows", "cols", "exact_rows", "exact_cols"),
    [(572, 3, 5, 3, 5), (668, 3, 4, 3, 4), (724, 2, 4, 3, 4)],
)
def test_the_tiles_of_the_sidewalk_pictures(side: int, rows: int, cols: int, exact_rows: int, exact_cols: int) -> None:
    assert (len(abutting_spans(1080, side, 92)), len(abutting_spans(1920, side, 92))) == (rows, cols)
    assert (len(valid_spans(1080, side, 92, 16)), len(valid_spans(1920, side, 92, 16))) == (exact_rows, exact_cols)


@given(length=LENGTHS, side=st.integers(1, 300), valid_margin=st.integers(0, 92))
def test_abutting_tiles_keep_every_pixel(length: int, side: int, valid_margin: int) -> None:
    spans = abutting_spans(length, side + 2 * valid_margin, valid_margin)
    assert kept(spans, length)
    assert all(span.first - span.start == valid_margin for span in spans)


@given(length=LENGTHS, side=st.integers(1, 400), halo=st.integers(0, 100), depth=st.integers(0, 5))
def test_tiles_with_a_halo_see_it_wherever_the_picture_goes_on(length: int, side: int, halo: int, depth: int) -> None:
    multiple = 1 << depth
    spans = halo_spans(length, side, halo, multiple)
    assert kept(spans, length)
    for span in spans:
        assert span.start % multiple == 0 and span.start >= 0 and span.stop <= length
        assert span.start == 0 or span.first - span.start >= halo
        assert span.stop == length or (span.stop - span.last >= halo and span.stop % multiple == 0)
        up = -(-halo // multiple) * multiple
        assert span.length <= max(side, 2 * up + multiple)


@given(length=LENGTHS, side=st.integers(2, 300), share=st.floats(0, 0.9), depth=st.integers(0, 4))
def test_overlapping_tiles_share_what_is_wanted(length: int, side: int, share: float, depth: int) -> None:
    overlap = int(side * share)
    spans = overlapping_spans(length, side, overlap, 1 << depth)
    assert spans[0].start == 0 and spans[-1].stop == length
    assert all(before.stop - after.start >= overlap for before, after in pairwise(spans))
    assert all(before.start < after.start for before, after in pairwise(spans))
    assert all(span.length == min(side, length) for span in spans)


@given(length=LENGTHS, window=st.integers(1, 200), data=st.data())
def test_windows_keep_every_pixel(length: int, window: int, data: st.DataObject) -> None:
    step = data.draw(st.integers(1, window))
    margin = (window - step) // 2
    pad = data.draw(st.none() | st.integers(margin, window - 1))
    spans = window_spans(length, window, step, pad)
    assert kept(spans, length)
    assert all(span.length == window for span in spans)


def test_windows_of_a_map_sheet() -> None:
    spans = window_spans(7000, 500, 250, pad=250)
    assert [span.start for span in spans[:3]] == [-250, 0, 250]
    assert [(span.first, span.last) for span in spans[:2]] == [(0, 125), (125, 375)]


@pytest.mark.parametrize(("window", "step", "pad"), [(10, 11, None), (10, 0, None), (10, 4, 2), (10, 4, 10)])
def test_windows_that_leave_something_out(window: int, step: int, pad: int | None) -> None:
    with pytest.raises(ValueError, match="leave something out"):
        window_spans(100, window, step, pad)


def test_tiles_that_yield_nothing() -> None:
    with pytest.raises(ValueError, match="yield"):
        valid_spans(100, 190, 92, 16)
    with pytest.raises(ValueError, match="yield"):
        abutting_spans(100, 184, 92)
    with pytest.raises(ValueError, match="overlap"):
        overlapping_spans(100, 20, 20, 1)


@given(
    height=st.integers(1, 9), width=st.integers(1, 9), top=st.integers(-20, 15), left=st.integers(-20, 15),
    rows=st.integers(1, 30), cols=st.integers(1, 30), border=st.sampled_from(["mirror", "edge"]),
)  # fmt: skip
def test_what_lies_beyond_is_what_numpy_pads_with(
    height: int, width: int, top: int, left: int, rows: int, cols: int, border: str
) -> None:
    picture = np.arange(height * width * 2).reshape(height, width, 2)
    room = 60
    padded = np.pad(picture, ((room, room), (room, room), (0, 0)), "reflect" if border == "mirror" else "edge")
    tile = Tile(Span(top, top + rows, 0, 1), Span(left, left + cols, 0, 1))
    expected = padded[top + room : top + room + rows, left + room : left + room + cols]
    assert np.array_equal(cut(picture, tile, border), expected)


def test_an_unknown_border() -> None:
    with pytest.raises(ValueError, match="mirror or edge"):
        places(Span(0, 1, 0, 1), 5, "wrap")


@pytest.mark.parametrize("kind", ["gaussian", "linear"])
@pytest.mark.parametrize("side", [1, 2, 7, 512])
def test_blend_weights_fall_to_the_ends(kind: str, side: int) -> None:
    weights = blend_weights(side, kind)
    assert weights.shape == (side,) and (weights > 0).all()
    assert np.allclose(weights, weights[::-1]) and weights.argmax() in (side // 2, (side - 1) // 2)
    assert (np.diff(weights[: (side + 1) // 2]) >= 0).all()


def test_an_unknown_blend() -> None:
    with pytest.raises(ValueError, match="gaussian or linear"):
        blend_weights(4, "flat")


def test_a_grid_goes_row_by_row() -> None:
    rows, cols = window_spans(4, 2, 2), window_spans(6, 3, 3)
    assert [(tile.rows.first, tile.cols.first) for tile in grid(rows, cols)] == [(0, 0), (0, 3), (2, 0), (2, 3)]


@given(length=st.integers(1, 300), side=st.integers(1, 80), halo=st.integers(0, 20), level=st.integers(0, 4))
def test_even_tiles_are_all_as_long_and_see_a_halo(length: int, side: int, halo: int, level: int) -> None:
    multiple = 1 << level
    around = -(-halo // multiple) * multiple
    spans = even_spans(length, side, halo, multiple)
    assert len({span.length for span in spans}) == 1
    assert len(spans) == 1 or spans[0].length <= max(side, 2 * around + 2 * multiple)
    assert spans[0].first == 0 and spans[-1].last == length
    for one, other in pairwise(spans):
        assert one.last == other.first
    for span in spans:
        assert 0 <= span.start <= span.first < span.last <= span.stop <= length and span.start % multiple == 0
        assert span.start == 0 or span.first - span.start >= around
        assert span.stop == length or span.stop - span.last >= around
