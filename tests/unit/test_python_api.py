"""What `import unet` offers as functions: keywords, silence, results to go on with."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import unet
from unet import bundle, raster
from unet.api import settings
from unet.config import Config
from unet.data import Dataset
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing
from unet.runs.settings import TrainFlags
from unet.terminal.bars import NotebookBars, bars_for
from unet.terminal.display import open_display
from unet.terminal.speech import listening, open_console

SMALL: dict[str, Any] = {"steps": 1, "width": 4, "depth": 2}


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    spec = ModelSpec(bands=3, classes=2, width=4, depth=2)
    network = unet.UNet(3, 2, width=4, depth=2)
    made = unet.Bundle(spec, unet.Labels.numbered(2), Preprocessing(), None, {}, {}, network.state_dict())
    unet.save(made, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def picture_of(*shape: int, dtype: str = "uint8", most: int = 255) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(0, most, shape, endpoint=True).astype(dtype)


# Keywords


def test_every_setting_is_a_keyword() -> None:
    known = {key for section in Config.model_fields for key in type(getattr(Config(), section)).model_fields}
    assert settings.all_settings() == known - {"root"} | {"time"}


def test_flags_are_those_of_the_commands() -> None:
    assert TrainFlags.__optional_keys__ == settings.FLAGS


@pytest.mark.parametrize("name", ["evaluate", "predict", "repair", "inspect_data", "train", "cross_validate"])
def test_whatever_a_command_takes_can_be_said_from_python(name: str) -> None:
    from unet.commands import evaluate, folds, predict, repair, train
    from unet.commands import inspect as looking

    homes: dict[str, Callable[..., Any]] = {
        "evaluate": evaluate.evaluate, "predict": predict.predict, "repair": repair.repair,
        "inspect_data": looking.inspect, "train": train.train, "cross_validate": folds.cross_validate,
    }  # fmt: skip
    ours = set(inspect.signature(getattr(unet, name)).parameters)
    # config; the clock; keywords; the old script; processes, which a program of Python starts itself
    elsewhere = {"config_file", "started", "flags", "legacy", "devices"}
    assert set(inspect.signature(homes[name]).parameters) - elsewhere <= ours


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: unet.train("data", wdith=8), "train: unknown keyword 'wdith' (did you mean width?)"),
        (lambda: unet.make_plan("data", tiem="2m"), "make_plan: unknown keyword 'tiem' (did you mean time?)"),
        (lambda: unet.cross_validate("data", flods=3), "cross_validate: unknown keyword 'flods' (did you mean folds?)"),
        (lambda: unet.evaluate("m", devcie="cpu"), "evaluate: unknown keyword 'devcie' (did you mean device?)"),
        (lambda: unet.predict("m", "p", ovrelay=True), "predict: unknown keyword 'ovrelay' (did you mean overlay?)"),
        (lambda: unet.inspect_data("d", mask_sufix="_m"), "unknown keyword 'mask_sufix' (did you mean mask_suffix?)"),
        (lambda: unet.repair("d", out="o", instance="objects"), "unknown keyword 'instance' (did you mean instances?)"),
        (lambda: unet.load("m", devise="cpu"), "load: unknown keyword 'devise' (did you mean device?)"),
        (lambda: unet.vectorize("m.png", simplfy=1), "vectorize: unknown keyword 'simplfy' (did you mean simplify?)"),
        (
            lambda: unet.train("d", wdith=8, lss="ce"),
            "'wdith' (did you mean width?), 'lss' (did you mean loss?)",
        ),
    ],
)
def test_a_mistyped_keyword_is_one_error_with_the_nearest(call: Callable[[], object], said: str) -> None:
    with pytest.raises(unet.ConfigError) as caught:
        call()
    assert said in str(caught.value) and len(str(caught.value)) < 120


def test_a_value_that_no_setting_has_is_named() -> None:
    with pytest.raises(unet.ConfigError, match="width = <object"):
        unet.train("data", width=object())
    with pytest.raises(unet.ConfigError, match=r"model\.width"):
        unet.train("data", width="wide")
    with pytest.raises(unet.ConfigError, match="folds = 1"):
        unet.cross_validate("data", folds=1)
    with pytest.raises(unet.ConfigError, match="config and recipe together"):
        unet.make_plan("data", config="a.toml", recipe="carvana")


def test_settings_go_on_as_they_were_given() -> None:
    given = {
        **{"loss": "ce + dice", "width": np.int64(8), "crop": (64, 32), "standardise": False, "group": "1", "val": 0.2},
        **{"keep": "road", "time": "2m", "encoder": Path("a/b"), "depth": None, "mask_values": [0, 255]},
    }
    flags, texts = settings.as_flags(given)
    assert flags == {"group": "1", "val": "0.2", "keep": ("road",), "time": "2m", "mask_values": (0, 255)}
    from unet.config import from_assignments

    assert from_assignments(texts) == {
        "training": {"loss": "ce + dice"},
        "model": {"width": 8, "encoder": "a/b"},
        "data": {"crop": [64, 32], "standardise": False},
    }


# Silence, and results


@pytest.mark.slow
def test_nothing_is_shown_unless_asked_for(
    make_data: Callable[..., Path], model_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    data = make_data()
    with caplog.at_level(logging.INFO, logger="unet"):
        scores = unet.evaluate(str(model_path), data)
    found = unet.inspect_data(str(data))
    repaired = unet.repair(data, out="clean", dry_run=True)
    written = unet.predict(model_path, data / "imgs", outputs=tmp_path / "masks")
    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "masks", "model.safetensors"]
    assert found.ok and repaired.kept == 4 and len(written.files) == 4
    assert any("p00.png" in line for line in written.messages)
    assert scores.of("foreground").pixels == sum(int(raster.read_mask(m).sum()) for m in (data / "masks").iterdir())
    assert scores.confusion.sum() == 4 * 24 * 32

    unet.evaluate(model_path, data, verbose=True)
    out = capfd.readouterr().out
    assert "Scores on 4 pictures" in out and "foreground" in out


def test_what_is_not_shown_is_in_the_log_and_in_the_messages(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="unet"), listening(False) as said:
        open_display().notify("a word with 50 % in it")
        with listening(True):
            assert open_console().quiet, "whoever calls has asked for silence"
    assert said == ["a word with 50 % in it"] == caplog.messages
    assert not open_console().quiet


@pytest.mark.slow
def test_from_training_to_masks_in_python_alone(
    make_data: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = make_data()
    plan = unet.make_plan(str(data), **SMALL, val=0.25, augment="none")
    assert plan.folder is None and plan.config.model.width == 4
    result = unet.train(config=plan.config, out=str(tmp_path / "run"), loss="ce")
    assert capfd.readouterr() == ("", "")
    assert result.finished and result.model_path.is_file() and result.report.is_file() and result.messages
    assert 'loss = "ce"' in (result.run / "config.toml").read_text()
    assert len(result.scores.pictures) == 1
    seen = result.model.predict(data / "imgs" / "p00.png")
    (mask,) = unet.predict(result.model_path, data / "imgs" / "p00.png", outputs=tmp_path / "mask.png").files
    np.testing.assert_array_equal(seen.labels, raster.read_mask(mask))

    folds = unet.cross_validate(data, 2, out=tmp_path / "folds", **SMALL)
    assert capfd.readouterr() == ("", "")
    assert folds.scores is not None and len(folds.scores.pictures) == 4
    assert [path.is_file() for path in folds.model_paths] == [True, True]


# Models


def test_arrays_of_every_kind_are_taken(model_path: Path, tmp_path: Path) -> None:
    model = unet.load(str(model_path), device="cpu")
    picture = picture_of(20, 28, 3)
    raster.write_picture(tmp_path / "p.png", picture)
    seen = model.predict(picture)
    assert seen.labels.dtype == np.uint8 and seen.labels.shape == (20, 28)
    assert seen.probabilities is not None and seen.probabilities.shape == (2, 20, 28)
    np.testing.assert_array_equal(seen.labels, seen.probabilities.argmax(axis=0))
    assert seen.names == model.names == ("background", "foreground")
    for same in (*model.predict([tmp_path / "p.png", str(tmp_path / "p.png"), picture]), model.predict(picture[:])):
        np.testing.assert_array_equal(same.labels, seen.labels)
        np.testing.assert_allclose(same.probabilities, seen.probabilities, atol=1e-6)  # type: ignore[arg-type]
    grey = picture_of(20, 28)
    with pytest.warns(UserWarning, match="a grey picture, but the model takes 3 bands"):
        of_grey = model.predict(grey).labels
    for like in (grey[..., None], np.repeat(grey[..., None], 3, axis=2), grey.astype(np.float64)):
        np.testing.assert_array_equal(model.predict(like).labels, of_grey)
    assert model.predict(picture, probabilities=False).probabilities is None
    assert model.to("cpu") is model and model.device == torch.device("cpu")


def test_what_a_file_undergoes_is_said(model_path: Path, tmp_path: Path) -> None:
    raster.write_grey(tmp_path / "grey.png", picture_of(20, 28))
    with pytest.warns(UserWarning, match=r"grey\.png: a grey picture, but the model takes 3 bands"):
        unet.load(model_path, device="cpu").predict(tmp_path / "grey.png")


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (picture_of(3, 20, 28), r"shape \(3, 20, 28\), bands first; expected \(H, W, C\).*transpose\(1, 2, 0\)"),
        (torch.zeros(3, 20, 28), "a torch.Tensor as picture"),
        (picture_of(2, 20, 28, 3), "shape .2, 20, 28, 3.*as a list"),
        (picture_of(20, 28, 7), "7 bands"),
        (picture_of(0, 28, 3), r"no 0"),
        (picture_of(20, 28).astype(np.int64), "an array of int64.*uint8"),
        (Path("nowhere.png"), "nowhere.png"),
    ],
)
def test_arrays_of_another_kind_are_refused_in_words(model_path: Path, picture: Any, said: str) -> None:
    with pytest.raises(unet.InputError, match=said):
        unet.load(model_path).predict(picture)


def test_one_logit_gives_the_probabilities_of_both_classes(tmp_path: Path) -> None:
    network = unet.UNet(1, 1, width=4, depth=2)
    spec = ModelSpec(bands=1, classes=1, width=4, depth=2)
    made = unet.Bundle(spec, unet.Labels.numbered(2), Preprocessing(bands=1), None, {}, {}, network.state_dict())
    seen = unet.Model(made).predict(picture_of(16, 16))
    assert seen.probabilities is not None and seen.probabilities.shape == (2, 16, 16)
    np.testing.assert_allclose(seen.probability("background") + seen.probability("foreground"), 1, atol=1e-6)
    np.testing.assert_array_equal(seen.mask("foreground"), seen.probability("foreground") > 0.5)


def test_a_prediction_can_be_gone_on_with(model_path: Path, tmp_path: Path) -> None:
    picture = picture_of(20, 28, 3)
    seen = unet.load(model_path).predict(picture)
    assert sum(seen.shares.values()) == pytest.approx(1)
    assert seen.mask("foreground").sum() == round(seen.shares["foreground"] * 20 * 28)
    assert seen.colored().shape == seen.over(picture).shape == (20, 28, 3)
    path = seen.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(raster.read_mask(path), seen.labels)
    with pytest.raises(unet.InputError, match=r"exists.*overwrite=True"):
        seen.save(path)
    with pytest.raises(unet.InputError, match="does not keep"):
        seen.save(tmp_path / "mask.jpg")
    with pytest.raises(unet.InputError, match="did you mean foreground"):
        seen.mask("foregrund")
    with pytest.raises(unet.InputError, match="size of the prediction"):
        seen.over(picture[:10])


def test_a_models_network_can_be_trained_on_without_changing_the_model(model_path: Path, tmp_path: Path) -> None:
    model = unet.load(model_path)
    network = model.network()
    with torch.no_grad():
        next(iter(network.parameters())).zero_()
    kept = bundle.load(model.save(tmp_path / "again.safetensors"))
    assert next(iter(kept.state.values())).abs().sum() > 0


# A loop of one's own


def test_a_dataset_feeds_a_loop_of_ones_own(make_data: Callable[..., Path]) -> None:
    data = make_data(size=(32, 32))
    train, val = Dataset(str(data), crop=16, augment="light").split(val=0.25)
    torch.manual_seed(0)
    network = unet.UNet(3, len(train.names), width=4, depth=2)
    loss = unet.losses.parse("ce + dice")
    loader = DataLoader(train, batch_size=3, shuffle=True)
    (images, targets) = next(iter(loader))
    assert images.shape == (3, 3, 16, 16) and images.dtype == torch.float32
    assert targets.shape == (3, 16, 16) and set(targets.unique().tolist()) <= {0, 1, 255}
    value = loss(network(images), targets)
    value.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(value)
    image, target = val[0]
    assert image.shape == (3, 32, 32), "whole, and not changed at random"
    assert torch.equal(image, val[-1][0]) and not {p.name for p in train.pairs} & {p.name for p in val.pairs}
    counts = unet.metrics.confusion_matrix(*(target.numpy().astype(np.uint8),) * 2, classes=2)
    assert unet.metrics.scores(counts).mean_iou == 1.0
    assert len(list(val)) == 1, "a loop over a dataset ends"


def test_samples_follow_the_seed_and_differ_between_epochs(make_data: Callable[..., Path]) -> None:
    dataset = Dataset(make_data(), crop=16, augment="strong")
    torch.manual_seed(3)
    first, second = dataset[0][0], dataset[0][0]
    torch.manual_seed(3)
    assert torch.equal(dataset[0][0], first) and not torch.equal(first, second)


def test_pictures_of_different_sizes_are_batched(make_data: Callable[..., Path]) -> None:
    data = make_data(count=2)
    rng = np.random.default_rng(0)
    raster.write_picture(data / "imgs" / "p09.png", rng.integers(0, 255, (40, 20, 3), dtype=np.uint8))
    raster.write_mask(data / "masks" / "p09_mask.png", np.eye(40, 20, dtype=np.uint8), [0, 0, 0, 200, 30, 30])
    images, targets = next(iter(DataLoader(Dataset(data), batch_size=3, collate_fn=Dataset.collate)))
    assert images.shape == (3, 3, 40, 32) and (targets == 255).sum() == 2 * 16 * 32 + 40 * 12


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"part": "val"}, r"no part 'val'.*split"),
        ({"augment": "wild"}, "augment 'wild'"),
        ({"mask_sufix": "_m"}, "did you mean mask_suffix"),
        ({"scale": 3.0}, "scale"),
    ],
)
def test_a_dataset_says_what_is_wrong(make_data: Callable[..., Path], options: dict[str, Any], said: str) -> None:
    with pytest.raises(unet.InputError, match=said):
        Dataset(make_data(), **options)


def test_rooms_can_be_reached_from_the_package() -> None:
    for name in ("data", "losses", "metrics", "models", "tiling", "errors"):
        assert getattr(unet, name) is sys.modules[f"unet.{name}"]


# Notebooks


class Place:
    """What IPython gives for an output that can be shown anew."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def update(self, data: dict[str, str], raw: bool) -> None:
        self.shown.append(data["text/plain"])


def test_bars_are_drawn_in_the_output_of_a_cell_and_are_gone_after(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.progress import MofNCompleteColumn, TextColumn

    bars = NotebookBars(TextColumn("{task.description}"), MofNCompleteColumn())
    bars._place = place = Place()
    monkeypatch.setattr("unet.terminal.bars.SECONDS", 0.0)
    task = bars.add_task("reading", total=8)
    bars.update(task, completed=5)
    bars.stop()
    assert place.shown[-2].split() == ["reading", "5/8"] and place.shown[-1] == ""


def test_a_log_gets_no_bars() -> None:
    assert bars_for(open_console()) is None
