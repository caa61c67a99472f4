"""Equal up to rounding on any CPU: how a sum is split up, and so how it is rounded, depends on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDING = 1e-4
"""Of the largest value: sums of some thousand float32 products differ by less, wrong ones by far more."""


def assert_same_but_for_rounding(result: Tensor, expected: Tensor, largest: float | None = None) -> None:
    """Compare with a tolerance that is a share of the largest value, by default that of what is expected."""
    largest = float(expected.abs().max()) if largest is None else largest
    torch.testing.assert_close(result, expected, rtol=0, atol=ROUNDING * largest)
