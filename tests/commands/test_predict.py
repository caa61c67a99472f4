"""`unet predict`: which files are read and written, what is refused before anything is written, what is said."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from unet import bundle, models, raster
from unet.bundle import Bundle
from unet.cli import main
from unet.commands.predict import predict
from unet.errors import InputError, ModelFileError, RasterError
from unet.labels import Labels
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing

CARS = Labels(("road", "car", "sky"), ((0, 0, 0), (200, 30, 30), (20, 90, 250)), (0, 255, 7))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


PREDICTED = Path("predicted")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model file that calls dark pixels road and bright ones car."""
    spec = ModelSpec(classes=3, width=1, depth=1)
    state = {name: torch.zeros_like(tensor) for name, tensor in models.build(spec).state_dict().items()}
    for name in state:
        if name.endswith(("running_var", ".1.weight", ".4.weight")):
            state[name].fill_(1)
    for block in ("inc", "up1.conv"):  # brightness of the first band, all the way through the skip
        for place in (0, 3):
            state[f"{block}.double_conv.{place}.weight"][0, 0, 1, 1] = 1.0
    state["outc.conv.weight"][1] = 10.0
    state["outc.conv.bias"][1:] = torch.tensor([-5.0, -50.0])
    path = tmp_path / "model.safetensors"
    bundle.save(Bundle(spec, CARS, Preprocessing(), None, {}, {}, state), path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with two pictures whose right half is bright."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.jpg"):
        pixels = np.zeros((20, 31, 3), np.uint8)
        pixels[:, 16:] = 255
        Image.fromarray(pixels).save(folder / name, quality=95)
    return folder


EXPECTED = np.repeat(np.arange(31)[None] >= 16, 20, axis=0).astype(np.uint8)


def opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
    return picture


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_masks_in_a_folder_here(
    model: Path, pictures: Path, capsys: pytest.CaptureFixture[str], precision: str
) -> None:
    written = predict(model, [str(pictures)], device="cpu")
    assert written == [PREDICTED / "a_OUT.png", PREDICTED / "b_OUT.png"]
    assert files(pictures) == ["a.png", "b.jpg"]
    mask = opened(written[0])
    assert (mask.mode, mask.size) == ("P", (31, 20))
    np.testing.assert_array_equal(np.asarray(mask), EXPECTED)
    assert tuple(np.asarray(mask.convert("RGB"))[3, 20]) == (200, 30, 30)
    printed = capsys.readouterr().err
    assert "1/2" in printed and "road 51.6%, car 48.4%" in printed and f"cpu in {precision}" in printed


def test_each_input_once_by_file_folder_and_pattern(model: Path, pictures: Path) -> None:
    written = predict(model, [str(pictures / "b.jpg"), str(pictures / "*.png"), str(pictures)])
    assert written == [PREDICTED / "b_OUT.png", PREDICTED / "a_OUT.png"]


@pytest.mark.parametrize("there", [True, False])
def test_into_a_folder(model: Path, pictures: Path, tmp_path: Path, there: bool) -> None:
    out = tmp_path / "masks"
    if there:
        out.mkdir()
    predict(model, [str(pictures)], outputs=[str(out)])
    assert files(out) == ["a_OUT.png", "b_OUT.png"]


def test_into_named_files(model: Path, pictures: Path, tmp_path: Path) -> None:
    inputs = [str(pictures / "a.png"), str(pictures / "b.jpg")]
    predict(model, inputs, outputs=[str(tmp_path / "x" / "1.png"), str(tmp_path / "2.bmp")])
    assert opened(tmp_path / "x" / "1.png").mode == "P"
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "2.bmp")), EXPECTED)


