"""Each broken data set is found out and named rightly, by `inspect` and at the start of `train`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from broken_sets import SOUND, ZOO, Broken, blocks, good, picture, save
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unet import cli
from unet.config import DataConfig
from unet.data.finding import Finding, errors_in
from unet.errors import UnetError
from unet.runs.source import read_source, survey_of
from unet.terminal.display import open_display


def findings_in(root: Path, **settings: object) -> list[Finding]:
    """Return all findings, also where there is nothing to inspect."""
    try:
        return list(survey_of(DataConfig(root=str(root), **settings), 0, open_display(), patient=True).findings)
    except UnetError as error:
        return [Finding.of(error)]


@pytest.mark.slow
@pytest.mark.parametrize("case", ZOO, ids=lambda case: case.name)
def test_each_fault_is_found_and_named(tmp_path: Path, case: Broken, capsys: pytest.CaptureFixture[str]) -> None:
    case.build(tmp_path / "data")
    by_kind = {finding.kind: finding for finding in findings_in(tmp_path / "data", **case.settings)}
    for kind, file in case.finds.items():
        assert kind in by_kind, by_kind
        assert any(file in line for line in by_kind[kind].files) or not file, by_kind[kind]
    errors = {kind for kind, finding in by_kind.items() if finding.severity == "error"}
    data_settings = DataConfig(root=str(tmp_path / "data"), **case.settings)
    if case.severity == "error":
        assert errors and errors <= case.finds.keys(), by_kind
        assert all(by_kind[kind].remedy or by_kind[kind].expected for kind in errors)
        with pytest.raises(UnetError) as caught:  # as training starts
            read_source(data_settings, None, 0, open_display(), Path("prepared"))
        assert caught.value.exit_code == 2 and "\n" not in str(caught.value)
    else:
        assert not errors and {by_kind[kind].severity for kind in case.finds} == {case.severity}, by_kind
        assert read_source(data_settings, None, 0, open_display(), Path("prepared")).train
        assert ("warning:" in capsys.readouterr().err) == (case.severity == "warning")


@pytest.mark.parametrize("build", SOUND, ids=lambda build: build.__name__)
def test_sound_sets_pass(tmp_path: Path, build: Callable[[Path], None]) -> None:
    build(tmp_path / "data")
    assert [finding for finding in findings_in(tmp_path / "data") if finding.severity != "note"] == []


def test_the_zoo_is_large() -> None:
    assert len(ZOO) >= 40 and len({case.name for case in ZOO}) == len(ZOO)


@pytest.mark.slow
def test_thousands_of_files(tmp_path: Path) -> None:
    for number in range(1500):
        save(tmp_path / f"imgs/{number:05}.png", picture(number, (8, 8)))
        save(tmp_path / f"masks/{number:05}.png", blocks([0, 1], number, (16, 16))[4:12, 4:12])
    (tmp_path / "imgs/01234.png").unlink()
    (tmp_path / "imgs/00321.png").write_bytes(b"")
    by_kind = {finding.kind: finding for finding in errors_in(findings_in(tmp_path))}
    assert by_kind.keys() == {"unpaired", "empty-file"}
    assert "01234.png" in by_kind["unpaired"].files[0] and "00321.png" in by_kind["empty-file"].files[0]


# --- at random


@st.composite
def harm(draw: st.DrawFn) -> tuple[str, int, int, int]:
    kind = draw(st.sampled_from(["flip", "cut", "swap", "rename", "remove", "empty", "grow"]))
    return kind, draw(st.integers(0, 9)), draw(st.integers(0, 9)), draw(st.integers(0, 10**6))


def do_harm(root: Path, kind: str, first_index: int, second_index: int, place: int) -> None:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    first, second = files[first_index % len(files)], files[second_index % len(files)]
    content = bytearray(first.read_bytes())
    if kind == "flip" and content:
        content[place % len(content)] ^= 1 + place % 255
        first.write_bytes(content)
    elif kind == "cut":
        first.write_bytes(content[: place % (len(content) + 1)])
    elif kind == "swap":
        other_content = second.read_bytes()
        second.write_bytes(content)
        first.write_bytes(other_content)
    elif kind == "rename":
        first.rename(first.with_name(f"{first.stem}{place % 10}{second.suffix}"))
    elif kind == "remove" and len(files) > 1:
        first.unlink()
    elif kind == "empty":
        first.write_bytes(b"")
    elif kind == "grow":
        first.write_bytes(bytes(content) + second.read_bytes())


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(harm(), min_size=1, max_size=5), st.sampled_from(["png", "jpg", "gif", "tif", "bmp", "npy"]))
def test_whatever_is_broken_nothing_but_a_word_comes_out(
    tmp_path_factory: pytest.TempPathFactory, harms: list[tuple[str, int, int, int]], ending: str
) -> None:
    root = tmp_path_factory.mktemp("random")
    good(root, count=4, images=f"imgs/p{{}}.{ending}", masks=f"masks/p{{}}.{'png' if ending == 'jpg' else ending}")
    for damage in harms:
        do_harm(root, *damage)
    findings = findings_in(root)
    try:
        read_source(DataConfig(root=str(root)), None, 0, open_display(), Path("prepared"))
    except UnetError as error:
        assert error.exit_code == 2 and errors_in(findings)
    else:
        assert not errors_in(findings)


@pytest.mark.slow
def test_the_command_on_a_broken_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    good(tmp_path / "data", lambda n: blocks([0, 255], n), masks="masks/p{:02}_mask.jpg", quality=90)
    (tmp_path / "data/imgs/p00.png").write_bytes(b"")
    assert cli.main(["inspect", "data"]) == 2
    printed = capsys.readouterr()
    assert "lossy-mask" in printed.out and "empty-file" in printed.out and printed.err.count("\n") == 3
    assert {path.name for path in (tmp_path / "inspect-data").iterdir()} == {"contact.png", "inspect.html"}
