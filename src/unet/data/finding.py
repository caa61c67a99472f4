"""What an inspection finds: one record for each kind of fault and cause, counted, with what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unet.errors import DataError, UnetError

MOST_FAULTS = 10
"""So many faults are spelled out; the rest is counted."""

MOST_ALIKE = 3
"""So many are where all files have one fault with one cause."""

SEVERITIES = ("error", "warning", "note")
"""An error stops training; a warning is said when it starts; a note is for who asks."""

_ONE_CAUSE = (
    "swapped",
    "instances",
    "one-hot",
    "lossy-mask",
    "blended-mask",
    "photo-mask",
    "mask-bands",
    "size-scaled",
)
"""Kinds of findings whose files are mended all at once, not one by one."""


@dataclass(frozen=True)
class Finding:
    """Something that a person should know about a data set.

    Attributes
    ----------
    kind : str
        A short name that stays the same, such as "unpaired" or "lossy-mask".
    severity : {"error", "warning", "note"}
    found, expected, remedy : str
        As in `UnetError`.
    files : tuple of str
        One line for each file, which begins with its path.
    count : int
        How many files or pairs it is about.
    """

    kind: str
    severity: str
    found: str
    expected: str = ""
    remedy: str = ""
    files: tuple[str, ...] = ()
    count: int = 0

    @classmethod
    def of(cls, error: UnetError, kind: str = "data") -> Finding:
        """Return the finding that an error speaks of; `kind` where the error does not say its own."""
        files = error.faults if isinstance(error, DataError) else ()
        return cls(error.kind or kind, "error", error.found, error.expected, error.remedy, files, len(files))

    @classmethod
    def of_files(
        cls, kind: str, severity: str, files: Sequence[str], found: str, expected: str = "", remedy: str = ""
    ) -> Finding | None:
        """Return a finding about some files, or None where there are none."""
        return cls(kind, severity, found, expected, remedy, tuple(files), len(files)) if files else None

    def error(self) -> DataError:
        """Return the error to raise for this finding."""
        return DataError(
            self.found,
            self.expected,
            self.remedy,
            shortened(self.files, MOST_ALIKE if self.kind in _ONE_CAUSE else MOST_FAULTS),
            kind=self.kind,
        )

    def line(self) -> str:
        """Return the finding as one line, with the first files."""
        problem = "; ".join(part for part in (self.found, self.expected and f"expected {self.expected}") if part)
        shown = ", ".join(shortened(self.files, MOST_ALIKE))
        return "; ".join(part for part in (problem, self.remedy) if part) + (f": {shown}" if shown else "")


def errors_in(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings that stop training."""
    return [finding for finding in findings if finding.severity == "error"]


def stop_on_errors(findings: Sequence[Finding], what: str) -> None:
    """Raise all errors among the findings as one.

    Raises
    ------
    DataError
        There is one; `what` names the data set where there are several.
    """
    errors = errors_in(findings)
    if len(errors) == 1:
        raise errors[0].error()
    if errors:
        raise DataError(
            f"{len(errors)} kinds of fault in {what}",
            remedy="unet inspect shows all files",
            faults=[error.line() for error in errors],
        )


def shortened(faults: Sequence[str], most: int = MOST_FAULTS) -> tuple[str, ...]:
    """Return the first faults and, where there are more, a line that counts the rest."""
    rest = len(faults) - most
    return (*faults[:most], f"and {rest} more") if rest > 0 else tuple(faults)


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return "1 mask" or "3 masks"."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"
