"""Where commands print to: a console on which what comes from files cannot steer the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from unet.errors import printable


class _SafeConsole(Console):
    """A console whose own colours are the only control characters that leave it."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def open_console(*, stderr: bool = False) -> Console:
    """Return the console of standard output or of standard error; lines are not broken.

    File and class names may hold escape sequences: they are printed as what they are made of.
    """
    return _SafeConsole(stderr=stderr, soft_wrap=True, highlight=False)
