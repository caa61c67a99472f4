"""What all public functions have in common: unknown keywords are named, and nothing is shown unless asked for."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import tomli_w

from unet.errors import ConfigError, did_you_mean

P = ParamSpec("P")
R = TypeVar("R")


def checked(settings: Callable[[], frozenset[str]] = frozenset) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function name the nearest keyword where one is mistyped.

    Parameters
    ----------
    settings : callable
        Returns the keywords that the function takes beside those in its signature.
    """

    def of(function: Callable[P, R]) -> Callable[P, R]:
        named = [name for name, each in inspect.signature(function).parameters.items() if each.kind != each.VAR_KEYWORD]

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            known = {*named, *settings()}
            if unknown := [name for name in kwargs if name not in known]:
                raise unknown_keywords(function.__name__, unknown, known)
            return function(*args, **kwargs)

        return call

    return of


def unknown_keywords(function: str, unknown: Sequence[str], known: set[str]) -> ConfigError:
    """Return the error that names them all, each with the nearest one that is known."""
    said = [f"{name!r}" + did_you_mean(name, sorted(known), " ({})") for name in unknown]
    return ConfigError(f"{function}: unknown keyword{'s' * (len(said) != 1)} {', '.join(said)}")


def quiet(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function with a keyword `verbose` as it is called from Python: False as a rule, and checked keywords."""
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **{"verbose": False, **kwargs})  # type: ignore[arg-type]

    rows = [each.replace(default=False) if name == "verbose" else each for name, each in signature.parameters.items()]
    call.__signature__ = signature.replace(parameters=rows)  # type: ignore[attr-defined]
    return checked()(call)


def several(values: Any) -> list[Any] | None:
    """Return a list of what was given as one or as several; text is one."""
    if values is None:
        return None
    return [values] if isinstance(values, (str, int)) else list(values)


def toml_text(name: str, value: Any) -> str:
    """Return a value as it would stand behind `--set NAME=`.

    Raises
    ------
    ConfigError
        It is of no kind that settings have.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if hasattr(value, "tolist"):  # a number or an array of numpy
        value = value.tolist()
    try:
        return tomli_w.dumps({"value": value}).removeprefix("value = ").rstrip()
    except TypeError:
        raise ConfigError(f"{name} = {value!r}", "text, a number, True or False, or a list of these") from None
