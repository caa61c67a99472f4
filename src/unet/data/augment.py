"""One geometric warp per sample (crop, flip, rotation and zoom in a single sampling grid), then grey values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from unet.labels import IGNORED


@dataclass(frozen=True)
class Augmentation:
    """How far a sample may be changed; zeros change nothing.

    Attributes
    ----------
    flip : bool
        Mirror left and right in half of the samples.
    zoom : float
        Largest factor on the size, and its inverse the smallest (1.0: none).
    rotate : float
        Largest angle in degrees.
    brightness, contrast, color : float
        Largest change: of the mean in standard deviations of the input, of the spread as a share, and of each
        band's gain as a share.
    """

    flip: bool = False
    zoom: float = 1.0
    rotate: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    color: float = 0.0


PRESETS = {
    "none": Augmentation(),
    "light": Augmentation(flip=True, zoom=1.35, rotate=8.0, brightness=0.3, contrast=0.25, color=0.1),
}


@dataclass(frozen=True)
class Warp:
    """Where the pixels of a sample come from: centre (row, col) in the source, angle, zoom and mirror."""

    row: float
    col: float
    zoom: float = 1.0
    angle: float = 0.0
    mirror: bool = False

    def matrix(self) -> tuple[float, float, float, float]:
        """Return the 2 x 2 matrix (xx, xy, yx, yy) from output offsets to source offsets, in pixels."""
        cos, sin = math.cos(self.angle) / self.zoom, math.sin(self.angle) / self.zoom
        sign = -1.0 if self.mirror else 1.0
        return sign * cos, -sin, sign * sin, cos


def draw_warp(
    augmentation: Augmentation, source: tuple[int, int], crop: tuple[int, int], rng: np.random.Generator
) -> Warp:
    """Draw a warp that takes a crop out of a source, both (height, width), inside it as far as it fits."""
    zoom = float(augmentation.zoom ** rng.uniform(-1, 1))
    angle = math.radians(augmentation.rotate) * float(rng.uniform(-1, 1))
    mirror = bool(augmentation.flip and rng.random() < 0.5)
    centre = []
    for have, want in zip(source, crop, strict=True):
        half = min(want / zoom, have) / 2
        centre.append(float(rng.uniform(half, have - half)))
    return Warp(centre[0], centre[1], zoom, angle, mirror)


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
    reach_y = (abs(yx) * width + abs(yy) * height) / 2 + 2
    reach_x = (abs(xx) * width + abs(xy) * height) / 2 + 2
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
