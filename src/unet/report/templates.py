"""The templates of the pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from unet.report.words import shown


def template(name: str, **filters: Callable[[Any], str]) -> Template:
    """Return a template of this folder, which may use these filters; it refuses to be filled in part."""
    environment = Environment(
        loader=PackageLoader("unet", "report"),
        autoescape=True,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= filters
    return environment.get_template(name)
