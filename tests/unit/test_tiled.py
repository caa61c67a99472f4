"""Tiled prediction against the whole picture, with random weights and sizes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from unet.inference.tiled import blended, joined
from unet.models import ModelSpec, UNet, geometry_of
from unet.tiling import abutting_spans, grid, halo_spans, overlapping_spans, places, valid_spans


class Unpadded(nn.Module):
    """A U-Net of one level without padding: 12 pixels less out than in, sides 4 n."""

    VALID_MARGIN, MULTIPLE = 8, 2

    def __init__(self) -> None:
        super().__init__()
        self.first, self.deep = nn.Conv2d(3, 4, 5), nn.Conv2d(4, 6, 5)
        self.up, self.last = nn.ConvTranspose2d(6, 4, 2, stride=2), nn.Conv2d(8, 2, 5)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.first(x).relu()
        up = self.up(self.deep(F.max_pool2d(skip, 2)).relu())
        margin = (skip.shape[2] - up.shape[2]) // 2
        return self.last(torch.cat([skip[:, :, margin:-margin, margin:-margin], up], dim=1))


def whole(network: nn.Module, image: Tensor, valid_margin: int, multiple: int) -> Tensor:
    """The picture in one piece, mirrored at its border."""
    height, width = image.shape[2:]
    spans = [valid_spans(n, n + (-n) % multiple + 2 * valid_margin, valid_margin, multiple) for n in (height, width)]
    assert [len(some) for some in spans] == [1, 1]
    rows, cols = (
        torch.from_numpy(places(some[0], n, "mirror")) for some, n in zip(spans, (height, width), strict=True)
    )
    return network(image[:, :, rows][:, :, :, cols])[:, :, :height, :width]


@pytest.fixture(scope="module")
def unpadded() -> Unpadded:
    torch.manual_seed(0)
    return Unpadded().eval()


@pytest.mark.slow
@settings(max_examples=40)
@given(height=st.integers(1, 70), width=st.integers(1, 70), bottom=st.integers(1, 10), batch=st.integers(1, 5))
def test_without_padding_tiles_give_the_whole_result(
    unpadded: Unpadded, height: int, width: int, bottom: int, batch: int
) -> None:
    image = torch.rand(1, 3, height, width)
    valid_margin, multiple = unpadded.VALID_MARGIN, unpadded.MULTIPLE
    side = 2 * valid_margin + 2 * bottom
    tiles = grid(*(valid_spans(n, side, valid_margin, multiple) for n in (height, width)))
    with torch.inference_mode():
        result = joined(unpadded, image, tiles, valid_margin=valid_margin, batch=batch)
        torch.testing.assert_close(result, whole(unpadded, image, valid_margin, multiple), rtol=1e-5, atol=1e-5)


def test_tiles_that_abut_out_of_phase_differ(unpadded: Unpadded) -> None:
    image = torch.rand(1, 3, 60, 60)
    valid_margin, multiple = unpadded.VALID_MARGIN, unpadded.MULTIPLE
    expected = whole(unpadded, image, valid_margin, multiple)
    by_side = {}
    with torch.inference_mode():
        for side in (36, 34):  # they yield 20, and 18
            by_side[side] = joined(
                unpadded, image, grid(*2 * [abutting_spans(60, side, valid_margin)]), valid_margin=valid_margin
            )
        odd = joined(lambda x: unpadded(F.pad(x, (0, 1, 0, 1)))[:, :, :-1, :-1], image,
                     grid(*2 * [abutting_spans(60, 35, valid_margin)]), valid_margin=valid_margin)  # fmt: skip
    for same in by_side.values():
        torch.testing.assert_close(same, expected, rtol=1e-5, atol=1e-5)
    assert (odd - expected).abs().max() > 1e-3


@pytest.mark.slow
@settings(max_examples=15)
@given(height=st.integers(1, 150), width=st.integers(1, 150), side=st.integers(40, 90), depth=st.integers(1, 2))
def test_with_padding_and_a_halo_tiles_give_the_whole_result(height: int, width: int, side: int, depth: int) -> None:
    torch.manual_seed(depth)
    network = UNet(3, 2, width=4, depth=depth).eval()
    image = torch.rand(1, 3, height, width)
    receptive_field_radius = geometry_of(ModelSpec(width=4, depth=depth)).receptive_field_radius
    assert receptive_field_radius is not None
    tiles = grid(*(halo_spans(n, side, receptive_field_radius, 1 << depth) for n in (height, width)))
    with torch.inference_mode():
        result = joined(network, image, tiles, batch=3)
        torch.testing.assert_close(result, network(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["gaussian", "linear"])
def test_blended_tiles_of_a_network_that_sees_one_pixel_are_exact(kind: str) -> None:
    network = nn.Conv2d(3, 2, 1)
    image = torch.rand(1, 3, 50, 37)
    tiles = grid(*(overlapping_spans(n, 16, 6, 2) for n in (50, 37)))
    with torch.inference_mode():
        torch.testing.assert_close(blended(network, image, tiles, kind=kind, batch=4), network(image))


def test_blending_has_no_seams() -> None:
    torch.manual_seed(3)
    network = UNet(3, 2, width=4, depth=3).eval()
    image = torch.rand(1, 3, 160, 160)
    with torch.inference_mode():
        expected = network(image)
        tiles = grid(*2 * [overlapping_spans(160, 64, 32, 8)])
        butted = grid(*2 * [overlapping_spans(160, 40, 0, 8)])
        soft = blended(network, image, tiles)
        hard = joined(network, image, butted)

    def step(result: Tensor) -> float:
        """The largest jump of the error from one column to the next, where tiles meet or end."""
        error = result - expected
        return float((error[..., 1:] - error[..., :-1]).abs().max())

    assert step(soft) < step(hard) / 2
