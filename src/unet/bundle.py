"""The model file: weights and everything else that prediction needs, in one safetensors file.

The description lies as JSON in the file's metadata, so nothing in a model file is ever executed. The Carvana
U-Net's .pth files are read and written too; they hold weights and mask values only.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unet import models, onnx_files, tensor_files
from unet.errors import ConfigError, DataError, InputError, ModelFileError
from unet.files import StrPath
from unet.labels import Labels, as_value, default_colors, default_names
from unet.models import ModelSpec, legacy
from unet.models.pth_note import add_note, read_note
from unet.models.spec import check
from unet.models.weights import EXPECTED, fitted
from unet.parsing import as_dataclass, read_json
from unet.preprocessing import MOST_SCALE, Preprocessing
from unet.shapes.settings import ShapeSettings

FORMAT = 2
"""Version of the description; raised when an older `unet` could not use a newer file."""

MODEL_NAME = "model.safetensors"
"""What the model file in the folder of a run is called, as in `unet.runs.folder`."""

LEGACY_SCALE = 0.5
"""The scale of Carvana U-Net files, which do not say theirs."""

_ONNX = b"\x08"  # the first byte of an ONNX file: its version comes first
_PROGRAMS = (".xml", ".bin", ".pt2")  # what else `unet export` writes

KEY = "unet"
"""The entry of a file's metadata that describes the model."""


@dataclass(frozen=True)
class _Description:
    """What the JSON in a model file says; `spec` and the like are looked at by their own classes."""

    format: int
    spec: dict[str, Any]
    labels: dict[str, Any]
    preprocessing: dict[str, Any]
    threshold: float | None
    scores: dict[str, Any]
    provenance: dict[str, Any]
    shapes: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ConfigError(f"threshold {self.threshold:g}", "a probability from 0 to 1")
        for name in ("step", "train_pictures", "val_pictures"):
            value = self.provenance.get(name, 0)
            if not isinstance(value, int) or value < 0:
                raise ConfigError(f"{name} {value!r}"[:80], "a whole number, 0 or more")
        for name, value in self.scores.items():
            if not isinstance(value, (int, float, list, dict, type(None))):
                raise ConfigError(f"{name} {value!r}"[:80], "a number")


_ENTRIES = frozenset(each.name for each in fields(_Description))
"""What else a description says, later versions may understand."""


@dataclass(frozen=True)
class Bundle:
    """A model: what it is, what goes in, what comes out, where it comes from.

    Attributes
    ----------
    spec : ModelSpec
    labels : Labels
        At least two entries; a network with one logit tells entry 1 from entry 0.
    preprocessing : Preprocessing
    threshold : float or None
        For one logit: the probability above which a pixel is of class 1 (None: 0.5).
    scores : dict
        What the model reached on the pictures it was validated on.
    provenance : dict
        Settings, data, versions, date.
    state : dict of str to Tensor
        The weights, by their names in the network, on the CPU.
    shapes : ShapeSettings, optional
        For models of edges: how shapes are made of what they predict, as `unet tune-shapes` found.
    graph : Path, optional
        The ONNX file of `unet export` that computes, where there are no weights.

    Examples
    --------
    >>> model = load("model.safetensors")
    >>> network = model.network()
    >>> network(torch.zeros(1, model.spec.bands, 32, 48)).shape
    torch.Size([1, 2, 32, 48])
    """

    spec: ModelSpec
    labels: Labels
    preprocessing: Preprocessing
    threshold: float | None
    scores: dict[str, Any]
    provenance: dict[str, Any]
    state: dict[str, Tensor]
    shapes: ShapeSettings | None = None
    graph: Path | None = None

    def require_weights(self) -> None:
        """Make sure that there are weights.

        Raises
        ------
        ModelFileError
            It is a model that was exported.
        """
        if self.graph is not None:
            raise ModelFileError(
                f"{self.graph}: an exported model, which predicts but has no weights to go on with",
                "the model file that it was made from",
            )

    def network(self) -> nn.Module:
        """Return a network with these weights, which it shares with the bundle, in evaluation mode.

        Raises
        ------
        ModelFileError
            It is a model that was exported.
        """
        self.require_weights()
        # Random weights would only take time; some encoders have constants besides, which no file holds.
        with contextlib.nullcontext() if self.spec.encoder else torch.device("meta"):
            network = models.build(self.spec)
        network.load_state_dict({name: tensor.detach() for name, tensor in self.state.items()}, assign=True)
        return network.eval()


def save(bundle: Bundle, path: StrPath) -> None:
    """Write a model file, whole or not at all.

    Raises
    ------
    InputError
        It cannot be written there.

    Examples
    --------
    >>> model = load("model.safetensors", scale=0.5)
    >>> save(model, "half.safetensors")
    >>> load("half.safetensors").preprocessing.scale
    0.5
    """
    bundle.require_weights()
    tensor_files.write(Path(path), bundle.state, {"format": "pt", KEY: describe(bundle)})


