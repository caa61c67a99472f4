"""Every error that `unet` raises on purpose: one tree, drawn here.

    UnetError
    ├── InputError            something the user gave: a path, an argument, a file   (exit code 2)
    │   ├── RasterError       a picture that cannot be read or written
    │   ├── DataError         a data set that cannot be used as it is
    │   ├── ConfigError       settings that contradict each other or make no sense
    │   └── ModelFileError    a file that is not a model we can read
    ├── MissingExtraError     an optional package is not installed                   (exit code 2)
    ├── TrainingError         training cannot go on; what was reached is saved       (exit code 1)
    └── ProcessLost           another process of the training has ended, and told why (exit code 1)

A message says what was found, what was expected and what to do about it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM: as ctrl-C does it, but under its own name."""


_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    r"""Return a text without what steers a terminal: control characters, and those that turn the direction.

    Class names and names of files come from others, and may hold anything.

    Examples
    --------
    >>> printable("red \x1b[31m, two\nlines, a house: 家")
    'red \\x1b[31m, two\nlines, a house: 家'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode()
        if c in _TURNING or (c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cs"))
        else c
        for c in text
    )


def did_you_mean(word: str, known: Iterable[str], form: str = "{}") -> str:
    """Return a question for the known word that is nearest to one, put into a form; nothing where none is near.

    Examples
    --------
    >>> did_you_mean("dicee", ["ce", "dice", "focal"], " ({})")
    ' (did you mean dice?)'
    >>> did_you_mean("hinge", ["ce", "dice", "focal"], " ({})")
    ''
    """
    near = get_close_matches(word, list(known), n=1)
    return form.format(f"did you mean {near[0]}?") if near else ""


class UnetError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    found : str
        What is wrong, with the file or value in question.
    expected : str, optional
        What would have been right.
    remedy : str, optional
        What the user can do now.
    kind : str, optional
        A short name that stays the same, such as "truncated", for what is wrong with data; see `unet.data.finding`.
    """

    exit_code = 1

    def __init__(self, found: str, expected: str = "", remedy: str = "", *, kind: str = "") -> None:
        self.found, self.expected, self.remedy, self.kind = found, expected, remedy, kind
        parts = [found, f"expected {expected}" if expected else "", remedy]
        super().__init__("; ".join(part for part in parts if part))

    def of(self, file: object) -> UnetError:
        """Return the same error, with the file named that it is about."""
        return type(self)(f"{file}: {self.found}", self.expected, self.remedy, kind=self.kind)

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders (parallel scans); the default would call us with one argument.
        return (type(self), (self.found, self.expected, self.remedy), {"kind": self.kind})


class InputError(UnetError):
    """The user gave a path, an argument or a file that cannot be used."""

    exit_code = 2


class RasterError(InputError):
    """A picture that cannot be read or written."""


class DataError(InputError):
    """A data set that cannot be used as it is.

    Parameters
    ----------
    faults : sequence of str
        Every fault that was found, one sentence each, so that they can be mended in one go.
    """

    def __init__(
        self, found: str, expected: str = "", remedy: str = "", faults: Sequence[str] = (), *, kind: str = ""
    ) -> None:
        super().__init__(found, expected, remedy, kind=kind)
        self.faults = tuple(faults)

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.found, self.expected, self.remedy, self.faults), {"kind": self.kind})


class ConfigError(InputError):
    """Settings that contradict each other or make no sense."""


class ModelFileError(InputError):
    """A file that is not a model we can read."""


class MissingExtraError(UnetError):
    """An optional package is not installed."""

    exit_code = 2

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs a package that is not installed", "", f'run: pip install "unet[{extra}]"')
        self.what, self.extra = what, extra

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.what, self.extra))


class TrainingError(UnetError):
    """Training cannot go on; what was reached has been saved."""


class ProcessLost(UnetError):
    """Another process of the same training has ended: its error is the one to tell."""