def test_everything_else_that_can_be_written(model: Path, pictures: Path, tmp_path: Path, precision: str) -> None:
    out = tmp_path / "out"
    written = predict(model, [str(pictures / "a.png")], outputs=[str(out)], overlay=True, probabilities=True)
    assert sorted(path.name for path in written) == files(out) == ["a_OUT.png", "a_overlay.jpg", "a_probabilities.npy"]
    shares = np.load(out / "a_probabilities.npy")
    assert (shares.dtype, shares.shape) == (np.float16, (3, 20, 31))
    np.testing.assert_allclose(shares.astype(np.float32).sum(0), 1, atol=2e-3)
    np.testing.assert_array_equal(shares.argmax(0), EXPECTED)
    overlay = np.asarray(opened(out / "a_overlay.jpg").convert("RGB")).astype(int)
    assert overlay[10, 5].max() < 10  # road is black and stays clear
    assert overlay[10, 25, 0] > overlay[10, 25, 1] + 40


def test_named_files_name_their_companions(model: Path, pictures: Path, tmp_path: Path) -> None:
    predict(model, [str(pictures / "a.png")], outputs=[str(tmp_path / "out" / "mask.png")], overlay=True)
    assert files(tmp_path / "out") == ["mask.png", "mask_overlay.jpg"]


@pytest.mark.parametrize(
    ("values", "mode"),
    [
        ((0, 1, 2), "L"),
        ((0, 255, 7), "L"),
        ((0, 1), "1"),
        ((0, 300, 7), "I;16"),
        (((0, 0, 0), (9, 8, 7), (1, 1, 1)), "RGB"),
    ],
)
def test_raw_values(model: Path, pictures: Path, tmp_path: Path, values: Any, mode: str) -> None:
    loaded = bundle.load(model)
    state, spec = loaded.state, loaded.spec
    if len(values) == 2:
        state = {name: tensor[:2] if name.startswith("outc") else tensor for name, tensor in state.items()}
        spec = ModelSpec(classes=2, width=1, depth=1)
    labels = Labels(CARS.names[: len(values)], CARS.colors[: len(values)], values)
    bundle.save(Bundle(spec, labels, Preprocessing(), None, {}, {}, state), tmp_path / "raw.safetensors")
    (path,) = predict(tmp_path / "raw.safetensors", [str(pictures / "a.png")], raw_values=True)
    mask = opened(path)
    assert mask.mode == mode
    np.testing.assert_array_equal(np.asarray(mask).astype(int), np.array(values)[EXPECTED])


def test_nothing_saved(model: Path, pictures: Path) -> None:
    assert predict(model, [str(pictures)], save=False) == []
    assert files(pictures) == ["a.png", "b.jpg"]


