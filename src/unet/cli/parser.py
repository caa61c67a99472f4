"""An argument parser whose complaints are one line that names the nearest known spelling."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from unet.errors import did_you_mean


def help_formatter(prog: str) -> argparse.HelpFormatter:
    """Return a formatter with colours; a plain one where the packages we need are still to be installed."""
    try:
        from rich_argparse import RawDescriptionRichHelpFormatter
    except ModuleNotFoundError:
        return argparse.RawDescriptionHelpFormatter(prog)

    class Formatter(RawDescriptionRichHelpFormatter):
        text_markup = False  # brackets in our texts are brackets
        group_name_formatter = str

    return Formatter(prog)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line that names the nearest known spelling."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"formatter_class": help_formatter, **kwargs})

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with code 2."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse `argv`; whatever is not known ends the program with a suggestion."""
        self._refuse_unknown_options(argv)
        args, extras = self.parse_known_args(list(argv))
        if extras:
            parser: Parser = getattr(args, "parser", self)
            parser.error(f"unexpected argument {extras[0]!r}")
        return args

    def _refuse_unknown_options(self, argv: Sequence[str]) -> None:
        # Before argparse, which would complain of a missing option where the user misspelt it.
        for position, word in enumerate(argv):
            if word == "--":
                return
            if self._commands and not word.startswith("-"):
                if word in self._commands:
                    self._commands[word]._refuse_unknown_options(argv[position + 1 :])
                return
            name = word.partition("=")[0]
            if name.startswith("--") and not self._knows(name):
                self.error(f"unknown option {name}{did_you_mean(name, self._option_string_actions, '; {}')}")

    def _knows(self, name: str) -> bool:
        options = self._option_string_actions
        return name in options or (self.allow_abbrev and any(option.startswith(name) for option in options))

    @property
    def _commands(self) -> dict[str, Parser]:
        actions = self._subparsers._group_actions if self._subparsers else []
        return {name: parser for action in actions for name, parser in dict(action.choices or {}).items()}

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            near = did_you_mean(str(value), known, "; {}")
            raise argparse.ArgumentError(action, f"{value!r} is not one of {', '.join(known)}{near}")
