"""`unet export`: a model for other programs, compared with the original before it is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unet import bundle
from unet.bundle import Bundle
from unet.commands.evaluate import described_part
from unet.config import DataConfig
from unet.data.finding import counted
from unet.data.manifest import describe
from unet.data.pairs import find_images
from unet.data.parts import find_parts
from unet.errors import ConfigError, InputError
from unet.export import formats, graph, keys, measuring, parity
from unet.export.formats import SUFFIXES, Exported
from unet.export.measuring import Int8
from unet.export.parity import Parity
from unet.export.pictures import Pictures, least_side
from unet.export.quantising import Quantiser
from unet.files import StrPath, as_path
from unet.inference.backends.graphs import is_installed
from unet.inference.evaluation import EvaluationSet
from unet.labels import Labels
from unet.models import geometry_of
from unet.runs.folder import is_run
from unet.runs.opening import Run, open_run
from unet.runs.targets import check_target
from unet.terminal.display import Display, open_display
from unet.terminal.speech import speaking

CHECKED, CALIBRATED, MEASURED = 6, 32, 64
"""So many pictures are compared, give the ranges of activations, and are scored; of more, evenly spread ones."""

HELD_OUT = 4
"""Of pictures without parts every fourth is measured on, the others are calibrated on."""

MAX_DROP = 0.005

RUNTIMES_APART = 0.01
"""Share of the pixels: that ONNX Runtime and OpenVINO round differently does not change the class of more."""


@dataclass(frozen=True)
class ExportResult:
    """A model that was exported.

    Attributes
    ----------
    path : Path
        The file; OpenVINO's weights lie beside it in a .bin.
    parity : Parity
        How far what it gives is from what the model gives.
    int8 : Int8 or None
        How it became int8, and what that costs.

    Examples
    --------
    >>> import unet
    >>> done = unet.export_model("model.safetensors", int8=True, calibrate="data", max_drop=0.5)
    >>> done.path.as_posix(), done.int8.measured_on, done.int8.drop <= 0.5
    ('model-int8.onnx', '1 picture: 1 others of data', True)
    """

    path: Path
    parity: Parity
    int8: Int8 | None = None


@dataclass(frozen=True)
class Data:
    """Pictures to calibrate on, and others to measure on: with masks, or not (labels None)."""

    calibration: Pictures
    measured: Pictures
    labels: Labels | None


@speaking
def export_model(
    model: StrPath,
    *,
    to: str = "onnx",
    out: StrPath | None = None,
    int8: bool = False,
    calibrate: StrPath | None = None,
    check: StrPath | None = None,
    max_drop: float = MAX_DROP,
    tile: int | None = None,
    overwrite: bool = False,
    verbose: bool = True,
) -> ExportResult:
    """Write a model for other programs, once it is known to give what the original gives.

    Parameters
    ----------
    model : str or path
        A model file, or the folder of a run.
    to : {"onnx", "openvino", "torch"}
        ONNX (.onnx), OpenVINO (.xml and .bin) or a program of `torch.export` (.pt2).
    out : str or path, optional
        The file; by default beside the model, with the format's ending.
    int8 : bool
        Quantise weights and activations to 8 bits.
    calibrate : str or path, optional
        Pictures for that, or a data set with masks: a folder, or a `dataset.toml`. By default the run's own.
    check : str or path, optional
        A picture or a folder of pictures to compare on; by default those of `calibrate`, or the run's own, or drawn
        ones.
    max_drop : float
        What int8 may cost: of the mean IoU, or where there are no masks of the share of pixels that keep their class.
    tile : int, optional
        Height and width of the pictures, where the file is to take no others.
    overwrite : bool
        Allow the file to exist already.
    verbose : bool
        Show what is said; `unet.export_model` does only where this is True.

    Returns
    -------
    ExportResult

    Raises
    ------
    InputError
        A model, file or option that cannot be used; or int8 costs more than `max_drop`.
    MissingExtraError
        A package is not installed.
    UnetError
        The exported network does not give what the model gives.

    Examples
    --------
    >>> import unet
    >>> done = unet.export_model("model.safetensors", out="model.onnx")
    >>> done.path.as_posix(), done.parity.difference < 1e-5
    ('model.onnx', True)
    """
    source = bundle.model_file(model)
    target = chosen_target(source, to, as_path(out), int8)
    if not int8 and (calibrate is not None or max_drop != MAX_DROP):
        raise ConfigError("--calibrate or --max-drop without --int8", remedy="add --int8, or leave it out")
    if int8 and to == "torch":
        raise ConfigError("--int8 --to torch", "--to onnx or --to openvino for int8")
    for file in formats.files_of(target):
        check_target(file, overwrite, "--out", [source, as_path(calibrate), as_path(check)])
    display = open_display()
    loaded = bundle.load(source)
    check_tile(loaded, tile)
    graph.check_exportable(loaded)
    calibrated, named = as_path(calibrate), as_path(check)
    needs_run = (int8 and calibrated is None) or (named is None and not int8)
    run = opened_run(Path(model), source, display) if needs_run else None
    data = int8_data(loaded, run, calibrated, display) if int8 else None
    checked = checked_pictures(run, named, data)

    network = None if to == "torch" else graph.traced(loaded)
    made = exported(network, loaded, to, tile)
    found = parity.compare(loaded, made.run, checked.spread(CHECKED).images(loaded, tile), checked.of)
    parity.check(found)
    display.notify(f"compared: probabilities differ by {found.difference:.1e} at most, on {words(found)}")
    costs = None
    if data is not None:
        network, costs = quantised(network, loaded, data, max_drop, display)
        made = exported(network, loaded, to, tile)
        found = parity.compare(loaded, made.run, checked.spread(CHECKED).images(loaded, tile), checked.of)
        display.notify(f"int8: {found.same_classes:.2%} of the pixels are of the same class, on {words(found)}")
        if to == "onnx":
            compare_runtimes(network, loaded, tile, checked, found, display)
    facts: dict[str, Any] = {"precision": "float32" if costs is None else "int8", "parity": found.to_dict()}
    if costs is not None:
        facts["int8"] = costs.to_dict()
    made.write(keys.described(loaded, tile, facts), target)
    return ExportResult(target, found, costs)


def chosen_target(source: Path, to: str, out: Path | None, int8: bool) -> Path:
    """Return the file to write.

    Raises
    ------
    ConfigError
        There is no such format, or the file's ending is of another.
    """
    if to not in SUFFIXES:
        raise ConfigError(f"--to {to!r}", " or ".join(SUFFIXES))
    suffix = SUFFIXES[to]
    if out is None:
        return source.with_name(f"{source.stem}{'-int8' if int8 else ''}{suffix}")
    if out.suffix.lower() != suffix:
        raise ConfigError(f"{out} ends in {out.suffix or 'nothing'}", f"{suffix} for --to {to}")
    return out


def check_tile(loaded: Bundle, tile: int | None) -> None:
    """Make sure that the network takes pictures of a size.

    Raises
    ------
    ConfigError
        It does not.
    """
    geometry = geometry_of(loaded.spec)
    if tile is None:
        return
    least = least_side(geometry)
    if tile < least:
        raise ConfigError(f"--tile {tile}", f"{least} or more for this network")
    if geometry.at_least(tile) != tile:
        near = geometry.at_least(tile)
        raise ConfigError(f"--tile {tile}, which a network without padding cannot halve evenly", f"such as {near}")


def opened_run(given: Path, source: Path, display: Display) -> Run | None:
    """Return the run that a model belongs to; None where it belongs to none or the pictures are gone."""
    folder = next((folder for folder in (given, source.parent) if is_run(folder)), None)
    if folder is None:
        return None
    try:
        return open_run(folder, display)
    except InputError as error:
        display.notify(f"the pictures of {folder} cannot be used ({error.found})")
        return None


def exported(network: Any, loaded: Bundle, to: str, tile: int | None) -> Exported:
    """Return a model in a format, not yet written."""
    if to == "torch":
        return formats.as_torch(loaded, tile)
    return (formats.as_onnx if to == "onnx" else formats.as_openvino)(network, loaded, tile)


def compare_runtimes(
    network: Any, loaded: Bundle, tile: int | None, checked: Pictures, found: Parity, display: Display
) -> None:
    """Say so where OpenVINO, if it is installed, makes something else of a network in int8 than ONNX Runtime."""
    if not is_installed():
        return
    images = checked.spread(CHECKED).images(loaded, tile)
    other = parity.compare(loaded, formats.as_openvino(network, loaded, tile).run, images, checked.of)
    if other.same_classes < found.same_classes - RUNTIMES_APART:
        display.notify(
            f"warning: OpenVINO gives {other.same_classes:.2%} of the pixels the same class: use ONNX Runtime, or do "
            "without --int8"
        )


def words(found: Parity) -> str:
    """Return on what was compared."""
    return f"{counted(found.pictures, 'picture')}: {found.of}"


def checked_pictures(run: Run | None, check: Path | None, data: Data | None) -> Pictures:
    """Return what is compared on: the pictures named, those that int8 is measured on, the run's own, or drawn ones."""
    if check is not None:
        return Pictures(find_images([check]), str(check))
    if data is not None:
        return data.measured
    if run is not None and (pairs := run.parts.get("val") or run.parts.get("train")):
        return Pictures(pairs, "the run's own", as_trained=True)
    return Pictures((), "drawn ones, as there are no others (--check names some)")


