"""`unet predict`: masks for pictures and for sheets of any size. Read `predict` from top to bottom."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from unet import bundle, raster
from unet.bundle import Bundle
from unet.data.pairs import find_images
from unet.errors import InputError, RasterError
from unet.files import StrPath
from unet.inference import products as making
from unet.inference.averaging import Ensemble
from unet.inference.predictor import Predictor
from unet.inference.products import Product
from unet.inference.streaming import Plan, Scored, check_source, plan_tiles, predict_raster
from unet.labels import Labels
from unet.raster.roi import open_region
from unet.report.overlay import overlay as draw_overlay
from unet.report.overlay import viewable
from unet.report.viewer import Viewer
from unet.terminal.display import Display, open_display

MASK_ENDING = "_OUT.png"
MASK_SUFFIXES = raster.PICTURE_SUFFIXES - {".pt", ".pth"}

MOST_DRAWN = 1 << 26
"""Pixels of pictures that are drawn, as overlays or in a window: these are held in memory."""

LARGE_BYTES = 1 << 30
"""A picture that is decoded into more memory than this is worth a word."""


@dataclass(frozen=True)
class PictureTask:
    """A picture and the files that are written for it, each only where asked for."""

    image: Path
    mask: Path
    overlay: Path
    probabilities: Path
    epm: Path
    viz: Path


def predict(
    model: StrPath | Sequence[StrPath],
    inputs: Sequence[str | Path],
    *,
    outputs: Sequence[str | Path] | None = None,
    scale: float | None = None,
    threshold: float | None = None,
    overlay: bool = False,
    probabilities: bool | str = False,
    epm: int | None = None,
    class_name: str | None = None,
    raw_values: bool = False,
    viz: bool = False,
    save: bool = True,
    exact: bool = False,
    tile: int | None = None,
    join: str | None = None,
    pad: str | None = None,
    tta: str | None = None,
    roi: str | Path | None = None,
    shard: tuple[int, int] | None = None,
    device: str = "auto",
    classes: int | None = None,
    bilinear: bool | None = None,
    overwrite: bool = False,
    resume: bool = False,
) -> list[Path]:
    """Write a mask for every picture.

    Parameters
    ----------
    model : str or path, or several of them
        A model file, .safetensors or the Carvana system's .pth. Of several the probabilities are averaged.
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
    probabilities : bool or {"npy", "uint8", "float16", "float32"}
        Write NAME_probabilities.npy too ("npy", True): float16 (K, H, W), of class 1 only for models with one logit.
        Or NAME_probabilities.tif of that kind of number; uint8 are 255 times the probability.
    epm : {8, 16}, optional
        Write NAME_epm.png too, of so many bits, or .tif where the mask is one: the probability of the edge, or of the
        foreground.
    class_name : str, optional
        The class that `probabilities` and `epm` are of.
    raw_values : bool
        Write the values of the training masks (0/1 as a 1-bit picture) instead of indices with a palette.
    viz : bool
        Show picture and mask in a window; where there is no display, write NAME_viz.png.
    save : bool
        Write the mask.
    exact : bool
        Compute in float32.
    tile, join, pad : optional
        See `unet.inference.streaming.plan_tiles`.
    tta : {"flips", "d4"}, optional
        Average the probabilities of four or eight mirrored and turned views.
    roi : path, optional
        A mask or a GeoJSON file, see `unet.raster.roi.open_region`; what lies outside is 255 in masks.
    shard : (int, int), optional
        Predict only the pictures number, number + of, ... of all, counted from 1, and leave out what is there already.
        By default the RANK and WORLD_SIZE that `torchrun` sets.
    classes, bilinear : optional
        What the model is expected to be.
    overwrite : bool
        Allow files that are written to exist already; a picture that is read is never overwritten.
    resume : bool
        Leave out pictures whose files are all there, and go on with one that an earlier run has left unfinished.

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
    models = [Path(model)] if isinstance(model, (str, os.PathLike)) else [Path(each) for each in model]
    shard = shard or shard_of_environment()
    display = open_display()
    viewer = Viewer() if viz else None
    loaded = [bundle.load(path, scale=scale) for path in models]
    for each, path in zip(loaded, models, strict=True):
        check_expectations(each, path, classes, bilinear)
    spec, labels = loaded[0].spec, loaded[0].labels
    wanted = Wanted(save, overlay, probabilities, epm, class_name, raw_values, viewer, labels, spec.classes)
    making.check_class(labels, class_name, epm is not None)
    all_tasks = tasks_of(inputs, outputs, tiff=probabilities not in (False, True, "npy"))
    check_targets(all_tasks, wanted.kinds, overwrite or resume or shard is not None, display)
    tasks = all_tasks[shard[0] - 1 :: shard[1]] if shard else all_tasks
    if (resume or shard) and not overwrite:
        tasks = left_to_do(tasks, wanted.kinds, display)
    if spec.classes > 1 and threshold not in (None, 0.5):
        display.notify(f"the threshold has no effect: of {spec.classes} classes the most probable is taken")

    ensemble = Ensemble(
        [
            Predictor(
                each, device=device, exact=exact, threshold=threshold, tile=tile, join=join, notify=display.notify
            )
            for each in loaded
        ],
        tta,
    )
    del loaded  # one copy of the weights is enough
    region = Path(roi) if roi is not None else None
    how = How(models, region, tile, join, pad, tta, exact, threshold, overwrite, resume or shard is not None)
    written: list[Path] = []
    faults: list[str] = []
    for number, task in enumerate(tasks, start=1):
        start = perf_counter()
        try:
            said = predict_one(ensemble, task, wanted, how, display)
        except InputError as error:
            if len(all_tasks) == 1:
                raise
            display.notify(f"left out: {error}")
            faults.append(str(error))
            continue
        names = [getattr(task, kind) for kind in wanted.kinds]
        written += names
        where = f" -> {', '.join(map(str, names))}" if names else ""
        display.notify(f"{number}/{len(tasks)} {task.image}{where} ({perf_counter() - start:.1f} s): {said}")
    display.notify(f"{', '.join(map(str, models))}: {ensemble.describe()}")
    if faults:
        raise InputError(f"{len(faults)} of {len(tasks)} pictures could not be used: {'; '.join(faults)}")
    return written


