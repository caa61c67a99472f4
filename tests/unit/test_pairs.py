"""Finding pairs."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from unet.data.pairs import find_images, find_pairs, pair_up
from unet.errors import DataError, InputError

DataMaker = Callable[..., Path]


def touch(root: Path, *names: str) -> Path:
    """Make empty files; pairing looks at names only."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def names(root: Path | None = None, **options: object) -> dict[str, list[tuple[str, str]]]:
    return {
        part: [(pair.name, pair.mask.name) for pair in pairs]
        for part, pairs in find_pairs(root, **options).items()  # type: ignore[arg-type]
    }


@pytest.mark.parametrize("images", ["imgs", "images", "img", "Image"])
@pytest.mark.parametrize("masks", ["masks", "Mask", "labels", "gt", "Annotations", "Ground Truth", "1st_manual"])
def test_folder_names(tmp_path: Path, images: str, masks: str) -> None:
    touch(tmp_path, f"{images}/a.jpg", f"{images}/b.JPG", f"{masks}/a.png", f"{masks}/b.png")
    assert names(tmp_path) == {"all": [("a", "a.png"), ("b", "b.png")]}


@pytest.mark.parametrize("suffix", ["", "_mask", "_GT", "-seg", ".label", " 2"])
def test_suffix_is_found(tmp_path: Path, suffix: str) -> None:
    stems = ["1", "2", "10", "11", "ä ö", "a.b"]
    touch(tmp_path, *(f"imgs/{stem}.jpg" for stem in stems), *(f"masks/{stem}{suffix}.gif" for stem in stems))
    assert dict(names(tmp_path)["all"]) == {stem: f"{stem}{suffix}.gif" for stem in stems}


@pytest.mark.parametrize(("image", "mask"), [("img_{}", "mask_{}"), ("{}_img", "{}_seg"), ("t{:03}", "man_seg{:03}")])
def test_what_all_names_share_is_set_aside(tmp_path: Path, image: str, mask: str) -> None:
    numbers = [1, 2, 3, 10, 20]
    touch(tmp_path, *(f"imgs/{image.format(n)}.png" for n in numbers))
    touch(tmp_path, *(f"masks/{mask.format(n)}.png" for n in numbers))
    assert dict(names(tmp_path)["all"]) == {image.format(n): f"{mask.format(n)}.png" for n in numbers}


@pytest.mark.parametrize("above", [True, False])
def test_parts_above_or_below(tmp_path: Path, above: bool) -> None:
    for folder, part in [("train", "train"), ("Valid", "val"), ("test", "test")]:
        for kind in ("images", "masks"):
            touch(tmp_path, f"{folder}/{kind}/{part}1.png" if above else f"{kind}/{folder}/{part}1.png")
    assert names(tmp_path) == {part: [(f"{part}1", f"{part}1.png")] for part in ("train", "val", "test")}


@pytest.mark.parametrize(
    "folders",
    [
        {"train": ("train_images", "train_masks"), "val": ("val_images", "val_masks")},
        {"train": ("train", "trainannot"), "val": ("val", "valannot"), "test": ("test", "testannot")},  # CamVid
        {"train": ("train_img", "train_lab"), "test": ("test_img", "test_lab")},  # DeepCrack
        {"train": ("imagesTraining", "labelsTraining")},
        {"all": ("Training_Images", "Ground_Truth")},
    ],
)
def test_parts_side_by_side(tmp_path: Path, folders: dict[str, tuple[str, str]]) -> None:
    for part, both in folders.items():
        touch(tmp_path, *(f"{folder}/{part}1.png" for folder in both))
    assert names(tmp_path) == {part: [(f"{part}1", f"{part}1.png")] for part in folders}


def test_a_part_without_masks_beside_others_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.jpg", "train_masks/a_mask.gif", "test/b.jpg")
    assert names(tmp_path) == {"train": [("a", "a_mask.gif")]}


def test_pictures_of_one_part_do_not_pair_with_masks_of_another(tmp_path: Path) -> None:
    touch(tmp_path, "train_images/a.png", "test_masks/a.png")
    with pytest.raises(DataError, match="holds the folders test_masks, train_images"):
        find_pairs(tmp_path)