def int8_data(loaded: Bundle, run: Run | None, calibrate: Path | None, display: Display) -> Data:
    """Return what a network is calibrated and measured on.

    Raises
    ------
    InputError
        There is nothing.
    """
    if calibrate is not None:
        return given_data(loaded, calibrate, display)
    if run is None or not run.parts.get("train") or not run.parts.get("val"):
        raise InputError(
            "--int8 without pictures to calibrate on", "some like those of the training", "--calibrate DATA"
        )
    own = [Pictures(run.parts[part], f"the run's {part} pictures", as_trained=True) for part in ("train", "val")]
    return Data(own[0], own[1], run.record.labels)


def given_data(loaded: Bundle, data: Path, display: Display) -> Data:
    """Return the same of a data set that was named, or of a folder of pictures without masks."""
    settings = DataConfig(root=str(data))
    try:
        parts = find_parts(describe(settings), lambda line: None)
    except InputError as error:
        images = find_images([data])
        display.notify(f"{data}: no masks ({error.found}): int8 is measured by the pixels that keep their class")
        one, other = halves(images, data)
        return Data(Pictures(one, f"{len(one)} of {data}"), Pictures(other, f"{len(other)} others of {data}"), None)
    if parts.get("train") and parts.get("val"):
        pairs, labels, _ = described_part(settings, "val", None, loaded, display)
        return Data(Pictures(parts["train"], f"train of {data}"), Pictures(pairs, f"val of {data}"), labels)
    pairs, labels, _ = described_part(settings, "all", None, loaded, display)
    calibration, measured = halves(pairs, data)
    return Data(
        Pictures(calibration, f"{len(calibration)} of {data}"), Pictures(measured, f"{len(measured)} others of {data}"),
        labels,
    )  # fmt: skip


