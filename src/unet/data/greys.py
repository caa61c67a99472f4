"""Changes of a sample's grey values: those of lens and file before it is standardised, light and noise after."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from unet import raster
from unet.data.augment import Augmentation

DEGRADED_SHARE = 0.3
"""Share of the samples that are blurred, of those that get noise, and of those that go through JPEG."""


def degrade(picture: Tensor, augmentation: Augmentation, rng: np.random.Generator, *, as_jpeg: bool) -> Tensor:
    """Blur a picture and let it go through JPEG, each in some of the samples.

    Parameters
    ----------
    picture : float32 Tensor (C, h, w)
        In the values of its file.
    as_jpeg : bool
        The values are those of 8 bits. JPEG is left out otherwise, and where there are neither 1 nor 3 bands.
    """
    if augmentation.blur and rng.random() < DEGRADED_SHARE:
        picture = blur(picture, augmentation.blur * float(rng.random()))
    if augmentation.jpeg and as_jpeg and picture.shape[0] in (1, 3) and rng.random() < DEGRADED_SHARE:
        quality = round(100 - augmentation.jpeg * float(rng.random()))
        rounded = picture.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
        picture = torch.from_numpy(raster.through_jpeg(rounded, quality)).permute(2, 0, 1).float()
    return picture


def blur(picture: Tensor, deviation: float) -> Tensor:
    """Return a picture (C, h, w) blurred by a Gaussian of a standard deviation in pixels, its edge repeated."""
    radius = math.ceil(3 * deviation)
    if radius == 0:
        return picture
    taps = [math.exp(-(offset**2) / (2 * deviation**2)) for offset in range(-radius, radius + 1)]
    taps = [tap / sum(taps) for tap in taps]
    for axis, around in ((1, (0, 0, radius, radius)), (2, (radius, radius, 0, 0))):
        # A sum of shifted pictures: several times faster here than a convolution of one band.
        padded, length = F.pad(picture, around, mode="replicate"), picture.shape[axis]
        picture = torch.zeros_like(picture)
        for start, tap in enumerate(taps):
            picture.add_(padded.narrow(axis, start, length), alpha=tap)
    return picture


def change_greys(image: Tensor, augmentation: Augmentation, rng: np.random.Generator) -> Tensor:
    """Change brightness, contrast, band gains and gamma of a standardised image (C, h, w), and add noise to some."""
    if augmentation.brightness or augmentation.contrast or augmentation.color:
        contrast = 1 + augmentation.contrast * rng.uniform(-1, 1)
        gains = contrast * (1 + augmentation.color * rng.uniform(-1, 1, image.shape[0]))
        gain = torch.tensor(gains, dtype=torch.float32)[:, None, None]
        shift = image.mean(dim=(1, 2), keepdim=True) * (1 - gain)
        image = torch.addcmul(shift + float(augmentation.brightness * rng.uniform(-1, 1)), image, gain)
    if augmentation.gamma > 1:
        low, high = image.aminmax()
        span = (high - low).clamp(min=1e-6)
        power = float(augmentation.gamma ** rng.uniform(-1, 1))
        image = (image - low).div_(span).pow_(power).mul_(span).add_(low)
    if augmentation.noise and rng.random() < DEGRADED_SHARE:
        grain = torch.from_numpy(rng.standard_normal(tuple(image.shape), dtype=np.float32))
        image = grain.mul_(augmentation.noise * float(rng.random())).add_(image)
    return image
