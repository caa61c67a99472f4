"""Files that do not pair, cannot be read, or do not fit together."""

from __future__ import annotations

from collections.abc import Iterable
from math import hypot
from pathlib import Path

from unet.affine import Affine
from unet.data.finding import Finding, counted
from unet.data.inspection.values import REPAIR
from unet.data.pairs import Pair, Pairing
from unet.data.scan import Fault
from unet.data.windows import source_of

_PARTNER = "one mask for every picture, of the same name but for a suffix such as _mask"
_FAULTS = {
    "missing": ("{} cannot be found", "", "put them back, or remove their partners"),
    "empty-file": ("{} of 0 bytes", "", "copy them again or remove them"),
    "truncated": ("{} cut off", "whole files", "copy or download them again"),
    "too-large": ("{} too large for the memory", "tiled GeoTIFF, or tiles", "convert or cut them, or free memory"),
    "unreadable": ("{} cannot be read", "pictures", "copy or save them anew, or remove them"),
    "not-finite": ("{} with NaN or infinity", "numbers", "replace these values"),
    "one-hot": ("{} with a band for each class", "one band of class numbers", REPAIR),
    "mask-bands": ("{} with bands that are no colours", "1 band (values) or 3 (colours)", "save one band"),
    "size-exif": ("{} drawn on a picture that EXIF turns", "the size of the picture", REPAIR),
    "size-rotated": (
        "{} turned by 90 degrees against the picture",
        "the size of the picture",
        f"rotate it, or {REPAIR}",
    ),
    "size-scaled": (
        "{} of another scale than the picture",
        "the size of the picture",
        f"resize it without blending values (nearest), or {REPAIR}",
    ),
    "size-differs": (
        "{} of another size than the picture",
        "the size of the picture",
        "cut or resize one of them, or pair the right files",
    ),
}
"""By kind: what is found (with the count of files or masks in place of the braces), expected, and the remedy."""


def unpaired(pairing: Pairing, where: Path | None) -> list[Finding]:
    """Files without a partner; by themselves those with a nearly matching name, those that are one too many, and
    folders that could hold the masks too.
    """
    near = {*pairing.near, *pairing.near.values()}
    lonely = [
        f"{path} has no {lack}"
        for files, lack in ((pairing.without_mask, "mask"), (pairing.without_picture, "picture"))
        for path in files
        if path not in near
    ]
    nearly = [f"{image} has no mask (nearest name: {mask.name})" for image, mask in pairing.near.items()]
    findings = (
        Finding.of_files(
            "near-miss-name",
            "error",
            nearly,
            f"{counted(len(nearly), 'picture')} in {where} cannot be paired, but for a mask of nearly the same name",
            _PARTNER,
            f"rename them, or {REPAIR}",
        ),
        Finding.of_files(
            "unpaired",
            "error",
            lonely,
            f"{counted(len(lonely), 'file')} in {where} cannot be paired",
            _PARTNER,
            "add what is missing, or remove them",
        ),
        Finding.of_files(
            "doubled",
            "error",
            pairing.doubled,
            f"{counted(len(pairing.doubled), 'file')} in {where} cannot be paired",
            "one picture and one mask of a name",
        ),
        Finding.of_files(
            "other-masks",
            "warning",
            [str(folder) for folder in pairing.aside],
            f"masks are taken from {', '.join(sorted({taken.name for taken in pairing.aside.values()}))}",
            "no other folder that could hold them",
            "give --images DIR --masks DIR if they are in the other; "
            "if it says where masks count, make it the roi of a dataset.toml",
        ),
    )
    return [finding for finding in findings if finding is not None]


def misplaced(pairs: Iterable[Pair]) -> Finding | None:
    """Sheets whose masks, of the same size in pixels, lie elsewhere on the map."""
    lines = []
    for image, mask in dict.fromkeys((pair.image, pair.mask) for pair in pairs if pair.window and not pair.drawing):
        sheet, truth = source_of(image), source_of(mask)
        if sheet.transform is None or truth.transform is None:
            continue
        if sheet.crs and truth.crs and sheet.crs != truth.crs:
            lines.append(f"{mask} is in {truth.crs}, its picture {image} in {sheet.crs}")
        elif away := _pixels_apart(sheet.transform, truth.transform, sheet.width, sheet.height):
            lines.append(f"{mask} lies up to {away:.3g} pixels away from its picture {image}, by their transforms")
    return Finding.of_files(
        "misplaced",
        "warning",
        lines,
        f"{counted(len(lines), 'mask')} elsewhere on the map than the picture; pixel is laid over pixel all the same",
        "the same place",
        "look at the overlays, and cut or warp one of them (gdalwarp)",
    )


def _pixels_apart(first: Affine, second: Affine, width: int, height: int) -> float:
    """Return how far apart a corner of two rasters is at most, in pixels of the first; 0 for less than half a pixel."""
    corners = ((0, 0), (width, 0), (0, height), (width, height))
    size = min(hypot(first[0], first[3]), hypot(first[1], first[4]))
    shift = [one - other for one, other in zip(first, second, strict=True)]
    apart = max(
        hypot(shift[0] * x + shift[1] * y + shift[2], shift[3] * x + shift[4] * y + shift[5]) for x, y in corners
    )
    return apart / size if apart / size >= 0.5 else 0.0


def faulty(faults: Iterable[Fault]) -> list[Finding]:
    """Pairs that cannot be used, by kind of fault."""
    by_kind: dict[str, list[str]] = {}
    for fault in faults:
        by_kind.setdefault(fault.kind, []).append(fault.text)
    findings = []
    for kind, files in sorted(by_kind.items(), key=lambda item: list(_FAULTS).index(item[0])):
        found, expected, remedy = _FAULTS[kind]
        noun = "mask" if kind.startswith(("size", "mask", "one-hot")) else "file"
        text = found.format(counted(len(files), noun))
        findings.append(Finding(kind, "error", text, expected, remedy, tuple(files), len(files)))
    return findings
