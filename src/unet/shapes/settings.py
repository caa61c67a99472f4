"""How shapes are made of an edge map: the settings that `unet tune-shapes` finds, and a model file keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from unet.errors import ConfigError
from unet.parsing import as_dataclass
from unet.shapes.calibration import Calibration


@dataclass(frozen=True)
class ShapeSettings:
    """What turns an edge map into shapes: calibration, joint closing, watershed; part of the model file.

    Attributes
    ----------
    dynamic, area : int
        Of the joint closing: grey levels of an 8-bit edge map, and pixels; 0 or more.
    calibrate : {"zero", "edge"}, optional
        What a content mask, where there is one, says of the edge map; None: nothing.

    Raises
    ------
    ConfigError
        Other values.

    Examples
    --------
    >>> settings = ShapeSettings(dynamic=7, area=400, calibrate="edge")
    >>> ShapeSettings.from_dict(settings.to_dict()) == settings
    True
    """

    dynamic: int
    area: int
    calibrate: Calibration | None = None

    def __post_init__(self) -> None:
        for name in ("dynamic", "area"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 0:
                raise ConfigError(f"{name} {value!r}", "a whole number, 0 or more")
        if self.calibrate not in (None, "zero", "edge"):
            raise ConfigError(f"calibrate {self.calibrate!r}", "zero, edge or none")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ShapeSettings:
        """Read what `to_dict` wrote, also after a trip through JSON.

        Raises
        ------
        ConfigError
            It is something else.
        """
        return as_dataclass(cls, data)