def describe(bundle: Bundle) -> str:
    """Return all that a model file says beside the weights, as JSON; in files of any format it stands under `KEY`."""
    description = {
        "format": FORMAT,
        "spec": bundle.spec.to_dict(),
        "labels": bundle.labels.to_dict(),
        "preprocessing": bundle.preprocessing.to_dict(),
        "threshold": bundle.threshold,
        "scores": bundle.scores,
        "provenance": bundle.provenance,
    }
    if bundle.shapes is not None:  # what older versions do not know they leave alone
        description["shapes"] = bundle.shapes.to_dict()
    return json.dumps(description)


def load(path: StrPath, *, scale: float | None = None) -> Bundle:
    """Read a model file, of ours, of the Carvana U-Net or exported as ONNX; what it is, is told from its content.

    Parameters
    ----------
    path : str or path
        A model file, or the folder of a run, whose model is meant.
    scale : float, optional
        Replaces the scale that the file holds; files of the Carvana U-Net hold none, 0.5 is meant there.

    Raises
    ------
    ModelFileError
        There is no such file, or it is not a model.
    InputError
        The scale makes no sense.

    Examples
    --------
    >>> model = load("model.safetensors")
    >>> model.spec.architecture, model.labels.names
    ('unet', ('background', 'foreground'))
    """
    path = model_file(path)
    if scale is not None and not 0 < scale <= MOST_SCALE:
        raise InputError(f"scale {scale:g}", "more than 0, and at most 1 as a rule")
    if not path.exists():
        raise ModelFileError(f"{path} does not exist", EXPECTED)
    with path.open("rb") as file:
        start = file.read(9)
    if not start:
        raise ModelFileError(f"{path} is empty (0 bytes)", EXPECTED)
    if path.suffix.lower() in _PROGRAMS:
        raise ModelFileError(f"{path} is a model for other programs", EXPECTED)
    if start[8:] == b"{":
        bundle = _checked(_load_safetensors(path), path)
    elif start[:1] == _ONNX or path.suffix.lower() == ".onnx":
        bundle = _load_onnx(path)
    else:
        bundle = _checked(_load_pth(path), path)
    if scale is not None:
        bundle = replace(bundle, preprocessing=replace(bundle.preprocessing, scale=scale))
    return bundle


def model_file(path: StrPath) -> Path:
    """Return the model file that a path means: itself, or the model in the folder of a run.

    Raises
    ------
    ModelFileError
        A folder that holds none.

    Examples
    --------
    >>> model_file("model.safetensors").name
    'model.safetensors'
    """
    path = Path(path)
    if not path.is_dir():
        return path
    inside = path / MODEL_NAME
    if inside.is_file():
        return inside
    folds = sorted(str(fold) for fold in path.glob("fold-*") if (fold / MODEL_NAME).is_file())
    remedy = f"give one of {', '.join(folds[:3])}{', ...' if len(folds) > 3 else ''}" if folds else ""
    raise ModelFileError(f"{path} is a folder without {MODEL_NAME}", EXPECTED, remedy)


def save_pth(bundle: Bundle, path: Path) -> None:
    """Write weights and mask values as the Carvana U-Net does, whole or not at all.

    Such a file has no place for a normalisation, so it is worked into the first convolution. The result is
    the same, but for pixels at the border, where the padding stands for black instead of the mean colour. What gave
    the logits of coarser levels in training is left out.

    Raises
    ------
    InputError
        It cannot be written there, or it is another network than that of the Carvana U-Net.
    """
    bundle.require_weights()
    spec = replace(bundle.spec, deep_supervision=False)
    if spec != ModelSpec("unet", spec.bands, spec.classes, spec.width, spec.depth, spec.bilinear):
        what = f"architecture {spec.architecture}" if spec.architecture != "unet" else "other settings than the usual"
        raise InputError(f"a network of {what}", "a plain U-Net for a .pth file", "keep the .safetensors file")
    values = [value if isinstance(value, int) else list(value) for value in bundle.labels.values]
    state: dict[str, Any] = {
        name: tensor.contiguous() for name, tensor in _raw_input(bundle).items() if not name.startswith("deep.")
    }

    def write(draft: Path) -> None:
        torch.save({**state, "mask_values": values}, draft)
        if "seen" in bundle.provenance:
            add_note(draft, json.dumps({"seen": bundle.provenance["seen"]}))

    tensor_files.write_with(path, write)


def _load_safetensors(path: Path) -> Bundle:
    state, metadata = tensor_files.read(path)
    if KEY not in metadata:
        what = "the state of a training" if "checkpoint" in metadata else "a file of another program"
        raise ModelFileError(f"{path}: {what}", EXPECTED)
    return _described(metadata[KEY], state, path)


