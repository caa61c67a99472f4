"""Which pictures a model has seen, as its file remembers them: enough to know them again, and bounded in size.

A picture is known by the bytes of its file, wherever that lies and whatever it is called; and by its look, 64 grey
values, if it was saved anew. docs/decisions/024-scoring.md says what else was considered.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.data.pairs import Pair
from unet.data.stats import LOOK_CELLS, PictureStats, look_of_text
from unet.errors import ModelFileError
from unet.raster import Window

MOST = 20_000
"""So many pictures of a part are remembered at most, evenly spread: 2 MB."""

SAME_LOOK = 3
"""Of 255: by so much each of the 64 cells differs at most when a picture is saved anew as JPEG of quality 50 or more.
Of neighbouring frames of CamVid, whose camera stands still now and then, none come as near."""

TRAIN, VAL = "train", "val"

Entry = tuple[str, Window | None, str]
"""Of a picture: the hash of its file, the block of it, its look."""


@dataclass(frozen=True)
class SeenPart:
    """Pictures of one part.

    Attributes
    ----------
    pictures : int
        How many there were; more than are remembered, where they were very many.
    keys : frozenset of int
        Of the files and their blocks.
    looks : bytes
        64 for each picture that has a look: those of one colour have none.
    """

    pictures: int = 0
    keys: frozenset[int] = frozenset()
    looks: bytes = b""

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> SeenPart:
        """Return what is remembered of pictures."""
        every = {key_of(content_hash, window): look for content_hash, window, look in entries if content_hash}
        chosen = np.linspace(0, len(every) - 1, min(MOST, len(every))).round().astype(int)
        keys = np.array(list(every), dtype=np.uint64)[chosen]
        looks = [look_of_text(every[int(key)]) for key in keys]
        return cls(
            len(every), frozenset(map(int, keys)), b"".join(look.tobytes() for look in looks if look is not None)
        )

    def joined(self, other: SeenPart) -> SeenPart:
        """Return the pictures of both."""
        keys = sorted(self.keys | other.keys)
        looks = np.unique(np.concatenate([self.table, other.table]), axis=0)
        step, apart = max(1, -(-len(keys) // MOST)), max(1, -(-len(looks) // MOST))
        count = max(len(keys), self.pictures, other.pictures)
        return SeenPart(count, frozenset(keys[::step]), looks[::apart].tobytes())

    @cached_property
    def table(self) -> NDArray[np.uint8]:
        """The looks as an array (N, 64)."""
        return np.frombuffer(self.looks, dtype=np.uint8).reshape(-1, LOOK_CELLS)

    def knows(self, key: int, look: NDArray[np.uint8] | None) -> bool:
        """Tell whether a picture is one of them."""
        if key in self.keys:
            return True
        if look is None or not self.looks:
            return False
        lower, upper = np.maximum(look, SAME_LOOK) - SAME_LOOK, np.minimum(look, 255 - SAME_LOOK) + SAME_LOOK
        return bool(((self.table >= lower) & (self.table <= upper)).all(axis=1).any())

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        keys = np.array(sorted(self.keys), dtype="<u8")
        return {"pictures": self.pictures, "files": _text(keys.tobytes()), "looks": _text(self.looks)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SeenPart:
        """Read what `to_dict` wrote.

        Raises
        ------
        ValueError, TypeError, KeyError
            It is something else.
        """
        keys = np.frombuffer(_bytes(data["files"]), dtype="<u8")
        part = cls(int(data["pictures"]), frozenset(keys.tolist()), _bytes(data["looks"]))
        _ = part.table  # raises where it is cut off
        return part


@dataclass(frozen=True)
class Seen:
    """The pictures that a model was trained on, and those that chose which of its weights were kept."""

    train: SeenPart
    val: SeenPart

    def joined(self, other: Seen) -> Seen:
        """Return the pictures of both: of a model, and of the one that its training started from."""
        return Seen(self.train.joined(other.train), self.val.joined(other.val))

    def parts(self, pairs: Sequence[Pair], pictures: Sequence[PictureStats]) -> list[str]:
        """Return for each picture "train" or "val" where the model has seen it, else nothing."""
        found = []
        for pair, picture in zip(pairs, pictures, strict=True):
            key, look = key_of(picture.content_hash, pair.window), look_of_text(picture.look)
            part = next((name for name in (TRAIN, VAL) if getattr(self, name).knows(key, look)), "")
            found.append(part)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {TRAIN: self.train.to_dict(), VAL: self.val.to_dict()}

    @classmethod
    def from_dict(cls, data: Any) -> Seen | None:
        """Read what `to_dict` wrote; None where a file says nothing.

        Raises
        ------
        ModelFileError
            It says something else.
        """
        if not data:
            return None
        try:
            return cls(SeenPart.from_dict(data[TRAIN]), SeenPart.from_dict(data[VAL]))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, binascii.Error) as error:
            raise ModelFileError(
                f"what the model says of the pictures it has seen cannot be read ({error})", "as unet train writes it"
            ) from None


def key_of(content_hash: str, window: Window | None) -> int:
    """Return a number for a file, or for a block of it."""
    name = content_hash if window is None else f"{content_hash}@{','.join(map(str, window))}"
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
