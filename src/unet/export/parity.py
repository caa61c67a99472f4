"""Whether an exported file gives what the model gives, on pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unet.bundle import Bundle
from unet.errors import UnetError
from unet.inference.folding import fold_norms
from unet.inference.prediction import probabilities_of
from unet.inference.predictor import DEFAULT_THRESHOLD
from unet.preprocessing import normalise

TOLERANCE = 1e-3
"""How far the probabilities of a pixel may lie apart. Rounding makes some 1e-6."""

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Images (N, C, H, W) in their own values to probabilities (N, K, h, w)."""


@dataclass(frozen=True)
class Parity:
    """How far what an exported file gives is from what the model gives.

    Attributes
    ----------
    difference : float
        Of two probabilities of a pixel, the largest.
    same_classes : float
        Share of the pixels that are of the same class.
    pictures : int
        That were compared.
    of : str
        What pictures these are.
    """

    difference: float
    same_classes: float
    pictures: int
    of: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def original(bundle: Bundle) -> Run:
    """Return the model itself in torch and float32, as what exported files are compared with."""
    network = fold_norms(bundle.network())

    @torch.inference_mode()
    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        inputs = np.stack([normalise(image, bundle.preprocessing) for image in images])
        logits = network(torch.from_numpy(inputs))
        probabilities: NDArray[np.float32] = torch.stack([probabilities_of(each) for each in logits]).numpy()
        return probabilities

    return run


def compare(bundle: Bundle, run: Run, images: Iterable[NDArray[np.float32]], of: str) -> Parity:
    """Return how an exported file compares with the model on pictures.

    Parameters
    ----------
    bundle : Bundle
    run : callable
        The exported file.
    images : iterable of float32 array (C, h, w)
        In their files' values, with the network's bands and at its scale.
    of : str
        What pictures these are.
    """
    truth, difference, same, pixels, number = original(bundle), 0.0, 0, 0, 0
    for image in images:
        expected, given = truth(image[None]), run(image[None])
        difference = max(difference, float(np.abs(expected - given).max()) if np.isfinite(given).all() else np.inf)
        same += int((classes(expected, bundle) == classes(given, bundle)).sum())
        pixels += expected.size // expected.shape[1]
        number += 1
    return Parity(difference, same / pixels, number, of)


def classes(probabilities: NDArray[np.float32], bundle: Bundle) -> NDArray[np.int64]:
    """Return the classes (N, H, W) of probabilities (N, K, H, W)."""
    threshold = DEFAULT_THRESHOLD if bundle.threshold is None else bundle.threshold
    likeliest: NDArray[np.int64] = probabilities.argmax(axis=1)
    return likeliest if probabilities.shape[1] > 1 else (probabilities[:, 0] > threshold).astype(np.int64)


def check(parity: Parity, tolerance: float = TOLERANCE) -> None:
    """Make sure that an exported file gives what the model gives.

    Raises
    ------
    UnetError
        It does not.
    """
    if not parity.difference <= tolerance:
        raise UnetError(
            f"the exported network's probabilities are up to {parity.difference:.2g} away from the model's on "
            f"{parity.pictures} pictures ({parity.of})",
            f"at most {tolerance:g}",
            "nothing was written; please report it with the model's architecture",
        )
