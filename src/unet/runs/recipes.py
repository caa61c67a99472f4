"""Recipes: settings files by name, of the systems that this one follows, and ours for the same data."""

from __future__ import annotations

from pathlib import Path

import unet
from unet.errors import ConfigError, did_you_mean


def recipe(name: str) -> Path:
    """Return the settings file of a recipe.

    Parameters
    ----------
    name : str
        As `names` returns them, or the path of a file.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    path = Path(name)
    if path.suffix == ".toml":
        return path
    known = names()
    if name not in known:
        raise ConfigError(f"recipe {name!r}", f"one of {', '.join(known)}, or a file.toml", did_you_mean(name, known))
    return _folder() / f"{name}.toml"


def names() -> list[str]:
    """Return the names of all recipes."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def _folder() -> Path:
    package = Path(unet.__file__).parent
    inside = package / "recipes"  # where installing puts them
    return inside if inside.is_dir() else package.parents[1] / "recipes"
