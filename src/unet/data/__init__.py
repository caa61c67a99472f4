"""From a folder of files to samples: pairing, scanning, class tables, preprocessing, augmentation.

`Dataset` is for training loops of one's own; it is imported when it is asked for, as much in here needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unet.data.folder_dataset import Dataset

__all__ = ["Dataset"]


def __getattr__(name: str) -> Any:
    if name == "Dataset":
        from unet.data.folder_dataset import Dataset

        return Dataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