def test_the_layout_of_the_vessel_sets(tmp_path: Path) -> None:
    endings = {"images": "{}.tif", "1st_manual": "manual1.gif", "mask": "{}_mask.gif"}
    for part, numbers in (("training", (21, 22)), ("test", (1, 2))):
        for folder, ending in endings.items():
            touch(tmp_path, *(f"{part}/{folder}/{number:02}_{ending.format(part)}" for number in numbers))
    pairing = pair_up(tmp_path)
    assert {part: [pair.mask.name for pair in pairs] for part, pairs in pairing.parts.items()} == {
        "train": ["21_manual1.gif", "22_manual1.gif"],
        "test": ["01_manual1.gif", "02_manual1.gif"],
    }
    assert {folder.relative_to(tmp_path).as_posix(): taken.name for folder, taken in pairing.aside.items()} == {
        "training/mask": "1st_manual",
        "test/mask": "1st_manual",
    }


def test_of_two_folders_of_masks_the_one_with_pictures(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "images/b.jpg", "masks/a.txt", "labels/a.png", "labels/b.png")
    pairing = pair_up(tmp_path)
    assert [pair.mask.parent.name for pair in pairing.parts["all"]] == ["labels", "labels"]
    assert not pairing.aside


def test_deep_folders_pair_by_their_path(tmp_path: Path) -> None:
    touch(tmp_path, "imgs/x/1.png", "imgs/y/z/1.png", "masks/x/1_m.png", "masks/y/z/1_m.png")
    assert names(tmp_path) == {"all": [("x/1", "1_m.png"), ("y/z/1", "1_m.png")]}


def test_folders_one_level_down(tmp_path: Path) -> None:
    touch(tmp_path, "01/images/1.tif", "01/masks/1.tif")
    assert names(tmp_path) == {"all": [("1", "1.tif")]}
    touch(tmp_path, "02/images/1.tif", "02/masks/1.tif")
    assert names(tmp_path) == {"all": [("01/1", "1.tif"), ("02/1", "1.tif")]}


def test_one_folder_for_both(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a_mask.png", "b.jpg", "b_mask.png", "bc.jpg", "bc_mask.png", "notes.txt")
    wanted = {"all": [(stem, f"{stem}_mask.png") for stem in ("a", "b", "bc")]}
    assert names(tmp_path) == wanted
    assert names(images=tmp_path, masks=tmp_path) == wanted
    assert names(tmp_path, mask_suffix="_mask") == wanted


def test_one_folder_for_both_with_endings(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.png", "b.jpg", "b.png")
    assert names(tmp_path) == {"all": [("a", "a.png"), ("b", "b.png")]}


@pytest.mark.parametrize("files", [["sheet.jpg", "edges.png"], [f"{n}.png" for n in range(1, 31)]])
def test_pictures_without_masks(tmp_path: Path, files: list[str]) -> None:
    with pytest.raises(DataError, match="no masks"):
        find_pairs(touch(tmp_path, *files))


def test_what_is_no_picture_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "imgs/a.jpg", "masks/a.png", "imgs/.b.jpg", "imgs/Thumbs.db", "masks/list.csv", "masks/.x/c.png")
    assert names(tmp_path) == {"all": [("a", "a.png")]}


def test_names_in_other_unicode_forms(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "größe-é") for form in ("NFC", "NFD"))
    touch(tmp_path, f"imgs/{apart}.jpg", f"masks/{composed}_mask.png")
    assert [pair.name for pair in find_pairs(tmp_path)["all"]] == [composed]


def test_given_folders_and_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "scans/a.png", "scans/a_x.png", "drawn/a_x.png", "drawn/a_x_x.png")
    options = {"images": tmp_path / "scans", "masks": tmp_path / "drawn"}
    assert names(**options, mask_suffix="_x") == {"all": [("a", "a_x.png"), ("a_x", "a_x_x.png")]}


def test_all_faults_at_once(tmp_path: Path) -> None:
    touch(tmp_path, *(f"imgs/p{n}.png" for n in range(5)), *(f"masks/p{n}_mask.png" for n in range(3)))
    touch(tmp_path, "masks/pp3_mask.png", "imgs/p0.jpg", "masks/p1_mask.gif", "masks/p2.png")
    with pytest.raises(DataError, match="cannot be paired") as caught:
        find_pairs(tmp_path)
    faults = "\n".join(caught.value.faults)
    for words in (
        "p0.png: two pictures of one name, p0.jpg and p0.png",
        "two masks of one name, p1_mask.gif and p1_mask.png",
        "two masks for one picture, p2.png and p2_mask.png",
        "p3.png has no mask (nearest name: pp3_mask.png)",
        "p4.png has no mask",
        "pp3_mask.png has no picture",
    ):
        assert words in faults


