"""Errors of the many allocators that say, each in its own words, that memory does not suffice."""

from __future__ import annotations

import torch

SIGNS = (
    "out of memory",  # CUDA, MPS
    "can't allocate memory",  # torch's allocator of CPU memory
    "cannot allocate memory",  # the operating system
    "std::bad_alloc",
    "could not create a memory object",  # oneDNN
    "could not create a primitive",  # oneDNN, whose scratch memory is missing
    "failed to allocate",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)
"""Parts of such messages, in lower case. Only on CUDA torch has a class of its own for them."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory does not suffice."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in SIGNS)