@dataclass(frozen=True)
class Wanted:
    """What is made of each picture; see `predict`."""

    save: bool
    overlay: bool
    probabilities: bool | str
    epm: int | None
    class_name: str | None
    raw_values: bool
    viewer: Viewer | None
    labels: Labels
    channels: int

    @property
    def kinds(self) -> list[str]:
        """The files, as `PictureTask` names them."""
        asked = {
            "mask": self.save,
            "overlay": self.overlay,
            "probabilities": bool(self.probabilities),
            "epm": self.epm is not None,
            "viz": self.viewer is not None and not self.viewer.interactive,
        }
        return [kind for kind, is_asked in asked.items() if is_asked]

    @property
    def is_drawn(self) -> bool:
        """Whether picture and mask are shown together."""
        return self.overlay or self.viewer is not None


@dataclass(frozen=True)
class How:
    """How all pictures are computed; see `predict`."""

    models: list[Path]
    region: Path | None
    tile: int | None
    join: str | None
    pad: str | None
    tta: str | None
    exact: bool
    threshold: float | None
    overwrite: bool
    resume: bool


def predict_one(ensemble: Ensemble, task: PictureTask, wanted: Wanted, how: How, display: Display) -> str:
    """Predict a picture, write what is wanted, and return in words what it shows.

    Raises
    ------
    InputError
        The picture cannot be read or is not of the kind that the models know, or a file cannot be written.
    """
    with raster.open(task.image) as source:
        check_source(source, ensemble.first.bundle.preprocessing)
        plan = plan_tiles(ensemble, source.height, source.width, tile=how.tile, join=how.join, pad=how.pad)
        if how.region is not None:
            with open_region(how.region, source) as region:
                if region.remark:
                    display.notify(region.remark)
        tell_size(source, display)
        products = products_of(source, task, wanted, how, plan)
    drawn: Product | None = None
    try:
        if wanted.is_drawn:
            drawn = making.in_memory(*plan.size)
        said = run(ensemble, task, plan, products, drawn, how, len(wanted.labels), display)
        for product in products:
            product.close()
    except BaseException:
        for product in products:
            product.abandon()
        raise
    if drawn is not None:
        show(task, making.kept(drawn), wanted, ensemble.first.bundle)
    return shares(said, wanted.labels)


