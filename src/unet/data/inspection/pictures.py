"""What the pictures are like, and whether they are all alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from unet.data.finding import Finding, counted
from unet.data.pairs import Pair
from unet.data.scan import Scan
from unet.data.stats import PictureStats
from unet.preprocessing import DARKER, FRACTION_OVER


def picture_findings(scan: Scan) -> list[Finding]:
    """Return all that is to be said about the pictures."""
    checks = (bands, mixed_bands, mixed_depth, mixed_ranges, deep, constant, frames, alpha, turned)
    return [finding for check in checks if (finding := check(scan)) is not None] if scan.pairs else []


def bands(scan: Scan) -> Finding | None:
    """Pictures that cannot be given the others' number of bands, as grey and RGB can (alpha is dropped)."""
    most_common, good = common_bands(scan)
    return _picture_finding(
        scan,
        lambda picture: picture.bands not in good,
        ("unequal-bands", "error"),
        f"{{}} with another number of bands than most others, which have {most_common}",
        "as many bands in every picture",
        "remove or replace them",
        lambda picture: f"has {counted(picture.bands, 'band')}, most others have {most_common}",
    )


def common_bands(scan: Scan) -> tuple[int, set[int]]:
    """Return how many bands most pictures have, and how many others may have beside them."""
    most_common, _ = Counter(picture.bands for picture in scan.pictures).most_common(1)[0]
    return most_common, {most_common} if most_common > 4 else {1, 2, 3, 4}


def mixed_bands(scan: Scan) -> Finding | None:
    """Grey pictures among RGB ones, or the reverse."""
    kinds = Counter(picture.bands for picture in scan.pictures if picture.bands <= 4)
    if len(kinds) < 2:
        return None
    rarer = kinds.most_common()[-1][0]
    mixture = ", ".join(f"{count} of {counted(bands, 'band')}" for bands, count in kinds.most_common())
    return _picture_finding(
        scan,
        lambda picture: picture.bands == rarer,
        ("mixed-bands", "note"),
        f"grey and RGB pictures are mixed: {mixture}",
        "",
        "grey ones are read as RGB",
        lambda picture: f"has {counted(picture.bands, 'band')}",
    )


def mixed_depth(scan: Scan) -> Finding | None:
    """Pictures of 8 bits among those of 16 bits or of fractions."""
    kinds = Counter(picture.dtype for picture in scan.pictures)
    if len(kinds) < 2:
        return None
    rarer = kinds.most_common()[-1][0]
    mixture = ", ".join(f"{count} of {dtype}" for dtype, count in kinds.most_common())
    return _picture_finding(
        scan,
        lambda picture: picture.dtype == rarer,
        ("mixed-depth", "warning"),
        f"the pictures have different bit depths: {mixture}",
        "one",
        "each kind is stretched to its own white; save them alike if that is wrong",
        lambda picture: f"is {picture.dtype}",
    )


def mixed_ranges(scan: Scan) -> Finding | None:
    """Pictures of one kind of number of which some look black beside the others: 8 bits saved as 16, or fractions."""
    dark, of = dark_pictures(scan), dict(_rows(scan))
    files = [f"{pair.image} has values up to {max(of[pair].high):.4g}" for pair in dark]
    brightest = max((max(picture.high) for picture in scan.pictures if picture.dtype != "uint8"), default=0.0)
    return Finding.of_files(
        "mixed-ranges",
        "error" if any(dark.values()) else "warning",
        files,
        f"{counted(len(files), 'picture')} that would be black beside the brightest, of values up to {brightest:.4g}",
        "one range for all pictures",
        "convert them alike",
    )


def dark_pictures(scan: Scan) -> dict[Pair, bool]:
    """Return the pictures that are many times darker than others of their kind, and whether they hold fractions of 1.

    A sheet may have such blocks.
    """
    brightest: dict[str, float] = {}
    for picture in scan.pictures:
        brightest[picture.dtype] = max(brightest.get(picture.dtype, 0.0), *picture.high)
    return {
        pair: picture.dtype == "float32" and max(picture.high) <= 1 + FRACTION_OVER
        for pair, picture in _rows(scan)
        if picture.dtype != "uint8"
        and pair.window is None
        and not picture.constant
        and 0 < max(picture.high) < brightest[picture.dtype] / DARKER
    }


def deep(scan: Scan) -> Finding | None:
    """Pictures of more than 8 bits."""
    return _picture_finding(
        scan,
        lambda picture: picture.dtype != "uint8",
        ("deep-pictures", "note"),
        "{} of more than 8 bits",
        "",
        "their brightest values become white",
        lambda picture: f"is {picture.dtype}, up to {max(picture.high):g}",
    )


def constant(scan: Scan) -> Finding | None:
    """Pictures with nothing on them; a sheet may have such blocks."""
    return _picture_finding(
        scan.part([pair for pair in scan.pairs if pair.window is None]),
        lambda picture: picture.constant,
        ("constant-picture", "warning"),
        "{} of one colour only",
        "something to see",
        "look whether they were exported rightly; remove them with their masks",
        lambda picture: f"is {', '.join(f'{value:g}' for value in picture.mean)} everywhere",
    )


def frames(scan: Scan) -> Finding | None:
    """Animations and files of several pages; phones add small copies to a JPEG, which do no harm."""
    return _picture_finding(
        scan,
        lambda picture: picture.frames > 1 and picture.format != "MPO",
        ("frames", "warning"),
        "{} with several frames or pages",
        "one picture in a file",
        "only the first of each is used; save the others as files of their own",
        lambda picture: f"has {picture.frames} ({picture.format})",
    )


def alpha(scan: Scan) -> Finding | None:
    """Pictures with transparency."""
    return _picture_finding(
        scan,
        lambda picture: picture.alpha,
        ("alpha", "note"),
        "{} with transparency",
        "",
        "it is dropped, and what lies under it is seen",
        lambda picture: f"is {picture.mode}",
    )


def turned(scan: Scan) -> Finding | None:
    """Pictures that EXIF turns although their masks could have been drawn before it was applied."""
    doubtful = {
        picture
        for picture, mask in zip(scan.pictures, scan.masks, strict=True)
        if picture.orientation != mask.orientation
        and (picture.height, picture.width) == (mask.height, mask.width)
        # On its side only a square picture keeps its size.
        and (picture.orientation < 5 or picture.height == picture.width)
    }
    return _picture_finding(
        scan,
        lambda picture: picture.orientation != 1,
        ("exif", "warning" if doubtful else "note"),
        "{} turned by EXIF",
        "",
        "look at the overlays whether the masks fit" if doubtful else "",
        lambda picture: f"has orientation {picture.orientation}",
    )


def _picture_finding(
    scan: Scan,
    is_meant: Callable[[PictureStats], bool],
    kind_and_severity: tuple[str, str],
    found: str,
    expected: str,
    remedy: str,
    word: Callable[[PictureStats], str],
) -> Finding | None:
    """Return a finding about some of the pictures; braces in `found` stand for how many."""
    files = tuple(f"{pair.image} {word(picture)}" for pair, picture in _rows(scan) if is_meant(picture))
    return Finding.of_files(*kind_and_severity, files, found.format(counted(len(files), "picture")), expected, remedy)


def _rows(scan: Scan) -> Iterator[tuple[Pair, PictureStats]]:
    return zip(scan.pairs, scan.pictures, strict=True)
