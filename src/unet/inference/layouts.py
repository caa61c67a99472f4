"""How pictures are laid out in tiles: by what the network needs, how much fits, and what is asked for."""

from __future__ import annotations

from unet.errors import InputError
from unet.models import Geometry
from unet.tiling import Span, Tile, abutting_spans, even_spans, grid, halo_spans, overlapping_spans, valid_spans

JOINS = ("exact", "gaussian", "linear", "abut")
"""How tiles become one: as the whole picture would, averaged by bells or by tents, or just side by side."""

OVERLAP = 4
"""Blended tiles share the tile's side divided by this."""

HALO_SHARE = 4
"""Where nothing is said, tiles with a halo are taken as long as their side is at least so many times the halo: beyond
that most of the work would be thrown away, and blending costs less."""


def default_join(geometry: Geometry, side: int) -> str:
    """Return how tiles of a side are joined where nothing is said."""
    local = geometry.valid_margin or (
        geometry.receptive_field_radius is not None and HALO_SHARE * geometry.receptive_field_radius <= side
    )
    return "exact" if local else "gaussian"


def least_tile_side(geometry: Geometry) -> int:
    """Return the smallest tile that yields something, and a step at that."""
    return geometry.at_least(2 * geometry.valid_margin + geometry.multiple)


def lay_out(height: int, width: int, geometry: Geometry, side: int, join: str, alike: bool = False) -> list[Tile]:
    """Return the tiles for a picture.

    Parameters
    ----------
    height, width : int
        Of the picture as the network is given it.
    geometry : Geometry
    side : int
        Pixels that a tile sees, down and across; more where the network takes no such size.
    join : {"exact", "gaussian", "linear", "abut"}
    alike : bool
        All tiles see as many pixels, no more than a square of that side has: for networks that are compiled for a
        size. Where that can be; and not where they are only to touch.

    Raises
    ------
    InputError
        The tiles are too small, or cannot be joined so.
    """
    return grid(*axes_of((height, width), geometry, side, join, alike))


def axes_of(
    size: tuple[int, int], geometry: Geometry, side: int, join: str, alike: bool = False
) -> tuple[list[Span], list[Span]]:
    """Return the tiles along both axes, see `lay_out`.

    Raises
    ------
    InputError
        The tiles are too small, or cannot be joined so.
    """
    check_join(geometry, side, join)
    if alike and join == "exact" and not geometry.valid_margin:
        return _even_axes(size, geometry, side)
    rows, cols = (spans_of(length, geometry, side, join) for length in size)
    return rows, cols


def _even_axes(size: tuple[int, int], geometry: Geometry, side: int) -> tuple[list[Span], list[Span]]:
    """Return tiles of one size that join exactly, those that take the least work."""
    halo, multiple = geometry.receptive_field_radius or 0, geometry.multiple
    axes = []
    for length in size:
        usual = even_spans(length, side, halo, multiple)
        sides = [-(-(length + 2 * halo * (count - 1)) // count) + multiple for count in range(1, 2 * len(usual) + 1)]
        axes.append([usual, *(even_spans(length, other, halo, multiple) for other in sides)])
    pairs = [(rows, cols) for rows in axes[0] for cols in axes[1]]
    fitting = [each for each in pairs[1:] if each[0][0].length * each[1][0].length <= side**2]
    return min([pairs[0], *fitting], key=lambda each: _work(*each))


def _work(rows: list[Span], cols: list[Span]) -> int:
    return len(rows) * len(cols) * rows[0].length * cols[0].length


def check_join(geometry: Geometry, side: int, join: str) -> None:
    """Make sure that tiles of a side can be joined so.

    Raises
    ------
    InputError
        The tiles are too small, or cannot be joined so.
    """
    if side < least_tile_side(geometry):
        raise InputError(f"tiles of {side} px", f"{least_tile_side(geometry)} px at least for this network")
    if join == "exact" and not geometry.valid_margin and geometry.receptive_field_radius is None:
        raise InputError(
            "tiles joined exactly, by a network that sees all of a picture at once", "tiles that are blended",
            "say --join gaussian",
        )  # fmt: skip
    if join in ("gaussian", "linear") and geometry.valid_margin:
        raise InputError(f"--join {join} for a network without padding", "exact, at no more cost", "leave out --join")


def spans_of(length: int, geometry: Geometry, side: int, join: str) -> list[Span]:
    """Return the tiles along one axis, see `lay_out`."""
    if join == "abut":
        return abutting_spans(length, side, geometry.valid_margin)
    if geometry.valid_margin:
        needed = min(side, length + 2 * geometry.valid_margin)  # a small picture does not need all of it
        return valid_spans(
            length, geometry.at_least(max(needed, least_tile_side(geometry))), geometry.valid_margin, geometry.multiple
        )
    if join == "exact":
        return halo_spans(length, side, geometry.receptive_field_radius or 0, geometry.multiple)
    return overlapping_spans(length, side, side // OVERLAP, geometry.multiple)
