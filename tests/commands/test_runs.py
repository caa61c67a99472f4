"""`unet runs`: what is listed of runs that ended in every way, in which order, and what becomes of broken ones."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

import unet as package
from unet import cli
from unet.config import Config, to_toml
from unet.report.outcome import Outcome, write_outcome
from unet.runs.folder import LOCK, locked

BEFORE = Path(__file__).parents[1] / "fixtures" / "before_runs"

HEAD = "step,epoch,seconds,lr,train_loss,val_loss,val_mean_iou,val_mean_dice,val_pixel_accuracy,pictures_per_second\n"


def scores(value: float) -> str:
    iou = {"name": "road", "iou": value, "dice": value, "precision": value, "recall": value, "pixels": 4}
    means = dict.fromkeys(("mean_iou", "pixel_accuracy"), value)
    return json.dumps({**means, "mean_dice": value / 2, "classes": [iou], "confusion": [[4]], "images": []})


def make_run(
    name: str, score: float | None = None, *, finished: bool | None = None, rows: int = 0, **training: object
) -> Path:
    """Write what a run leaves in its folder."""
    folder = Path("runs") / name
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"format": 1, "unet": "0", "config": {}, "spec": {}}')
    settings = {"data": {"root": "data"}, "training": {"loss": "ce", **training}}
    (folder / "config.toml").write_text(to_toml(Config.model_validate(settings)))
    (folder / LOCK).touch()
    lines = [f"{10 * n},1,{n}.5,0.001,{1 / n},{2 / n},{n / 10},0.2,0.3,4\n" for n in range(1, rows + 1)]
    (folder / "metrics.csv").write_text(HEAD + "".join(lines))
    if score is not None:
        (folder / "evaluation.json").write_text(scores(score))
    if finished is not None:
        write_outcome(folder, Outcome(40, 61.0, 40, estimated=False, finished=finished))
    return folder


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_run("middle", 0.5, finished=True, rows=3, loss="ce + dice")
    (make_run("best", 0.75, finished=True, rows=4, learning_rate=0.25) / "test.json").write_text(scores(0.625))
    make_run("stopped", 0.25, finished=False, rows=1)
    make_run("killed", rows=2)
    make_run("waiting")
    (Path("runs") / "photos").mkdir()
    theirs = Path("runs") / "theirs"
    theirs.mkdir()
    (theirs / "run.json").write_text('{"experiment": "sacred"}')
    (theirs / "metrics.csv").write_text("mine")
    return tmp_path


def table(path: str) -> dict[str, dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return {Path(row["run"]).name: row for row in csv.DictReader(file)}


def test_runs_are_listed_by_score_with_what_tells_them_apart(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["runs", "--csv", "runs.csv"]) == 0
    shown = capsys.readouterr()
    found = table("runs.csv")
    assert list(found)[:3] == ["best", "middle", "stopped"] and set(list(found)[3:]) == {"killed", "waiting"}
    assert found["best"].items() >= {
        "data": "data", "state": "finished", "steps": "40", "seconds": "61.0", "metric": "mean_iou", "score": "0.75",
        "test_score": "0.625", "learning_rate": "0.25", "loss": "ce",
    }.items()  # fmt: skip
    states = {name: row["state"] for name, row in found.items()}
    assert states["stopped"] == states["killed"] == "interrupted" and states["waiting"] == "not begun"
    assert (found["killed"]["steps"], found["killed"]["seconds"], found["killed"]["score"]) == ("20", "2.5", "")
    assert "seed" not in found["best"] and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}", found["best"]["began"])
    assert [name for name in re.findall(r"^ runs/(\w+)", shown.out, re.M)] == list(found)
    assert "runs/middle: loss=ce + dice\n" in shown.out and "runs/best: learning_rate=0.25, loss=ce\n" in shown.out
    assert "passed over: 2\N{NO-BREAK SPACE}folders without the record of a run (photos and theirs)" in shown.err
    assert not (runs / "runs" / "photos" / LOCK).exists() and (runs / "runs" / "best" / LOCK).exists()


def test_a_run_that_somebody_works_on_is_running(runs: Path) -> None:
    with locked(Path("runs/stopped")):
        states = {run.folder.name: run.state for run in package.compare_runs().runs}
    assert states["stopped"] == "running" and states["best"] == "finished"
    with locked(Path("runs/stopped")):  # looking has not taken it
        pass


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("config.toml", "[training", "config.toml"),
        ("config.toml", None, "config.toml: No such file"),
        ("evaluation.json", '{"mean_iou": "good"}', "evaluation.json holds no scores"),
        ("test.json", "\0", "test.json holds no scores"),
        ("outcome.json", "[]", "outcome.json cannot be read"),
        ("metrics.csv", "", "metrics.csv"),
    ],
)
def test_a_broken_run_is_a_line(
    runs: Path, capsys: pytest.CaptureFixture[str], file: str, text: str | None, fault: str
) -> None:
    broken = Path("runs/best") / file
    broken.unlink(missing_ok=True)
    if file == "metrics.csv":
        broken.mkdir()
    elif text is not None:
        broken.write_text(text)
    assert cli.main(["runs", "--csv", "runs.csv", "--page", "runs.html"]) == 0
    found = table("runs.csv")
    assert len(found) == 5 and found["best"]["state"] == "broken" and fault in found["best"]["fault"]
    assert found["middle"]["state"] == "finished" and found["middle"]["score"] == "0.5"
    assert "runs/best is broken: " in capsys.readouterr().out and "broken: " in Path("runs.html").read_text("utf-8")


def test_a_table_cut_off_in_a_line_counts_as_far_as_it_goes(runs: Path) -> None:
    with Path("runs/killed/metrics.csv").open("a") as file:
        file.write("30,1,\0")
    (run,) = package.compare_runs("runs/killed").runs
    assert run.state == "interrupted" and run.rows[1]["val_mean_iou"] == 0.2


def test_a_page_has_every_run_and_their_curves(runs: Path) -> None:
    assert cli.main(["runs", "--page", "runs.html"]) == 0
    text = Path("runs.html").read_text(encoding="utf-8")
    for title in ("Validation: mean IoU", "Training loss", "Validation loss"):
        assert f"<b>{title}</b>" in text
    charts = text.split('<svg class="chart"')[1:]
    assert len(charts) == 3
    for chart in charts:
        lengths = [len(points.split()) for points in re.findall(r'<polyline[^>]* points="([^"]*)"', chart)]
        assert sorted(lengths) == [0, 1, 2, 3, 4] and lengths[0] == 4, "a line for each run, the best first"
    assert "runs/best 0.4 at step 40" in charts[0] and "runs/best 0.25 at step 40" in charts[1]
    assert not re.findall(r'(?:src|href)="(?!#|data:)', text), "one file that needs no network"


def test_names_are_shown_as_what_they_are(runs: Path) -> None:
    make_run("<script>alert(1)")
    assert cli.main(["runs", "--page", "runs.html"]) == 0
    assert "<script>alert" not in Path("runs.html").read_text(encoding="utf-8")


def test_scores_of_different_kinds_are_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run("dice", 0.75, finished=True, best_by="mean_dice")
    found = {run.folder.name: run for run in package.compare_runs().runs}
    assert found["dice"].score == 0.375 and found["dice"].metric == "mean_dice"
    assert cli.main(["runs"]) == 0
    assert "judged by different scores" in capsys.readouterr().out


def test_scores_on_different_pictures_are_said_not_to_compare(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = "ot all runs were validated on the same pictures"
    head = "part,name,image,mask,image_hash,mask_hash\n"
    for name, names, digest in (("best", "a", "1"), ("middle", "b", "1"), ("killed", "c", "3")):  # one has no score
        text = f"{head}train,t,t,t,{name},{name}\nval,{names},i,m,{digest},9\n"
        (Path("runs") / name / "pairs.csv").write_text(text)
    assert cli.main(["runs"]) == 0
    assert said not in capsys.readouterr().out, "names do not count"
    (Path("runs") / "middle" / "pairs.csv").write_text(f"{head}val,a,i,m,2,9\n")
    assert cli.main(["runs", "--page", "runs.html"]) == 0
    assert said in capsys.readouterr().out and said in Path("runs.html").read_text("utf-8")


def test_in_a_pipe_a_run_is_one_line(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "with-a-name-" + "as-long-as-they-are-" * 8
    make_run(name, 0.9, finished=True)
    (Path("runs") / name / "config.toml").write_text('[data]\nroot = "/far/away/sheets/dataset.toml"\n')
    assert cli.main(["runs"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f" runs/{name} ")]
    cells = re.split(r"\s{2,}", line.strip())
    assert cells[1:-1] == ["finished", "0.9000", "–", "40", "61\xa0seconds", "sheets"]


def test_folds_and_runs_of_version_0_1() -> None:
    found = {run.folder.name: run for run in package.compare_runs(BEFORE).runs}
    assert set(found) == {"finished", "folds", "interrupted", "prepared"}
    assert found["folds"].folds == 2 and found["folds"].state == "finished" and found["folds"].score
    assert found["interrupted"].state == "interrupted" and found["finished"].state == "finished"
    inside = package.compare_runs(BEFORE / "folds")
    assert sorted(run.folder.name for run in inside.runs) == ["fold-1", "fold-2", "folds"] and not inside.passed_over


def test_what_cannot_be_listed_or_written(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.csv").write_text("mine")
    for line, said in {
        "runs elsewhere": "elsewhere is no folder",
        "runs --csv mine.csv": "mine.csv exists",
        "runs --csv runs/best/metrics.csv --overwrite": "one of the files that are read",
        "runs --csv a --page a": "a for both --csv and --page",
    }.items():
        assert cli.main(line.split()) == 2
        assert said in capsys.readouterr().err
    assert Path("mine.csv").read_text() == "mine"
    assert cli.main(["runs", "runs/photos"]) == 0
    assert "no runs in runs/photos" in capsys.readouterr().err
