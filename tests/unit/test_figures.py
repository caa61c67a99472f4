"""Figures: well-formed, with what they should show where it belongs."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from unet.report.charts import Series
from unet.report.figures import heat_map, line_figure
from unet.report.shape_pictures import COMPARISON_PALETTE, SCORE_PALETTE, comparison_picture, score_picture
from unet.shapes.scores import shape_scores

SVG = "{http://www.w3.org/2000/svg}"


def parts(text: str, kind: str) -> list[ET.Element]:
    return list(ET.fromstring(text).iter(SVG + kind))


def test_lines_lie_where_their_points_are() -> None:
    (line,) = parts(line_figure([Series("F", ((0, 0), (0.5, 1), (1, 0.5)))], "t", "x", "y", span=(0, 1)), "polyline")
    (x0, y0), (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in str(line.get("points")).split())
    assert x1 - x0 == pytest.approx(x2 - x1) and x0 < x1
    assert y0 - y1 == pytest.approx(2 * (y0 - y2), abs=0.3) and y1 < y0  # upwards


def test_names_are_escaped_and_cut() -> None:
    text = line_figure([Series("a<b & c", ((0, 0),)), Series("x" * 80, ((0, 0),)), Series("none", ())], "<t>", "", "")
    names = [element.text for element in parts(text, "text")]
    assert "a<b & c" in names and "<t>" in names and "x" * 23 + "…" in names


def test_of_many_lines_the_chosen_one_is_drawn_last_and_named() -> None:
    lines = [Series(f"line {number}", ((0, 0), (1, number / 66))) for number in range(66)]
    text = line_figure(lines, "t", "x", "y", accent=7)
    titles = [element.text for element in parts(text, "title")]
    assert len(titles) == 66 and titles[-1] == "line 7"
    named = [element.text for element in parts(text, "text") if str(element.text).startswith("line ")]
    assert named == ["line 0", "line 65", "line 7"] or set(named) == {"line 0", "line 65", "line 7"}


def test_a_hundred_thousand_points_are_few_in_a_figure() -> None:
    points = tuple((number / 1e5, 0.5) for number in range(100_000))
    (line,) = parts(line_figure([Series("F", points)], "t", "x", "y"), "polyline")
    drawn = str(line.get("points")).split()
    assert len(drawn) <= 1000 and drawn[0] != drawn[-1]


def test_the_best_field_of_a_heat_map_is_framed_and_darkest() -> None:
    text = heat_map([[0.1, 0.9], [None, 0.5]], ["0", "1"], ["50", "100"], "PQ", "area", "dynamic")
    fields = [element for element in parts(text, "rect") if element.get("x")]
    assert len(fields) == 4  # three values and a frame
    frame = next(element for element in fields if element.get("fill") == "none")
    best = next(e for e in fields if e is not frame and (e.get("x"), e.get("y")) == (frame.get("x"), frame.get("y")))
    assert best.get("fill") == "#145a78" and "0.900" in [element.text for element in parts(text, "text")]
    assert parts(heat_map([[None]], ["0"], ["50"], "", "", ""), "svg")


@pytest.mark.parametrize("factor", [1, 1 << 28], ids=["small numbers", "large numbers"])
def test_pictures_of_scores(factor: int) -> None:
    truth = np.array([[1, 1, 1, 0, 2, 3]]) * factor
    found = np.array([[1, 1, 0, 0, 2, 0]]) * factor
    scores = shape_scores(truth, found)
    assert score_picture(truth, scores.truth, None).tolist() == [[170, 170, 170, 0, 255, 1]]
    assert score_picture(found, scores.prediction, None).tolist() == [[170, 170, 0, 0, 255, 0]]
    content = np.array([[True, True, True, True, False, True]])
    inside = shape_scores(truth, found, content)
    assert score_picture(truth, inside.truth, content).tolist() == [[170, 170, 170, 0, 0, 1]]
    perfect = shape_scores(truth, truth)
    assert comparison_picture(truth, scores.truth, perfect.truth, None).tolist() == [[170, 170, 170, 0, 128, 255]]
    counted = shape_scores(truth, found, count_background=True)
    assert score_picture(truth, counted.truth, None)[0, 3] == 0
    nothing = shape_scores(truth * 0, truth * 0)
    assert not score_picture(truth * 0, nothing.truth, None).any()


def test_colours() -> None:
    assert len(SCORE_PALETTE) == len(COMPARISON_PALETTE) == 768
    assert SCORE_PALETTE[:3] == COMPARISON_PALETTE[:3] == (0, 0, 0)
    red, green = SCORE_PALETTE[3:6], SCORE_PALETTE[-3:]
    assert red[0] > 2 * red[1] and green[1] > 2 * green[0]
