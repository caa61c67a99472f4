"""One warp per sample: crop, flip, rotation, zoom, shear and elastic deformation in a single sampling grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from unet.labels import IGNORED

Outside = Literal["ignore", "mirror", "constant"]


@dataclass(frozen=True)
class Augmentation:
    """How far a sample may be changed; the defaults change nothing.

    Attributes
    ----------
    flip : bool
        Mirror left and right in half of the samples.
    flip_rows : bool
        Mirror top and bottom in half of the samples.
    zoom : float
        Largest factor on the size, and its inverse the smallest (1.0: none).
    rotate, shear : float
        Largest angles in degrees.
    elastic, elastic_share : float
        Standard deviation of random shifts on a coarse grid of points, bicubic between them: the paper's elastic
        deformation. In pixels of the sample, and as a share of its shorter side, which is added.
    elastic_grid : int
        Points of that grid along each side.
    brightness, contrast, color : float
        Largest change: of the mean in standard deviations of the input, of the spread as a share, and of each
        band's gain as a share.
    gamma : float
        Largest exponent on grey values between the darkest and the brightest, and its inverse the smallest.
    blur : float
        Largest standard deviation in pixels, in some of the samples.
    noise : float
        Largest standard deviation, in those of the input, in some of the samples.
    jpeg : float
        Largest loss of JPEG quality below 100, in some of the samples; of 8-bit grey or RGB only.
    outside : {"ignore", "mirror", "constant"}
        What lies beyond the edge of a picture: its mirror image, which does not count, or counts; or the mean
        grey, which does not count.
    """

    flip: bool = False
    flip_rows: bool = False
    zoom: float = 1.0
    rotate: float = 0.0
    shear: float = 0.0
    elastic: float = 0.0
    elastic_share: float = 0.0
    elastic_grid: int = 3
    brightness: float = 0.0
    contrast: float = 0.0
    color: float = 0.0
    gamma: float = 1.0
    blur: float = 0.0
    noise: float = 0.0
    jpeg: float = 0.0
    outside: Outside = "ignore"


PRESETS = {
    "none": Augmentation(),
    "light": Augmentation(flip=True, zoom=1.35, rotate=8.0, brightness=0.3, contrast=0.25, color=0.1),
    "medium": Augmentation(
        flip=True, zoom=1.5, rotate=15.0, shear=3.0, elastic_share=0.01, brightness=0.45, contrast=0.35, color=0.15,
        gamma=1.1, blur=0.5, noise=0.05, jpeg=20.0,
    ),
    "strong": Augmentation(
        flip=True, zoom=1.7, rotate=30.0, shear=6.0, elastic_share=0.02, brightness=0.6, contrast=0.5, color=0.2,
        gamma=1.25, blur=1.0, noise=0.1, jpeg=40.0,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Warp:
    """Where the pixels of a sample come from.

    Attributes
    ----------
    row, col : float
        The centre in the source.
    zoom : float
    angle, shear : float
        In radians.
    mirror, mirror_rows : bool
        Left and right, top and bottom are exchanged.
    shifts : float32 array (2, G, G) or None
        Elastic deformation: how far the source is shifted, in pixels of the sample across and down, at G x G points
        from corner to corner.
    """

    row: float
    col: float
    zoom: float = 1.0
    angle: float = 0.0
    mirror: bool = False
    mirror_rows: bool = False
    shifts: NDArray[np.float32] | None = None
    shear: float = 0.0

    def matrix(self) -> tuple[float, float, float, float]:
        """Return the 2 x 2 matrix (xx, xy, yx, yy) from output offsets to source offsets, in pixels."""
        cos, sin, slope = math.cos(self.angle) / self.zoom, math.sin(self.angle) / self.zoom, math.tan(self.shear)
        across, down = -1.0 if self.mirror else 1.0, -1.0 if self.mirror_rows else 1.0
        return across * cos, down * (cos * slope - sin), across * sin, down * (sin * slope + cos)


def draw_warp(
    augmentation: Augmentation,
    source: tuple[int, int],
    crop: tuple[int, int],
    rng: np.random.Generator,
    near: tuple[int, int] | None = None,
    valid_margin: int = 0,
) -> Warp:
    """Draw a warp that takes a crop out of a source, both (height, width), inside it as far as it fits.

    With `near`, a pixel (row, col) of the source, that pixel lies in the middle half of the crop where it can. Of a
    `valid_margin` of the crop, in pixels, nothing is learned: it may lie outside.
    """
    zoom = float(augmentation.zoom ** rng.uniform(-1, 1))
    angle = math.radians(augmentation.rotate) * float(rng.uniform(-1, 1))
    mirror = bool(augmentation.flip and rng.random() < 0.5)
    centre = []
    for axis, (length, crop_length) in enumerate(zip(source, crop, strict=True)):
        half = min((crop_length - 2 * valid_margin) / zoom, length) / 2
        if near is None:
            centre.append(float(rng.uniform(half, length - half)))
        else:
            centre.append(float(np.clip(near[axis] + 0.5 + rng.uniform(-half / 2, half / 2), half, length - half)))
    mirror_rows = bool(augmentation.flip_rows and rng.random() < 0.5)
    shifts, shear = None, 0.0
    if deviation := augmentation.elastic + augmentation.elastic_share * min(crop):
        points = augmentation.elastic_grid
        shifts = rng.normal(0, deviation, (2, points, points)).astype(np.float32)
    if augmentation.shear:
        shear = math.radians(augmentation.shear) * float(rng.uniform(-1, 1))
    return Warp(centre[0], centre[1], zoom, angle, mirror, mirror_rows, shifts, shear)


@dataclass(frozen=True)
class PairTensors:
    """What is warped alike.

    Attributes
    ----------
    picture : Tensor (C, h, w)
        Of any dtype; float32 where it was warped.
    target : uint8 Tensor (h, w)
    weights : float Tensor (h, w) or None
        How much each pixel counts.
    """

    picture: Tensor
    target: Tensor
    weights: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return sum(tensor.nbytes for tensor in (self.picture, self.target, self.weights) if tensor is not None)


def apply_warp(
    source: PairTensors, warp: Warp, crop: tuple[int, int], outside: Outside = "ignore", fill: Tensor | None = None
) -> PairTensors:
    """Sample a crop: picture and weights bilinear, the target nearest, all by one grid.

    Parameters
    ----------
    source : PairTensors
    warp : Warp
    crop : (int, int)
        Height and width of the result.
    outside : {"ignore", "mirror", "constant"}
        As in `Augmentation`.
    fill : float Tensor (C,), optional
        What is outside where that is constant; 0 if left out.
    """
    height, width = crop
    xx, xy, yx, yy = warp.matrix()
    # Work on the part of the source that the crop touches: converting all of it to float would cost more.
    largest_shift = 0.0 if warp.shifts is None else 2 * float(np.abs(warp.shifts).max())
    radius_rows = (abs(yx) * (width + largest_shift) + abs(yy) * (height + largest_shift)) / 2 + 2
    radius_columns = (abs(xx) * (width + largest_shift) + abs(xy) * (height + largest_shift)) / 2 + 2
    top, bottom = max(0, int(warp.row - radius_rows)), min(source.target.shape[0], int(warp.row + radius_rows) + 1)
    left, right = (
        max(0, int(warp.col - radius_columns)),
        min(source.target.shape[1], int(warp.col + radius_columns) + 1),
    )
    window = top, left, bottom - top, right - left
    bands = source.picture.shape[0]
    values = torch.empty(1, bands + (source.weights is not None), *window[2:])
    values[0, :bands] = source.picture[:, top:bottom, left:right]
    if source.weights is not None:
        values[0, bands] = source.weights[top:bottom, left:right]
    target = source.target[top:bottom, left:right].float()[None, None]
    grid = _grid(warp, crop, window)
    if outside == "constant":  # zeros stand for it
        fill_value = torch.zeros(values.shape[1])
        if fill is not None:
            fill_value[:bands] = fill
        fill_value = fill_value[:, None, None]
        sampled = F.grid_sample(values - fill_value, grid, padding_mode="zeros", align_corners=False) + fill_value
    else:
        sampled = F.grid_sample(values, grid, padding_mode="reflection", align_corners=False)
    if outside == "mirror":
        target = F.grid_sample(target, grid, mode="nearest", padding_mode="reflection", align_corners=False)
    else:  # shifted by IGNORED, zeros stand for it
        target = F.grid_sample(target - IGNORED, grid, mode="nearest", padding_mode="zeros", align_corners=False)
        target = target + IGNORED
    weights = None if source.weights is None else sampled[0, bands]
    return PairTensors(sampled[0, :bands], target[0, 0].round().to(torch.uint8), weights)


def _grid(warp: Warp, crop: tuple[int, int], window: tuple[int, int, int, int]) -> Tensor:
    """Return where in a window (row, col, height, width) of the source each pixel of a crop comes from.

    The result is (1, h, w, 2), across and down, as `grid_sample` counts: -1 and 1 at the edges of the window.
    """
    # Both are sums of products of a function of the row and a function of the column: the offsets from the centre
    # and, for the elastic part, the weights of each point of the coarse grid.
    matrix = np.array(warp.matrix()).reshape(2, 2)
    points = 0 if warp.shifts is None else warp.shifts.shape[1]
    terms = np.zeros((2, points + 2, points + 2))  # function of the row, function of the column
    if warp.shifts is not None:
        terms[:, :points, :points] = np.einsum("st,tij->sij", matrix, warp.shifts)
    terms[:, -2, -1], terms[:, -1, -2] = matrix[:, 0], matrix[:, 1]
    terms[:, -2, -2] = warp.col - window[1], warp.row - window[0]
    terms *= 2 / np.array([window[3], window[2]])[:, None, None]
    terms[:, -2, -2] -= 1
    rows, columns = (_along(length, points) for length in crop)
    by_row = torch.from_numpy(np.einsum("ri,sij->jsr", rows, terms)).float()[..., None]
    by_column = torch.from_numpy(columns.T).float()[:, None, None]
    # Not as a matrix product, whose last bits may depend on the number of threads.
    grid = torch.zeros(2, *crop)
    for row_function, column_function in zip(by_row, by_column, strict=True):
        grid.addcmul_(row_function, column_function)
    return grid.permute(1, 2, 0).contiguous()[None]


def _along(length: int, points: int) -> NDArray[np.float64]:
    """Return (length, points + 2): for each pixel the bicubic weights of points from end to end, 1, and its offset."""
    across = np.ones((length, points + 2))
    if points:
        eye = torch.eye(points, dtype=torch.float64)[None, None]
        across[:, :points] = F.interpolate(eye, (length, points), mode="bicubic", align_corners=True)[0, 0].numpy()
    across[:, -1] = np.arange(length) + 0.5 - length / 2
    return across
