"""What is asked of a prediction, and the files that are begun for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from unet.inference import products as making
from unet.inference.products import Product
from unet.inference.streaming import Plan
from unet.inference.tasks import PictureTask
from unet.labels import Labels
from unet.raster import Source


@dataclass(frozen=True)
class Outputs:
    """What is made of each picture; see `unet.predict`. `viz` only where NAME_viz.png is written: not for a window."""

    save: bool
    overlay: bool
    probabilities: bool | str
    epm: int | None
    class_name: str | None
    raw_values: bool
    viz: bool
    labels: Labels
    channels: int

    @property
    def kinds(self) -> list[str]:
        """The files, as `unet.inference.tasks.PictureTask` names them."""
        asked = {
            "mask": self.save,
            "overlay": self.overlay,
            "probabilities": bool(self.probabilities),
            "epm": self.epm is not None,
            "viz": self.viz,
        }
        return [kind for kind, is_asked in asked.items() if is_asked]


@dataclass(frozen=True)
class Options:
    """How all pictures are computed; see `unet.predict`."""

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
    backend: str = "torch"


def begin_products(source: Source, task: PictureTask, wanted: Outputs, options: Options, plan: Plan) -> list[Product]:
    """Begin the files of a picture.

    Raises
    ------
    InputError
        One of them cannot be written, or something is left of an earlier run that is not to be gone on with.
    """
    common = {
        "like": source,
        "overwrite": options.overwrite or options.resume,
        "resumable": len(plan.rows) > 1,
        "resume": options.resume and not options.overwrite,
        "signature": signature(task.image, wanted, options, plan),
    }
    makers: list[Callable[[], Product]] = []
    if wanted.save:
        makers.append(lambda: making.mask(task.mask, wanted.labels, wanted.raw_values, common))
    if wanted.probabilities:
        kind = "npy" if wanted.probabilities is True else str(wanted.probabilities)
        makers.append(
            lambda: making.probabilities(
                task.probabilities, wanted.labels, wanted.channels, kind, wanted.class_name, common
            )
        )
    if wanted.epm is not None:
        bits = wanted.epm
        makers.append(lambda: making.epm(task.epm, wanted.labels, bits, wanted.class_name, common))
    products: list[Product] = []
    try:
        for make in makers:
            products.append(make())
    except BaseException:
        for product in products:
            product.abandon()
        raise
    return products


def signature(image: Path, wanted: Outputs, options: Options, plan: Plan) -> str:
    """Return what the rows of a result depend on, as one word: a run goes on only with what came of the same."""

    def state(path: Path) -> list[int | str]:
        known = path.stat()
        return [str(path.resolve()), known.st_size, known.st_mtime_ns]

    held = {
        "files": [state(path) for path in (image, *options.models, *([options.region] if options.region else []))],
        "wanted": [str(wanted.probabilities), wanted.epm, wanted.class_name, wanted.raw_values],
        "how": [
            options.tta,
            options.exact,
            options.threshold,
            *([options.backend] if options.backend != "torch" else []),
        ],
        "plan": repr(plan),
    }
    return blake2b(json.dumps(held).encode(), digest_size=16).hexdigest()
