"""Single masks that are not wrong and yet worth a look."""

from __future__ import annotations

from unet.data.finding import Finding, counted
from unet.data.mask_values import MaskValues
from unet.data.scan import Scan
from unet.labels import Labels, Value, default_names

_NEARLY = 0.0005  # share of the pixels below which a mask is nearly empty


def mask_findings(scan: Scan, labels: Labels | None) -> list[Finding]:
    """Return all that is to be said about single masks; without labels 0 is taken as the background."""
    if not scan.masks:
        return []
    checks = [empty(scan, labels), ignored(scan, labels), frames(scan), alpha(scan), unnamed(labels)]
    return [finding for finding in checks if finding is not None]


def empty(scan: Scan, labels: Labels | None) -> Finding | None:
    """Masks on which hardly anything is drawn."""
    nothing: set[Value] = {0, (0, 0, 0), *(labels.ignored if labels else ())}
    files = []
    for pair, mask in zip(scan.pairs, scan.masks, strict=True):
        share = sum(count for value, count in mask.values if value not in nothing) / (mask.height * mask.width)
        if share < _NEARLY and pair.window is None:  # many blocks of a sheet are, and rightly
            files.append(f"{pair.mask} is {'empty' if share == 0 else f'{share:.3%} drawn'}")
    most = len(files) > len(scan.masks) / 2
    return Finding.of_files(
        "empty-mask",
        "warning" if most else "note",
        files,
        f"{counted(len(files), 'mask')} of {len(scan.masks)} with nothing or nearly nothing drawn",
        "",
        "look whether they are finished" if most else "",
    )


def ignored(scan: Scan, labels: Labels | None) -> Finding | None:
    """Values that count neither in the loss nor in a score."""
    if labels is None or not labels.ignored:
        return None
    mask_values = MaskValues(scan)
    shares = {value: mask_values.share([mask_values.in_common_form(value)]) for value in labels.ignored}
    parts = [f"{value} ({share:.1%} of the pixels)" for value, share in shares.items() if share]
    if not parts:
        return None
    skipped = {mask_values.in_common_form(value) for value in labels.ignored}
    rows = zip(scan.pairs, scan.masks, strict=True)
    files = [
        f"{pair.mask} holds nothing else"
        for pair, mask in rows
        if all(mask_values.in_common_form(value) in skipped for value, _ in mask.values)
    ]
    return Finding(
        "ignored",
        "warning" if files else "note",
        f"left out of loss and scores: the mask value{'s' * (len(parts) != 1)} {' and '.join(parts)}",
        "",
        f"remove the {counted(len(files), 'mask that holds', 'masks that hold')} nothing else" if files else "",
        tuple(files),
        len(files),
    )


def frames(scan: Scan) -> Finding | None:
    """Animations and files of several pages."""
    rows = zip(scan.pairs, scan.masks, strict=True)
    files = [f"{pair.mask} has {mask.frames} ({mask.format})" for pair, mask in rows if mask.frames > 1]
    return Finding.of_files(
        "frames-mask",
        "warning",
        files,
        f"{counted(len(files), 'mask')} with several frames or pages",
        "one mask in a file",
        "only the first of each is used; save the others as files of their own",
    )


def alpha(scan: Scan) -> Finding | None:
    """Masks with transparency; in palettes, where it is seldom meant, it does not count."""
    rows = zip(scan.pairs, scan.masks, strict=True)
    files = [f"{pair.mask} is {mask.mode}" for pair, mask in rows if mask.alpha and mask.palette is None]
    return Finding.of_files(
        "alpha-mask",
        "warning",
        files,
        f"{counted(len(files), 'mask')} with transparency",
        "one value for each class",
        "it is dropped, and the values under it count; save the masks without it if it is meant as background",
    )


def unnamed(labels: Labels | None) -> Finding | None:
    """Classes of which neither a file nor the data say what they are called."""
    if labels is None or len(labels.names) <= 2:
        return None
    rows = zip(labels.names, default_names(len(labels.names)), labels.values, strict=True)
    files = [f"{name} is {value}" for name, made_up, value in rows if name == made_up]
    line = "name,r,g,b" if isinstance(labels.values[0], tuple) else "a name, in the order of the values,"
    return Finding.of_files(
        "unnamed-classes",
        "note",
        files,
        f"{counted(len(files), 'class', 'classes')} without a name",
        "",
        f"name them by --classes FILE, with {line} on each line",
    )
