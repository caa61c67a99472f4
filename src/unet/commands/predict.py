"""`unet predict`: masks for pictures and for sheets of any size. Read `predict` from top to bottom."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import bundle, raster
from unet.bundle import Bundle
from unet.errors import InputError
from unet.files import StrPath, as_paths
from unet.inference import products as making
from unet.inference.areas import check_table, count_mask, table_of_shard, write_areas
from unet.inference.averaging import Ensemble
from unet.inference.outputs import Options, Outputs, begin_products
from unet.inference.predictor import Predictor
from unet.inference.products import Product
from unet.inference.streaming import Plan, Scored, check_source, plan_tiles, predict_raster
from unet.inference.tasks import (
    PictureTask,
    check_formats,
    check_targets,
    left_to_do,
    picture_tasks,
    shard_of_environment,
)
from unet.inference.threads import overlapped
from unet.labels import Labels
from unet.raster.roi import open_region
from unet.report.legend import legend, with_legend
from unet.report.overlay import overlay as draw_overlay
from unet.report.overlay import viewable
from unet.report.viewer import Viewer
from unet.runs.targets import check_target
from unet.terminal.display import Display, open_display

MOST_DRAWN = 1 << 26
"""Pixels of pictures that are drawn, as overlays or in a window: these are held in memory."""

BESIDE_BYTES = 1 << 26
"""Pictures that take no more memory, scores of all classes included, are read, computed and written several at once."""

AT_ONCE = min(8, 2 * (os.cpu_count() or 1))
"""How many pictures at most: for each processor one is read or written while another is computed."""

LARGE_BYTES = 1 << 30
"""A picture that is decoded into more memory than this is worth a word."""


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
    backend: str | None = None,
    tile: int | None = None,
    join: str | None = None,
    pad: str | None = None,
    tta: str | None = None,
    roi: str | Path | None = None,
    shard: tuple[int, int] | None = None,
    device: str = "auto",
    classes: int | None = None,
    bilinear: bool | None = None,
    csv: StrPath | None = None,
    legacy: bool = False,
    overwrite: bool = False,
    resume: bool = False,
) -> list[Path]:
    """Write a mask for every picture.

    Parameters
    ----------
    model : str or path, or several of them
        A model file, .safetensors or the Carvana system's .pth, or the folder of a run. Of several
        the probabilities are averaged.
    inputs : sequence of str
        Pictures, folders of pictures, patterns.
    outputs : sequence of str, optional
        A folder, or as many files as there are pictures. By default predicted/NAME_OUT.png where the command is run.
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
        Compute in float32, with torch.
    backend : {"auto", "torch", "openvino"}, optional
        What computes: by default UNET_BACKEND or else "auto", see `unet.inference.backends.choose`.
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
    csv : str or path, optional
        A table to write: pixels and share of each class in each picture, and its area where the picture is a map.
    legacy : bool
        As the Carvana system did: by default NAME_OUT.png beside each picture, and masks also in formats that change
        their values (JPEG).
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
    """
    models = [bundle.model_file(each) for each in as_paths(model)]
    shard = shard or shard_of_environment()
    display = open_display()
    viewer = Viewer() if viz else None
    loaded = [bundle.load(path, scale=scale) for path in models]
    for each, path in zip(loaded, models, strict=True):
        check_expectations(each, path, classes, bilinear)
    spec, labels = loaded[0].spec, loaded[0].labels
    drawn_to_file = viewer is not None and not viewer.interactive
    wanted = Outputs(save, overlay, probabilities, epm, class_name, raw_values, drawn_to_file, labels, spec.classes)
    making.check_class(labels, class_name, epm is not None)
    all_tasks = picture_tasks(inputs, outputs, tiff=probabilities not in (False, True, "npy"), beside=legacy)
    may_be_there, leave_out = overwrite or resume or shard is not None, (resume or bool(shard)) and not overwrite
    if wanted.save:
        check_formats(all_tasks, raw_values, display.notify if legacy else None)
    others = [*models, *([Path(roi)] if roi is not None else [])]
    check_targets(all_tasks, wanted.kinds, may_be_there, others)
    table = None if csv is None else table_of_shard(Path(csv), shard)
    if table is not None:
        check_table(table, wanted.kinds, leave_out)
        check_target(table, may_be_there, "--csv", [*others, *(task.image for task in all_tasks)])
    mine = tasks = all_tasks[shard[0] - 1 :: shard[1]] if shard else all_tasks
    if leave_out:
        tasks = left_to_do(tasks, wanted.kinds, display.notify)
    if spec.classes > 1 and threshold not in (None, 0.5):
        display.notify(f"note: the threshold has no effect: of {spec.classes} classes the most probable is taken")

    whole = viewer is None and tile is None and join is None and pad is None
    at_once = max(1, min(AT_ONCE, len(tasks))) if whole else 1
    how: dict[str, Any] = {"threshold": threshold, "tile": tile, "join": join, "backend": backend, "at_once": at_once}
    ensemble = Ensemble(
        [Predictor(each, device=device, exact=exact, notify=display.notify, **how) for each in loaded],
        tta,
    )
    del loaded, each  # one copy of the weights is enough
    region = Path(roi) if roi is not None else None
    options = Options(
        models, region, tile, join, pad, tta, exact, threshold, overwrite, resume or shard is not None,
        ensemble.first.backend.name,
    )  # fmt: skip
    written: list[Path] = []
    faults: list[str] = []
    counted: dict[Path, NDArray[np.int64]] = {}

    def work(task: PictureTask) -> tuple[NDArray[np.int64], float]:
        start = perf_counter()
        return predict_one(ensemble, task, wanted, options, viewer, display), perf_counter() - start

    def alone(task: PictureTask) -> bool:
        return at_once == 1 or not is_small(task.image, ensemble, options)

    for number, (task, result) in enumerate(overlapped(tasks, work, alone, at_once), start=1):
        try:
            counted[task.image], seconds = result()
        except InputError as error:
            if len(all_tasks) == 1:
                raise
            display.notify(f"left out: {error}")
            faults.append(str(error))
            continue
        names = [getattr(task, kind) for kind in wanted.kinds]
        written += names
        where = f" -> {', '.join(map(str, names))}" if names else ""
        said = f"{number}/{len(tasks)} {task.image}{where} ({seconds:.1f} s)"
        display.notify(f"{said}: {shares(counted[task.image], labels)}")
    display.notify(f"model: {', '.join(map(str, models))}, {ensemble.describe()}")
    if table is not None:
        counted |= {task.image: count_mask(task.mask, labels, raw_values) for task in mine if task not in tasks}
        found = [(task.image, counted[task.image]) for task in mine if task.image in counted]
        write_areas(table, found, labels, display.notify)
        display.notify(f"areas: {table}")
    if faults:
        raise InputError(f"{len(faults)} of {len(tasks)} pictures could not be used: {'; '.join(faults)}")
    return written


def is_small(image: Path, ensemble: Ensemble, options: Options) -> bool:
    """Tell whether a picture is one tile, and takes so little memory that others may be read and written beside it."""
    try:
        about = raster.probe(image)
        plan = plan_tiles(ensemble, about.height, about.width, tile=options.tile, join=options.join, pad=options.pad)
    except InputError:  # it is told when its turn comes
        return False
    pixel = about.bands * (np.dtype(about.dtype).itemsize + 8) + 4 * ensemble.channels
    return plan.whole and pixel * max(plan.size[0] * plan.size[1], plan.seen[0] * plan.seen[1]) <= BESIDE_BYTES


def predict_one(
    ensemble: Ensemble, task: PictureTask, wanted: Outputs, options: Options, viewer: Viewer | None, display: Display
) -> NDArray[np.int64]:
    """Predict a picture, write what is wanted, and return how many pixels each class takes.

    Raises
    ------
    InputError
        The picture cannot be read or is not of the kind that the models know, or a file cannot be written.
    """
    is_drawn = wanted.overlay or viewer is not None
    with raster.open(task.image) as source:
        for words in check_source(source, ensemble.first.bundle.preprocessing):
            ensemble.first.say_once(words, f"{task.image}: ")
        plan = plan_tiles(ensemble, source.height, source.width, tile=options.tile, join=options.join, pad=options.pad)
        if options.region is not None:
            with open_region(options.region, source) as region:
                if region.remark:
                    display.notify(region.remark)
        tell_size(source, display)
        if is_drawn:
            check_drawable(task.image, plan)
        products = begin_products(source, task, wanted, options, plan)
    drawn: Product | None = None
    try:
        if is_drawn:
            drawn = making.in_memory(*plan.size)
        counts = run(ensemble, task, plan, products, drawn, options, len(wanted.labels), display)
        for product in products:
            product.close()
    except BaseException:
        for product in products:
            product.abandon()
        raise
    if drawn is not None:
        show(task, making.kept(drawn), wanted, viewer, ensemble.first.bundle)
    return counts


def run(
    ensemble: Ensemble,
    task: PictureTask,
    plan: Plan,
    products: Sequence[Product],
    drawn: Product | None,
    options: Options,
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

    predicted = partial(predict_raster, ensemble, task.image, plan, write, region=options.region, rows_there=rows_there)
    if len(plan.rows) * len(plan.cols) == 1:  # several pictures at once: no bar, of which there can be one only
        predicted()
        return counts
    with display.counting(f"predicting {task.image.name}") as counting:
        predicted(rows_done=rows_done if len(plan.rows) > 1 else lambda rows: None, progress=counting)
    return counts


def check_drawable(image: Path, plan: Plan) -> None:
    """Make sure that a picture is not too large to be drawn with its mask.

    Raises
    ------
    InputError
        It is.
    """
    if plan.size[0] * plan.size[1] > MOST_DRAWN:
        raise InputError(
            f"{image}: an overlay of {plan.size[1]} x {plan.size[0]} px", f"{MOST_DRAWN:,} px at most",
            "leave out --overlay and --viz, and look at the mask in a viewer for maps",
        )  # fmt: skip


def show(task: PictureTask, indices: NDArray[np.uint8], wanted: Outputs, viewer: Viewer | None, model: Bundle) -> None:
    """Draw picture and mask together, into a file or a window."""
    shown = viewable(raster.read(task.image), model.preprocessing.data_range)
    if wanted.overlay:
        key = legend(wanted.labels, shown.shape[1], shown=indices, overlaid=True)
        raster.write_picture(task.overlay, with_legend(draw_overlay(shown, indices, wanted.labels), key))
    if viewer is not None:
        viewer.show(shown, indices, wanted.labels, task.image.name, task.viz)


def tell_size(source: raster.Source, display: Display) -> None:
    """Say so where a picture is decoded into much memory."""
    size = source.height * source.width * source.bands * np.dtype(source.dtype).itemsize
    if source.in_memory and size > LARGE_BYTES:
        display.notify(f"{source.path}: {size / 2**30:.1f} GiB when decoded; a tiled GeoTIFF would be read in parts")


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


def shares(counts: NDArray[np.int64], labels: Labels) -> str:
    """Return what part of a picture each class takes, by its pixels, the largest first."""
    total = max(int(counts.sum()), 1)
    order = [index for index in np.argsort(-counts, kind="stable") if counts[index]]
    some = [f"{labels.names[index]} {counts[index] / total:.1%}" for index in order[:6]]
    return ", ".join(some) + (f" and {len(order) - 6} more" if len(order) > 6 else "")
