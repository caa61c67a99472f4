"""`unet predict`: masks for pictures. Read `predict` from top to bottom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import bundle, files, raster
from unet.bundle import Bundle
from unet.data.pairs import find_images
from unet.errors import InputError, RasterError
from unet.files import StrPath
from unet.inference.predictor import Prediction, Predictor
from unet.labels import Labels
from unet.report.overlay import overlay as draw_overlay
from unet.report.overlay import viewable
from unet.report.viewer import Viewer
from unet.terminal.display import open_display

MASK_ENDING = "_OUT.png"
MASK_SUFFIXES = raster.PICTURE_SUFFIXES - {".npy", ".pt", ".pth"}


@dataclass(frozen=True)
class PictureTask:
    """A picture and the files that are written for it, each only where asked for."""

    image: Path
    mask: Path
    overlay: Path
    probabilities: Path
    viz: Path


def predict(
    model: StrPath,
    inputs: Sequence[str | Path],
    *,
    outputs: Sequence[str | Path] | None = None,
    scale: float | None = None,
    threshold: float | None = None,
    overlay: bool = False,
    probabilities: bool = False,
    raw_values: bool = False,
    viz: bool = False,
    save: bool = True,
    exact: bool = False,
    tile: int | None = None,
    join: str | None = None,
    device: str = "auto",
    classes: int | None = None,
    bilinear: bool | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write a mask for every picture.

    Parameters
    ----------
    model : str or path
        A model file, .safetensors or the Carvana system's .pth.
    inputs : sequence of str
        Pictures, folders of pictures, patterns.
    outputs : sequence of str, optional
        A folder, or as many files as there are pictures. By default NAME_OUT.png beside each picture.
    scale : float, optional
        Replaces the scale that the model file holds; a .pth holds none, 0.5 is meant.
    threshold : float, optional
        For models with one logit: a pixel with a greater probability is foreground. Otherwise without effect.
    overlay : bool
        Write NAME_overlay.jpg too: the picture tinted with the classes' colours.
    probabilities : bool
        Write NAME_probabilities.npy too: float16 (K, H, W), of class 1 only for models with one logit.
    raw_values : bool
        Write the values of the training masks (0/1 as a 1-bit picture) instead of indices with a palette.
    viz : bool
        Show picture and mask in a window; where there is no display, write NAME_viz.png.
    save : bool
        Write the mask.
    exact : bool
        Compute in float32.
    tile, join : optional
        See `unet.inference.predictor.Predictor`.
    classes, bilinear : optional
        What the model is expected to be.
    overwrite : bool
        Allow files that are written to exist already; a picture that is read is never overwritten.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    InputError
        Anything that is wrong with the arguments or the files. What can be known beforehand is reported at
        once, before anything is predicted; a picture that turns out damaged does not keep the others back.
    MissingExtraError
        `viz` without matplotlib.

    Examples
    --------
    >>> import unet
    >>> [path] = unet.predict("model.safetensors", ["data/imgs/p00.png"], outputs=["mask.png"])
    >>> path.as_posix()
    'mask.png'
    """
    model = Path(model)
    display = open_display()
    viewer = Viewer() if viz else None
    loaded = bundle.load(model, scale=scale)
    check_expectations(loaded, model, classes, bilinear)
    tasks = tasks_of(inputs, outputs)
    kinds = {"mask": save, "overlay": overlay, "probabilities": probabilities}
    kinds["viz"] = viewer is not None and not viewer.interactive
    wanted = [kind for kind, asked in kinds.items() if asked]
    check_targets(tasks, wanted, overwrite)
    if loaded.spec.classes > 1 and threshold not in (None, 0.5):
        display.notify(f"the threshold has no effect: of {loaded.spec.classes} classes the most probable is taken")

    predictor = Predictor(
        loaded, device=device, exact=exact, threshold=threshold, tile=tile, join=join, notify=display.notify
    )
    loaded = predictor.bundle  # without the weights, of which one copy is enough
    written: list[Path] = []
    faults: list[str] = []
    for number, task in enumerate(tasks, start=1):
        start = perf_counter()
        try:
            picture, prediction = read_and_predict(predictor, task.image, probabilities)
        except InputError as error:
            if len(tasks) == 1:
                raise
            display.notify(f"left out: {error}")
            faults.append(str(error))
            continue
        if save:
            write_prediction(task.mask, prediction.indices, loaded.labels, raw_values)
        if overlay:
            shown = viewable(picture, loaded.preprocessing.data_range)
            raster.write_picture(task.overlay, draw_overlay(shown, prediction.indices, loaded.labels))
        if prediction.probabilities is not None:
            write_probabilities(task.probabilities, prediction.probabilities)
        names = [getattr(task, kind) for kind in wanted]
        written += names
        where = f" -> {', '.join(map(str, names))}" if names else ""
        display.notify(
            f"{number}/{len(tasks)} {task.image}{where} ({perf_counter() - start:.1f} s): "
            f"{shares(prediction.indices, loaded.labels)}"
        )
        if viewer is not None:
            shown = viewable(picture, loaded.preprocessing.data_range)
            viewer.show(shown, prediction.indices, loaded.labels, task.image.name, task.viz)
    display.notify(f"{model}: {predictor.describe()}")
    if faults:
        raise InputError(f"{len(faults)} of {len(tasks)} pictures could not be used: {'; '.join(faults)}")
    return written


