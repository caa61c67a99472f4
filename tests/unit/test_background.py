"""Which class is a background, and that whatever prints or writes a mean without it agrees."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unet import raster
from unet.data.classes import resolve_labels
from unet.data.pairs import Pair
from unet.data.scan import scan
from unet.labels import Labels, background_of, default_colors
from unet.metrics.confusion import report
from unet.metrics.stored import deciding_score
from unet.report.sections import scores_of_test
from unet.report.summary import key_figures
from unet.terminal.tables import print_scores


@pytest.mark.parametrize(
    ("names", "place"),
    [
        (("background", "foreground"), 0),
        (("_background_", "cat"), 0),
        (("house", "BG"), 1),
        (("sky", "road"), None),
        (("class_0", "class_1"), None),
        (("background noise", "voice"), None),
    ],
)
def test_a_background_is_known_by_its_name(names: tuple[str, ...], place: int | None) -> None:
    assert background_of(names) == place


def labels_of(folder: Path, masks: list[np.ndarray]) -> Labels:
    pairs = []
    for number, mask in enumerate(masks):
        pair = Pair(str(number), folder / f"imgs/{number}.png", folder / f"masks/{number}.png")
        raster.write_picture(pair.image, np.zeros((*mask.shape, 3), np.uint8))
        raster.write_grey(pair.mask, mask)
        pairs.append(pair)
    labels, _ = resolve_labels(scan(pairs))
    assert labels is not None
    return labels


def drawn(number: int, ground: str) -> np.ndarray:
    """Objects 1 and 2 on a ground 0 that lies all around, above them, is small, or is missing in one picture."""
    mask = np.zeros((32, 32), np.uint8)
    if ground == "above":
        mask[20:, :16], mask[20:, 16:] = 1, 2
    elif ground == "small":
        mask[:16], mask[16:28] = 1, 2
    elif ground == "missing" and number == 3:
        mask[:16], mask[16:] = 1, 2
    else:
        mask[4:12, 3 + number : 14], mask[18:26, 17 : 30 - number] = 1, 2
    return mask


@pytest.mark.parametrize(
    ("ground", "name"),
    [("around", "background"), ("above", "class_0"), ("small", "class_0"), ("missing", "class_0")],
)
def test_without_names_it_has_most_pixels_in_all_masks_above_and_below(tmp_path: Path, ground: str, name: str) -> None:
    labels = labels_of(tmp_path, [drawn(number, ground) for number in range(6)])
    assert labels.names == (name, "class_1", "class_2")
    assert labels.colors == (default_colors(3) if name == "background" else default_colors(4)[1:]), (
        "black is left clear"
    )


def some_scores(names: tuple[str, ...]) -> dict[str, Any]:
    return report([np.array([[6, 1, 1], [0, 3, 1], [2, 0, 2]])], names, [{"name": "a"}])


@pytest.mark.parametrize(("first", "place"), [("background", 0), ("sky", None)])
def test_all_that_show_scores_agree(first: str, place: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    names = (first, "car", "road")
    scores = some_scores(names)
    ious = [row["iou"] for row in scores["classes"]]
    expected = scores["mean_iou_foreground"]
    assert expected == (pytest.approx(np.mean(ious[1:])) if place == 0 else None)

    print_scores(scores, "scores")
    assert (f"mean without {first}" in capsys.readouterr().out) == (place == 0)

    files = SimpleNamespace(
        main_scores=scores, test=scores, scores=scores, rows=[], test_samples=[], colors_of=lambda _: default_colors(3)
    )
    section = scores_of_test(files)  # type: ignore[arg-type]
    assert section is not None
    shown = {mean.name: mean.value for mean in section.means}
    assert shown.get(f"mean IoU without {first}") == expected
    details = [figure.detail for figure in key_figures(files)]  # type: ignore[arg-type]
    assert any(f"without {first}" in detail for detail in details) == (place == 0)
    assert deciding_score(scores, "mean_iou_foreground") == (expected or pytest.approx(np.mean(ious)))
