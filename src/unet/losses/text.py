"""Losses by name: a weighted sum of terms, read from text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from unet.errors import ConfigError, did_you_mean
from unet.losses.common import Loss, shared_batches
from unet.losses.connectivity import malis
from unet.losses.jaccard import lovasz
from unet.losses.overlap import dice, fbeta, generalised_dice, micro_dice, tversky
from unet.losses.pixelwise import balanced_bce, bce, boundary, cross_entropy, focal, topk
from unet.losses.thin import cldice

DEFAULT_LOSS = "ce + dice"
"""Cross-entropy judges every pixel, Dice lets small classes count like large ones."""

TERMS: Mapping[str, Loss] = {
    "ce": cross_entropy,
    "dice": dice,
    "micro_dice": micro_dice,
    "generalised_dice": generalised_dice,
    "fbeta": fbeta,
    "tversky": tversky,
    "lovasz": lovasz,
    "bce": bce,
    "balanced_bce": balanced_bce,
    "focal": focal,
    "topk": topk,
    "ohem": topk,
    "boundary": boundary,
    "cldice": cldice,
    "malis": malis,
}


@dataclass(frozen=True)
class Argument:
    """What may stand behind the name of an argument."""

    expected: str
    read: Callable[[str], Any]
    is_valid: Callable[[Any], bool]


_NATURAL = Argument("a number, 0 or more", float, lambda x: 0 <= x < math.inf)
_POSITIVE = Argument("a number above 0", float, lambda x: 0 < x < math.inf)
_WHOLE = Argument("a whole number, 1 or more", int, lambda n: n >= 1)

ARGUMENTS: Mapping[str, Mapping[str, Argument]] = {
    "dice": {"per": Argument("batch or picture", str, lambda word: word in ("batch", "picture"))},
    "fbeta": {"beta": _POSITIVE, "smooth": _POSITIVE},
    "tversky": {
        "alpha": Argument("a number from 0 to 1", float, lambda x: 0 <= x <= 1),
        "beta": _POSITIVE,
        "smooth": _POSITIVE,
    },
    "balanced_bce": {"background": _POSITIVE},
    "focal": {"gamma": _NATURAL},
    "topk": {"share": Argument("a share above 0, 1 at most", float, lambda x: 0 < x <= 1)},
    "ohem": {"share": Argument("a share above 0, 1 at most", float, lambda x: 0 < x <= 1)},
    "boundary": {"width": _WHOLE},
    "cldice": {"iterations": _WHOLE, "smooth": _POSITIVE},
    "malis": {"min_area": _WHOLE},
}
"""The arguments of the terms that take some."""

_PLUS = re.compile(r"(?<!\d[eE])\+(?![^()]*\))")
_TERM = re.compile(r"(?:(?P<factor>[^*()]*)\*)?\s*(?P<name>\w+)\s*(?:\((?P<arguments>[^()]*)\))?")


def parse(text: str) -> Loss:
    """Return the loss that a text like "ce + dice" or "0.5*focal(gamma=2) + tversky(beta=2)" describes.

    Raises
    ------
    ConfigError
        Every term or argument that is unknown and every value that makes no sense, in one message.

    Examples
    --------
    >>> loss = parse("ce + 0.5*dice(per=picture)")
    >>> round(loss(torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])).item(), 4)  # ln 2 + 0.5 * 0.5
    0.9431
    """
    terms: list[tuple[float, Loss]] = []
    faults: list[str] = []
    for part in _PLUS.split(text):
        term = _read_term(part.strip(), faults)
        if term is not None:
            terms.append(term)
    if faults:
        raise ConfigError(
            f"loss {text!r}: {' | '.join(faults)}",
            f"a sum of {', '.join(TERMS)}, such as 'ce + 0.5*dice' or '0.5*focal(gamma=2) + tversky(beta=2)'",
            "see docs/configuration.md",
        )

    def total(
        logits: Tensor,
        target: Tensor,
        class_weights: Tensor | None = None,
        pixel_weights: Tensor | None = None,
    ) -> Tensor:
        with shared_batches():
            values = [weight * term(logits, target, class_weights, pixel_weights) for weight, term in terms]
        return torch.stack(values).sum()

    return total


def _read_term(text: str, faults: list[str]) -> tuple[float, Loss] | None:
    """Return factor and function of one term, or None and at least one fault more."""
    match = _TERM.fullmatch(text)
    if match is None:
        faults.append(f"{text!r} is no term")
        return None
    name, before = match["name"], len(faults)
    if name not in TERMS:
        faults.append(f"unknown term {name!r}{did_you_mean(name, TERMS, ' ({})')}")
        return None
    factor = _parse_value(match["factor"] or "1", _POSITIVE)
    if factor is None:
        faults.append(f"{name} times {match['factor'].strip()!r}, expected {_POSITIVE.expected}")
    arguments = _read_arguments(name, match["arguments"] or "", faults)
    return (factor, partial(TERMS[name], **arguments)) if len(faults) == before else None


def _read_arguments(name: str, text: str, faults: list[str]) -> dict[str, Any]:
    """Return the arguments of a term by name; what is wrong with them is added to the faults."""
    known, given = ARGUMENTS.get(name, {}), {}
    takes = ", ".join(f"{key} ({argument.expected})" for key, argument in known.items()) or "no arguments"
    for part in filter(None, map(str.strip, text.split(","))):
        key, equals, word = map(str.strip, part.partition("="))
        if not equals:
            faults.append(f"{part!r} in {name}(...), where arguments have names; {name} takes {takes}")
        elif key not in known:
            faults.append(f"{name} has no argument {key!r}{did_you_mean(key, known, ' ({})')}; it takes {takes}")
        elif key in given:
            faults.append(f"{key} is given twice to {name}")
        elif (value := _parse_value(word, known[key])) is None:
            faults.append(f"{key}={word} in {name}(...), expected {known[key].expected}")
        else:
            given[key] = value
    return given


def _parse_value(text: str, argument: Argument) -> Any:
    """Return the value, or None where the text is none."""
    try:
        value = argument.read(text.strip())
    except ValueError:
        return None
    return value if argument.is_valid(value) else None
