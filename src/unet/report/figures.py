"""Figures as SVG files of their own, light on any background: lines over an axis, and tables as heat maps."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import escape

from unet.report.charts import Series, axis_ticks, short

WIDTH, HEIGHT = 720, 440
_LEFT, _TOP, _BOTTOM = 64, 44, 52
_LEGEND = 190  # pixels on the right for names
_MOST_NAMED = 18
_LONGEST_NAME = 24  # letters that fit there
_COLORS = ("#1f6fb4", "#d9541a", "#2a9d4e", "#8a4fbf", "#c28a00", "#c0327a", "#3aa6a6", "#7a5c43")
_ACCENT = "#d9541a"
_LOW, _HIGH = (247, 244, 249), (20, 90, 120)
_CELL_WIDTH, _CELL_HEIGHT = 58, 30
_FONT = "font-family='Helvetica, Arial, sans-serif'"


def line_figure(
    series: Sequence[Series],
    title: str,
    across: str,
    up: str,
    *,
    span: tuple[float, float] | None = None,
    accent: int | None = None,
) -> str:
    """Return an SVG document of lines, named at the right; its vertical axis goes from 0 to 1.

    Parameters
    ----------
    series : sequence of Series
    title, across, up : str
        Of the figure and of its axes.
    span : (float, float), optional
        What the horizontal axis holds; by default what the points do.
    accent : int, optional
        The number of a line that is to stand out of many.
    """
    xs = [x for line in series for x, _ in line.points] or [0.0, 1.0]
    low, high, ticks = axis_ticks(*(span or (min(xs), max(xs))))
    right, bottom = WIDTH - _LEGEND, HEIGHT - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + (x - low) / (high - low) * (right - _LEFT), bottom - y * (bottom - _TOP)

    parts = [_text(_LEFT, 24, title, 16, "start", bold=True)]
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        _, y = place(low, tick)
        parts.append(f"<line x1='{_LEFT}' x2='{right}' y1='{y:.1f}' y2='{y:.1f}' stroke='#ddd'/>")
        parts.append(_text(_LEFT - 8, y + 4, short(tick), 12, "end"))
    for tick in ticks:
        x, _ = place(tick, 0)
        parts.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{bottom}' y2='{bottom + 4}' stroke='#888'/>")
        parts.append(_text(x, bottom + 18, short(tick), 12, "middle"))
    parts.append(_text((_LEFT + right) / 2, HEIGHT - 12, across, 13, "middle"))
    middle = (_TOP + bottom) / 2
    turned = f"transform='rotate(-90 18 {middle:.1f})'"
    parts.append(_text(18, middle, up, 13, "middle", more=turned))
    many = len(series) > _MOST_NAMED
    named = (
        range(len(series)) if not many else dict.fromkeys([0, len(series) - 1, *([] if accent is None else [accent])])
    )
    rank = {number: place for place, number in enumerate(named)}
    order = sorted(range(len(series)), key=lambda number: number == accent)  # what stands out is drawn last
    for number in order:
        line = series[number]
        style = f"stroke='{_COLORS[number % len(_COLORS)]}' stroke-width='1.8'"
        if many:
            style = f"stroke='{_shade(0.25 + 0.75 * number / (len(series) - 1))}' stroke-width='1'"
        elif number >= len(_COLORS):
            style += " stroke-dasharray='5 3'"
        if number == accent:
            style = f"stroke='{_ACCENT}' stroke-width='2.6'"
        points = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in _thinned(line.points))
        parts.append(f"<polyline points='{points}' fill='none' {style}><title>{escape(line.name)}</title></polyline>")
        if number in rank:
            y = _TOP + 10 + 18 * rank[number]
            parts.append(f"<line x1='{right + 12}' x2='{right + 32}' y1='{y}' y2='{y}' {style}/>")
            name = line.name if len(line.name) <= _LONGEST_NAME else f"{line.name[: _LONGEST_NAME - 1]}…"
            parts.append(_text(right + 38, y + 4, name, 12, "start"))
    return _document(WIDTH, HEIGHT, parts)


def heat_map(
    values: Sequence[Sequence[float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    across: str,
    up: str,
) -> str:
    """Return an SVG document of a table whose fields are the darker the higher their value; the highest is framed.

    Parameters
    ----------
    values : sequence of rows of float or None
        None: left empty.
    rows, columns : sequence of str
        Their names.
    title, across, up : str
        Of the figure, its columns and its rows.
    """
    known = [value for row in values for value in row if value is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    left, top = 90, 82
    width = left + _CELL_WIDTH * len(columns) + 20
    height = top + _CELL_HEIGHT * len(rows) + 16
    parts = [_text(16, 24, title, 16, "start", bold=True)]
    parts.append(_text(left + _CELL_WIDTH * len(columns) / 2, 52, across, 13, "middle"))
    parts.append(_text(left - 10, 72, up, 13, "end"))
    for number, name in enumerate(columns):
        parts.append(_text(left + _CELL_WIDTH * (number + 0.5), 72, name, 12, "middle"))
    best = ""
    for y, (name, row) in enumerate(zip(rows, values, strict=True)):
        parts.append(_text(left - 10, top + _CELL_HEIGHT * (y + 0.5) + 4, name, 12, "end"))
        for x, value in enumerate(row):
            if value is None:
                continue
            share = 0.5 if high == low else (value - low) / (high - low)
            corner = f"x='{left + _CELL_WIDTH * x}' y='{top + _CELL_HEIGHT * y}'"
            size = f"width='{_CELL_WIDTH}' height='{_CELL_HEIGHT}'"
            parts.append(f"<rect {corner} {size} fill='{_shade(share)}'/>")
            ink = "#fff" if share > 0.55 else "#222"
            where = left + _CELL_WIDTH * (x + 0.5), top + _CELL_HEIGHT * (y + 0.5) + 4
            parts.append(_text(*where, f"{value:.3f}", 12, "middle", color=ink))
            if value == high and not best:
                best = f"<rect {corner} {size} fill='none' stroke='{_ACCENT}' stroke-width='3'/>"
    return _document(max(width, 420), height, [*parts, best])


def _thinned(points: Sequence[tuple[float, float]], most: int = 1000) -> Sequence[tuple[float, float]]:
    """Return points that are so many at most: more than a figure has pixels would only make it slow to open."""
    if len(points) <= most:
        return points
    return [points[round(number * (len(points) - 1) / (most - 1))] for number in range(most)]


def _shade(share: float) -> str:
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in zip(_LOW, _HIGH, strict=True))


def _text(
    x: float, y: float, text: str, size: int, anchor: str, *, bold: bool = False, color: str = "#222", more: str = ""
) -> str:
    weight = " font-weight='bold'" if bold else ""
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' fill='{color}'{weight} {more}>"
        f"{escape(text)}</text>"
    )


def _document(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:g} {height:g}' width='{width:g}' "
        f"height='{height:g}' {_FONT}>\n<rect width='100%' height='100%' fill='#fff'/>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )
