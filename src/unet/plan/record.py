"""A run, decided: what training, validation, report, resume and re-evaluation read, and do not decide again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unet.config import Config
from unet.data.hashing import RecordedFile
from unet.data.pairs import Drawing, Pair
from unet.data.seen import TRAIN, VAL, Seen, SeenPart
from unet.devices import Compute
from unet.labels import Labels
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing
from unet.raster import Window

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class RecordedPair:
    """A picture of a run, its mask, and the part that it belongs to.

    Attributes
    ----------
    part : {"train", "val", "test"}
    name : str
        Unique within the part; that of a block (NAME@ROW,COLUMN) where pictures were cut.
    image, mask : RecordedFile
    roi : Path or None
    window : (row, column, height, width) or None
        Of a sheet that is read in windows: the block of its files that this is.
    drawing : Drawing or None
        How the polygons are drawn that are the mask.
    look : str
        Of the picture, as in `unet.data.stats.PictureStats`; empty in records of earlier versions.
    """

    part: str
    name: str
    image: RecordedFile
    mask: RecordedFile
    roi: Path | None = None
    window: Window | None = None
    drawing: Drawing | None = None
    look: str = ""

    @property
    def source_name(self) -> str:
        """The name of the whole picture, of which this may be a block."""
        name, _, block = self.name.rpartition("@")
        return name if name and re.fullmatch(r"\d+,\d+", block) else self.name

    @property
    def source(self) -> Pair:
        """The user's files, or the block of them that was chosen before anything was made ready."""
        name = self.source_name if self.window is None else self.name
        return Pair(name, self.image.path, self.mask.path, self.roi, self.window, drawing=self.drawing)


@dataclass(frozen=True)
class RunRecord:
    """All that was decided.

    Attributes
    ----------
    config : Config
        Nothing in it is left open.
    reasons : tuple of str
        A sentence for each choice.
    pairs : tuple of RecordedPair
    root : Path or None
        The folder of the data, absolute; None where pictures and masks were named one by one.
    labels : Labels
        How the masks that training reads are read.
    file_labels : Labels
        How the masks of the data set itself are read: what the model file must know.
    tile : (int, int) or None
        Height and width of the blocks that pictures were cut into.
    prepared : {"", "parts", "all"}
        Masks, or blocks, were made ready in RUN/prepared, and are read instead of the user's files: part by part, or
        all together, of which blocks were then held out.
    preprocessing : Preprocessing
    spec : ModelSpec
    compute : Compute
    class_shares : tuple of float
        Share of each class in the training pictures.
    class_weights : tuple of float
        Of each class in the loss; empty: all count the same.
    rare_pictures : mapping of int to tuple of str
        The classes that balanced sampling looks for, and the training pictures that hold each.
    expected_steps : float
        So many steps the plan took the time for; 0 where it is not known.
    seen_before : Seen or None
        The pictures of the model that the training started from.
    """

    config: Config
    reasons: tuple[str, ...]
    pairs: tuple[RecordedPair, ...]
    root: Path | None
    labels: Labels
    file_labels: Labels
    tile: tuple[int, int] | None
    prepared: str
    preprocessing: Preprocessing
    spec: ModelSpec
    compute: Compute
    class_shares: tuple[float, ...] = ()
    class_weights: tuple[float, ...] = ()
    rare_pictures: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    expected_steps: float = 0.0
    seen_before: Seen | None = None

    def part(self, name: str) -> tuple[RecordedPair, ...]:
        """Return the pairs of a part."""
        return tuple(pair for pair in self.pairs if pair.part == name)

    @property
    def seen(self) -> Seen:
        """The pictures that the model has seen, its training's and those that chose its weights."""
        train, val = (
            SeenPart.of((pair.image.content_hash, pair.window, pair.look) for pair in self.part(part))
            for part in (TRAIN, VAL)
        )
        seen = Seen(train, val)
        return seen if self.seen_before is None else seen.joined(self.seen_before)
