"""How far a U-Net looks, and which sizes suit it: pure arithmetic, for whoever cuts pictures into pieces."""

from __future__ import annotations


def size_multiple(depth: int) -> int:
    """Return the number of pixels that height and width are best a multiple of: no level has an odd size then."""
    return 1 << depth


def margin(depth: int, bilinear: bool) -> int:
    """Return how many pixels around an output pixel can change it, at most.

    Followed back from the output: each pair of 3 x 3 convolutions looks 2 pixels further, transposed convolution
    at the one pixel below, interpolation at one more on either side, pooling at 2 x 2 pixels.
    """
    most = 0
    for pixel in range(size_multiple(depth)):
        first, last = pixel - 2, pixel + 2
        for _ in range(depth):
            first, last = first // 2 - bilinear - 2, last // 2 + bilinear + 2
        for _ in range(depth):
            first, last = 2 * first - 2, 2 * last + 1 + 2
        most = max(most, pixel - first, last - pixel)
    return most
