"""A text in a .pth file beside the weights: what the format has no place for, and other programs pass over.

Such a file is an archive of records, of which torch reads those that it knows. The Carvana program gives all that is in
the saved dictionary to the network, so nothing can be added there.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

RECORD = "unet.json"
MOST_BYTES = 1 << 23


def add_note(path: Path, text: str) -> None:
    """Add a text to a file that `torch.save` has written."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(_place(archive), text)


def read_note(path: Path) -> str:
    """Return the text in a file, empty where there is none: in files of the Carvana U-Net and of old versions."""
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(_place(archive))
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > MOST_BYTES:
                return ""
            return archive.read(info).decode("utf-8", "replace")
    # What the module zipfile raises on damaged archives has no common type; the weights are read by others.
    except (OSError, KeyError, IndexError, ValueError, RuntimeError, NotImplementedError, EOFError, zipfile.BadZipFile):
        return ""


def _place(archive: zipfile.ZipFile) -> str:
    """Return the name of the record, which must lie in the folder of all others."""
    return f"{archive.namelist()[0].partition('/')[0]}/{RECORD}"
