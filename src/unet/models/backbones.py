"""Networks on encoders that were trained before, through the optional package transformers: a U-Net, and SegFormer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unet.errors import ConfigError, MissingExtraError
from unet.models.blocks import DoubleConv, Down, OutConv, Style, Up, cut, to_multiple
from unet.models.checkpointing import Checkpointed
from unet.models.spec import KINDS

_NEEDLESS = (
    "_name_or_path", "architectures", "dtype", "torch_dtype", "id2label", "label2id", "out_features", "out_indices",
    "stage_names",
)  # fmt: skip
"""Entries of a configuration that say nothing of the network, or what we set ourselves."""

_OURS = (
    "num_channels", "id2label", "label2id", "dtype", "out_features", "out_indices", "stage_names", "_name_or_path",
    "output_hidden_states", "output_attentions", "return_dict",
)  # fmt: skip
"""Entries that a model file has no say in."""


def description(encoder: str, architecture: str) -> str:
    """Return the configuration of an encoder as JSON, which is all that is needed to build it.

    Parameters
    ----------
    encoder : str
        A folder as written by `save_pretrained`, a name on the Hugging Face hub, or such JSON.
    architecture : {"backbone", "segformer"}

    Raises
    ------
    ConfigError
        There is none of that name, or it is of a type that does not suit.
    MissingExtraError
        transformers is not installed.
    """
    kinds = ("segformer",) if architecture == "segformer" else KINDS
    expected = f"a folder or a name on the Hugging Face hub with a {', '.join(kinds)} model"
    if not encoder:
        example = "nvidia/mit-b0" if architecture == "segformer" else "microsoft/resnet-34"
        raise ConfigError(f"architecture {architecture} without an encoder", expected, f"--set encoder={example}")
    if is_description(encoder):
        return encoder
    with _quiet() as transformers:
        try:
            config = transformers.AutoConfig.from_pretrained(encoder)
        except (OSError, ValueError) as error:
            raise ConfigError(f"encoder {encoder!r}: {str(error).strip().splitlines()[0]}", expected) from None
    if config.model_type not in kinds or getattr(config, "downsample_in_first_stage", False):
        raise ConfigError(f"encoder {encoder!r} of type {config.model_type}", expected)
    known = {key: value for key, value in config.to_dict().items() if key not in _NEEDLESS}
    return json.dumps(known, sort_keys=True)


def is_description(encoder: str) -> bool:
    """Tell JSON from the names of folders and models."""
    return encoder.startswith("{")


def load_weights(network: nn.Module, encoder: str) -> None:
    """Fill a new network with the weights of a folder or of a model on the hub.

    The first convolution is brought to the network's bands: for one band the weights of red, green and blue are
    added, for more than three the further bands get the mean of these; all are scaled by 3 / bands, so that the
    sums keep their size. What the file lacks stays random: the decoder, and another number of classes.

    Raises
    ------
    ConfigError
        There are no such weights.
    """
    if is_description(encoder):
        return
    target = network.model if isinstance(network, Segformer) else cast(Encoder, network.encoder).model
    with _quiet():
        try:
            source = type(target).from_pretrained(encoder, **_features(target.config))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"encoder {encoder!r}: {str(error).strip().splitlines()[0]}", "a folder or a name with weights"
            ) from None
    own = target.state_dict()
    with torch.no_grad():
        for name, tensor in source.state_dict().items():
            if name in own and own[name].shape == tensor.shape:
                own[name].copy_(tensor)
            elif name in own and own[name].ndim == 4 and own[name].shape[0] == tensor.shape[0] != own[name].shape[1]:
                own[name].copy_(_to_bands(tensor, own[name].shape[1]))


def _to_bands(weight: Tensor, bands: int) -> Tensor:
    """Return convolution weights (O, bands, h, w) for weights (O, C, h, w)."""
    have = weight.shape[1]
    mean = weight.mean(dim=1, keepdim=True).expand(-1, max(0, bands - have), -1, -1)
    kept = weight if bands >= have else weight.mean(dim=1, keepdim=True).expand(-1, bands, -1, -1)
    return torch.cat([kept, mean], dim=1) * (have / bands)


class Encoder(nn.Module):
    """A hierarchical encoder: maps at a quarter, an eighth, ... of the resolution.

    Attributes
    ----------
    channels : list of int
        Of these maps.
    """

    def __init__(self, encoder: str, bands: int) -> None:
        super().__init__()
        with _quiet() as transformers:
            config = _configuration(transformers, encoder, num_channels=bands)
            if config.model_type == "segformer":
                self.model = transformers.SegformerModel(config)
                self.channels = list(config.hidden_sizes)
            else:
                config.out_features = _features(config)["out_features"]
                self.model = transformers.AutoBackbone.from_config(config)
                self.channels = list(self.model.channels)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the maps, fine to coarse, of images whose sides are multiples of the coarsest map's pixels."""
        if self.model.config.model_type == "segformer":
            return tuple(self.model(image, output_hidden_states=True).hidden_states)
        return tuple(self.model(image).feature_maps)