def run(
    ensemble: Ensemble,
    task: PictureTask,
    plan: Plan,
    products: Sequence[Product],
    drawn: Product | None,
    how: How,
    classes: int,
    display: Display,
) -> NDArray[np.int64]:
    """Predict a picture into its products, and return how many pixels each class takes."""
    rows_there = min((product.rows_done for product in products), default=0)
    noted: list[int] = []
    if rows_there:
        noted = min(products, key=lambda product: product.rows_done).note.get("classes", [])
        display.notify(f"{task.image}: {rows_there} of {plan.size[0]} rows are there already")
    counts = np.array(noted if len(noted) == classes else [0] * classes, dtype=np.int64)

    def write(scored: Scored) -> None:
        counts[:] += np.bincount(scored.classes.ravel(), minlength=256)[:classes]
        for product in [*products, *([drawn] if drawn else [])]:
            product.write(scored)

    def rows_done(rows: int) -> None:
        for product in products:
            product.mark(rows, {"classes": counts.tolist()})

    with display.counting(f"predicting {task.image.name}") as counting:
        predict_raster(
            ensemble, task.image, plan, write, region=how.region, rows_there=rows_there,
            rows_done=rows_done if len(plan.rows) > 1 else lambda rows: None, progress=counting,
        )  # fmt: skip
    return counts


def products_of(source: raster.Source, task: PictureTask, wanted: Wanted, how: How, plan: Plan) -> list[Product]:
    """Begin the files of a picture.

    Raises
    ------
    InputError
        One of them cannot be written, or something is left of an earlier run that is not to be gone on with.
    """
    if wanted.is_drawn and plan.size[0] * plan.size[1] > MOST_DRAWN:
        raise InputError(
            f"{task.image}: an overlay of {plan.size[1]} x {plan.size[0]} px", f"{MOST_DRAWN:,} px at most",
            "leave out --overlay and --viz, and look at the mask in a viewer for maps",
        )  # fmt: skip
    options = {
        "like": source,
        "overwrite": how.overwrite or how.resume,
        "resumable": len(plan.rows) > 1,
        "resume": how.resume and not how.overwrite,
        "signature": signature(task.image, wanted, how, plan),
    }
    makers: list[Callable[[], Product]] = []
    if wanted.save:
        makers.append(lambda: making.mask(task.mask, wanted.labels, wanted.raw_values, options))
    if wanted.probabilities:
        kind = "npy" if wanted.probabilities is True else str(wanted.probabilities)
        makers.append(
            lambda: making.probabilities(
                task.probabilities, wanted.labels, wanted.channels, kind, wanted.class_name, options
            )
        )
    if wanted.epm is not None:
        bits = wanted.epm
        makers.append(lambda: making.epm(task.epm, wanted.labels, bits, wanted.class_name, options))
    products: list[Product] = []
    try:
        for make in makers:
            products.append(make())
    except BaseException:
        for product in products:
            product.abandon()
        raise
    return products


def signature(image: Path, wanted: Wanted, how: How, plan: Plan) -> str:
    """Return what the rows of a result depend on, as one word: a run goes on only with what came of the same."""

    def state(path: Path) -> list[int | str]:
        known = path.stat()
        return [str(path.resolve()), known.st_size, known.st_mtime_ns]

    held = {
        "files": [state(path) for path in (image, *how.models, *([how.region] if how.region else []))],
        "wanted": [str(wanted.probabilities), wanted.epm, wanted.class_name, wanted.raw_values],
        "how": [how.tta, how.exact, how.threshold],
        "plan": repr(plan),
    }
    return blake2b(json.dumps(held).encode(), digest_size=16).hexdigest()


