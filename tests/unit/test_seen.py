"""What a model remembers of its pictures: known again when moved, renamed or saved anew, and others are not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unet.data import seen
from unet.data.pairs import Pair
from unet.data.scan import scan
from unet.data.seen import Seen, SeenPart
from unet.errors import ModelFileError

DataMaker = Callable[..., Path]


def remembered(train: list[Pair], val: list[Pair]) -> Seen:
    parts = [
        SeenPart.of(
            (picture.content_hash, pair.window, picture.look)
            for pair, picture in zip(pairs, scan(pairs).pictures, strict=True)
        )
        for pairs in (train, val)
    ]
    return Seen(*parts)


def pairs_of(folder: Path) -> list[Pair]:
    return [
        Pair(path.stem, path, folder / "masks" / f"{path.stem}_mask.png")
        for path in sorted((folder / "imgs").iterdir())
    ]


def parts(memory: Seen, pairs: list[Pair]) -> list[str]:
    found = scan(pairs)
    return memory.parts(found.pairs, found.pictures)


def test_pictures_are_known_again(make_data: DataMaker, tmp_path: Path) -> None:
    first, *others = pairs_of(make_data(count=5, size=(64, 80)))
    memory = Seen.from_dict(remembered([first, others[0]], [others[1]]).to_dict())
    assert memory is not None
    assert parts(memory, [first, *others]) == ["train", "train", "val", "", ""]

    copies = []
    for name, options in {"moved.png": None, "anew.bmp": {}, "lossy.jpg": {"quality": 75}}.items():
        path = tmp_path / "elsewhere" / name
        path.parent.mkdir(exist_ok=True)
        if options is None:
            shutil.copy(first.image, path)
        else:
            Image.open(first.image).save(path, **options)
        copies.append(Pair(name, path, first.mask))
    assert parts(memory, copies) == ["train"] * 3
    assert parts(memory, pairs_of(make_data("new", count=5, size=(64, 80), seed=5))) == [""] * 5


def test_blocks_of_a_sheet_are_told_apart() -> None:
    block, other = (0, 0, 8, 8), (0, 8, 8, 8)
    part = SeenPart.of([("abc", block, "")])
    assert seen.key_of("abc", block) in part.keys
    assert not part.knows(seen.key_of("abc", other), None) and not part.knows(seen.key_of("abc", None), None)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "MOST", 10)
    part = SeenPart.of((str(number), None, "") for number in range(100))
    assert (part.pictures, len(part.keys)) == (100, 10)
    joined = part.joined(SeenPart.of((str(number), None, "") for number in range(200, 300)))
    assert len(joined.keys) <= 10 and joined.pictures == 100
    assert SeenPart.from_dict(joined.to_dict()) == joined


def test_a_model_that_was_trained_on_knows_the_pictures_of_both_trainings() -> None:
    first, second = (Seen(SeenPart.of([(name, None, "")]), SeenPart()) for name in ("a", "b"))
    joined = second.joined(first)
    assert [joined.train.knows(seen.key_of(name, None), None) for name in ("a", "b", "c")] == [True, True, False]


CUT_OFF = {"pictures": 1, "files": "", "looks": "AAAA"}


@pytest.mark.parametrize("text", [{"train": 1}, {"train": {}, "val": {}}, [1], "x", {"train": CUT_OFF, "val": CUT_OFF}])
def test_a_memory_that_is_none_is_refused(text: object) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        Seen.from_dict(text)
    assert Seen.from_dict(None) is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_without_anything_to_see_have_no_look(tmp_path: Path, dtype: type) -> None:
    Image.fromarray(np.full((8, 8), 9, dtype)).save(tmp_path / "flat.png")
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "mask.png")
    pair = Pair("flat", tmp_path / "flat.png", tmp_path / "mask.png")
    assert scan([pair]).pictures[0].look == ""
    assert parts(remembered([pair], []), [pair]) == ["train"], "by its bytes"
