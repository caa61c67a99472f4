"""A program of torch (`torch.export`, .pt2), which runs without our code: for any number and size of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unet import tensor_files
from unet.bundle import Bundle
from unet.errors import InputError
from unet.export.graph import check_exportable, quiet, traced_size
from unet.export.parity import Run
from unet.inference.folding import fold_norms


class Whole(nn.Module):
    """A network with what comes before and after it: a picture's own values to probabilities.

    Parameters
    ----------
    bundle : Bundle
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        preprocessing = bundle.preprocessing
        self.network, self.one_logit = fold_norms(bundle.network()), bundle.spec.classes == 1
        self.data_range = preprocessing.data_range
        mean, std = preprocessing.mean or (0.0,), preprocessing.std or (1.0,)
        self.mean = nn.Buffer(torch.tensor(mean)[:, None, None])
        self.std = nn.Buffer(torch.tensor(std)[:, None, None])

    def forward(self, image: Tensor) -> Tensor:
        """Return probabilities (N, K, h, w) for images (N, C, H, W) in float32."""
        logits: Tensor = self.network((image / self.data_range - self.mean) / self.std)
        return logits.sigmoid() if self.one_logit else logits.softmax(dim=1)


def program(bundle: Bundle, tile: int | None = None) -> Any:
    """Return a model as a `torch.export.ExportedProgram`.

    Parameters
    ----------
    bundle : Bundle
    tile : int, optional
        Height and width of the pictures, where they are all to be of one size.

    Raises
    ------
    InputError
        It cannot be written for pictures of any size, or not by this version of torch.
    """
    check_exportable(bundle)
    dynamic = getattr(torch.export.Dim, "DYNAMIC", None)
    if dynamic is None or not hasattr(torch.compiler, "is_exporting"):
        raise InputError(f"torch {torch.__version__}", "torch 2.7 or newer for --to torch", "export --to onnx")
    size = traced_size(bundle) if tile is None else (tile, tile)
    sides = {0: dynamic, **({2: dynamic, 3: dynamic} if tile is None else {})}
    with quiet(), torch.no_grad():
        return torch.export.export(
            Whole(bundle).eval(), (torch.zeros(2, bundle.spec.bands, *size),), dynamic_shapes=(sides,), strict=False
        )


def running(exported: Any) -> Run:
    """Return a program as a function of arrays."""
    module = exported.module()

    @torch.inference_mode()
    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = module(torch.from_numpy(images)).numpy()
        return probabilities

    return run


def write(exported: Any, entries: Mapping[str, str], path: Path) -> None:
    """Write a program, whole or not at all; each entry of the metadata is one of its extra files.

    Raises
    ------
    InputError
        It cannot be written there.
    """

    def to(draft: Path) -> None:
        with quiet(), draft.open("wb") as file:
            torch.export.save(exported, file, extra_files={f"{key}.json": text for key, text in entries.items()})

    tensor_files.write_with(path, to)
