"""A console on which what comes from files cannot steer the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from unet.errors import printable


class SafeConsole(Console):
    """A console whose own colours are the only control characters that leave it.

    File and class names may hold escape sequences: they are printed as what they are made of.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does, control characters spelled out."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
