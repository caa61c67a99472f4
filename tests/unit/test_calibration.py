"""What the content mask says of an edge map, against scikit-image's boundaries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.segmentation import find_boundaries

from unet.errors import InputError
from unet.shapes.calibration import calibrate


@given(
    seed=st.integers(0, 10_000),
    size=st.tuples(st.integers(2, 14), st.integers(2, 14)),
    share=st.sampled_from([0.0, 0.3, 0.7, 0.95, 1.0]),
    dtype=st.sampled_from([np.uint8, np.uint16]),
)
def test_zero_outside_and_an_edge_on_the_inner_boundary(
    seed: int, size: tuple[int, int], share: float, dtype: type[np.integer]
) -> None:
    rng = np.random.default_rng(seed)
    epm = rng.integers(0, 200, size).astype(dtype)
    content = rng.random(size) < share
    before = epm.copy()
    zero, edge = calibrate(epm, content, "zero"), calibrate(epm, content, "edge")
    assert zero.dtype == edge.dtype == dtype
    np.testing.assert_array_equal(zero, epm * content)
    boundary = find_boundaries(content, mode="inner")
    np.testing.assert_array_equal(edge[boundary], np.iinfo(dtype).max)
    np.testing.assert_array_equal(edge[~boundary], epm[~boundary])
    np.testing.assert_array_equal(epm, before)


def test_the_edge_of_the_picture_is_no_boundary() -> None:
    epm = np.zeros((4, 5), np.uint8)
    np.testing.assert_array_equal(calibrate(epm, np.ones((4, 5), bool), "edge"), epm)
    content = np.ones((4, 5), bool)
    content[0] = False
    np.testing.assert_array_equal(calibrate(epm, content, "edge")[:, 2], [0, 255, 0, 0])


def test_bad_input() -> None:
    epm = np.zeros((4, 5), np.uint8)
    with pytest.raises(InputError, match="content mask of 6 x 4 px for an edge map of 5 x 4 px"):
        calibrate(epm, np.ones((4, 6), bool), "zero")
    with pytest.raises(InputError, match="calibration 'none'; expected 'zero' or 'edge'"):
        calibrate(epm, np.ones((4, 5), bool), "none")  # type: ignore[arg-type]
