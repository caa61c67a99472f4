"""The Carvana U-Net and its prediction, written a second time and plainly, from a description of the system.

Nothing here comes from the package: a network is a dictionary of weights, a forward pass a few function calls.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Weights = Mapping[str, Tensor]


def random_weights(bands: int, classes: int, bilinear: bool, width: int = 64, seed: int = 0) -> dict[str, Tensor]:
    """Return weights of the right names and shapes, such that signals neither die out nor explode."""
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, Tensor] = {}

    def conv(name: str, inputs: int, outputs: int) -> None:
        spread = (2 / (9 * inputs)) ** 0.5
        weights[f"{name}.weight"] = spread * torch.randn(outputs, inputs, 3, 3, generator=generator)

    def norm(name: str, channels: int) -> None:
        weights[f"{name}.weight"] = 1 + 0.3 * torch.randn(channels, generator=generator)
        weights[f"{name}.bias"] = 0.2 * torch.randn(channels, generator=generator)
        weights[f"{name}.running_mean"] = 0.2 * torch.randn(channels, generator=generator)
        weights[f"{name}.running_var"] = 0.5 + torch.rand(channels, generator=generator)
        weights[f"{name}.num_batches_tracked"] = torch.tensor(9)

    def double(name: str, inputs: int, middle: int, outputs: int) -> None:
        conv(f"{name}.double_conv.0", inputs, middle)
        norm(f"{name}.double_conv.1", middle)
        conv(f"{name}.double_conv.3", middle, outputs)
        norm(f"{name}.double_conv.4", outputs)

    c = [width, 2 * width, 4 * width, 8 * width, 16 * width]
    half = 2 if bilinear else 1
    double("inc", bands, c[0], c[0])
    for n in (1, 2, 3):
        double(f"down{n}.maxpool_conv.1", c[n - 1], c[n], c[n])
    double("down4.maxpool_conv.1", c[3], c[4] // half, c[4] // half)
    ups = [(c[4], c[3] // half), (c[3], c[2] // half), (c[2], c[1] // half), (c[1], c[0])]
    for n, (inputs, outputs) in enumerate(ups, start=1):
        if not bilinear:
            spread = (1 / inputs) ** 0.5
            weights[f"up{n}.up.weight"] = spread * torch.randn(inputs, inputs // 2, 2, 2, generator=generator)
            weights[f"up{n}.up.bias"] = 0.1 * torch.randn(inputs // 2, generator=generator)
        double(f"up{n}.conv", inputs, inputs // 2 if bilinear else outputs, outputs)
    weights["outc.conv.weight"] = torch.randn(classes, c[0], 1, 1, generator=generator) / c[0] ** 0.5
    weights["outc.conv.bias"] = torch.zeros(classes)
    smooth = F.interpolate(torch.rand(1, bands, 5, 7, generator=generator), (64, 80), mode="bicubic")
    weights["outc.conv.bias"] = -forward(weights, smooth).mean(dim=(0, 2, 3))  # no class shall win everywhere
    return weights


def forward(w: Weights, image: Tensor) -> Tensor:
    """Return logits (N, K, H, W) for images (N, C, H, W)."""

    def double(name: str, x: Tensor) -> Tensor:
        for conv, norm in ((0, 1), (3, 4)):
            x = F.conv2d(x, w[f"{name}.double_conv.{conv}.weight"], padding=1)
            at = f"{name}.double_conv.{norm}"
            x = F.batch_norm(
                x, w[f"{at}.running_mean"], w[f"{at}.running_var"], w[f"{at}.weight"], w[f"{at}.bias"], eps=1e-5
            )
            x = F.relu(x)
        return x

    def up(name: str, x: Tensor, skip: Tensor) -> Tensor:
        if f"{name}.up.weight" in w:
            x = F.conv_transpose2d(x, w[f"{name}.up.weight"], w[f"{name}.up.bias"], stride=2)
        else:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        below, right = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
        x = F.pad(x, (right // 2, right - right // 2, below // 2, below - below // 2))
        return double(f"{name}.conv", torch.cat([skip, x], 1))

    x1 = double("inc", image)
    x2 = double("down1.maxpool_conv.1", F.max_pool2d(x1, 2))
    x3 = double("down2.maxpool_conv.1", F.max_pool2d(x2, 2))
    x4 = double("down3.maxpool_conv.1", F.max_pool2d(x3, 2))
    x5 = double("down4.maxpool_conv.1", F.max_pool2d(x4, 2))
    x = up("up4", up("up3", up("up2", up("up1", x5, x4), x3), x2), x1)
    return F.conv2d(x, w["outc.conv.weight"], w["outc.conv.bias"])


def predict(w: Weights, picture: Image.Image, scale: float, threshold: float = 0.5) -> NDArray[np.int64]:
    """Return class indices (H, W) of an RGB picture, as the original's prediction command finds them."""
    small = picture.resize((int(scale * picture.width), int(scale * picture.height)), Image.Resampling.BICUBIC)
    image = torch.from_numpy(np.asarray(small).transpose(2, 0, 1) / 255).float()[None]
    with torch.inference_mode():
        logits = F.interpolate(forward(w, image), (picture.height, picture.width), mode="bilinear")[0]
        classes = logits.argmax(0) if logits.shape[0] > 1 else (logits.sigmoid() > threshold)[0].long()
    return classes.numpy()
