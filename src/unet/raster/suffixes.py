"""Endings of files, in lower case, and what they say."""

from __future__ import annotations

ARRAY_SUFFIXES = frozenset({".npy", ".pt", ".pth"})
"""Of arrays and tensors."""

TIFF_SUFFIXES = frozenset({".tif", ".tiff"})

PICTURE_SUFFIXES = (
    ARRAY_SUFFIXES
    | TIFF_SUFFIXES
    | {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".webp", ".avif"),
        *(".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx", ".sgi"),
    }
)
"""Of the files that count as pictures when a folder is listed."""

WRITABLE_SUFFIXES = PICTURE_SUFFIXES - {".pt", ".pth"}
"""Of those that are written."""

INDEX_SUFFIXES = TIFF_SUFFIXES | {".png", ".bmp", ".npy"}
"""Of formats that hold class indices with a palette; a GIF is written with other numbers for the same colours."""

LOSSY_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif")
"""Of formats that change the values of pixels."""
