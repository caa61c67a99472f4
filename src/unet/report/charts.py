"""Charts as inline SVG, coloured by the page's style sheet so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 380, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 30


@dataclass(frozen=True)
class Series:
    """A named line through points (x, y)."""

    name: str
    points: tuple[tuple[float, float], ...]


def line_chart(
    series: Sequence[Series], *, mark: float | None = None, floor: float | None = None, what: str = ""
) -> Markup:
    """Return an SVG element.

    Parameters
    ----------
    series : sequence of Series
        At least one with a point. The i-th takes the CSS class `line-i`.
    mark : float, optional
        The x of the points to be ringed.
    floor : float, optional
        The vertical axis goes down at least to here.
    what : str
        Description for people who do not see it.
    """
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points]
    low, high, ticks = axis_ticks(min(ys) if floor is None else min(floor, *ys), max(ys))
    first, last = min(xs), max(xs)
    span = last - first

    def place(x: float, y: float) -> tuple[float, float]:
        across = 0.5 if span == 0 else (x - first) / span
        up = (y - low) / (high - low)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(what)}">']
    for tick in ticks:
        _, y = place(first, tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 7}" y="{y + 3.5:.1f}" text-anchor="end">{short(tick)}</text>')
    for tick in [first] if span == 0 else [t for t in axis_ticks(first, last)[2] if first <= t <= last]:
        x, _ = place(tick, low)
        parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{short(tick)}</text>')
    for number, line in enumerate(series):
        path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in line.points)
        parts.append(f'<polyline class="line line-{number}" points="{path}"/>')
        dense = len(line.points) > 40
        for point in line.points:
            x, y = place(*point)
            best = mark is not None and point[0] == mark
            kind = "dot best" if best else "dot faint" if dense else "dot"
            tip = f"{escape(line.name)} {point[1]:.4g} at step {point[0]:.0f}{', the weights kept' if best else ''}"
            parts.append(
                f'<circle class="{kind} line-{number}" cx="{x:.1f}" cy="{y:.1f}" r="{4.5 if best else 2.4}">'
                f"<title>{tip}</title></circle>"
            )
    return Markup("".join([*parts, "</svg>"]))


def axis_ticks(low: float, high: float, wanted: int = 4) -> tuple[float, float, list[float]]:
    """Return an axis that holds `low` to `high`: its ends and about `wanted` round ticks."""
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-12):
        pad = abs(high) * 0.5 or 0.5
        low, high = low - pad, high + pad
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    start, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return start * step, stop * step, [number * step for number in range(start, stop + 1)]


def short(value: float) -> str:
    """Return a number in few characters, for an axis."""
    if value != 0 and (abs(value) < 1e-4 or abs(value) >= 1e6):
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e").replace(".0e", "e")
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return f"{round(value, 6):g}"


def bar_chart(counts: Sequence[int], names: Sequence[str], ends: Sequence[str], what: str) -> Markup:
    """Return an SVG element of bars that stand side by side; each says its name and its count.

    Parameters
    ----------
    counts : sequence of int
        At least one above 0.
    names : sequence of str
        Of the bars.
    ends : sequence of str
        What stands under the left end of the first bar, between the bars, and under the right end of the last.
    what : str
        Description for people who do not see it.
    """
    low, high, ticks = axis_ticks(0, max(counts))
    across, floor = (WIDTH - LEFT - RIGHT) / len(counts), HEIGHT - BOTTOM
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(what)}">']
    for tick in ticks:
        y = floor - (tick - low) / (high - low) * (floor - TOP)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 7}" y="{y + 3.5:.1f}" text-anchor="end">{short(tick)}</text>')
    for number, (count, name) in enumerate(zip(counts, names, strict=True)):
        tall = count / high * (floor - TOP)
        parts.append(
            f'<rect class="bars" x="{LEFT + number * across + 1:.1f}" y="{floor - tall:.1f}" '
            f'width="{across - 2:.1f}" height="{tall:.1f}"><title>{escape(name)}: {count}</title></rect>'
        )
    every = max(1, math.ceil(len(ends) / 7))
    for number in range(0, len(ends), every):
        x = LEFT + number * across
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(ends[number])}</text>'
        )
    return Markup("".join([*parts, "</svg>"]))