def show(task: PictureTask, indices: NDArray[np.uint8], wanted: Wanted, model: Bundle) -> None:
    """Draw picture and mask together, into a file or a window."""
    shown = viewable(raster.read(task.image), model.preprocessing.data_range)
    if wanted.overlay:
        raster.write_picture(task.overlay, draw_overlay(shown, indices, wanted.labels))
    if wanted.viewer is not None:
        wanted.viewer.show(shown, indices, wanted.labels, task.image.name, task.viz)


def tell_size(source: raster.Source, display: Display) -> None:
    """Say so where a picture is decoded into much memory."""
    size = source.height * source.width * source.bands * np.dtype(source.dtype).itemsize
    if source.in_memory and size > LARGE_BYTES:
        display.notify(f"{source.path}: {size / 2**30:.1f} GiB when decoded; a tiled GeoTIFF would be read in parts")


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


def left_to_do(tasks: Sequence[PictureTask], kinds: Sequence[str], display: Display) -> list[PictureTask]:
    """Return the pictures of which a file is missing, and say how many are done."""
    left = [task for task in tasks if not kinds or not all(getattr(task, kind).exists() for kind in kinds)]
    if len(left) < len(tasks):
        display.notify(f"{len(tasks) - len(left)} of {len(tasks)} pictures are done already")
    return left


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


def tasks_of(
    inputs: Sequence[str | Path], outputs: Sequence[str | Path] | None, tiff: bool = False
) -> list[PictureTask]:
    """Return the pictures that are meant and where their results go; `tiff`: probabilities as a raster.

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
        return [_task(image, mask, image.stem, tiff) for image, mask in zip(images, masks, strict=True)]
    targets = [Path(output) for output in outputs]
    if len(targets) == 1 and (targets[0].is_dir() or not targets[0].suffix):
        return [_task(image, targets[0] / f"{image.stem}{MASK_ENDING}", image.stem, tiff) for image in images]
    if len(targets) != len(images):
        raise InputError(f"{len(targets)} outputs for {len(images)} pictures", "as many, or one folder")
    return [_task(image, mask, mask.stem, tiff) for image, mask in zip(images, targets, strict=True)]


def check_targets(tasks: Sequence[PictureTask], kinds: Sequence[str], overwrite: bool, display: Display) -> None:
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
    changed = [task.mask for task in tasks if "mask" in kinds and task.mask.suffix.lower() in raster.LOSSY_SUFFIXES]
    if changed:
        display.notify(f"{changed[0]}: this format does not keep the values of a mask; .png does")
    existing = [target for target in targets if target.exists()]
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        what = f"{existing[0]}{more} {'exist' if more else 'exists'} already"
        raise InputError(what, remedy="choose another --output, or allow --overwrite")


def shares(counts: NDArray[np.int64], labels: Labels) -> str:
    """Return what part of a picture each class takes, by its pixels, the largest first."""
    total = max(int(counts.sum()), 1)
    order = [index for index in np.argsort(-counts, kind="stable") if counts[index]]
    some = [f"{labels.names[index]} {counts[index] / total:.1%}" for index in order[:6]]
    return ", ".join(some) + (f" and {len(order) - 6} more" if len(order) > 6 else "")


def _task(image: Path, mask: Path, name: str, tiff: bool) -> PictureTask:
    beside = mask.parent / name
    return PictureTask(
        image,
        mask,
        overlay=beside.with_name(f"{name}_overlay.jpg"),
        probabilities=beside.with_name(f"{name}_probabilities{'.tif' if tiff else '.npy'}"),
        epm=beside.with_name(f"{name}_epm{'.tif' if mask.suffix.lower() in ('.tif', '.tiff') else '.png'}"),
        viz=beside.with_name(f"{name}_viz.png"),
    )