def _configuration(transformers: Any, encoder: str, **own: int) -> Any:
    """Return the configuration that JSON in a model file describes.

    Entries that say nothing of the shape are left out: with some of them transformers would fetch code or weights.
    """
    plain = json.loads(encoder)
    usual = transformers.AutoConfig.for_model(plain["model_type"]).to_dict()
    known = {key: value for key, value in plain.items() if key in usual and key not in _OURS}
    return transformers.AutoConfig.for_model(**{**known, **own})


def _features(config: Any) -> dict[str, list[str]]:
    """Return what to ask of a backbone: all its stages."""
    if config.model_type == "segformer":
        return {}
    return {"out_features": [f"stage{number}" for number, _ in enumerate(config.depths, start=1)]}


class BackboneUNet(Checkpointed):
    """A U-Net whose encoder was trained before.

    The encoder begins at a quarter of the resolution. Full and half resolution, on which fine lines depend, have
    convolutions of their own.

    Parameters
    ----------
    bands, classes : int
    width : int
        Channels of the decoder at full resolution; every level below has twice as many.
    style : Style
        Of the decoder.
    encoder : str
        As `description` returns it.
    """

    def __init__(self, bands: int, classes: int, width: int, *, style: Style, encoder: str) -> None:
        super().__init__()
        self.encoder = Encoder(encoder, bands)
        self.inc = DoubleConv(bands, width, style=style)
        self.down = Down(width, 2 * width, style=style)
        skips = [width, 2 * width, *self.encoder.channels]
        self.step = 1 << (len(skips) - 1)
        below, ups = skips.pop(), []
        for level in reversed(range(len(skips))):
            ups.append(Up(below, skips[level], width << level, style=style))
            below = width << level
        self.ups = nn.ModuleList(ups)
        self.outc = OutConv(width, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (N, classes, H, W) for images (N, bands, H, W) of any size."""
        height, width = image.shape[2:]
        image = to_multiple(image, self.step, self.step)
        fine = self._run(self.inc, image)
        skips = [fine, self._run(self.down, fine), *self._run(self.encoder, image)]
        x = skips.pop()
        for up in self.ups:
            x = self._run(up, x, skips.pop())
        return cut(self.outc(x), height, width)


class Segformer(Checkpointed):
    """SegFormer, whose decoder is little more than a linear map of all four stages.

    Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers" (2021).

    Parameters
    ----------
    bands, classes : int
    encoder : str
        As `description` returns it.
    """

    def __init__(self, bands: int, classes: int, *, encoder: str) -> None:
        super().__init__()
        with _quiet() as transformers:
            config = _configuration(transformers, encoder, num_channels=bands, num_labels=classes)
            self.model = transformers.SegformerForSemanticSegmentation(config)
        self.step = 2 << len(self.model.config.depths)

    @property
    def encoder(self) -> nn.Module:
        """What was trained before."""
        return cast(nn.Module, self.model.segformer)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (N, classes, H, W) for images (N, bands, H, W) of any size, interpolated from a quarter."""
        height, width = image.shape[2:]
        image = to_multiple(image, self.step, self.step)
        logits = self._run(self.model, image).logits
        return cut(F.interpolate(logits, image.shape[2:], mode="bilinear"), height, width)


@contextmanager
def _quiet() -> Iterator[Any]:
    """Give the package transformers, which then says nothing of its own accord.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        transformers: Any = import_module("transformers")
    except ImportError:
        raise MissingExtraError("a pre-trained encoder", "backbones") from None
    logging = transformers.utils.logging
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield transformers
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
