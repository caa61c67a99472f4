"""Pictures stored as arrays (.npy) or tensors (.pt, .pth), and the array chores of all readers."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.errors import RasterError
from unet.raster.limits import check_room

MAX_BANDS = 64
"""A three-dimensional array whose first and last axes are both longer than this is not a picture."""

_ONE_HEADER = Lock()
"""numpy parses the header of a .npy file as Python. In threads of Python 3.11 that was once seen to fail with "AST
constructor recursion depth mismatch", and a sound file to be called damaged."""


def load_array(path: Path) -> NDArray[Any]:
    """Return what a .npy, .pt or .pth file holds, unchanged; a .npy file is mapped, not read.

    Raises
    ------
    RasterError
        Anything but a plain array or tensor. Pickled objects are refused before any of their code can run.
    Exception
        What numpy or torch raise at a damaged file.
    """
    if path.suffix.lower() == ".npy":
        try:
            with _ONE_HEADER:
                array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            if not any(word in str(error) for word in ("pickle", "Python objects")):
                raise
            raise _pickled(path, "a .npy file of numbers") from error
    else:
        array = _load_tensor(path)
    if array.dtype.kind not in "buif":
        raise RasterError(f"{path} holds {array.dtype} values", "numbers")
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise RasterError(f"{path} holds an array of shape {array.shape}", "(H, W), (H, W, C) or (C, H, W), no 0")
    return array


def _load_tensor(path: Path) -> NDArray[Any]:
    import torch  # slow to import, and needed for these files only

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:  # which may be compressed, if not by torch
            check_room(path, (1, sum(entry.file_size for entry in archive.infolist())), 1, "uint8", copies=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch muses about the pickle before it refuses it
            tensor = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _pickled(path, "a tensor written by torch.save") from error
    if not isinstance(tensor, torch.Tensor):
        raise RasterError(f"{path} holds a {type(tensor).__name__}", "a tensor")
    if tensor.is_sparse or tensor.is_quantized or tensor.is_complex():
        raise RasterError(f"{path} holds a tensor of kind {tensor.dtype}, {tensor.layout}", "a plain dense tensor")
    check_room(path, (1, tensor.numel()), 1, "float32", copies=1)  # what is expanded takes no room before it is copied
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    array: NDArray[Any] = tensor.detach().numpy()
    return array


def bands_last(array: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return (H, W, C) from (H, W), (H, W, C) or (C, H, W); the shorter of first and last axis is taken as C.

    Raises
    ------
    RasterError
        Both axes are too long to be bands.
    """
    if array.ndim == 2:
        return array[..., None]
    first, _, last = array.shape
    if min(first, last) > MAX_BANDS:
        raise RasterError(f"{path} holds an array of shape {array.shape}", f"at most {MAX_BANDS} bands, first or last")
    return array if last <= first else array.transpose(1, 2, 0)


def picture_dtype(dtype: np.dtype[Any]) -> str:
    """Return the dtype a picture of this stored dtype is read as: uint8, uint16 or float32."""
    if dtype.kind == "b":
        return "uint8"
    return dtype.name if dtype.name in ("uint8", "uint16") else "float32"


def as_picture(array: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return a writable picture (H, W, C) of uint8, uint16 or float32; True becomes 255.

    The array is (H, W) or (H, W, C).

    Raises
    ------
    RasterError
        Floats that are not all finite.
    """
    picture = array[..., None] if array.ndim == 2 else array
    if picture.dtype.kind == "f" and not np.isfinite(picture).all():
        raise RasterError(
            f"{path} holds values that are not finite (NaN or infinity)", "numbers", "replace them", kind="not-finite"
        )
    if picture.dtype.kind == "b":
        return picture.astype(np.uint8) * np.uint8(255)
    return np.array(picture, dtype=picture_dtype(picture.dtype), order="C")


def as_mask(array: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return a mask (H, W) of uint8, uint16 or int32, or (H, W, 3) of uint8 where the bands differ.

    The array is (H, W) or (H, W, C); a fourth band is taken as alpha and dropped.

    Raises
    ------
    RasterError
        Fractions, values that need more than 32 bits, or 2, 5 and more bands.
    """
    mask = array[..., None] if array.ndim == 2 else array
    if mask.shape[2] not in (1, 3, 4):
        raise RasterError(f"{path} is a mask of {mask.shape[2]} bands", "1 (values) or 3 (colours)", kind="mask-bands")
    mask = mask[..., :3]
    if (mask == mask[..., :1]).all():
        mask = mask[..., 0]
    if mask.dtype.kind == "b":
        return mask.astype(np.uint8)
    if mask.dtype.kind == "f" and not (np.isfinite(mask).all() and (mask == np.rint(mask)).all()):
        raise RasterError(f"{path} is a mask of fractions", "whole numbers", "round them to class values")
    if mask.dtype.name in ("uint8", "uint16") and (mask.ndim == 2 or mask.dtype == np.uint8):
        return np.array(mask, order="C")
    low, high = mask.min(), mask.max()
    if mask.ndim == 3:
        if low < 0 or high > 255:
            raise RasterError(f"{path} is a colour mask with values from {low} to {high}", "0 to 255")
        return np.array(mask, dtype=np.uint8, order="C")
    if low < -(2**31) or high >= 2**31:
        raise RasterError(f"{path} is a mask with values from {low} to {high}", "values that fit 32 bits")
    return np.array(mask, dtype=np.int32, order="C")


def _pickled(path: Path, expected: str) -> RasterError:
    return RasterError(f"{path} holds Python objects and was not opened, because they can run code", expected)
