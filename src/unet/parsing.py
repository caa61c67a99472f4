"""Plain data of files made into our dataclasses, every type checked: a wrong one is a fault, never a crash later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from unet.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MOST_BYTES = 1 << 25
"""Of a text that is parsed: parsed it takes some twenty times as much."""

T = TypeVar("T")


def as_dataclass(kind: type[T], plain: object) -> T:
    """Return a dataclass from what JSON gave.

    Numbers must be numbers, texts texts; lists become tuples. Entries that the dataclass has not are faults.

    Raises
    ------
    ConfigError
        Every entry that is of another kind, in one message; or what the dataclass itself raises.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Size:
    ...     sides: tuple[int, ...]
    >>> as_dataclass(Size, {"sides": [3, 4]})
    Size(sides=(3, 4))
    >>> as_dataclass(Size, {"sides": [3, "4"]})
    Traceback (most recent call last):
    ...
    unet.errors.ConfigError: sides.1 = '4': Input should be a valid integer
    """
    from pydantic import ValidationError

    unknown = set(plain) - {each.name for each in fields(kind)} if isinstance(plain, Mapping) else ()  # type: ignore[arg-type]
    if unknown:
        raise ConfigError(f"unknown entry {', '.join(sorted(map(str, unknown))[:3])}")
    try:
        # Through JSON: in it, and only there, a list is what stands for a tuple.
        parsed: T = _adapter(cast(Any, kind)).validate_json(json.dumps(plain), strict=True)
    except ValidationError as error:
        raise ConfigError(" | ".join(_said(fault) for fault in error.errors()[:3])) from None
    except (TypeError, RecursionError) as error:
        raise ConfigError(f"{type(plain).__name__} ({error})", f"the entries of {kind.__name__}") from None
    return parsed


def read_json(text: str) -> dict[str, Any]:
    """Return the entries of a JSON object.

    Raises
    ------
    ConfigError
        The text is something else.
    """
    if len(text) > MOST_BYTES:
        raise ConfigError(f"a text of {len(text):,} bytes", f"at most {MOST_BYTES:,}")
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"no JSON ({error})") from None
    if not isinstance(plain, dict):
        raise ConfigError(f"JSON of a {type(plain).__name__}", "of entries by name")
    return plain


@lru_cache(maxsize=64)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _said(fault: Mapping[str, Any]) -> str:
    place, value = ".".join(map(str, fault["loc"])), repr(fault["input"])
    if fault["type"] in ("missing", "missing_argument"):
        return f"no {place}"
    shown = value if len(value) <= 40 else f"{value[:40]} ..."
    return f"{place} = {shown}: {fault['msg']}" if place else f"{shown}: {fault['msg']}"
