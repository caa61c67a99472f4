"""The only room that opens picture files.

`read` gives a picture (H, W, C), `read_mask` a mask as it stands in its file, `probe` what the header says,
`read_picture_file` and `read_mask_file` all of these from one reading,
`open` a `Source` that is read in windows and `create` a `Sink` that is written in windows, both of any size,
`resize` another size, `fill_polygons` the pixels in an outline, and the `write_*` functions put a file down whole
or not at all. Every failure is a `RasterError` that names the file.
"""

from unet.raster.contents import MaskFile, PictureFile, PictureInfo
from unet.raster.filling import fill_polygons
from unet.raster.lettering import LETTERS, caption, caption_width, line_height
from unet.raster.reading import (
    mask_palette,
    probe,
    read,
    read_bands,
    read_mask,
    read_mask_file,
    read_picture_file,
    upright,
)
from unet.raster.resizing import resize
from unet.raster.sink import Sink, create
from unet.raster.source import Source, open
from unet.raster.suffixes import INDEX_SUFFIXES, LOSSY_SUFFIXES, PICTURE_SUFFIXES, TIFF_SUFFIXES, WRITABLE_SUFFIXES
from unet.raster.windows import Window
from unet.raster.writing import (
    as_jpeg,
    as_png,
    through_jpeg,
    write_grey,
    write_lossless,
    write_mask,
    write_picture,
)

__all__ = [
    "INDEX_SUFFIXES",
    "LETTERS",
    "LOSSY_SUFFIXES",
    "PICTURE_SUFFIXES",
    "TIFF_SUFFIXES",
    "WRITABLE_SUFFIXES",
    "MaskFile",
    "PictureFile",
    "PictureInfo",
    "Sink",
    "Source",
    "Window",
    "as_jpeg",
    "as_png",
    "caption",
    "caption_width",
    "create",
    "fill_polygons",
    "line_height",
    "mask_palette",
    "open",
    "probe",
    "read",
    "read_bands",
    "read_mask",
    "read_mask_file",
    "read_picture_file",
    "resize",
    "through_jpeg",
    "upright",
    "write_grey",
    "write_lossless",
    "write_mask",
    "write_picture",
]
