"""The pictures that an export is checked, calibrated and measured on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.bundle import Bundle
from unet.data.pair_arrays import read_picture
from unet.data.pairs import Pair
from unet.errors import InputError
from unet.models import Geometry, geometry_of
from unet.preprocessing import normalise
from unet.raster.network_input import picture_factor, rescale
from unet.tiling import Span, places

MOST_SIDE = 1024
"""Of larger pictures, at the network's scale, the middle is taken: what is compared is held in memory several times."""

DRAWN = ((250, 333), (256, 320), (131, 190))
"""Height and width of pictures that are drawn where there are no others; odd sizes among them."""


@dataclass(frozen=True)
class Pictures:
    """Pictures to export with.

    Attributes
    ----------
    items : sequence of Pair or Path
        None: they are drawn.
    of : str
        What they are, in words.
    as_trained : bool
        They are of the training's own data, and their values are not questioned.
    """

    items: Sequence[Pair | Path]
    of: str
    as_trained: bool = False

    def __len__(self) -> int:
        return len(self.items) or len(DRAWN)

    def spread(self, most: int) -> Pictures:
        """Return at most so many of them, evenly spread."""
        step = -(-len(self.items) // most) if self.items else 1
        return replace(self, items=self.items[::step])

    def images(self, bundle: Bundle, tile: int | None = None) -> Iterator[NDArray[np.float32]]:
        """Give each picture in its own values at the network's scale, or the middle of it, (C, h, w).

        Parameters
        ----------
        bundle : Bundle
        tile : int, optional
            Height and width, where all are to be of one size.

        Raises
        ------
        InputError
            A picture that cannot be read or is not of the kind that the model takes; the file is named.
        """
        preprocessing, geometry = bundle.preprocessing, geometry_of(bundle.spec)
        if not self.items:
            for number, (height, width) in enumerate(DRAWN):
                image = drawn(number, preprocessing.bands, height, width) * np.float32(preprocessing.data_range)
                yield fitted(image, geometry, tile)
        for item in self.items:
            path = item.image if isinstance(item, Pair) else item
            picture = read_picture(item, preprocessing) if isinstance(item, Pair) else raster.read(item)
            try:
                factor = None if self.as_trained else picture_factor(picture, preprocessing)
                image = rescale(picture, preprocessing, factor).transpose(2, 0, 1)
            except InputError as error:
                raise error.of(path) from None
            yield fitted(image, geometry, tile).astype(np.float32)

    def inputs(self, bundle: Bundle, tile: int | None = None) -> list[NDArray[np.float32]]:
        """Return what the network gets for each of them, (C, h, w); raises as `images` does."""
        return [normalise(image, bundle.preprocessing) for image in self.images(bundle, tile)]


def fitted(image: NDArray[np.float32], geometry: Geometry, tile: int | None = None) -> NDArray[np.float32]:
    """Return the middle of an image (C, H, W), of a size that an exported file takes; small ones are mirrored.

    Parameters
    ----------
    image : array (C, H, W)
    geometry : Geometry
        Of the network.
    tile : int, optional
        Height and width to give.
    """
    for axis in (1, 2):
        length = image.shape[axis]
        wanted = tile or geometry.at_least(max(least_side(geometry), min(length, MOST_SIDE)))
        start = (length - wanted) // 2
        places_there = places(Span(start, start + wanted, start, start + wanted), length, "mirror")
        image = image.take(places_there, axis=axis)
    return image


def least_side(geometry: Geometry) -> int:
    """Return the least height and width that an exported file takes."""
    return geometry.at_least(1) if geometry.valid_margin else 2 * geometry.multiple


def drawn(number: int, bands: int, height: int, width: int) -> NDArray[np.float32]:
    """Return a picture (C, H, W) of values of 0 to 1: soft spots over fine grain, the same for the same number."""
    rng = np.random.default_rng(number)
    spots = rng.random((bands, -(-height // 16), -(-width // 16)), dtype=np.float32)
    smooth = spots.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width]
    return np.clip(0.8 * smooth + 0.2 * rng.random((bands, height, width), dtype=np.float32), 0, 1)
