"""Classes of a model and of other data: by name, else by value with a word, and none in common is an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unet.data.class_matching import match_classes
from unet.data.manifest import Description
from unet.data.pairs import Pair
from unet.data.scan import Scan, scan
from unet.errors import DataError
from unet.labels import Labels

CITY = Labels(("sky", "building", "road", "car"), ((0, 0, 0), (9, 0, 0), (0, 9, 0), (0, 0, 9)), (0, 1, 2, 3))


def scanned(folder: Path, values: list[int]) -> Scan:
    """One pair whose mask has a block of each value."""
    mask = np.repeat(np.repeat(np.array(values, np.uint8), 8, axis=0)[None], 8, axis=0)
    Image.fromarray(mask).save(folder / "mask.png")
    Image.fromarray(np.arange(mask.shape[0] * mask.shape[1], dtype=np.uint8).reshape(mask.shape[:2])).save(
        folder / "image.png"
    )
    return scan([Pair("a", folder / "image.png", folder / "mask.png")])


def matched(folder: Path, values: list[int], table: str, model: Labels = CITY) -> tuple[Labels, str]:
    if table:
        (folder / "classes.csv").write_text(table, encoding="utf-8")
    labels, remarks = match_classes(model, scanned(folder, values), Description(root=folder))
    assert labels.names == model.names
    return labels, "; ".join(remarks)


def test_by_name_whatever_the_values(tmp_path: Path) -> None:
    labels, said = matched(tmp_path, [0, 1, 2], "name,value\nCar,0\nroad,1\nSky,2\n")
    assert labels.encode(np.array([[0, 1, 2]], np.uint8)).tolist() == [[3, 2, 0]]
    assert said == "classes matched by name; the data have no building"


def test_the_same_names_and_values_need_no_word(tmp_path: Path) -> None:
    assert matched(tmp_path, [0, 1, 2, 3], "sky\nbuilding\nroad\ncar\n") == (CITY, "")


def test_what_the_model_does_not_know_does_not_count(tmp_path: Path) -> None:
    labels, said = matched(tmp_path, [0, 1], "name,value\nroad,0\ndog,1\n")
    assert labels.encode(np.array([[0, 1]], np.uint8)).tolist() == [[2, 255]]
    assert "warning: the model does not know dog: pixels of these do not count" in said


def test_no_name_in_common_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no class of the data \(cat, dog\) is one of the model \(sky, building"):
        matched(tmp_path, [0, 1], "name,value\ncat,0\ndog,1\n")


def test_by_value_where_nothing_is_named(tmp_path: Path) -> None:
    assert matched(tmp_path, [0, 1, 2], "") == (
        CITY,
        "warning: classes matched by value, as the data name none: 0 is sky, 1 is building, 2 is road",
    )
    plain = Labels.numbered(2)
    assert matched(tmp_path, [0, 1], "", plain) == (plain, ""), "nothing was named before either"
    assert "the model names none: 0 is background" in matched(tmp_path, [0, 1], "name,value\nsoil,0\ncar,1\n", plain)[1]


def test_no_value_in_common_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no value of the masks \(100, 200\) is one of the model \(0, 1, 2, 3\)"):
        matched(tmp_path, [100, 200], "")


def test_colours_of_the_data_are_read_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text("name,r,g,b\nroad,128,0,0\ncar,0,128,0\n", encoding="utf-8")
    colors = np.array([[[128, 0, 0], [0, 128, 0]]], np.uint8)
    Image.fromarray(np.repeat(colors, 2, axis=0)).save(tmp_path / "mask.png")
    Image.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2)).save(tmp_path / "image.png")
    found = scan([Pair("a", tmp_path / "image.png", tmp_path / "mask.png")])
    labels, _ = match_classes(CITY, found, Description(root=tmp_path))
    assert labels.encode(colors).tolist() == [[2, 3]]
    with pytest.raises(DataError):  # spare values of classes that the data lack are none of theirs
        labels.encode(np.full((1, 1, 3), 7, np.uint8))
