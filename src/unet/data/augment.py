"""One geometric warp per sample (crop, flip, rotation and zoom in a single sampling grid), then grey values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from unet.labels import IGNORED


@dataclass(frozen=True)
class Augmentation:
    """How far a sample may be changed; zeros change nothing.

    Attributes
    ----------
    flip : bool
        Mirror left and right in half of the samples.
    flip_rows : bool
        Mirror top and bottom in half of the samples.
    zoom : float
        Largest factor on the size, and its inverse the smallest (1.0: none).
    rotate : float
        Largest angle in degrees.
    elastic : float
        Standard deviation, as a share of the shorter side, of random shifts on a grid of 3 x 3 points, smooth between
        them: the paper's elastic deformation.
    brightness, contrast, color : float
        Largest change: of the mean in standard deviations of the input, of the spread as a share, and of each
        band's gain as a share.
    """

    flip: bool = False
    flip_rows: bool = False
    zoom: float = 1.0
    rotate: float = 0.0
    elastic: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    color: float = 0.0


PRESETS = {
    "none": Augmentation(),
    "light": Augmentation(flip=True, zoom=1.35, rotate=8.0, brightness=0.3, contrast=0.25, color=0.1),
    "medium": Augmentation(flip=True, zoom=1.5, rotate=15.0, elastic=0.01, brightness=0.45, contrast=0.35, color=0.15),
    "strong": Augmentation(flip=True, zoom=1.7, rotate=30.0, elastic=0.02, brightness=0.6, contrast=0.5, color=0.2),
}


@dataclass(frozen=True)
class Warp:
    """Where the pixels of a sample come from.

    Attributes
    ----------
    row, col : float
        The centre in the source.
    zoom : float
    angle : float
        In radians.
    mirror, mirror_rows : bool
        Left and right, top and bottom are exchanged.
    shifts : float32 array (2, 3, 3) or None
        Elastic deformation: how far the source is shifted, in pixels of the sample across and down.
    """

    row: float
    col: float
    zoom: float = 1.0
    angle: float = 0.0
    mirror: bool = False
    mirror_rows: bool = False
    shifts: NDArray[np.float32] | None = None

    def matrix(self) -> tuple[float, float, float, float]:
        """Return the 2 x 2 matrix (xx, xy, yx, yy) from output offsets to source offsets, in pixels."""
        cos, sin = math.cos(self.angle) / self.zoom, math.sin(self.angle) / self.zoom
        across, down = -1.0 if self.mirror else 1.0, -1.0 if self.mirror_rows else 1.0
        return across * cos, -down * sin, across * sin, down * cos


def draw_warp(
    augmentation: Augmentation,
    source: tuple[int, int],
    crop: tuple[int, int],
    rng: np.random.Generator,
    near: tuple[int, int] | None = None,
) -> Warp:
    """Draw a warp that takes a crop out of a source, both (height, width), inside it as far as it fits.

    With `near`, a pixel (row, col) of the source, that pixel lies in the middle half of the crop where it can.
    """
    zoom = float(augmentation.zoom ** rng.uniform(-1, 1))
    angle = math.radians(augmentation.rotate) * float(rng.uniform(-1, 1))
    mirror = bool(augmentation.flip and rng.random() < 0.5)
    centre = []
    for axis, (have, want) in enumerate(zip(source, crop, strict=True)):
        half = min(want / zoom, have) / 2
        if near is None:
            centre.append(float(rng.uniform(half, have - half)))
        else:
            centre.append(float(np.clip(near[axis] + 0.5 + rng.uniform(-half / 2, half / 2), half, have - half)))
    mirror_rows = bool(augmentation.flip_rows and rng.random() < 0.5)
    shifts = None
    if augmentation.elastic:
        shifts = rng.normal(0, augmentation.elastic * min(crop), (2, 3, 3)).astype(np.float32)
    return Warp(centre[0], centre[1], zoom, angle, mirror, mirror_rows, shifts)


def apply_warp(picture: Tensor, target: Tensor, warp: Warp, crop: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Sample a crop from a picture (bilinear, mirrored outside) and its target (nearest, ignored outside).

    Parameters
    ----------
    picture : Tensor (C, H, W), any dtype
    target : uint8 Tensor (H, W)
    warp : Warp
    crop : (int, int)
        Height and width of the result.

    Returns
    -------
    float32 Tensor (C, h, w), uint8 Tensor (h, w)
    """
    height, width = crop
    xx, xy, yx, yy = warp.matrix()
    # Work on the part of the source that the crop touches: converting all of it to float would cost more.
    beyond = 0.0 if warp.shifts is None else 2 * float(np.abs(warp.shifts).max())
    reach_y = (abs(yx) * (width + beyond) + abs(yy) * (height + beyond)) / 2 + 2
    reach_x = (abs(xx) * (width + beyond) + abs(xy) * (height + beyond)) / 2 + 2
    top, bottom = max(0, int(warp.row - reach_y)), min(picture.shape[1], int(warp.row + reach_y) + 1)
    left, right = max(0, int(warp.col - reach_x)), min(picture.shape[2], int(warp.col + reach_x) + 1)
    source = picture[:, top:bottom, left:right].float().unsqueeze(0)
    labels = target[top:bottom, left:right].float()[None, None]
    have_y, have_x = bottom - top, right - left
    # affine_grid speaks of coordinates in -1..1 over the pixel edges.
    theta = torch.tensor(
        [
            [xx * width / have_x, xy * height / have_x, 2 * (warp.col - left) / have_x - 1],
            [yx * width / have_y, yy * height / have_y, 2 * (warp.row - top) / have_y - 1],
        ]
    )
    grid = F.affine_grid(theta.unsqueeze(0), [1, 1, height, width], align_corners=False)
    if warp.shifts is not None:
        smooth = F.interpolate(torch.from_numpy(warp.shifts)[None], (height, width), mode="bicubic", align_corners=True)
        across, down = smooth[0]
        moved = [2 / have_x * (xx * across + xy * down), 2 / have_y * (yx * across + yy * down)]
        grid = grid + torch.stack(moved, dim=-1)
    image = F.grid_sample(source, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    # Outside counts as ignored: shifted by IGNORED, the zero padding stands for it.
    labels = F.grid_sample(labels - IGNORED, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return image[0], (labels[0, 0] + IGNORED).round().to(torch.uint8)


def change_greys(image: Tensor, augmentation: Augmentation, rng: np.random.Generator) -> Tensor:
    """Change brightness, contrast and band gains of a standardised image (C, h, w)."""
    if not (augmentation.brightness or augmentation.contrast or augmentation.color):
        return image
    contrast = 1 + augmentation.contrast * rng.uniform(-1, 1)
    gains = contrast * (1 + augmentation.color * rng.uniform(-1, 1, image.shape[0]))
    gain = torch.tensor(gains, dtype=torch.float32)[:, None, None]
    mean = image.mean(dim=(1, 2), keepdim=True)
    return (image - mean) * gain + mean + float(augmentation.brightness * rng.uniform(-1, 1))
