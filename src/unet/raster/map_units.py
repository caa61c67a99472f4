"""How much of the ground a pixel covers."""

from __future__ import annotations

from unet.raster.source import Source


def pixel_area(source: Source) -> tuple[float, str] | None:
    """Return the area of a pixel in the unit of the map, and that unit's name.

    Returns
    -------
    float, str or None
        Such as (0.25, "square metre"). None where the raster has no place on a map, or where the map's coordinates are
        degrees: the ground that a pixel covers is then another in each row.

    Examples
    --------
    >>> from unet import raster
    >>> with raster.create("town.tif", height=2, width=3, crs="EPSG:2154", transform=(0.5, 0, 0, 0, -0.5, 0)) as sink:
    ...     sink.write((0, 0, 2, 3), np.zeros((2, 3), np.uint8))
    >>> with raster.open("town.tif") as source:
    ...     pixel_area(source)
    (0.25, 'square metre')
    """
    if source.crs is None or source.transform is None:
        return None
    from rasterio.crs import CRS  # slow to import, and needed for few files

    known = CRS.from_user_input(source.crs)
    if known.is_geographic:
        return None
    a, b, _, d, e, _ = source.transform
    return abs(a * e - b * d), f"square {known.linear_units}"
