"""`unet.evaluate` and `unet.predict`."""

from __future__ import annotations

from collections.abc import Sequence
from os import fspath

from unet.api.calling import checked
from unet.api.results import PredictResult, ScoreReport
from unet.files import StrPath, as_paths
from unet.terminal.speech import listening


@checked()
def evaluate(
    model: StrPath,
    data: StrPath | None = None,
    *,
    images: StrPath | None = None,
    masks: StrPath | None = None,
    mask_suffix: str | None = None,
    class_field: str | None = None,
    outline: int | None = None,
    split: str | None = None,
    roi: StrPath | None = None,
    json: StrPath | None = None,
    scale: float | None = None,
    exact: bool = False,
    backend: str | None = None,
    boundary: bool = False,
    tolerance: str | float | None = None,
    device: str = "auto",
    overwrite: bool = False,
    verbose: bool = False,
) -> ScoreReport:
    """Score a model on pictures with known masks.

    Parameters
    ----------
    model : str or path
        A model file, or the folder of a run.
    data : str or path, optional
        Folder with pictures and masks, or a `dataset.toml`; or give `images` and `masks`. Of a run it may be left out:
        a part of its own pictures is scored.
    split : {"all", "train", "val", "test"}, optional
        Which part.
    boundary : bool
        Score outlines too; they are in `ScoreReport.everything["boundary"]`.
    tolerance : str or float, optional
        How far apart two outlines may be: pixels (2), or a share of the diagonal ("0.75%").
    verbose : bool
        Show progress and a table.
    mask_suffix, class_field, outline, roi, json, scale, exact, backend, device, overwrite
        See `unet.commands.evaluate.evaluate`.

    Returns
    -------
    ScoreReport

    Raises
    ------
    InputError
        A file or folder that cannot be used, or mask values that the model does not know.

    Examples
    --------
    >>> import unet
    >>> scores = unet.evaluate("model.safetensors", "data")
    >>> 0 <= scores.mean_iou <= 1, [each.name for each in scores.classes]
    (True, ['background', 'foreground'])
    """
    from unet.commands.evaluate import evaluate as command

    with listening(verbose) as said:
        scores = command(
            model, data, images=images, masks=masks, mask_suffix=mask_suffix, class_field=class_field, outline=outline,
            split=split, roi=roi, json=json, scale=scale, exact=exact, backend=backend, boundary=boundary,
            tolerance=None if tolerance is None else str(tolerance), device=device, overwrite=overwrite,
        )  # fmt: skip
    return ScoreReport.from_dict(scores, tuple(said))


@checked()
def predict(
    model: StrPath | Sequence[StrPath],
    inputs: StrPath | Sequence[StrPath],
    *,
    outputs: StrPath | Sequence[StrPath] | None = None,
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
    roi: StrPath | None = None,
    shard: tuple[int, int] | None = None,
    device: str = "auto",
    classes: int | None = None,
    bilinear: bool | None = None,
    csv: StrPath | None = None,
    overwrite: bool = False,
    resume: bool = False,
    verbose: bool = False,
) -> PredictResult:
    """Write a mask for every picture; `unet.load(model).predict(picture)` gives arrays instead.

    Parameters
    ----------
    model : str or path, or several of them
        A model file. Of several the probabilities are averaged.
    inputs : str or path, or several of them
        Pictures, folders of pictures, patterns.
    outputs : str or path, or several of them, optional
        A folder, or as many files as there are pictures; by default the folder "predicted".
    csv : str or path, optional
        A table to write: pixels and share of each class in each picture.
    verbose : bool
        Show progress, and for each picture the share of each class.
    scale, threshold, overlay, probabilities, epm, class_name, raw_values, viz, save, exact, backend, tile, join, pad
        See `unet.commands.predict.predict`.
    tta, roi, shard, device, classes, bilinear, overwrite, resume
        See there too.

    Returns
    -------
    PredictResult

    Raises
    ------
    InputError
        Anything that is wrong with the arguments or the files.
    MissingExtraError
        `viz` without matplotlib.

    Examples
    --------
    >>> import unet
    >>> result = unet.predict("model.safetensors", "data/imgs/p00.png", outputs="mask.png")
    >>> [path.as_posix() for path in result.files]
    ['mask.png']
    """
    from unet.commands.predict import predict as command

    with listening(verbose) as said:
        files = command(
            model,
            as_paths(inputs),
            outputs=None if outputs is None else as_paths(outputs),
            scale=scale, threshold=threshold, overlay=overlay, probabilities=probabilities, epm=epm,
            class_name=class_name, raw_values=raw_values, viz=viz, save=save, exact=exact, backend=backend,
            tile=tile, join=join, pad=pad, tta=tta, roi=None if roi is None else fspath(roi), shard=shard,
            device=device, classes=classes, bilinear=bilinear, csv=csv, overwrite=overwrite, resume=resume,
        )  # fmt: skip
    return PredictResult(tuple(files), tuple(said))
