"""`unet convert`: between our model files and the Carvana U-Net's .pth files, both ways."""

from __future__ import annotations

from pathlib import Path

from unet import bundle
from unet.errors import InputError
from unet.files import StrPath

TARGETS = (".safetensors", ".pth")


def convert(source: StrPath, target: StrPath, *, overwrite: bool = False, scale: float | None = None) -> Path:
    """Write a model in the other format; the ending of `target` says which.

    Parameters
    ----------
    source : str or path
        A model file of either kind, or the folder of a run.
    target : str or path
        MODEL.safetensors, or MODEL.pth for the original Carvana program. A .pth holds weights and mask
        values, and which pictures the model has seen: names, colours, scale and scores stay behind, a normalisation
        goes into the first convolution.
    overwrite : bool
        Allow `target` to exist already.
    scale : float, optional
        The scale to note in a .safetensors; by default what the source says (a .pth: 0.5).

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    InputError
        The source is not a model, or the target cannot be written.

    Examples
    --------
    >>> import unet
    >>> unet.convert("model.safetensors", "model.pth").as_posix()
    'model.pth'
    """
    source, target = bundle.model_file(source), Path(target)
    suffix = target.suffix.lower()
    if suffix not in TARGETS:
        raise InputError(f"{target} ends in {suffix or 'nothing'}", " or ".join(TARGETS))
    if target.exists():
        if source.exists() and target.samefile(source):
            raise InputError(f"{target} is the source itself", "another file")
        if not overwrite:
            raise InputError(f"{target} exists", "a new file", "choose another name, or allow --overwrite")
    model = bundle.load(source, scale=scale)
    if suffix == ".pth":
        bundle.save_pth(model, target)
    else:
        bundle.save(model, target)
    return target