def halves(items: Any, data: Path) -> tuple[list[Any], list[Any]]:
    """Return the pictures to calibrate on and those to measure on.

    Raises
    ------
    InputError
        There is only one.
    """
    if len(items) < 2:
        raise InputError(f"{data} holds one picture", "two or more: one to calibrate on, one to measure on")
    return [item for number, item in enumerate(items) if number % HELD_OUT], list(items[::HELD_OUT])


def quantised(network: Any, loaded: Bundle, data: Data, max_drop: float, display: Display) -> tuple[Any, Int8]:
    """Return a network in int8, and what that costs; raises as `unet.export.measuring.to_int8` does."""
    calibration, measured = data.calibration.spread(CALIBRATED), data.measured.spread(MEASURED)
    quantiser = Quantiser(network, calibration.inputs(loaded))
    with display:
        if data.labels is not None:
            examples = EvaluationSet(measured.items, data.labels, loaded.preprocessing, as_trained=measured.as_trained)  # type: ignore[arg-type]
            name, score = "mean IoU", measuring.mean_iou(loaded, examples, display.validating)
            before = score(network)
        else:
            name, score, before = "same pixels", measuring.same_pixels(loaded, network, measured.inputs(loaded)), 1.0
        small, wide, after = measuring.to_int8(quantiser, score, before, max_drop, display.notify)
    costs = Int8(
        f"{counted(len(calibration), 'picture')}: {calibration.of}",
        f"{counted(len(measured), 'picture')}: {measured.of}", name, before,
        after, wide, len(quantiser.layers),
    )  # fmt: skip
    display.notify(f"int8: costs {costs.drop:.4f} of the {name} on {costs.measured_on}")
    return small, costs