@pytest.mark.slow
def test_viz_without_a_display(model: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import matplotlib

    before = matplotlib.get_backend()
    matplotlib.use("agg")
    written = predict(model, [str(pictures / "a.png")], save=False, viz=True)
    matplotlib.use(before)
    assert written == [PREDICTED / "a_viz.png"]
    assert opened(written[0]).size[0] > 500
    assert "a_viz.png" in capsys.readouterr().err


@pytest.mark.slow
def test_viz_with_a_display(model: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import pyplot

    shown = []
    monkeypatch.setattr(pyplot, "get_backend", lambda: "QtAgg")
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(len(pyplot.gcf().axes)))
    assert predict(model, [str(pictures)], save=False, viz=True) == []
    assert shown == [2, 2]
    assert not pyplot.get_fignums()


def test_exact_is_float32(model: Path, pictures: Path, capsys: pytest.CaptureFixture[str], precision: str) -> None:
    predict(model, [str(pictures)], exact=True)
    assert " in float32, torch" in capsys.readouterr().err


# --- refusals: each one line, before anything is written


def refusal(kind: type[InputError], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(kind) as caught:
        predict(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_all_bad_inputs_are_named_at_once(model: Path, pictures: Path) -> None:
    (pictures / "text.png").write_text("I am no picture\n")
    message = refusal(InputError, model, [str(pictures), "nowhere.jpg", str(pictures / "*.tif")])
    assert all(part in message for part in ("3 inputs", "nowhere.jpg", "*.tif", "text.png"))
    assert files(pictures) == ["a.png", "b.jpg", "text.png"]


def test_a_single_bad_input_is_told_plainly(model: Path, pictures: Path) -> None:
    assert refusal(InputError, model, ["nowhere.jpg"]).startswith("no such file or folder: nowhere.jpg")


def test_a_truncated_picture(model: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(pictures / "aa.jpg")
    (pictures / "aa.jpg").write_bytes((pictures / "aa.jpg").read_bytes()[:2000])
    assert "aa.jpg" in refusal(RasterError, model, [str(pictures / "aa.jpg")])
    assert "1 of 3 pictures could not be used" in refusal(InputError, model, [str(pictures)])
    assert files(PREDICTED) == ["a_OUT.png", "b_OUT.png"]  # the others are done


def test_a_picture_of_another_kind_is_named(model: Path, pictures: Path) -> None:
    np.save(pictures / "many.npy", np.zeros((20, 31, 7), np.uint8))
    message = refusal(InputError, model, [str(pictures)])
    assert "1 of 3 pictures could not be used" in message and "many.npy: a picture with 7 bands" in message
    assert files(PREDICTED) == ["a_OUT.png", "b_OUT.png"]


def test_outputs_must_match(model: Path, pictures: Path, tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("1.png", "2.png", "3.png")]
    assert "3 outputs for 2 pictures" in refusal(InputError, model, [str(pictures)], outputs=names)
    assert "1 outputs for 2 pictures" in refusal(InputError, model, [str(pictures)], outputs=names[:1])
    assert "2 pictures" in refusal(InputError, model, [str(pictures)], outputs=[names[0], names[0]])
    assert "no ending of a picture" in refusal(InputError, model, [str(pictures)], outputs=["a.png", "b.txt"])


def test_two_pictures_of_one_name(model: Path, pictures: Path) -> None:
    opened(pictures / "a.png").save(pictures / "a.bmp")
    assert "a_OUT.png is meant for 2 pictures" in refusal(InputError, model, [str(pictures)])


@pytest.mark.parametrize(
    ("name", "raw"),
    [("m.jpg", False), ("m.webp", True), ("m.gif", False), ("m.jp2", False), ("m.JPEG", True), ("m.tga", False)],
)
def test_masks_keep_their_values(model: Path, pictures: Path, name: str, raw: bool) -> None:
    inputs = [str(pictures / "a.png")]
    message = refusal(InputError, model, inputs, outputs=[name], raw_values=raw)
    assert message == f"{name} would not keep the values of a mask; expected .png or .tif; choose another --output"
    assert not Path(name).exists()


def test_the_root_script_writes_beside_the_pictures_in_any_format(
    model: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = [str(pictures / "a.png")]
    assert predict(model, inputs, legacy=True) == [pictures / "a_OUT.png"]
    assert "warning" not in capsys.readouterr().err
    predict(model, inputs, outputs=["out.jpg"], raw_values=True, legacy=True)
    assert opened(Path("out.jpg")).size == (31, 20)
    assert "warning: out.jpg: this format does not keep the values of a mask" in capsys.readouterr().err


@pytest.mark.parametrize("inner", ["", "more"])
def test_never_among_the_pictures_of_a_data_set(
    model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    folder = tmp_path / "data" / "Imgs"
    (folder / inner).mkdir(parents=True)
    (tmp_path / "data" / "masks").mkdir()
    monkeypatch.chdir(folder / inner)
    message = refusal(InputError, model, [str(pictures)])
    assert message.startswith(f"{folder} holds the pictures of a data set; expected another place for masks; name it")
    assert files(folder) == []
    predict(model, [str(pictures)], outputs=["named"])
    assert files(folder / inner / "named") == ["a_OUT.png", "b_OUT.png"]


def read_table(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_table_of_areas(model: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with raster.create(
        "sheet.tif", height=20, width=31, bands=3, crs="EPSG:2154", transform=(0.5, 0, 0, 0, -0.5, 0)
    ) as sink:
        sink.write((0, 0, 20, 31), np.asarray(opened(pictures / "a.png")))
    predict(model, [str(pictures / "a.png"), "sheet.tif"], outputs=["out"], csv="areas.csv")
    rows = read_table("areas.csv")
    assert [(row["class"], row["pixels"], row["share"]) for row in rows[:3]] == [
        ("road", "320", "0.516129"), ("car", "300", "0.483871"), ("sky", "0", "0.000000"),
    ]  # fmt: skip
    assert {row["picture"] for row in rows[:3]} == {(pictures / "a.png").as_posix()}
    assert {row["area"] + row["unit"] for row in rows[:3]} == {""}
    assert [(row["picture"], row["area"], row["unit"]) for row in rows[3:5]] == [
        ("sheet.tif", "80", "square metre"), ("sheet.tif", "75", "square metre"),
    ]  # fmt: skip
    assert "areas: areas.csv" in capsys.readouterr().err
    Path("out/sheet_OUT.png").unlink()
    before = Path("areas.csv").read_text()
    predict(model, [str(pictures / "a.png"), "sheet.tif"], outputs=["out"], csv="areas.csv", resume=True)
    assert "1 of 2 pictures are done already" in capsys.readouterr().err
    assert Path("areas.csv").read_text() == before, "also of the picture that was left out"


def test_a_table_in_tiles_without_what_lies_outside(model: Path, pictures: Path) -> None:
    roi = np.zeros((20, 31), np.uint8)
    roi[:10] = 255
    Image.fromarray(roi).save("roi.png")
    predict(model, [str(pictures / "a.png")], outputs=["m.tif"], csv="areas.csv", roi="roi.png", tile=16)
    assert [row["pixels"] for row in read_table("areas.csv")] == ["160", "150", "0"]


def test_tables_that_cannot_be(model: Path, pictures: Path) -> None:
    inputs = [str(pictures)]
    assert "ends in .csv" in refusal(InputError, model, inputs, csv=str(pictures / "a.png"), overwrite=True)
    Path("areas.csv").write_text("mine")
    assert "areas.csv exists" in refusal(InputError, model, inputs, csv="areas.csv")
    message = refusal(InputError, model, inputs, csv="new.csv", save=False, epm=8, class_name="car", shard=(1, 2))
    assert "leave out --no-save" in message
    predict(model, inputs, csv="new.csv", shard=(2, 2))
    assert [row["picture"] for row in read_table("new-2of2.csv")] == [(pictures / "b.jpg").as_posix()] * 3
    assert Path("areas.csv").read_text() == "mine"


def test_a_map_in_degrees_has_no_areas(model: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = {"crs": "EPSG:4326", "transform": (1e-5, 0, 2, 0, -1e-5, 49)}
    with raster.create("degrees.tif", height=20, width=31, bands=3, **place) as sink:
        sink.write((0, 0, 20, 31), np.asarray(opened(pictures / "a.png")))
    predict(model, ["degrees.tif"], csv="areas.csv")
    assert {row["area"] for row in read_table("areas.csv")} == {""}
    assert "note: no areas for degrees.tif" in capsys.readouterr().err


def test_an_overlay_names_its_classes(model: Path, pictures: Path) -> None:
    Image.fromarray(np.full((300, 400, 3), 255, np.uint8)).save(pictures / "large.png")
    predict(model, [str(pictures / "large.png")], outputs=["out"], overlay=True)
    drawn = np.asarray(opened(Path("out/large_overlay.jpg")).convert("RGB")).astype(int)
    assert drawn.shape[1] == 400 and 310 < drawn.shape[0] < 340
    below = drawn[300:]
    red = np.array(CARS.colors[1])
    assert (np.abs(below - red).sum(axis=2) < 60).sum() > 60, "the box of the car"
    assert not (np.abs(below - np.array(CARS.colors[2])).sum(axis=2) < 60).any(), "there is no sky"


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_picture_is_never_overwritten(model: Path, pictures: Path, overwrite: bool) -> None:
    path = str(pictures / "a.png")
    twisted = str(pictures / ".." / pictures.name / "a.png")
    assert "is one of the pictures" in refusal(InputError, model, [path], outputs=[twisted], overwrite=overwrite)


def test_results_are_overwritten_on_demand_only(model: Path, pictures: Path) -> None:
    predict(model, [str(pictures / "a.png")])
    assert "exists already" in refusal(InputError, model, [str(pictures / "a.png")])
    predict(model, [str(pictures / "a.png")], overwrite=True)
    predict(model, [str(pictures / "a.png")], save=False)


def test_expectations(model: Path, pictures: Path) -> None:
    assert "has 3 classes; expected 2" in refusal(InputError, model, [str(pictures)], classes=2)
    assert "transposed" in refusal(InputError, model, [str(pictures)], bilinear=True)
    assert predict(model, [str(pictures / "a.png")], classes=3, bilinear=False)


def test_models_and_devices_that_are_not_there(model: Path, pictures: Path) -> None:
    refusal(ModelFileError, pictures / "a.png", [str(pictures)])
    refusal(ModelFileError, pictures / "none.pth", [str(pictures)])
    assert "device" in refusal(InputError, model, [str(pictures)], device="abacus")
    assert "scale" in refusal(InputError, model, [str(pictures)], scale=-1.0)


def test_a_threshold_without_effect_is_mentioned(
    model: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(model, [str(pictures / "a.png")], save=False, threshold=0.5)
    assert "no effect" not in capsys.readouterr().err
    predict(model, [str(pictures / "a.png")], save=False, threshold=0.9)
    assert "no effect" in capsys.readouterr().err


# --- what computes


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
def test_backends_say_who_they_are_and_agree(
    model: Path, pictures: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = {}
    for backend, words in (("torch", "torch (as asked)"), ("openvino", "OpenVINO (as asked)")):
        assert main(["predict", "-m", str(model), "-i", str(pictures), "-o", backend, "--backend", backend]) == 0
        assert words in capsys.readouterr().err
        masks[backend] = [np.asarray(opened(path)) for path in sorted(Path(backend).iterdir())]
    for ours, theirs in zip(masks["torch"], masks["openvino"], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    monkeypatch.setenv("UNET_BACKEND", "openvino")
    predict(model, [pictures], outputs=["third"])
    assert "OpenVINO (by UNET_BACKEND)" in capsys.readouterr().err
    assert main(["predict", "-m", str(model), "-i", str(pictures), "-o", "fourth", "--exact"]) == 0
    assert "torch (--exact means torch's float32)" in capsys.readouterr().err
    assert main(["predict", "-m", str(model), "-i", str(pictures), "--exact", "--backend", "openvino"]) == 2
    assert "leave out --exact" in capsys.readouterr().err


def test_many_small_pictures_come_in_order_and_a_broken_one_keeps_none_back(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "many"
    for number in range(12):
        pixels = np.full((10 + number, 20, 3), 255 if number % 2 else 0, np.uint8)
        raster.write_picture(folder / f"p{number:02}.png", pixels)
    whole = (folder / "p05.png").read_bytes()
    (folder / "p05.png").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(InputError, match="1 of 12 pictures could not be used"):
        predict(model, [folder], outputs=["masks"])
    lines = [line for line in capsys.readouterr().err.splitlines() if "/12 " in line]
    assert [line.split("/12")[0] for line in lines] == [str(number) for number in range(1, 13) if number != 6]
    for number in set(range(12)) - {5}:
        mask = np.asarray(opened(Path("masks") / f"p{number:02}_OUT.png"))
        assert mask.shape == (10 + number, 20) and (mask == number % 2).all()
    assert not (Path("masks") / "p05_OUT.png").exists()
