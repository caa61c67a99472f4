from __future__ import annotations

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.measure import label as measure_label

from unet import bundle, config, models, raster
from unet.bundle import Bundle
from unet.errors import ConfigError, InputError
from unet.labels import Labels, default_colors
from unet.metrics.confusion import report
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing
from unet.report.charts import Series, axis_ticks, line_chart, short
from unet.report.legend import legend, legend_entries, with_legend
from unet.report.outcome import Outcome, write_outcome
from unet.report.page import write_report
from unet.report.panels import panels_of
from unet.report.samples import PANEL_WIDTH, sample_panels, write_sample
from unet.report.sections import MOST_DRAWN, MOST_NUMBERED
from unet.report.words import command_line, counted, duration, file_size, large, listed, percent, score
from unet.training.health import Remark, write_remarks

NASTY = ("<b>street</b>", "O'Brien's \"house\" & garden", "水", "<script>alert(1)</script>")
HEADER = "step,epoch,seconds,lr,train_loss,val_mean_iou,val_mean_dice,val_pixel_accuracy,pictures_per_second"
VOID = {"meta", "link", "img"}


class Page(HTMLParser):
    """The page as a browser sees it: elements, their attributes, the text; tags must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("td", "th"):
            self.text += " "
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.text += data

    def values(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.elements if name in attributes]

    def words(self) -> str:
        return " ".join(self.text.split())


def make_run(
    folder: Path, confusion: Any, names: tuple[str, ...], pictures: tuple[str, ...] = ("one",), rows: str = ""
) -> Path:
    run = folder / "my run & more"
    run.mkdir()
    settings = config.parse({"data": {"root": "maps <old>"}, "training": {"seconds": 60.0}})
    (run / "config.toml").write_text(config.to_toml(settings), encoding="utf-8")
    matrix = np.array(confusion)
    scores = report([matrix] * len(pictures), names, [{"name": p, "image": p, "mask": p} for p in pictures])
    (run / "evaluation.json").write_text(json.dumps(scores), encoding="utf-8")
    if rows:
        (run / "metrics.csv").write_text(f"{HEADER}\n{rows}", encoding="utf-8")
    return run


def page_of(run: Path) -> Page:
    path = write_report(run)
    assert path == run / "report.html"
    assert [p.name for p in run.iterdir() if p.name.startswith("report")] == ["report.html"]
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture
def full_run(tmp_path: Path) -> Path:
    """Everything that a run can hold, with names that could break a page."""
    confusion = [[80, 10, 0, 0], [5, 60, 0, 0], [3, 4, 0, 0], [0, 0, 0, 0]]
    rows = "10,0.5,6,0.002,1.2,,0.4,0.5,0.7,5.2\n20,1,12,0.001,0.8,,0.6,0.7,0.8,5.3\n"
    run = make_run(tmp_path, confusion, NASTY, ('a/<i> & "q"', "b"), rows)
    (run / "plan.md").write_text("# Plan\n\n- Batch of 4: <small> & fast.\n", encoding="utf-8")
    rng = np.random.default_rng(0)
    for rank, name in enumerate(('a_<i> & "q"', "b")):
        raster.write_picture(run / "samples" / f"{rank:02d}_{name}.png", rng.integers(0, 255, (8, 36, 3), np.uint8))
    labels = Labels(NASTY, default_colors(4), (0, 1, 2, 3), ignored=(255,))
    spec = ModelSpec(classes=4, width=2, depth=2)
    provenance = {"unet": "0.1.0", "torch": "2.9", "step": 20, "train_pictures": 24, "val_pictures": 2}
    state = models.build(spec).state_dict()
    bundle.save(Bundle(spec, labels, Preprocessing(), None, {}, provenance, state), run / "model.safetensors")
    return run


def test_a_full_page_is_well_formed_and_needs_nothing_from_elsewhere(full_run: Path) -> None:
    page = page_of(full_run)

    for address in [*page.values("src"), *page.values("href")]:
        assert address.startswith(("data:", "#"))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = [address[1:] for address in page.values("href") if address.startswith("#")]
    for reference in [*targets, *page.values("aria-labelledby"), *page.values("aria-describedby")]:
        assert reference in ids
    pictures = [attributes for tag, attributes in page.elements if tag == "img"]
    assert len(pictures) == 2 * 4
    assert all(picture["alt"] for picture in pictures)
    assert "url(" not in (full_run / "report.html").read_text(encoding="utf-8")


def test_names_are_shown_as_they_are_and_never_run(full_run: Path) -> None:
    page = page_of(full_run)

    assert "<script>alert(1)</script>" in page.text
    assert [tag for tag, _ in page.elements].count("script") == 1  # the page's own
    assert "i" not in [tag for tag, attributes in page.elements if not attributes]
    for shown in (*NASTY, "maps <old>", "Batch of 4: <small> & fast.", 'a_<i> & "q"', "my run & more"):
        assert shown in page.words()


def test_the_first_screen_says_what_was_reached_and_what_is_wrong(full_run: Path) -> None:
    words = page_of(full_run).words()

    assert "Mean IoU 0.525 on 2 pictures held back from training" in words
    assert "on 24 pictures of maps <old>, for 12 seconds" in words
    assert "Never predicted, though there: 水" in words
    assert "Not in the pictures scored: <script>alert(1)</script>" in words
    assert "2 pictures are few to score on" in words


@pytest.mark.slow
def test_the_first_screen_says_what_was_planned_reached_and_why(full_run: Path) -> None:
    write_outcome(full_run, Outcome(9, 55.0, 61.0, estimated=True, finished=True, why="validations took 40 s of 60 s"))
    head = page_of(full_run).text.partition("Pictures, from")[0]
    told = "9 steps in 55 seconds, of about 61 planned: validations took 40 s of 60 s."
    assert f"A short training: {told}" in head and f"It did {told}" in head
    write_outcome(full_run, Outcome(60, 55.0, 61.0, estimated=True, finished=True))
    head = page_of(full_run).text.partition("Pictures, from")[0]
    assert "A short training" not in head and "It did 60 steps in 55 seconds, of about 61 planned." in head
    (full_run / "outcome.json").write_text("[", encoding="utf-8")
    assert "It did" not in page_of(full_run).text


def test_a_score_that_is_not_defined_is_a_dash_with_an_explanation(full_run: Path) -> None:
    page = page_of(full_run)

    assert "– is not a zero" in page.words()
    assert "<script>alert(1)</script> – – – – 0 0.0 %" in page.words()


def test_the_command_to_use_the_model_can_be_typed(full_run: Path) -> None:
    words = page_of(full_run).words()

    assert command_line(["unet", "predict", "-m", str(full_run / "model.safetensors")]) in words


def test_the_settings_alone_make_a_page(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[training]\nseed = 3\n", encoding="utf-8")

    page = page_of(tmp_path)

    assert "This run has not been scored yet" in page.words()
    assert "seed = 3" in page.text
    assert not page.values("src")


def test_without_settings_there_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.toml"):
        write_report(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"mean_iou": 1}', "3"])
def test_scores_that_cannot_be_read_are_named(tmp_path: Path, text: str) -> None:
    run = make_run(tmp_path, [[1, 0], [0, 1]], ("a", "b"))
    (run / "evaluation.json").write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=r"evaluation\.json holds no scores"):
        write_report(run)


def test_a_damaged_model_file_and_odd_samples_do_not_stop_the_page(tmp_path: Path) -> None:
    run = make_run(tmp_path, [[1, 0], [0, 1]], ("a", "b"))
    (run / "model.safetensors").write_bytes(b"cut off")
    (run / "samples").mkdir()
    (run / "samples" / "00_text.png").write_text("no picture", encoding="utf-8")
    raster.write_picture(run / "samples" / "01_odd.png", np.zeros((4, 10, 3), np.uint8))

    assert "Dice of b 1.000" in page_of(run).words()


def test_a_collapsed_model_is_said_to_be_one(tmp_path: Path) -> None:
    run = make_run(tmp_path, [[50, 0], [9, 0]], ("ground", "cell"))

    assert "The model has collapsed: it answers ground for every pixel" in page_of(run).words()


def test_a_metrics_file_cut_off_in_a_line_still_gives_curves(tmp_path: Path) -> None:
    run = make_run(tmp_path, [[1]], ("a",), rows="10,1,5,0.1,0.9,0.5,0.6,0.7,4\n20,2,nan,,0.\n30,3,9,0.05,0.7,0.6")

    words = page_of(run).words()

    assert "Scores mean IoU mean Dice pixel accuracy" in words
    assert "30 3 9 0.05 0.7 0.6" in words


@pytest.mark.parametrize("count", [2, MOST_NUMBERED, MOST_NUMBERED + 1, MOST_DRAWN + 1])
def test_the_confusion_matrix_is_as_detailed_as_can_be_read(tmp_path: Path, count: int) -> None:
    matrix = np.full((count, count), 1) + np.eye(count, dtype=int) * 999 * count
    page = page_of(make_run(tmp_path, matrix, tuple(f"c{number}" for number in range(count))))

    kinds = page.values("class")
    assert ("matrix" in kinds) == (count <= MOST_NUMBERED)
    assert ("matrix dense" in kinds) == (MOST_NUMBERED < count <= MOST_DRAWN)
    assert "The most frequent mistakes" in page.words()


# --- the legend


def boxes(key: Any, color: tuple[int, int, int]) -> int:
    return int((key == color).all(axis=2).sum())


def test_a_legend_names_what_occurs_with_its_color() -> None:
    labels = Labels(("background", "road", "house"), ((0, 0, 0), (0, 90, 255), (255, 90, 0)), (0, 1, 2), ignored=(255,))
    whole = legend(labels, 400)
    assert whole.shape[1] == 400 and min(boxes(whole, color) for color in labels.colors) > 80
    of_picture = legend(labels, 400, shown=np.array([[0, 2]], np.uint8), overlaid=True)
    assert [boxes(of_picture, color) > 80 for color in labels.colors] == [False, False, True]
    assert legend_entries(labels, shown=np.array([[0, 255]], np.uint8), overlaid=True) == [
        ("background (left clear)", (225, 225, 225)), ("not counted", (255, 255, 255)),
    ]  # fmt: skip


def test_a_legend_grows_with_the_picture_and_fits_its_names() -> None:
    labels = Labels.numbered(40)
    assert len(legend(labels, 300)) > 3 * len(legend(labels, 1000)), "several lines where there is less room"
    assert boxes(legend(labels, 8000), labels.colors[3]) > 20 * boxes(legend(labels, 800), labels.colors[3])
    narrow = legend(Labels(("an unusually long name of a class",), ((9, 9, 9),), (0,)), 32)
    assert narrow.shape[1] > 150
    drawn = with_legend(np.zeros((5, 32, 3), np.uint8), narrow)
    assert drawn.shape == (5 + len(narrow), narrow.shape[1], 3) and (drawn[:5, 32:] == 255).all()


# --- samples

WHITE = Labels(("ground", "snow"), ((0, 0, 0), (255, 255, 255)), (0, 1), ignored=(255,))


def panels(picture: Any, target: Any, predicted: Any, labels: Labels = WHITE, data_range: float = 255.0) -> list[Any]:
    sheet = sample_panels(picture, target, predicted, labels, data_range)
    assert sheet.dtype == np.uint8 and sheet.shape[1:] == (4 * PANEL_WIDTH, 3)
    return np.split(sheet, 4, axis=1)


def is_red(pixels: Any) -> Any:
    return pixels[..., 0].astype(int) - pixels[..., 1] > 40


def test_a_white_class_can_be_wrong_and_what_is_ignored_cannot() -> None:
    picture = np.full((1, 4, 3), 100, np.uint8)
    target, predicted = np.array([[1, 1, 255, 0]], np.uint8), np.array([[1, 0, 0, 0]], np.uint8)

    mistakes = panels(picture, target, predicted)[3]

    assert mistakes.shape[0] == PANEL_WIDTH // 4
    pixels = mistakes[0, PANEL_WIDTH // 8 :: PANEL_WIDTH // 4]
    assert is_red(pixels).tolist() == [False, True, False, False]
    assert pixels[0].tolist() == [185, 185, 185]


def test_single_wrong_pixels_of_a_large_picture_are_seen() -> None:
    target = np.zeros((3000, 2049), np.uint8)
    predicted, rng = target.copy(), np.random.default_rng(0)
    for row in range(0, 3000, 60):
        for column in range(0, 2049, 60):
            predicted[row + rng.integers(0, 20) if row else 0, column + rng.integers(0, 8) if column else 0] = 1
    picture = np.full((*target.shape, 1), 90, np.uint8)

    mistakes = panels(picture, target, predicted)[3]

    assert measure_label(is_red(mistakes)).max() == predicted.sum()
    assert is_red(mistakes).mean() < 0.05
    assert not is_red(panels(picture, target, target)[3]).any()


@pytest.mark.slow
def test_classes_keep_their_colours_when_reduced() -> None:
    target = np.tile(np.array([0, 1, 2], np.uint8), (700, 400))
    labels = Labels(("a", "b", "c"), ((0, 0, 0), (250, 0, 0), (0, 0, 250)), (0, 1, 2))

    _, truth, prediction, _ = panels(np.zeros((*target.shape, 3), np.uint8), target, target, labels)

    assert {tuple(color) for color in truth.reshape(-1, 3).tolist()} == set(labels.colors)
    assert np.array_equal(truth, prediction)


@pytest.mark.parametrize(("dtype", "value"), [(np.uint8, 128), (np.uint16, 32896), (np.float32, 32896)])
def test_pictures_of_any_depth_are_shown_by_their_own_range(dtype: Any, value: int) -> None:
    target = np.zeros((480, 480), np.uint8)

    picture = panels(np.full((480, 480, 1), value, dtype), target, target, data_range=65535.0)[0]

    assert (picture == 128).all()


@pytest.mark.parametrize(("size", "height", "width"), [((6, 4), 720, 480), ((5000, 100), 960, 19), ((1, 9000), 1, 480)])
def test_the_panels_of_odd_pictures(size: tuple[int, int], height: int, width: int) -> None:
    target = np.zeros(size, np.uint8)

    truth = panels(np.zeros((*size, 3), np.uint8), target, target)[1]

    assert truth.shape[0] == height
    assert (truth[:, :width] == 0).all() and (truth[:, width:] == 255).all()


def test_a_sample_is_cut_into_its_panels(tmp_path: Path) -> None:
    target, predicted = np.array([[0, 1]], np.uint8), np.array([[0, 0]], np.uint8)
    sheet = sample_panels(np.zeros((1, 2, 3), np.uint8), target, predicted, WHITE, 255.0)
    write_sample(tmp_path / "00_a_b.png", sheet, WHITE)
    written = raster.read(tmp_path / "00_a_b.png")
    assert written.shape[0] > 240 + 20 and np.ptp(written[240:]) > 200, "the classes are named below"
    assert np.array_equal(written[:240], sheet)

    cut = panels_of(tmp_path / "00_a_b.png")

    assert cut is not None
    assert (cut.name, cut.width, cut.height) == ("a_b", 480, 240)
    assert is_red(decoded(cut.mistakes))[:, 250:].all() and not is_red(decoded(cut.mistakes))[:, :230].any()
    assert np.array_equal(decoded(cut.truth), sheet[:, 480:960])
    assert np.array_equal(decoded(cut.mistakes), sheet[:, 1440:]), "single red pixels too"


def test_a_sample_of_an_older_run_has_three_panels(tmp_path: Path) -> None:
    picture = np.full((16, 48, 3), 100, np.uint8)
    truth, prediction = np.zeros_like(picture), np.zeros_like(picture)
    prediction[:, 16:] = 9
    truth[:, 32:] = 255  # does not count
    raster.write_picture(tmp_path / "00_a.png", np.hstack([picture, truth, prediction]))

    cut = panels_of(tmp_path / "00_a.png")

    assert cut is not None and (cut.width, cut.height) == (48, 16)
    thirds = np.repeat([[False, True, False]], 16, axis=1)
    assert (is_red(decoded(cut.mistakes)) == thirds).all()


def decoded(uri: str) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_an_axis_holds_its_data_and_has_few_ticks(first: float, second: float) -> None:
    low, high, ticks = axis_ticks(min(first, second), max(first, second))

    slack = 1e-6 * (high - low)
    assert low <= min(first, second) + slack and high >= max(first, second) - slack and low < high
    assert 2 <= len(ticks) <= 7


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(-1e3, 1e3)), min_size=1, max_size=60))
def test_a_chart_is_well_formed_and_stays_in_its_frame(points: list[tuple[int, float]]) -> None:
    svg = ElementTree.fromstring(line_chart([Series("a < b", tuple(points))], mark=points[0][0], what='"x" & y'))

    for circle in svg.iter("circle"):
        assert 0 <= float(circle.attrib["cx"]) <= 380 and 0 <= float(circle.attrib["cy"]) <= 230


def test_short_numbers() -> None:
    values = (0, 0.25, 0.0005, 1e-5, 2.5e-5, 1500, 20_000, 3e6)
    assert [short(value) for value in values] == ["0", "0.25", "0.0005", "1e-5", "2.5e-5", "1500", "20k", "3e6"]


def test_words() -> None:
    plain = [
        score(None), score(0.98849), percent(0), percent(0.00004), percent(0.5), percent(0.99996), percent(1),
        counted(1, "picture"), counted(1200, "picture"), counted(2, "box", "boxes"),
        duration(0.2), duration(48), duration(545), duration(600), duration(7200), duration(12_000),
        file_size(900), file_size(17_500_000), file_size(2_100_000_000), large(640), large(820_400), large(31_037_698),
        listed([]), listed(["a"]), listed(["a", "b", "c"]), listed(list("abcdefgh")),
    ]  # fmt: skip
    assert [re.sub("\N{NO-BREAK SPACE}", " ", text) for text in plain] == [
        "–", "0.988", "0.0 %", "< 0.1 %", "50.0 %", "> 99.9 %", "100.0 %",
        "1 picture", "1,200 pictures", "2 boxes",
        "1 second", "48 seconds", "9 min 5 s", "10 min", "2 h", "3 h 20 min",
        "900 bytes", "17.5 MB", "2.1 GB", "640", "820,000", "31.0 million",
        "", "a", "a, b and c", "a, b, c, d, e, f and 2 more",
    ]  # fmt: skip


@pytest.mark.slow
def test_health_is_shown_with_what_is_over_and_that_nothing_was_found(full_run: Path) -> None:
    assert "Health" not in page_of(full_run).words(), "nothing is known"

    (full_run / "health.json").write_text("[]", encoding="utf-8")
    page = page_of(full_run)
    assert "health" in page.values("id")
    assert "Health Nothing was found" in page.words()

    remarks = [
        Remark("rate too high", "learning rate 1 is too high: <b>", "set learning_rate=0.002", 40),
        Remark("never predicted", "never or hardly predicted: 水", "train longer", 50, over=80),
    ]
    write_remarks(full_run / "health.json", remarks)
    words = page_of(full_run).words()
    assert "step 40 Learning rate 1 is too high: <b>. Set learning_rate=0.002." in words
    assert "step 50, over by step 80 Never or hardly predicted: 水. Train longer." in words
    assert "Nothing was found" not in words


@pytest.mark.parametrize("text", ["{", "[{}]", "7"])
def test_a_broken_file_of_remarks_is_named(full_run: Path, text: str) -> None:
    (full_run / "health.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"health\.json"):
        write_report(full_run)


# --- the test part


def add_test_part(run: Path, confidence: dict[str, Any] | None = None) -> None:
    """Add scores and pictures of a test part that does worse than the validation part."""
    confusion = np.array([[60, 30, 0, 0], [20, 40, 0, 0], [5, 4, 0, 0], [0, 0, 0, 1]])
    pictures = [{"name": name, "image": name, "mask": name} for name in ("x", "y", "z")]
    scores = report([confusion] * 3, NASTY, pictures)
    if confidence:
        scores["confidence"] = confidence
    (run / "test.json").write_text(json.dumps(scores), encoding="utf-8")
    target, predicted = np.zeros((4, 6), np.uint8), np.ones((4, 6), np.uint8)
    labels = Labels(NASTY, default_colors(4), (0, 1, 2, 3))
    for rank, name in enumerate("xz"):
        sheet = sample_panels(np.zeros((4, 6, 3), np.uint8), target, predicted, labels, 255.0)
        raster.write_picture(run / "samples" / "test" / f"{rank:02d}_{name}.png", sheet)


def test_scores_of_a_test_part_come_first(full_run: Path) -> None:
    add_test_part(full_run, {"level": 0.95, "mean_iou": [0.4, 0.5], "mean_dice": None, "pixel_accuracy": [0.6, 0.7]})

    page = page_of(full_run)
    words = page.words()

    assert "Mean IoU 0.487 on 3 pictures that neither trained nor chose the weights" in words
    assert "On the 2 validation pictures, which chose the weights, this score is 0.525" in words
    assert "0.487 0.400 to 0.500 (95% interval)" in words
    assert "score test 95% interval validation mean IoU 0.487 0.400 to 0.500 0.525" in words
    assert page.values("id").index("test") < page.values("id").index("pictures")
    assert "Validation pictures, from the worst to the best" in words
    shown = [attributes["alt"] for tag, attributes in page.elements if tag == "img"]
    assert shown[:8] == [
        f"{title}: {name}" for name in "xz" for title in ("Picture", "Truth", "Prediction", "Mistakes")
    ]
    assert len(shown) == 16 and "3 of 3, best" in words
    ids = page.values("id")
    assert len(ids) == len(set(ids))


def test_a_test_part_needs_neither_intervals_nor_pictures_nor_validation(full_run: Path) -> None:
    add_test_part(full_run)
    (full_run / "evaluation.json").unlink()
    for sample in full_run.glob("samples/**/*.png"):
        sample.unlink()

    words = page_of(full_run).words()

    assert "Mean IoU 0.487 on 3 pictures that neither" in words and "interval" not in words
    assert "score test mean IoU 0.487 mean Dice" in words, "no class is a background"
    assert "All 3 pictures, worst first" in words


def test_broken_scores_of_a_test_part_are_named(full_run: Path) -> None:
    (full_run / "test.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"test\.json holds no scores"):
        write_report(full_run)


@pytest.mark.slow
def test_the_best_of_swinging_validations_is_said_to_be_optimistic(full_run: Path) -> None:
    remark = {"kind": "swings", "text": "validations swing", "remedy": "train on", "step": 20, "over": None}
    (full_run / "health.json").write_text(json.dumps([remark]), encoding="utf-8")

    words = page_of(full_run).words()
    assert "on 2 pictures held back from training, the best of validations that swing" in words
    assert "its scores are optimistic." in words

    add_test_part(full_run)
    words = page_of(full_run).words()
    assert "the best of validations that swing" not in words
    assert "its scores are optimistic; those of the test pictures are not." in words


def test_the_record_says_how_many_pictures_each_part_has(full_run: Path) -> None:
    assert "2 train" not in page_of(full_run).words()

    (full_run / "pairs.csv").write_text("part,name\ntrain,a\ntrain,b\nval,c\n", encoding="utf-8")
    assert "2 train, 1 val" in page_of(full_run).words()


@pytest.mark.parametrize("name", ["finished", "interrupted", "prepared", "folds"])
def test_runs_of_before_have_a_page(tmp_path: Path, name: str) -> None:
    run = tmp_path / name
    shutil.copytree(Path(__file__).parents[1] / "fixtures" / "before_runs" / name, run)
    scores = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))

    words = page_of(run).words()

    expected = scores["classes"][1]["dice"] if len(scores["classes"]) == 2 else scores["mean_iou"]
    assert f" {score(expected)} on {counted(len(scores['images']), 'picture')} held back".replace("\xa0", " ") in words
    assert "Test" not in words
