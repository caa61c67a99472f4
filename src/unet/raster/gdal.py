"""What GDAL reads for us, through rasterio: TIFF, and PNG of 16 bits in several bands."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.errors import RasterError
from unet.raster.arrays import picture_dtype
from unet.raster.contents import PictureInfo
from unet.raster.faults import start_of
from unet.raster.limits import check_blocks, check_room

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and of BigTIFF."""

CACHE_MEGABYTES = 128
"""Blocks of files that GDAL keeps decoded, all files together: a row of blocks of 512 x 512 px of an RGB sheet that is
60,000 px wide. By itself it would take a twentieth of the machine's memory. Who has set GDAL_CACHEMAX has chosen."""


def set_up_gdal() -> None:
    """Bound the blocks that GDAL keeps, and keep rasterio from warning of files without a place on the earth."""
    from rasterio.errors import NotGeoreferencedWarning

    os.environ.setdefault("GDAL_CACHEMAX", str(CACHE_MEGABYTES))  # GDAL looks at it once, when it first reads
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


def open_dataset(path: Path) -> Any:
    """Return an open dataset of rasterio, a context manager.

    Raises
    ------
    RasterError
        A TIFF declares more blocks than its file can name.
    """
    import rasterio  # slow to import, and needed for few files

    set_up_gdal()
    # A named driver, because GDAL would also follow files that point to other files and addresses.
    driver = "GTiff" if start_of(path).startswith(TIFF_STARTS) else "PNG"
    dataset = rasterio.open(path, driver=driver)
    if driver == "GTiff":
        height, width = dataset.block_shapes[0]
        blocks = -(-dataset.height // height) * -(-dataset.width // width)
        try:
            check_blocks(path, blocks)
        except RasterError:
            dataset.close()
            raise
    return dataset


def read_colours(path: Path) -> NDArray[Any]:
    """Return (H, W, C) of all bands but alpha.

    Raises
    ------
    RasterError
        They are complex.
    """
    with open_dataset(path) as dataset:
        check_numbers(path, dataset)
        check_room(path, dataset.shape, dataset.count, dataset.dtypes[0])
        array: NDArray[Any] = dataset.read(colour_bands(dataset))
        return array.transpose(1, 2, 0)


def read_all_bands(path: Path) -> NDArray[Any]:
    """Return (H, W, C)."""
    with open_dataset(path) as dataset:
        check_room(path, dataset.shape, dataset.count, dataset.dtypes[0])
        stack: NDArray[Any] = dataset.read()
        return stack.transpose(1, 2, 0)


def read_info(path: Path) -> PictureInfo:
    """Return what the header says."""
    with open_dataset(path) as dataset:
        height, width = dataset.shape
        bands, stored = len(colour_bands(dataset)), dataset.dtypes[0]
        file_format = "TIFF" if dataset.driver == "GTiff" else dataset.driver
        alpha = bands < dataset.count
        return PictureInfo(height, width, bands, picture_dtype(np.dtype(stored)), file_format, 1, stored, 1, alpha)


def is_tiff_with_void(path: Path) -> bool:
    """Tell whether a file is a TIFF that may have pixels without anything."""
    with open_dataset(path) as dataset:
        return dataset.driver == "GTiff" and may_be_void(dataset)


def may_be_void(dataset: Any) -> bool:
    """Tell whether there may be pixels without anything: by a nodata value, an alpha band or a mask of the file."""
    flags = {flag.name for each in dataset.mask_flag_enums for flag in each}
    return bool(flags - {"all_valid"})


def check_numbers(path: Path, dataset: Any) -> None:
    """Make sure that the numbers are real.

    Raises
    ------
    RasterError
        They are complex.
    """
    if any(name.startswith("complex") for name in dataset.dtypes):
        raise RasterError(f"{path} holds complex numbers", "real ones")


def colour_bands(dataset: Any) -> list[int]:
    """Return the band numbers (from 1) without alpha."""
    return [number for number, kind in enumerate(dataset.colorinterp, start=1) if kind.name != "alpha"]