def _load_onnx(path: Path) -> Bundle:
    """Return what an exported model says of itself; it has no weights."""
    metadata = onnx_files.metadata_of(onnx_files.read(path))
    if KEY not in metadata:
        raise ModelFileError(f"{path}: an ONNX file of another program", EXPECTED)
    bundle = replace(_described(metadata[KEY], {}, path), graph=path)
    try:
        check(bundle.spec)
    except ConfigError as error:
        raise ModelFileError(f"{path}: {error}", EXPECTED) from None
    _check_parts(bundle, path)
    return bundle


def _described(text: str, state: dict[str, Tensor], path: Path) -> Bundle:
    """Return the bundle that the JSON in a file describes.

    Raises
    ------
    ModelFileError
        It cannot be read.
    """
    try:
        plain = read_json(text)
        if isinstance(plain.get("format"), int) and plain["format"] > FORMAT:
            raise ModelFileError(f"{path}: written by a newer version of unet", remedy="upgrade unet")
        about = as_dataclass(_Description, {key: plain[key] for key in plain if key in _ENTRIES})
        return Bundle(
            spec=ModelSpec.from_dict(about.spec),
            labels=Labels.from_dict(about.labels),
            preprocessing=Preprocessing.from_dict(about.preprocessing),
            threshold=about.threshold,
            scores=about.scores,
            provenance=about.provenance,
            state=state,
            shapes=ShapeSettings.from_dict(about.shapes) if about.shapes else None,
        )
    except ModelFileError:
        raise
    except InputError as error:
        raise ModelFileError(f"{path}: its description cannot be read ({error})", EXPECTED) from None


def _load_pth(path: Path) -> Bundle:
    state, mask_values = legacy.read_pth(path)
    spec = legacy.spec_of_state(state, str(path))
    try:
        labels = _legacy_labels(mask_values, max(2, spec.classes))
    except DataError as error:
        raise ModelFileError(f"{path}: its classes cannot be told ({error})", EXPECTED) from None
    return Bundle(
        spec=spec,
        labels=labels,
        preprocessing=Preprocessing(bands=spec.bands, scale=LEGACY_SCALE, resample="bicubic"),
        threshold=None,
        scores={},
        provenance={"converted_from": path.name, **_note(path)},
        state=state,
    )


def _note(path: Path) -> dict[str, Any]:
    """Return what a .pth file of ours says of the pictures that the model has seen; those of others say nothing."""
    try:
        note = json.loads(read_note(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return {"seen": note["seen"]} if isinstance(note, dict) and "seen" in note else {}


def _legacy_labels(mask_values: list[Any] | None, count: int) -> Labels:
    values = [as_value(v[:3] if isinstance(v, list) else v) for v in mask_values or range(count)][:count]
    if len(values) < count:  # a class that was never in the masks; the Carvana system writes it as 0
        values += [0 if isinstance(values[0], int) else (0, 0, 0)] * (count - len(values))
    return Labels(default_names(count), default_colors(count), tuple(values))


def _checked(bundle: Bundle, path: Path) -> Bundle:
    """Return the bundle with its weights in float32, once its parts are known to belong together.

    Raises
    ------
    ModelFileError
        They do not.
    """
    try:
        state = fitted(bundle.state, bundle.spec)
    except ModelFileError as error:
        raise error.of(path) from None
    _check_parts(bundle, path)
    return replace(bundle, state=state)


def _check_parts(bundle: Bundle, path: Path) -> None:
    spec, labels = bundle.spec, bundle.labels
    if len(labels) < spec.classes:
        raise ModelFileError(f"{path}: {len(labels)} class names for {spec.classes} classes")
    if spec.bands != bundle.preprocessing.bands:
        raise ModelFileError(f"{path}: a network for {spec.bands} bands, pictures of {bundle.preprocessing.bands}")


def _raw_input(bundle: Bundle) -> dict[str, Tensor]:
    """Return the weights of the network that takes pictures divided by 255 and not normalised otherwise."""
    preprocessing = bundle.preprocessing
    if preprocessing.data_range == 255.0 and not preprocessing.mean:
        return dict(bundle.state)
    first, mean = "inc.double_conv.0.weight", "inc.double_conv.1.running_mean"
    shift = torch.tensor(preprocessing.mean or (0.0,) * preprocessing.bands)
    spread = torch.tensor(preprocessing.std or (1.0,) * preprocessing.bands)
    weight = bundle.state[first] / spread[:, None, None]
    constant = (weight * shift[:, None, None]).sum(dim=(1, 2, 3))  # what the mean takes from every pixel
    weight = weight * (255.0 / preprocessing.data_range)
    return {**bundle.state, first: weight, mean: bundle.state[mean] + constant}
