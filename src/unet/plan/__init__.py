"""From what the data are like, what the machine can do and the time there is, to settings, each with its reason.

Only settings that the user left open are decided, by one rule after the other. What the constants rest on is in
docs/planning.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from unet.config import Config
from unet.data.fingerprint import Fingerprint
from unet.plan.draft import Draft, Machine
from unet.plan.rare import class_weights, rare_pictures
from unet.plan.rules import DEFAULT_SECONDS, RATES, RULES

__all__ = ["DEFAULT_SECONDS", "RATES", "Machine", "Plan", "class_weights", "decide", "rare_pictures", "to_markdown"]


@dataclass(frozen=True)
class Plan:
    """Settings without gaps, a sentence for each choice, and how many steps there will be."""

    config: Config
    reasons: tuple[str, ...]
    steps: float = 0.0


def decide(config: Config, fingerprint: Fingerprint, machine: Machine) -> Plan:
    """Fill the open settings, rule by rule."""
    draft, reasons = Draft(config, fingerprint, machine), []
    for rule in RULES:
        choice = rule(draft)
        if choice is not None:
            changes, reason = choice
            draft = replace(draft, config=draft.config.updated(changes))
            reasons.append(reason)
    return Plan(draft.config, tuple(reasons), draft.steps)


def to_markdown(reasons: tuple[str, ...]) -> str:
    """Return the reasons as a page for people."""
    return "# Plan\n\n" + "\n".join(f"- {reason}" for reason in reasons) + "\n"
