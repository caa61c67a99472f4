"""`unet map`: from a sheet to polygons, and a page to look at them. Read `map_sheet` from top to bottom."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from unet import files, raster
from unet.commands.predict import predict
from unet.commands.vectorize import check_tolerance, vectorize
from unet.data.content import read_content_mask
from unet.data.hashing import content_hash
from unet.data.sheet_shapes import AREA, DYNAMIC, ShapeOptions
from unet.errors import InputError
from unet.files import StrPath, as_path, as_paths
from unet.inference.products import EDGE_NAMES
from unet.raster.roi import POLYGON_SUFFIXES
from unet.report.map_page import MapPage, Setting, write_map_page
from unet.report.shape_files import DRAWING_PIXELS, Place, Targets
from unet.runs.targets import check_target
from unet.shapes.calibration import Calibration
from unet.shapes.vector_files import DRIVERS
from unet.terminal.display import open_display
from unet.terminal.speech import speaking

if TYPE_CHECKING:
    from unet.bundle import Bundle


@dataclass(frozen=True)
class Mapped:
    """What a sheet has become.

    Attributes
    ----------
    shapes : int
    outputs : tuple of Path
        The files of shapes that were named.
    predicted, labels, page, record : Path
        The edge map or class mask, the label map, the HTML page, and what --resume goes by.
    """

    shapes: int
    outputs: tuple[Path, ...]
    predicted: Path
    labels: Path
    page: Path
    record: Path


@speaking
def map_sheet(
    sheet: StrPath,
    model: StrPath,
    outputs: StrPath | Sequence[StrPath],
    *,
    labels: StrPath | None = None,
    roi: StrPath | None = None,
    calibrate: Calibration | None = None,
    dynamic: int | None = None,
    area: int | None = None,
    min_area: int = 0,
    simplify: float = 0.0,
    units: str = "pixels",
    tta: str | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    verbose: bool = True,
) -> Mapped:
    """Predict a sheet, make shapes of it, and write them with a page that shows them.

    Parameters
    ----------
    sheet : path
        A picture of any size; a GeoTIFF keeps its place on the map.
    model : path
        A model file. One of edges gives an edge map, which is closed and flooded; any other a class mask.
    outputs : path, or sequence of path
        Files of polygons by their ending (.gpkg, .geojson, .shp, .fgb), or drawings (.svg, .png). Beside the first,
        NAME_epm.tif or NAME_mask.tif, NAME_labels.tif, NAME_map.json and NAME_map.html are written.
    labels : path, optional
        Instead of NAME_labels.tif.
    roi : path, optional
        What counts: a picture, 0 outside, or polygons in any CRS.
    calibrate, dynamic, area : optional
        Of the filter of edge maps; by default what `unet tune-shapes` has written into the model file.
    min_area, simplify, units
        See `unet.commands.vectorize.vectorize`.
    tta, device
        See `unet.commands.predict.predict`.
    overwrite : bool
        Allow files that are written to exist already.
    resume : bool
        Use the edge map or mask of an earlier call, as far as it got, and replace that call's other files.
    verbose : bool
        Show what is said; `unet.map_sheet` does only where this is True.

    Returns
    -------
    Mapped

    Raises
    ------
    InputError
        Anything that is wrong with the arguments or the files.
    MissingExtraError
        What writes polygons is not installed.

    Examples
    --------
    >>> import unet
    >>> made = unet.map_sheet("data/imgs/p00.png", "model.safetensors", "shapes.gpkg")
    >>> made.labels.as_posix(), made.page.as_posix()
    ('shapes_labels.tif', 'shapes_map.html')
    """
    from unet import bundle  # slow to import

    start = perf_counter()
    display = open_display()
    sheet, model, roi = Path(sheet), bundle.model_file(model), as_path(roi)
    known = bundle.load(model)
    kind = "epm" if shows_edges(known) else "mask"
    places = places_of(outputs, kind, as_path(labels))
    origin = origin_of(sheet, known, roi, tta)
    earlier = files_of_earlier(places.record, origin) if resume else []
    check_files(places, [path for path in (sheet, model, roi) if path is not None], overwrite, earlier)
    place, early_region = check_sheet(sheet, roi, simplify, units)
    filtering = decide_filter(known, kind, ShapeOptions(calibrate, dynamic, area, min_area=min_area), roi is not None)

    record = {"origin": origin, "files": [str(path.resolve()) for path in places.all]}
    files.write_json(places.record, record)
    predict(
        model, [str(sheet)], outputs=[places.mask], save=kind == "mask", epm=8 if kind == "epm" else None,
        roi=early_region, tta=tta, device=device, overwrite=overwrite and not resume, resume=resume,
    )  # fmt: skip
    options = {setting.name: setting.value for setting in filtering}
    made = vectorize(
        places.predicted, places.targets.outputs, kind=kind, roi=roi, **options, min_area=min_area,
        simplify=simplify, units=units, labels=places.labels, over=picture_under_drawings(sheet, places.targets),
        overwrite=True,  # whether files may be replaced was asked before anything was computed
    )  # fmt: skip

    shown = [Setting("model", model, "given"), Setting("region of interest", roi or "the whole sheet", _said(roi))]
    shown += [Setting("views averaged", {"flips": 4, "d4": 8}.get(tta or "", 1), _said(tta)), *filtering]
    shown += [Setting("smallest shape", min_area, _said(min_area)), Setting("simplified by", simplify, _said(simplify))]
    page = MapPage(
        sheet, known, kind, places.predicted, places.labels, places.targets, place, shown,
        commands(sheet, model, roi, places, kind), start,
    )  # fmt: skip
    write_map_page(places.page, page)
    settings = {setting.name: str(setting.value) for setting in shown}
    files.write_json(places.record, {**record, "settings": settings, "shapes": made.shapes})
    display.notify(f"to look at: {places.page.resolve().as_uri()}")
    return Mapped(
        made.shapes, places.targets.outputs, places.predicted, places.labels, places.page, places.record
    )  # fmt: skip


@dataclass(frozen=True)
class Places:
    """The files of a sheet: those that were named, and those beside the first of them."""

    targets: Targets
    mask: Path
    predicted: Path
    labels: Path
    page: Path
    record: Path

    @property
    def all(self) -> list[Path]:
        """Every file."""
        return [*self.targets.all, self.predicted, self.page, self.record]


def places_of(outputs: StrPath | Sequence[StrPath], kind: str, labels: Path | None) -> Places:
    """Return where everything goes.

    Raises
    ------
    InputError
        No output is named.
    """
    named = as_paths(outputs)
    if not named:
        raise InputError("no output", "-o FILE, such as blocks.gpkg")
    stem = named[0].stem
    labels = labels or named[0].with_name(f"{stem}_labels.tif")
    predicted = named[0].with_name(f"{stem}_{kind}.tif")
    mask = predicted if kind == "mask" else named[0].with_name(f"{stem}.tif")  # `predict` names an edge map after it
    record, page = (named[0].with_name(f"{stem}_map.{ending}") for ending in ("json", "html"))
    return Places(Targets(named, labels), mask, predicted, labels, page, record)


def shows_edges(model: Bundle) -> bool:
    """Tell whether a model was made to find edges: one of its classes is called so, or it is tuned for shapes."""
    return model.shapes is not None or sum(name.lower() in EDGE_NAMES for name in model.labels.names) == 1


def origin_of(sheet: Path, model: Bundle, roi: Path | None, tta: str | None) -> dict[str, Any]:
    """Return what an edge map or a mask depends on. Settings of shapes do not belong to it: a model may be tuned.

    Raises
    ------
    InputError
        A file is missing.
    """
    weights = blake2b(json.dumps([model.spec.to_dict(), model.preprocessing.to_dict()]).encode(), digest_size=16)
    for name, tensor in sorted(model.state.items()):
        weights.update(name.encode())
        weights.update(tensor.contiguous().numpy().tobytes())
    if model.graph is not None:
        weights.update(content_hash(model.graph).encode())
    hashes: dict[str, Any] = {"model": weights.hexdigest(), "tta": tta}
    for what, path in (("sheet", sheet), ("roi", roi)):
        if path is not None and not path.is_file():
            raise InputError(f"no such file: {path}", "a picture of the sheet" if what == "sheet" else "a region")
        if path is not None:
            hashes[what] = content_hash(path)
    return hashes


def files_of_earlier(record: Path, origin: dict[str, Any]) -> list[Path]:
    """Return the files of an earlier call, which may be used or replaced; none if there was no call.

    Raises
    ------
    InputError
        It was about something else, or its record is damaged.
    """
    held = read_record(record)
    if held is None:
        return []
    before, names = held
    differs = [what for what in ("sheet", "model", "roi", "tta") if before.get(what) != origin.get(what)]
    if differs:
        raise InputError(
            f"{record} is of another {' and '.join(differs)}", "the same as in the earlier call", "choose another -o"
        )
    return names


def read_record(record: Path) -> tuple[dict[str, Any], list[Path]] | None:
    """Return what a record of ours says: the origin of its prediction, and its files. None where there is none.

    Raises
    ------
    InputError
        It is not ours, or is damaged.
    """
    if not record.exists():
        return None
    try:
        held = json.loads(record.read_text(encoding="utf-8"))
        return dict(held["origin"]), [Path(str(name)) for name in held["files"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{record} cannot be read ({error!r})", "what unet map writes", "choose another -o") from None


def check_files(places: Places, inputs: Sequence[Path], overwrite: bool, earlier: Sequence[Path]) -> None:
    """Make sure, before anything is computed, that no file is lost and each can be written.

    Raises
    ------
    InputError
        One would be, or a name has no ending of a known format.
    """
    free = overwrite or all(path.resolve() in earlier for path in places.targets.all if path.exists())
    places.targets.check([*inputs, places.predicted, places.page, places.record], free)
    if not overwrite:
        read_record(places.record)  # ours may be replaced: it is nothing without the files that it tells of
    for path in (places.predicted, places.page, places.record):
        if path.resolve() in {given.resolve() for given in inputs}:
            raise InputError(f"{path} is one of the files that are read", remedy="choose another -o")
        if path.exists() and path != places.record and not (overwrite or path.resolve() in earlier):
            raise InputError(
                f"{path} exists already", remedy="go on from it with --resume, choose another -o, or allow --overwrite"
            )
        check_target(path, True, "-o")


def check_sheet(sheet: Path, roi: Path | None, simplify: float, units: str) -> tuple[Place, Path | None]:
    """Return where a sheet lies, and the region outside of which it need not be predicted.

    Raises
    ------
    InputError
        The sheet or the region cannot be read, or the tolerance makes no sense there.
    """
    with raster.open(sheet) as source:
        place, shape = Place(source.crs, source.transform), (source.height, source.width)
    check_tolerance(simplify, units, sheet, place)
    if roi is None or roi.suffix.lower() not in DRIVERS:
        return place, roi
    read_content_mask(roi, shape, crs=place.crs, transform=place.transform)  # faults show before hours of work
    return place, roi if roi.suffix.lower() in POLYGON_SUFFIXES and place.transform is not None else None


def decide_filter(model: Bundle, kind: str, given: ShapeOptions, has_region: bool) -> list[Setting]:
    """Return how an edge map becomes shapes, and who says so; nothing for class masks.

    Raises
    ------
    InputError
        Settings that the model has no use for, or a calibration without a region.
    """
    wanted = {"calibrate": given.calibrate, "dynamic": given.dynamic, "area": given.area}
    if kind == "mask":
        for name, value in wanted.items():
            if value is not None:
                raise InputError(f"--{name} for a model without a class of edges", "--min-area for class masks")
        return []
    if given.calibrate is not None and not has_region:
        raise InputError(f"--calibrate {given.calibrate} without a content mask", "--roi FILE too")
    stored = model.shapes.to_dict() if model.shapes is not None else {}
    if not has_region:
        stored["calibrate"] = None
    usual = {"calibrate": None, "dynamic": DYNAMIC, "area": AREA}
    settings = []
    for name, value in wanted.items():
        if value is not None:
            settings.append(Setting(name, value, "given"))
        elif stored.get(name) is not None:
            settings.append(Setting(name, stored[name], "the model file"))
        else:
            settings.append(Setting(name, usual[name], "by default"))
    return settings


def picture_under_drawings(sheet: Path, targets: Targets) -> Path | None:
    """Return the sheet where it is to lie under drawings, which hold it in memory."""
    if not (targets.svgs or targets.pictures):
        return None
    known = raster.probe(sheet)
    return sheet if known.height * known.width <= DRAWING_PIXELS else None


def commands(sheet: Path, model: Path, roi: Path | None, places: Places, kind: str) -> list[tuple[str, list[str]]]:
    """Return what one may want to do next, and the words of the command for it."""
    region = ["--roi", str(roi)] if roi is not None else []
    outputs = [word for path in places.targets.outputs for word in ("-o", str(path))]
    again = ["unet", "map", str(sheet), "--model", str(model), *region]
    change = ["--dynamic", "10", "--area", "200"] if kind == "epm" else ["--min-area", "50"]
    return [
        ("Other shapes of the same prediction:", [*again, *change, *outputs, "--resume"]),
        ("Smoother outlines:", [*again, "--simplify", "1.5", *outputs, "--resume"]),
        ("Against the true shapes:", ["unet", "evaluate-shapes", "TRUTH", str(places.labels), "--pred-kind", "labels"]),
    ]


def _said(value: object) -> str:
    return "given" if value else "by default"
