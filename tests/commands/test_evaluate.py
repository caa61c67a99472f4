"""`unet evaluate`: scores that are counted again by hand, the file they are written to, masks that do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from unet import bundle, cli, models, raster
from unet.bundle import Bundle
from unet.commands.convert import convert
from unet.commands.evaluate import evaluate
from unet.commands.predict import predict
from unet.data.pairs import Pair
from unet.data.scan import scan
from unet.data.seen import Seen, SeenPart
from unet.errors import InputError
from unet.labels import Labels
from unet.metrics.boundary import Tolerance, count_boundaries, report_boundaries
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing

DataMaker = Callable[..., Path]
THREE = Labels(("sky", "land", "sea"), ((0, 0, 0), (9, 90, 9), (9, 9, 200)), (0, 1, 2), ignored=(255,))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def untrained(path: str = "model.safetensors", labels: Labels = THREE, scale: float = 1.0, **architecture: Any) -> Path:
    """A model with random weights: its mistakes are all over the place."""
    torch.manual_seed(3)
    spec = ModelSpec(**{"classes": len(labels), "width": 3, "depth": 2, **architecture})
    state = models.build(spec).state_dict()
    state["outc.conv.weight"] *= 30
    bundle.save(Bundle(spec, labels, Preprocessing(scale=scale), None, {}, {}, state), Path(path))
    return Path(path)


def three_classes(folder: Path) -> Path:
    """Make the masks 0, 1, 2 and 255; the third picture has no 2, the last one nothing that counts."""
    rng = np.random.default_rng(5)
    for number, path in enumerate(sorted((folder / "masks").iterdir())):
        mask = raster.read_mask(path).astype(np.uint8)
        mask[rng.random(mask.shape) < 0.1] = 255
        if number != 2:
            mask[:, -7:] = 2
        if number == 3:
            mask[:] = 255
        Image.fromarray(mask).save(path)
    return folder


def counted(truth: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.int64]:
    """A confusion matrix of three classes, pixel by pixel."""
    matrix = np.zeros((3, 3), np.int64)
    for true, predicted_class in zip(truth.ravel().tolist(), predicted.ravel().tolist(), strict=True):
        if true != 255:
            matrix[true, predicted_class] += 1
    return matrix


def by_hand(matrix: NDArray[np.int64]) -> dict[str, Any]:
    """Scores of a confusion matrix as fractions of sets, one class at a time."""
    rows = []
    for index in range(3):
        truth, predicted, both = matrix[index].sum(), matrix[:, index].sum(), matrix[index, index]
        if truth == 0:
            rows.append(dict.fromkeys(("iou", "dice", "precision", "recall")))
            continue
        rows.append({
            "iou": both / (truth + predicted - both), "dice": 2 * both / (truth + predicted),
            "precision": both / predicted if predicted else None, "recall": both / truth,
        })  # fmt: skip
    there = [row for row in rows if row["iou"] is not None]
    total = matrix.sum()
    return {
        "mean_iou": np.mean([row["iou"] for row in there]) if there else None,
        "mean_dice": np.mean([row["dice"] for row in there]) if there else None,
        "pixel_accuracy": np.trace(matrix) / total if total else None,
        "classes": rows,
        "mean_iou_foreground": np.mean([row["iou"] for row in rows[1:] if row["iou"] is not None]) if there else None,
    }


@pytest.mark.parametrize("scale", [1.0, 0.6])
def test_scores_are_those_of_the_masks_that_predict_writes(make_data: DataMaker, scale: float, precision: str) -> None:
    data = three_classes(make_data(count=4))
    model = untrained(scale=scale)
    evaluate(model, data, json=Path("out/scores.json"))
    scores = json.loads(Path("out/scores.json").read_text(encoding="utf-8"))

    predict(model, [data / "imgs"], outputs=["masks"], raw_values=True)
    matrices = {}
    for number in range(4):
        with (
            Image.open(data / "masks" / f"p0{number}_mask.png") as mask,
            Image.open(f"masks/p0{number}_OUT.png") as out,
        ):
            assert mask.size == out.size, "scored at the picture's own size"
            matrices[f"p0{number}"] = counted(np.asarray(mask), np.asarray(out))
    total = sum(matrices.values())
    assert np.array_equal(scores["confusion"], total)
    assert len(np.unique(total)) > 4, "a case worth counting"

    expected = by_hand(np.asarray(total))
    for key in ("mean_iou", "mean_dice", "pixel_accuracy"):
        assert scores[key] == pytest.approx(expected[key])
    assert scores["mean_iou_foreground"] is None, "sky is no background"
    for index, row in enumerate(scores["classes"]):
        assert row["name"] == THREE.names[index] and row["pixels"] == np.asarray(total)[index].sum()
        assert {key: row[key] for key in ("iou", "dice", "precision", "recall")} == pytest.approx(
            expected["classes"][index]
        )
    for image in scores["images"]:
        alone = by_hand(matrices[image["name"]])
        for key in ("mean_iou", "mean_dice", "pixel_accuracy"):
            assert image[key] == (None if alone[key] is None else pytest.approx(alone[key]))
        assert Path(image["image"]).is_file() and Path(image["mask"]).is_file()
    ranks = [2.0 if image["mean_iou"] is None else image["mean_iou"] for image in scores["images"]]
    assert ranks == sorted(ranks) and ranks[-1] == 2.0, "the worst first, those without a score last"


@pytest.mark.slow
def test_the_file_has_the_promised_keys_and_is_not_lost_unasked(
    make_data: DataMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    three_classes(make_data())
    untrained()
    line = "evaluate model.safetensors data --json scores.json"
    assert cli.main(line.split()) == 0
    scores = json.loads(Path("scores.json").read_text(encoding="utf-8"))
    assert {"mean_iou", "mean_dice", "pixel_accuracy", "classes", "images"} <= scores.keys()
    assert set(scores["classes"][0]) == {"name", "iou", "dice", "precision", "recall", "pixels"}
    printed = capsys.readouterr().out
    assert "land" in printed and "pixel accuracy" in printed and "worst pictures" in printed

    Path("scores.json").write_text("mine", encoding="utf-8")
    assert cli.main(line.split()) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert Path("scores.json").read_text(encoding="utf-8") == "mine"
    assert cli.main([*line.split(), "--overwrite"]) == 0
    assert json.loads(Path("scores.json").read_text(encoding="utf-8")) == scores
    assert sorted(path.name for path in Path().iterdir()) == ["data", "model.safetensors", "scores.json"]


@pytest.mark.slow
def test_boundaries_on_request(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data = three_classes(make_data(count=4))
    model = untrained()
    plain = evaluate(model, Path("data"))
    capsys.readouterr()
    assert cli.main("evaluate model.safetensors data --boundary --tolerance 2 --json scores.json".split()) == 0
    printed = capsys.readouterr().out
    assert "boundary F" in printed and "within 2 px" in printed
    scores = json.loads(Path("scores.json").read_text(encoding="utf-8"))
    boundary = scores.pop("boundary")
    assert scores == plain, "nothing else changes"

    predict(model, [data / "imgs"], outputs=["masks"], raw_values=True)
    counts = []
    for number in range(4):
        target = raster.read_mask(data / "masks" / f"p0{number}_mask.png").astype(np.uint8)
        predicted = raster.read_mask(Path(f"masks/p0{number}_OUT.png")).astype(np.uint8)
        counts.append(count_boundaries(target, predicted, 3, Tolerance(2, percent=False)))
    assert boundary == report_boundaries(counts, THREE.names, Tolerance(2, percent=False))
    assert [row["name"] for row in boundary["classes"]] == list(THREE.names)
    assert 0 < boundary["mean_f"] < 1 and boundary["mean_hausdorff95"] > 0


@pytest.mark.parametrize(
    ("more", "message"), [("--boundary --tolerance near", "such as 0.75%"), ("--tolerance 2", "add --boundary")]
)
def test_a_tolerance_is_checked_before_anything_is_read(
    capsys: pytest.CaptureFixture[str], more: str, message: str
) -> None:
    assert cli.main(f"evaluate nowhere.safetensors nothing {more}".split()) == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1


def test_intervals_are_those_of_the_pictures(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data = three_classes(make_data(count=4))
    scores = evaluate(untrained(), data)
    assert "95% intervals" in capsys.readouterr().out
    for name in ("mean_iou", "mean_dice", "pixel_accuracy"):
        low, high = scores["confidence"][name]
        each = [image[name] for image in scores["images"] if image[name] is not None]
        assert min(each) <= low < high <= max(each) or name != "pixel_accuracy"
        assert low <= scores[name] <= high
    only = evaluate(untrained(), make_data("one", count=1))
    assert only["confidence"]["mean_iou"] is None


@pytest.mark.parametrize("target", ["data", "model.safetensors/scores.json"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_computed(
    make_data: DataMaker, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    three_classes(make_data())
    untrained()
    assert cli.main(f"evaluate model.safetensors data --json {target} --overwrite".split()) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(f"unet: error: {target}") and printed.err.count("\n") == 1


@pytest.mark.slow
def test_parts(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    for part, count in (("train", 3), ("val", 2), ("test", 1)):
        make_data(f"data/{part}", count=count)
    model = untrained()
    for part, count in (("train", 3), ("val", 2), ("test", 1), ("all", 6)):
        assert len(evaluate(model, Path("data"), split=part)["images"]) == count
    assert cli.main("evaluate model.safetensors data/train --split val".split()) == 2
    assert "no part 'val'; expected all" in capsys.readouterr().err


def test_folders_by_name(make_data: DataMaker) -> None:
    make_data(images="scans", masks="drawn", suffix="_GT")
    scores = evaluate(untrained(), images=Path("data/scans"), masks=Path("data/drawn"), mask_suffix="_GT")
    assert len(scores["images"]) == 4


def test_mask_values_that_the_model_never_saw(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data = three_classes(make_data())
    untrained()
    for name in ("p00", "p02"):
        path = data / "masks" / f"{name}_mask.png"
        mask = raster.read_mask(path).astype(np.uint8)
        mask[0, :2] = 7
        Image.fromarray(mask).save(path)
    assert cli.main("evaluate model.safetensors data --json scores.json".split()) == 2
    printed = capsys.readouterr()
    first, *faults = printed.err.splitlines()
    assert printed.out == "" and first == "unet: error: 2 of 4 pairs cannot be scored"
    assert len(faults) == 2
    for name, fault in zip(("p00", "p02"), faults, strict=True):
        assert f"{name}_mask.png: mask values 7 (2 pixels); expected only 0, 1, 2, 255" in fault
    assert not Path("scores.json").exists()


def test_colours_for_a_model_of_numbers(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_data()
    untrained()
    for path in (data / "masks").iterdir():
        raster.write_picture(path, np.stack([raster.read_mask(path).astype(np.uint8) * 90] * 2 + [
            np.zeros((24, 32), np.uint8)], axis=2))  # fmt: skip
    assert cli.main("evaluate model.safetensors data".split()) == 2
    assert "colour mask" in capsys.readouterr().err


@pytest.mark.slow
def test_pictures_of_other_kinds_are_brought_to_the_models(make_data: DataMaker) -> None:
    data = three_classes(make_data())
    color = evaluate(untrained(), data)
    for path in (data / "imgs").iterdir():
        Image.fromarray(np.dstack([raster.read(path), np.full((24, 32), 9, np.uint8)])).save(path)
    assert evaluate(untrained(), data)["confusion"] == color["confusion"], "transparency does not count"
    for path in (data / "imgs").iterdir():
        Image.open(path).convert("L").save(path)
    assert np.sum(evaluate(untrained(), data)["confusion"]) == np.sum(color["confusion"])


@pytest.mark.slow
def test_a_model_scores_as_it_did_at_the_end_of_its_training(make_data: DataMaker) -> None:
    make_data("data/train", count=4)
    make_data("data/val", count=2, seed=3)
    line = "train data --out run --steps 4 --set width=4 --set depth=2 --set crop=[24,32] --set precision=32-true"
    assert cli.main([*line.split(), "--set", "channels_last=false"]) == 0
    before = json.loads(Path("run/evaluation.json").read_text(encoding="utf-8"))
    after = evaluate(Path("run/model.safetensors"), Path("data"), split="val", exact=True)
    assert after["confusion"] == before["confusion"] and after["mean_iou"] == before["mean_iou"]


@pytest.mark.slow
def test_pictures_known_from_training_are_counted_and_said(
    make_data: DataMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_data(count=4)
    found = scan([Pair(path.stem, path, data / "masks" / f"{path.stem}_mask.png") for path in sorted(
        (data / "imgs").iterdir())])  # fmt: skip
    parts = [
        SeenPart.of((picture.content_hash, None, picture.look) for picture in pictures)
        for pictures in (found.pictures[:2], found.pictures[2:3])
    ]
    path = untrained("run/model.safetensors", Labels.numbered(2))
    bundle.save(replace(bundle.load(path), provenance={"seen": Seen(*parts).to_dict()}), path)
    for model in ("run", "run/model.safetensors"):
        assert cli.main(f"evaluate {model} data --json scores.json --overwrite".split()) == 0
        printed = capsys.readouterr()
        assert "Scores on 4 pictures, of which 2 the model was trained on and 1 chose its weights\n" in printed.out
        assert "warning: the model was trained on 2 of 4 pictures" in printed.err
        scores = json.loads(Path("scores.json").read_text(encoding="utf-8"))
        assert (scores["trained_on"], scores["validated_on"]) == (2, 1)
        (unseen,) = [image for image in scores["images"] if image["name"] == "p03"]
        assert scores["unseen"] == {"pictures": 1} | {
            name: unseen[name] for name in ("mean_iou", "mean_dice", "pixel_accuracy")
        }
        assert "on the 1 picture that it has not seen: mean IoU" in printed.err
    convert("run", "old.pth")
    assert evaluate("old.pth", data)["trained_on"] == 2, "the other format remembers too"
    assert torch.load("old.pth", weights_only=True)["mask_values"] == [0, 1], "and is read as ever"
    capsys.readouterr()

    scores = evaluate(path, make_data("new", seed=9))
    assert (scores["trained_on"], scores["validated_on"]) == (0, 0) and "unseen" not in scores
    assert capsys.readouterr().err == "", "there is nothing to say"
    assert evaluate(untrained(labels=Labels.numbered(2)), data)["trained_on"] is None
    assert "does not say which pictures it was trained on" in capsys.readouterr().err


@pytest.mark.slow
def test_classes_of_other_data_are_matched_by_name(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_data()
    model = untrained()
    by_value = evaluate(model, data)
    assert "warning: classes matched by value, as the data name none: 0 is sky, 1 is land" in capsys.readouterr().err
    (data / "classes.csv").write_text("name,value\nland,0\nsky,1\n", encoding="utf-8")
    by_name = evaluate(model, data)
    assert np.array_equal(np.array(by_name["confusion"])[[1, 0, 2]], by_value["confusion"]), "rows are the true classes"
    (data / "classes.csv").write_text("name,value\ncat,0\ndog,1\n", encoding="utf-8")
    assert cli.main("evaluate model.safetensors data".split()) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("unet: error: no class of the data (cat, dog) is one of the model (sky, land, sea)")


@pytest.mark.slow
def test_a_pth_of_the_carvana_unet(make_data: DataMaker) -> None:
    data = make_data()
    torch.manual_seed(0)
    state = models.build(ModelSpec(width=4, depth=4)).state_dict()
    torch.save({**state, "mask_values": [0, 1]}, "old.pth")
    scores = evaluate(Path("old.pth"), data)
    assert len(scores["classes"]) == 2 and np.sum(scores["confusion"]) == 4 * 24 * 32
    # Scored at half size as a rule; another scale, another result.
    assert evaluate(Path("old.pth"), data, scale=0.5)["confusion"] == scores["confusion"]
    torch.save({**state, "mask_values": [0, 255]}, "other.pth")
    assert cli.main("evaluate other.pth data".split()) == 2, "their 1 is not the model's 255"


def test_names_are_shown_as_they_are(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_data()
    strange = Labels(("[red]", "[/x] a long name " * 3), ((0, 0, 0), (9, 9, 9)), (0, 1))
    evaluate(untrained(labels=strange), data)
    printed = capsys.readouterr().out
    assert "[red]" in printed and "[/x]" in printed and "Scores on 4 pictures\n" in printed


def test_one_logit_is_two_classes(make_data: DataMaker) -> None:
    data = make_data()
    model = untrained(labels=Labels.numbered(2), classes=1)
    scores = evaluate(model, data)
    assert np.shape(scores["confusion"]) == (2, 2)
    predict(model, [data / "imgs"], outputs=["masks"], raw_values=True)
    foreground = sum(int(np.asarray(Image.open(path)).sum()) for path in Path("masks").iterdir())
    assert np.sum(scores["confusion"], axis=0)[1] == foreground


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mask", "polygons"])
def test_only_a_region_counts(kind: str, make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data, model = three_classes(make_data(count=3)), untrained()
    inside = np.zeros((24, 32), np.uint8)
    inside[3:20, 5:30] = 1
    roi = "roi.png"
    if kind == "mask":
        raster.write_grey(roi, inside)
    else:
        roi = "roi.geojson"
        ring = [[5, 3], [30, 3], [30, 20], [5, 20], [5, 3]]
        Path(roi).write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    predict(model, [data / "imgs"], outputs=["out"])
    expected = np.zeros((3, 3), np.int64)
    for path in sorted((data / "masks").iterdir()):
        truth = np.where(inside == 1, raster.read_mask(path), 255)
        expected += counted(truth, raster.read_mask(Path("out") / f"{path.stem.removesuffix('_mask')}_OUT.png"))
    assert evaluate(model, data, roi=roi)["confusion"] == expected.tolist()
    assert cli.main(["evaluate", str(model), str(data), "--roi", roi, "--json", "scores.json"]) == 0
    assert json.loads(Path("scores.json").read_text(encoding="utf-8"))["confusion"] == expected.tolist()
    assert cli.main(["evaluate", str(model), str(data), "--roi", "rio.png"]) == 2
    assert "rio.png" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("fractions", "fractions from 0 to 1: stretched to 0 to 255"),
        ("grey", "the model takes 3 bands: each is given the grey"),
        ("16 bits", "4 pictures of another range of values; expected about 0 to 255"),
    ],
)
def test_pictures_of_another_kind_are_converted_or_refused_and_it_is_said(
    make_data: DataMaker, kind: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = three_classes(make_data(count=4))
    known = replace(bundle.load(untrained()), preprocessing=Preprocessing(mean=(0.3,) * 3, std=(0.2,) * 3))
    bundle.save(known, Path("known.safetensors"))
    before = evaluate("known.safetensors", data)
    for path in sorted((data / "imgs").iterdir()):
        pixels = raster.read(path)
        path.unlink()
        if kind == "grey":
            raster.write_grey(path, pixels[..., 0])
        else:
            np.save(
                path.with_suffix(".npy"),
                (pixels / 255).astype("f4") if kind == "fractions" else pixels * np.uint16(257),
            )
    capsys.readouterr()
    if kind == "16 bits":
        with pytest.raises(InputError, match=words):
            evaluate("known.safetensors", data)
        with pytest.raises(InputError, match="4 of 4 pictures could not be used"):
            predict("known.safetensors", [data / "imgs"], outputs=["masks"])
        return
    after = evaluate("known.safetensors", data)
    said = capsys.readouterr().err
    assert "4 of 4 pictures: a " in said and words in said
    if kind == "fractions":
        np.testing.assert_allclose(after["confusion"], before["confusion"], atol=3)
    predict("known.safetensors", [data / "imgs"], outputs=["masks"])
    assert capsys.readouterr().err.count(words) == 1, "once for all pictures"
