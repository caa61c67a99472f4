"""Polygons as a drawing for people."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.errors import MissingExtraError
from unet.files import write_text

_OPAQUE, _TINTED = "1", "0.45"  # over a picture, the picture is to be seen


def write_svg(
    path: Path,
    geometries: NDArray[Any],
    colors: NDArray[np.uint8],
    titles: Sequence[str],
    size: tuple[int, int],
    jpeg: bytes | None = None,
) -> None:
    """Draw polygons, each in its colour; a browser shows a title while the mouse is on a shape.

    Parameters
    ----------
    path : Path
    geometries : object array (N,) of shapely polygons
        In pixels, y downwards.
    colors : uint8 array (N, 3)
    titles : sequence of str (N,)
    size : (int, int)
        Height and width of the sheet in pixels.
    jpeg : bytes, optional
        A picture to lie under the shapes, stretched to the size.

    Raises
    ------
    InputError
        It cannot be written there.
    MissingExtraError
        shapely is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import shapely
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "blocks.svg"
    ...     write_svg(path, np.array([shapely.box(0, 0, 2, 1)]), np.array([[255, 0, 0]], np.uint8), ["7"], (1, 2))
    ...     print(path.read_text().splitlines()[2])
    <path fill="#ff0000" d="M2 0 2 1 0 1 0 0 2 0Z"><title>7</title></path>
    """
    try:
        import shapely
    except ImportError:
        raise MissingExtraError("drawing polygons", "maps") from None
    height, width = size
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        "<style>path{stroke:#222;stroke-width:1.5px;stroke-linejoin:round;fill-rule:evenodd;"
        f"vector-effect:non-scaling-stroke;fill-opacity:{_OPAQUE if jpeg is None else _TINTED}}}"
        "path:hover{fill-opacity:.8;stroke:#000}</style>",
    ]
    if jpeg is not None:
        data = base64.b64encode(jpeg).decode("ascii")
        lines.append(f'<image width="{width}" height="{height}" href="data:image/jpeg;base64,{data}"/>')
    texts = shapely.to_wkt(geometries, rounding_precision=2, trim=True)
    for text, (red, green, blue), title in zip(texts, colors.tolist(), titles, strict=True):
        # "POLYGON ((0 0, 2 0, ...), (...))": what stands between brackets are rings.
        rings = "".join(f"M{ring.replace(', ', ' ')}Z" for ring in re.findall(r"[-0-9][^()]*", text))
        lines.append(f'<path fill="#{red:02x}{green:02x}{blue:02x}" d="{rings}"><title>{escape(title)}</title></path>')
    lines.append("</svg>\n")
    write_text(path, "\n".join(lines))