def read_and_predict(predictor: Predictor, image: Path, probabilities: bool) -> tuple[NDArray[Any], Prediction]:
    """Return a picture and what the model says about it.

    Raises
    ------
    InputError
        The file cannot be read, or its picture is not of the kind that the model knows.
    """
    picture = raster.read(image)
    try:
        return picture, predictor.predict(picture, probabilities=probabilities)
    except InputError as error:
        raise error.of(image) from None


def check_expectations(model: Bundle, path: Path, classes: int | None, bilinear: bool | None) -> None:
    """Make sure that the model is what the user takes it for.

    Raises
    ------
    InputError
        It is not.
    """
    spec = model.spec
    if classes is not None and classes != spec.classes:
        raise InputError(f"{path} has {spec.classes} classes", f"{classes}", "leave out --classes")
    if bilinear is not None and bilinear != spec.bilinear:
        kinds = ("transposed convolution", "bilinear up-sampling")
        raise InputError(
            f"{path} is a network with {kinds[spec.bilinear]}",
            kinds[bilinear],
            "leave out --bilinear",
        )


def tasks_of(inputs: Sequence[str | Path], outputs: Sequence[str | Path] | None) -> list[PictureTask]:
    """Return the pictures that are meant and where their results go.

    Raises
    ------
    InputError
        With all that is wrong: files that are missing or no pictures, a wrong number of outputs.
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
    if not outputs:
        masks = [image.with_name(f"{image.stem}{MASK_ENDING}") for image in images]
        return [_task(image, mask, image.stem) for image, mask in zip(images, masks, strict=True)]
    targets = [Path(output) for output in outputs]
    if len(targets) == 1 and (targets[0].is_dir() or not targets[0].suffix):
        return [_task(image, targets[0] / f"{image.stem}{MASK_ENDING}", image.stem) for image in images]
    if len(targets) != len(images):
        raise InputError(f"{len(targets)} outputs for {len(images)} pictures", "as many, or one folder")
    return [_task(image, mask, mask.stem) for image, mask in zip(images, targets, strict=True)]


def check_targets(tasks: Sequence[PictureTask], kinds: Sequence[str], overwrite: bool) -> None:
    """Make sure that no file is lost by what is going to be written.

    Raises
    ------
    InputError
        A target is one of the pictures, exists already, is meant for two pictures, or is in no known format.
    """
    targets = [getattr(task, kind) for task in tasks for kind in kinds]
    sources = {task.image.resolve() for task in tasks}
    faults = [f"{target} is one of the pictures" for target in targets if target.resolve() in sources]
    faults += [f"{target} is meant for {n} pictures" for target, n in Counter(targets).items() if n > 1]
    faults += [
        f"{task.mask} has no ending of a picture format"
        for task in tasks
        if "mask" in kinds and task.mask.suffix.lower() not in MASK_SUFFIXES
    ]
    if faults:
        raise InputError("; ".join(faults), remedy="choose other --output names")
    existing = [target for target in targets if target.exists()]
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        what = f"{existing[0]}{more} {'exist' if more else 'exists'} already"
        raise InputError(what, remedy="choose another --output, or allow --overwrite")


def write_prediction(path: Path, indices: NDArray[np.uint8], labels: Labels, raw_values: bool) -> None:
    """Write class indices with a palette, or as the values that the training masks had."""
    if not raw_values:
        raster.write_mask(path, indices, labels.palette())
        return
    values = labels.decode(indices)
    if values.ndim == 3:
        raster.write_picture(path, values)
    else:
        raster.write_grey(path, values)


def write_probabilities(path: Path, probabilities: NDArray[np.float32]) -> None:
    """Write float16 (K, H, W) as .npy, whole or not at all."""

    def save(draft: Path) -> None:
        with draft.open("wb") as file:
            np.save(file, probabilities.astype(np.float16))

    files.write_with(path, save)


def shares(indices: NDArray[np.uint8], labels: Labels) -> str:
    """Return what part of a picture each class takes, the largest first."""
    counts = np.bincount(indices.ravel(), minlength=len(labels))
    order = [index for index in np.argsort(-counts, kind="stable") if counts[index]]
    some = [f"{labels.names[index]} {counts[index] / indices.size:.1%}" for index in order[:6]]
    return ", ".join(some) + (f" and {len(order) - 6} more" if len(order) > 6 else "")


def _task(image: Path, mask: Path, name: str) -> PictureTask:
    beside = mask.parent / name
    return PictureTask(
        image,
        mask,
        overlay=beside.with_name(f"{name}_overlay.jpg"),
        probabilities=beside.with_name(f"{name}_probabilities.npy"),
        viz=beside.with_name(f"{name}_viz.png"),
    )
