"""Which pictures are predicted, by which process, and which files are written for each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unet import raster
from unet.data.folders import picture_folder_around
from unet.data.pairs import find_images
from unet.errors import InputError, RasterError

MASK_ENDING = "_OUT.png"

PREDICTED = Path("predicted")
"""The folder of the results, where the command is run and no other is named."""


@dataclass(frozen=True)
class PictureTask:
    """A picture and the files that are written for it, each only where asked for."""

    image: Path
    mask: Path
    overlay: Path
    probabilities: Path
    epm: Path
    viz: Path


def picture_tasks(
    inputs: Sequence[str | Path], outputs: Sequence[str | Path] | None, tiff: bool = False, beside: bool = False
) -> list[PictureTask]:
    """Return the pictures that are meant and where their results go.

    Parameters
    ----------
    inputs, outputs
        See `unet.predict`.
    tiff : bool
        Probabilities are a raster.
    beside : bool
        Results lie beside their pictures where no outputs are named, not in `PREDICTED`.

    Raises
    ------
    InputError
        With all that is wrong: files that are missing or no pictures, a wrong number of outputs. Or no output is named
        in a folder of a data set's pictures.
    """
    faults: list[str] = []
    images: list[Path] = []
    for given in inputs:
        try:
            images += find_images([given])
        except InputError as error:
            faults.append(str(error))
    images = list(dict.fromkeys(images))
    for image in images:
        try:
            raster.probe(image)
        except RasterError as error:
            faults.append(str(error))
    if len(faults) == 1:
        raise InputError(faults[0])
    if faults:
        raise InputError(f"{len(faults)} inputs cannot be used: {'; '.join(faults)}")
    if not outputs and not beside:
        if (folder := picture_folder_around(Path.cwd())) is not None:
            raise InputError(
                f"{folder} holds the pictures of a data set", "another place for masks", "name it: --output FOLDER"
            )
        outputs = [PREDICTED]
    if not outputs:
        masks = [image.with_name(f"{image.stem}{MASK_ENDING}") for image in images]
        return [_task(image, mask, image.stem, tiff) for image, mask in zip(images, masks, strict=True)]
    targets = [Path(output) for output in outputs]
    if len(targets) == 1 and (targets[0].is_dir() or not targets[0].suffix):
        return [_task(image, targets[0] / f"{image.stem}{MASK_ENDING}", image.stem, tiff) for image in images]
    if len(targets) != len(images):
        raise InputError(f"{len(targets)} outputs for {len(images)} pictures", "as many, or one folder")
    return [_task(image, mask, mask.stem, tiff) for image, mask in zip(images, targets, strict=True)]


def _task(image: Path, mask: Path, name: str, tiff: bool) -> PictureTask:
    beside = mask.parent / name
    return PictureTask(
        image,
        mask,
        overlay=beside.with_name(f"{name}_overlay.jpg"),
        probabilities=beside.with_name(f"{name}_probabilities{'.tif' if tiff else '.npy'}"),
        epm=beside.with_name(f"{name}_epm{'.tif' if mask.suffix.lower() in raster.TIFF_SUFFIXES else '.png'}"),
        viz=beside.with_name(f"{name}_viz.png"),
    )


def check_formats(tasks: Sequence[PictureTask], raw_values: bool, notify: Callable[[str], None] | None) -> None:
    """Make sure that masks are written in formats that keep their values.

    Parameters
    ----------
    tasks : sequence of PictureTask
    raw_values : bool
        The values are those of the training masks, not class indices with a palette.
    notify : callable or None
        Told of formats that change values, where these are allowed.

    Raises
    ------
    InputError
        A format changes them, and that is not allowed; or it would hold colours instead of indices.
    """
    masks = [task.mask for task in tasks if task.mask.suffix.lower() in raster.WRITABLE_SUFFIXES]
    changing = [mask for mask in masks if mask.suffix.lower() in raster.LOSSY_SUFFIXES]
    if notify is not None:
        if changing:
            notify(f"warning: {changing[0]}: this format does not keep the values of a mask; .png does")
        return
    if not raw_values:
        changing = [mask for mask in masks if mask.suffix.lower() not in raster.INDEX_SUFFIXES]
    if changing:
        more = f" and {len(changing) - 1} more" if len(changing) > 1 else ""
        raise InputError(
            f"{changing[0]}{more} would not keep the values of a mask", ".png or .tif", "choose another --output"
        )


def check_targets(
    tasks: Sequence[PictureTask], kinds: Sequence[str], overwrite: bool, others: Sequence[Path] = ()
) -> None:
    """Make sure that no file is lost by what is going to be written; `others` are read beside the pictures.

    Raises
    ------
    InputError
        A target is one of the pictures, exists already, is meant for two pictures, or is in no known format.
    """
    targets = [getattr(task, kind) for task in tasks for kind in kinds]
    sources = {task.image.resolve() for task in tasks}
    faults = [f"{target} is one of the pictures" for target in targets if target.resolve() in sources]
    read = {path.resolve() for path in others}
    faults += [f"{target} is one of the files that are read" for target in targets if target.resolve() in read]
    faults += [f"{target} is meant for {n} pictures" for target, n in Counter(targets).items() if n > 1]
    faults += [
        f"{task.mask} has no ending of a picture format"
        for task in tasks
        if "mask" in kinds and task.mask.suffix.lower() not in raster.WRITABLE_SUFFIXES
    ]
    if faults:
        raise InputError("; ".join(faults), remedy="choose other --output names")
    existing = [target for target in targets if target.exists()]
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        what = f"{existing[0]}{more} {'exist' if more else 'exists'} already"
        raise InputError(what, remedy="choose another --output, or allow --overwrite")


def left_to_do(tasks: Sequence[PictureTask], kinds: Sequence[str], notify: Callable[[str], None]) -> list[PictureTask]:
    """Return the pictures of which a file is missing, and say how many are done."""
    left = [task for task in tasks if not kinds or not all(getattr(task, kind).exists() for kind in kinds)]
    if len(left) < len(tasks):
        notify(f"{len(tasks) - len(left)} of {len(tasks)} pictures are done already")
    return left


def shard_of_environment() -> tuple[int, int] | None:
    """Return this process's number, from 1, and how many `torchrun` has started; None where it has not.

    Raises
    ------
    InputError
        The environment says something else.
    """
    rank, count = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
    if rank is None or count is None:
        return None
    if not (rank.isdecimal() and count.isdecimal() and int(rank) < int(count)):
        raise InputError(f"RANK={rank} WORLD_SIZE={count} in the environment", "numbers as torchrun sets them")
    return (int(rank) + 1, int(count)) if int(count) > 1 else None
