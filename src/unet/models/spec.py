"""What has to be known to build a network; part of the model file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from unet.errors import ConfigError
from unet.parsing import as_dataclass, read_json

SETTINGS: dict[str, dict[str, Any]] = {
    "unet": {
        "width": 32, "depth": 4, "bilinear": False, "norm": "batch", "activation": "relu", "dropout": 0.0,
        "attention": False, "deep_supervision": False,
    },
    "paper": {"width": 32, "depth": 4, "norm": "none", "activation": "relu", "dropout": 0.5},
    "resenc": {
        "width": 32, "depth": 4, "norm": "instance", "activation": "leaky_relu", "blocks": (),
        "deep_supervision": False,
    },
    "backbone": {"width": 16, "norm": "batch", "activation": "relu", "encoder": ""},
    "segformer": {"encoder": ""},
}  # fmt: skip
"""Which settings each architecture has, and the usual values where neither the user nor the plan says otherwise."""

BLOCKS = (1, 3, 4, 6)
"""Residual blocks of the finest stages, as in nnU-Net; of all coarser ones as many as the last."""

ENCODERS = ("backbone", "segformer")
"""Those with an encoder that was trained before."""

KINDS = ("resnet", "convnext", "convnextv2", "swin", "segformer")
"""Types of encoders, in the words of transformers: the resolution is a quarter in the first stage, then halved."""

MOST_DEPTH, MOST_CLASSES = 8, 255
"""Of any network. One pixel of the coarsest level stands for 256 x 256 then."""

MOST_CHANNELS = 1 << 16
"""No band count, no width and no number in an encoder's configuration is larger."""


@dataclass(frozen=True)
class ModelSpec:
    """The arguments of a network; those that an architecture has not, see `SETTINGS`, stay as they are here.

    Attributes
    ----------
    architecture : str
        A name in `unet.models.ARCHITECTURES`.
    bands : int
        Bands of the pictures.
    classes : int
        Logits per pixel. 1 means a single probability through the sigmoid: two classes, one logit.
    width : int
        Channels at full resolution; every level below has twice as many.
    depth : int
        How many times the resolution is halved.
    bilinear : bool
        Up-sample by interpolation instead of transposed convolution: about half the parameters.
    norm : {"batch", "group", "instance", "none"}
        What follows each convolution ...
    activation : {"relu", "leaky_relu", "gelu", "silu"}
        ... and what follows that.
    dropout : float
        Share of the values of the coarsest level, in `paper` of the two coarsest, that are left out in training.
    attention : bool
        Attention gates on the skips.
    deep_supervision : bool
        In training every level of the decoder gives logits.
    blocks : tuple of int
        Residual blocks per stage, `depth` + 1 of them; empty: the usual ones.
    encoder : str
        The configuration of a pre-trained encoder, JSON of `transformers`.
    """

    architecture: str = "unet"
    bands: int = 3
    classes: int = 2
    width: int = 64
    depth: int = 4
    bilinear: bool = False
    norm: str = "batch"
    activation: str = "relu"
    dropout: float = 0.0
    attention: bool = False
    deep_supervision: bool = False
    blocks: tuple[int, ...] = ()
    encoder: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelSpec:
        """Read what `to_dict` wrote, also after a trip through JSON, and by versions that knew fewer settings.

        Raises
        ------
        ConfigError
            It is something else.
        """
        return as_dataclass(cls, data)

    def of_width(self, width: int) -> ModelSpec:
        """Return the same network with another width, if it has one."""
        return replace(self, width=width) if "width" in SETTINGS[self.architecture] else self


CHOICES = {"norm": ("batch", "group", "instance", "none"), "activation": ("relu", "leaky_relu", "gelu", "silu")}


def check(spec: ModelSpec) -> None:
    """Check that a network of this kind can be built.

    Raises
    ------
    ConfigError
        There is no such architecture, a setting makes no sense, or the architecture does not have it.
    """
    require(spec.architecture, {})
    most = {"bands": MOST_CHANNELS, "classes": MOST_CLASSES, "width": MOST_CHANNELS, "depth": MOST_DEPTH}
    for name, limit in most.items():
        value = getattr(spec, name)
        if not isinstance(value, int) or not 1 <= value <= limit:
            raise ConfigError(f"{name} = {value}"[:80], f"a whole number from 1 to {limit}")
    for name, choices in CHOICES.items():
        if getattr(spec, name) not in choices:
            raise ConfigError(f"{name} = {getattr(spec, name)}", f"one of {', '.join(choices)}")
    if not 0 <= spec.dropout < 1:
        raise ConfigError(f"dropout = {spec.dropout}", "at least 0 and less than 1")
    if spec.blocks and (len(spec.blocks) != spec.depth + 1 or min(spec.blocks) < 1):
        raise ConfigError(f"blocks = {list(spec.blocks)}", f"{spec.depth + 1} numbers above 0 for depth {spec.depth}")
    if spec.architecture in ENCODERS:
        _check_encoder(spec.encoder)
    own = {name for settings in SETTINGS.values() for name in settings}
    values = {f.name: getattr(spec, f.name) for f in fields(spec) if f.name in own}
    defaults = {f.name: f.default for f in fields(spec)}
    require(spec.architecture, {name: value for name, value in values.items() if value != defaults[name]})


def _check_encoder(encoder: str) -> None:
    """Check that a configuration is one of the encoders that are known, and of a size that one can have.

    Raises
    ------
    ConfigError
        It is not.
    """
    try:
        plain = read_json(encoder)
    except ConfigError:
        raise ConfigError(f"encoder = {encoder[:80]!r}", "the configuration of one, as JSON") from None
    if plain.get("model_type") not in KINDS:
        raise ConfigError(f"an encoder of type {plain.get('model_type')!r}"[:80], " or ".join(KINDS))
    depths = plain.get("depths")
    if not isinstance(depths, list) or not 1 <= len(depths) <= MOST_DEPTH or not all(type(n) is int for n in depths):
        raise ConfigError(f"encoder.depths = {depths!r}"[:80], f"1 to {MOST_DEPTH} whole numbers")
    for name, value in plain.items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, (int, float)) and not abs(number) <= MOST_CHANNELS:
                raise ConfigError(f"encoder.{name} = {value!r}"[:80], f"at most {MOST_CHANNELS}")


def require(architecture: str, settings: Mapping[str, Any]) -> None:
    """Check that there is an architecture, and that it has all these settings.

    Raises
    ------
    ConfigError
        Either is not so.
    """
    if architecture not in SETTINGS:
        raise ConfigError(f"architecture {architecture!r}", " or ".join(SETTINGS))
    known = SETTINGS[architecture]
    unknown = [f"{name} = {value}" for name, value in settings.items() if name not in known]
    if unknown:
        raise ConfigError(
            f"{', '.join(unknown)}, which architecture {architecture} has not", f"of its settings: {', '.join(known)}"
        )


def blocks_of(depth: int, blocks: Sequence[int]) -> tuple[int, ...]:
    """Return the residual blocks of each stage: those given, or the usual ones."""
    return tuple(blocks) or tuple(BLOCKS[min(level, len(BLOCKS) - 1)] for level in range(depth + 1))