@pytest.mark.slow
def test_many_faults_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "masks/a.png", *(f"imgs/{n:04}.png" for n in range(1000)), "imgs/a.png")
    with pytest.raises(DataError, match="1000 files") as caught:
        find_pairs(tmp_path)
    assert len(caught.value.faults) == 11 and caught.value.faults[-1] == "and 990 more"


@pytest.mark.parametrize(
    ("files", "options", "words"),
    [
        ([], {"root": "nowhere"}, "no such folder"),
        (["a.txt"], {"root": "a.txt"}, "is a file"),
        ([], {"root": "."}, "no pictures and no folders"),
        (["photos/a.jpg", "drawn/a.png"], {"root": "."}, "holds the folders drawn, photos"),
        (["imgs/a.txt", "masks/a.png"], {"root": "."}, r"no pictures in .*imgs.*it holds 1 \.txt"),
        (["imgs/a.png", "masks/a.txt"], {"root": "."}, "no pictures in .*masks"),
        (["imgs/a.png"], {"images": "imgs"}, "only one of the folders"),
        (["imgs/a.png", "masks/b.png"], {"root": "."}, "cannot be paired"),
        (["imgs/train/a.png", "masks/train/a.png", "imgs/b.png", "masks/b.png"], {"root": "."}, "lies beside"),
        (["i/a_mask.png", "i/b_mask.png", "m/a.png", "m/b.png"], {"images": "i", "masks": "m"}, "swapped"),
        (["imgs/a.png", "masks/a_m.png"], {"root": ".", "mask_suffix": "_x"}, "cannot be paired"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path: Path, files: list[str], options: dict[str, str], words: str) -> None:
    touch(tmp_path, *files)
    paths = {key: value if key == "mask_suffix" else tmp_path / value for key, value in options.items()}
    with pytest.raises(DataError, match=words) as caught:
        find_pairs(**paths)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_near_folder_name_is_suggested(tmp_path: Path) -> None:
    (tmp_path / "carvana").mkdir()
    with pytest.raises(DataError, match=r"did you mean .*carvana"):
        find_pairs(tmp_path / "carvan")


def test_no_data_at_all() -> None:
    with pytest.raises(DataError, match="give DATA"):
        find_pairs()


# Pictures to predict


def test_files_folders_and_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "b.png", "a.JPG", "x.txt", "deep/c.png", "odd.xyz", "[1].png")
    find = find_images
    assert [path.name for path in find(["b.png", "a.JPG", "odd.xyz"])] == ["b.png", "a.JPG", "odd.xyz"]
    assert [path.name for path in find([tmp_path])] == ["[1].png", "a.JPG", "b.png"]
    assert [path.name for path in find(["*"])] == ["[1].png", "a.JPG", "b.png"]
    assert [path.name for path in find(["**/*.png", "b.png"])] == ["[1].png", "b.png", "c.png"]
    assert [path.name for path in find(["[1].png"])] == ["[1].png"]


@pytest.mark.parametrize(
    ("given_path", "words"),
    [
        ("none.png", "no such file or folder: none.png; did you mean nine.png"),
        ("*.gif", "no pictures match"),
        ("empty", "no pictures in empty.*give empty.inner"),
        ("a/b/c.png", "no such file or folder"),
    ],
)
def test_pictures_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_path: str, words: str
) -> None:
    monkeypatch.chdir(touch(tmp_path, "nine.png", "empty/inner/a.png"))
    with pytest.raises(InputError, match=words):
        find_images([given_path])


# Real data


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("carvana", {"all": 48}),
        ("camvid", {"train": 367, "val": 101}),
        ("ultrasound", {"all": 204}),
        ("isbi_em", {"all": 24}),
        ("msrc2_seg", {"all": 335}),
        ("phc-c2dh-u373", {"all": 15}),
    ],
)
def test_real_data_sets(shared_data: Path, name: str, counts: dict[str, int]) -> None:
    assert {part: len(pairs) for part, pairs in find_pairs(shared_data / name).items()} == counts


def test_what_prediction_wrote_beside_the_pictures_is_no_picture(make_data: DataMaker) -> None:
    """`predict.py -i data/imgs/a.jpg` writes data/imgs/a_OUT.png; training afterwards must still work."""
    root = make_data()
    before = find_pairs(root)
    for image in list((root / "imgs").iterdir()):
        for ending in ("_OUT", "_overlay"):
            (root / "imgs" / f"{image.stem}{ending}.png").write_bytes(image.read_bytes())
    assert find_pairs(root) == before
