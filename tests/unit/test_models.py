"""The U-Net: its size, its shapes, its names, its training, and how far it looks."""

from __future__ import annotations

import copy

import pytest
import torch
from closeness import assert_same_but_for_rounding
from hypothesis import given, settings
from hypothesis import strategies as st

from unet import models
from unet.errors import ConfigError, ModelFileError
from unet.models import ModelSpec, UNet, geometry_of, legacy

SMALL = ModelSpec(width=4, depth=2)


def parameters(spec: ModelSpec) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in models.build(spec).parameters())


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        (ModelSpec(), 31_037_698),
        (ModelSpec(bilinear=True), 17_263_042),
        (ModelSpec(classes=1), 31_037_633),
        (ModelSpec(bands=1), 31_036_546),
    ],
)
def test_parameter_counts(spec: ModelSpec, count: int) -> None:
    assert parameters(spec) == count


def test_parameter_count_by_hand() -> None:
    """One level, width 2, one band in, one logit out."""
    convs = (1 * 2 + 2 * 2 + 2 * 4 + 4 * 4 + 4 * 2 + 2 * 2) * 9
    norms = 2 * (2 + 2 + 4 + 4 + 2 + 2)
    up, out = 4 * 2 * 4 + 2, 2 + 1
    assert parameters(ModelSpec(bands=1, classes=1, width=2, depth=1)) == convs + norms + up + out


def test_names_are_those_of_carvana_files() -> None:
    with torch.device("meta"):
        names = set(UNet().state_dict())
        bilinear = set(UNet(bilinear=True).state_dict())
    assert {
        "inc.double_conv.0.weight",
        "inc.double_conv.4.running_var",
        "down1.maxpool_conv.1.double_conv.0.weight",
        "down4.maxpool_conv.1.double_conv.3.weight",
        "up1.up.weight",
        "up1.up.bias",
        "up1.conv.double_conv.0.weight",
        "up4.conv.double_conv.1.num_batches_tracked",
        "outc.conv.weight",
        "outc.conv.bias",
    } <= names
    assert names - bilinear == {f"up{n}.up.{kind}" for n in (1, 2, 3, 4) for kind in ("weight", "bias")}
    assert "inc.double_conv.0.bias" not in names


@pytest.mark.slow
@settings(max_examples=40)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    depth=st.integers(1, 4),
    bilinear=st.booleans(),
    bands=st.integers(1, 4),
    classes=st.integers(1, 3),
)
def test_any_size_goes_in_and_comes_out(
    height: int, width: int, depth: int, bilinear: bool, bands: int, classes: int
) -> None:
    network = models.build(ModelSpec("unet", bands, classes, 2, depth, bilinear)).eval()
    with torch.inference_mode():
        logits = network(torch.randn(2, bands, height, width))
    assert logits.shape == (2, classes, height, width)
    assert torch.isfinite(logits).all()


def test_what_is_below_the_smallest_size_equals_a_repeated_border() -> None:
    network = models.build(ModelSpec(width=2, depth=3)).eval()
    image = torch.rand(1, 3, 5, 20)
    tall = torch.cat([image, image[:, :, -1:].expand(-1, -1, 3, -1)], dim=2)
    with torch.inference_mode():
        assert_same_but_for_rounding(network(image), network(tall)[:, :, :5])


@pytest.mark.parametrize("field", ["bands", "classes", "width", "depth"])
def test_senseless_sizes_are_refused(field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} = 0"):
        models.build(ModelSpec(**{field: 0}))


def test_unknown_architecture_is_refused() -> None:
    with pytest.raises(ConfigError, match="'vnet'; expected unet"):
        models.build(ModelSpec(architecture="vnet"))


def test_checkpointing_changes_neither_gradients_nor_statistics() -> None:
    torch.manual_seed(0)
    plain = models.build(SMALL)
    saving = copy.deepcopy(plain)
    assert isinstance(saving, UNet)
    saving.use_checkpointing()
    image = torch.randn(2, 3, 13, 18)
    for network in (plain, saving):
        network.train()
        network(image).square().mean().backward()
    for (name, expected), parameter in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected.grad, msg=name)
    for (name, buffer), same in zip(plain.named_buffers(), saving.buffers(), strict=True):
        torch.testing.assert_close(same, buffer, msg=name)
    assert all(norm.momentum == 0.1 for norm in saving.modules() if isinstance(norm, torch.nn.BatchNorm2d))


def test_checkpointing_keeps_less_for_the_backward_pass() -> None:
    kept = []
    for saving in (False, True):
        network = UNet(width=4, depth=2).train()
        if saving:
            network.use_checkpointing()
        total = 0

        def count(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal total
            total += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            network(torch.randn(1, 3, 64, 64))
        kept.append(total)
    assert kept[1] < kept[0] / 3


@pytest.mark.parametrize("bilinear", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_receptive_field_radius_is_how_far_the_gradient_reaches(depth: int, bilinear: bool) -> None:
    network = UNet(1, 1, bilinear, width=1, depth=depth).double().eval()
    for name, parameter in network.named_parameters():  # nothing may cancel out, no ReLU may close
        torch.nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 0.3)
    geometry = geometry_of(ModelSpec(depth=depth, bilinear=bilinear))
    most, multiple = geometry.receptive_field_radius or 0, geometry.multiple
    side = multiple * (most // multiple + 3) * 2
    receptive_field_radius = 0
    for offset in range(multiple):
        image = torch.ones(1, 1, side, multiple, dtype=torch.float64, requires_grad=True)
        row = side // 2 + offset
        network(image)[0, 0, row].sum().backward()
        assert image.grad is not None
        rows = image.grad[0, 0].abs().sum(dim=1).nonzero()
        receptive_field_radius = max(receptive_field_radius, row - int(rows.min()), int(rows.max()) - row)
    if bilinear:  # which pixels are mixed depends on the size of the picture
        assert most - 2 ** (depth + 1) < receptive_field_radius <= most
    else:
        assert receptive_field_radius == most


@pytest.mark.slow
@settings(max_examples=25)
@given(
    st.builds(
        ModelSpec,
        bands=st.integers(1, 5),
        classes=st.integers(1, 4),
        width=st.integers(1, 6),
        depth=st.integers(1, 4),
        bilinear=st.booleans(),
    )
)
def test_spec_is_found_again_from_shapes(spec: ModelSpec) -> None:
    with torch.device("meta"):
        assert legacy.spec_of_state(models.build(spec).state_dict()) == spec


@pytest.mark.parametrize("state", [{}, {"fc.weight": torch.zeros(2, 2)}, {"inc.double_conv.0.weight": torch.zeros(3)}])
def test_weights_of_something_else_are_refused(state: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ModelFileError, match="not the weights of a U-Net"):
        legacy.spec_of_state(state)
