"""One tester for every architecture: shapes, gradients, geometry, files, memory saving. And what each alone has."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from closeness import assert_same_but_for_rounding
from encoders import CONFIGURATIONS, description
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from unet import bundle, losses
from unet.bundle import Bundle
from unet.errors import ConfigError, InputError
from unet.inference.predictor import Predictor
from unet.labels import Labels
from unet.models import ARCHITECTURES, SETTINGS, ModelSpec, build, geometry_of
from unet.models.blocks import mirrored
from unet.models.geometry import Geometry
from unet.models.spec import ENCODERS
from unet.preprocessing import Preprocessing
from unet.training.outputs import loss_of_outputs

UNET = ModelSpec("unet", width=4, depth=2)
PAPER = ModelSpec("paper", width=4, depth=2, norm="none")
RESENC = ModelSpec("resenc", width=4, depth=2, norm="instance", activation="leaky_relu")
BACKBONE = ModelSpec("backbone", width=4)

VARIANTS: dict[str, ModelSpec] = {
    "unet": UNET,
    "unet-bilinear": replace(UNET, bilinear=True),
    "unet-attention": replace(UNET, attention=True, bands=4),
    "unet-attention-bilinear": replace(UNET, attention=True, bilinear=True, depth=3),
    "unet-deep": replace(UNET, deep_supervision=True, depth=3, classes=3),
    "unet-deep-bilinear": replace(UNET, deep_supervision=True, bilinear=True, depth=3, dropout=0.3),
    "unet-group": replace(UNET, norm="group", activation="silu", classes=1),
    "unet-instance": replace(UNET, norm="instance", activation="gelu", bands=1),
    "unet-none": replace(UNET, norm="none", activation="leaky_relu", dropout=0.5),
    "paper": PAPER,
    "paper-batch": replace(PAPER, norm="batch", dropout=0.5, classes=3),
    "paper-depth-1": replace(PAPER, depth=1, bands=1),
    "resenc": RESENC,
    "resenc-deep": replace(RESENC, deep_supervision=True, classes=3),
    "resenc-batch": replace(RESENC, norm="batch", activation="relu", blocks=(2, 1, 2)),
    **{f"backbone-{name}": replace(BACKBONE, encoder=description(name)) for name in CONFIGURATIONS},
    "backbone-bands": replace(BACKBONE, encoder=description("resnet"), bands=5, norm="group", classes=3),
    "segformer": ModelSpec("segformer", encoder=description("segformer"), classes=3),
}  # fmt: skip

every = pytest.mark.parametrize("spec", VARIANTS.values(), ids=VARIANTS.keys())


def network_of(spec: ModelSpec) -> nn.Module:
    """A network in which nothing is zero that would hide a path."""
    torch.manual_seed(0)
    network = build(spec)
    for parameter in network.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.05, 0.3)
    return network


def test_every_architecture_is_tested() -> None:
    assert {spec.architecture for spec in VARIANTS.values()} == set(ARCHITECTURES) == set(SETTINGS)


@pytest.mark.slow
@every
def test_forward_backward_and_odd_sizes(spec: ModelSpec) -> None:
    network, geometry = network_of(spec), geometry_of(spec)
    network.eval()
    for height, width in ((64, 64), (37, 70), (1, 3)):
        high, wide = height + 2 * geometry.valid_margin, width + 2 * geometry.valid_margin
        with torch.inference_mode():
            logits = network(torch.randn(2, spec.bands, high, wide))
        assert logits.shape == (2, spec.classes, geometry.output(high), geometry.output(wide))
        assert logits.shape[2:] == (height, width)
        assert torch.isfinite(logits).all()
    network.train()
    high, wide = 45 + 2 * geometry.valid_margin, 64 + 2 * geometry.valid_margin
    target = torch.randint(0, max(2, spec.classes), (2, high, wide))
    output = network(torch.randn(2, spec.bands, high, wide))
    assert isinstance(output, tuple) == spec.deep_supervision
    loss_of_outputs(losses.parse("ce + dice"), output, target, None).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert not [name for name in without if not dead(name, network)]


def dead(name: str, network: nn.Module) -> bool:
    """Tell parameters that cannot learn: a bias before a batch norm, and an encoder's norm that is not asked for."""
    return name.endswith("bias") or "encoder" in name


@pytest.mark.slow
@every
def test_a_model_file_holds_all_that_it_takes(spec: ModelSpec, tmp_path: Path) -> None:
    network = network_of(spec).eval()
    labels = Labels.numbered(max(2, spec.classes))
    state = dict(network.state_dict())
    bundle.save(Bundle(spec, labels, Preprocessing(bands=spec.bands), None, {}, {}, state), tmp_path / "m.safetensors")
    loaded = bundle.load(tmp_path / "m.safetensors")
    assert loaded.spec == spec
    assert list(loaded.state) == list(state)
    side = 40 + 2 * geometry_of(spec).valid_margin
    image = torch.randn(1, spec.bands, side, side)
    with torch.inference_mode():
        assert torch.equal(loaded.network()(image), network(image))
    picture = np.random.default_rng(0).integers(0, 256, (33, 50, spec.bands), dtype=np.uint8)
    logits = Predictor(loaded, device="cpu", exact=True).logits(picture)
    assert logits.shape == (spec.classes, 33, 50)
    image = torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32) / 255)[None]
    geometry = geometry_of(spec)
    for dim in (2, 3):  # up to a size at which no level is odd
        side = image.shape[dim]
        image = mirrored(
            image,
            geometry.valid_margin,
            geometry.at_least(side + 2 * geometry.valid_margin) - side - geometry.valid_margin,
            dim,
        )
    with torch.inference_mode():
        assert_same_but_for_rounding(torch.from_numpy(logits), network(image)[0, :, :33, :50])


@pytest.mark.slow
@every
def test_saving_memory_changes_nothing(spec: ModelSpec) -> None:
    plain = network_of(spec).train()
    saving = copy.deepcopy(plain)
    saving.use_checkpointing()  # type: ignore[operator]
    side = 64 + 2 * geometry_of(spec).valid_margin
    image = torch.randn(2, spec.bands, side, side)
    for network in (plain, saving):
        torch.manual_seed(1)  # of dropout
        output = network(image)
        levels = output if isinstance(output, tuple) else (output,)
        torch.stack([logits.square().mean() for logits in levels]).sum().backward()
    pairs = [(q.grad, p.grad) for p, q in zip(plain.parameters(), saving.parameters(), strict=True)]
    largest = max(float(expected.abs().max()) for _, expected in pairs if expected is not None)
    for grad, expected in pairs:
        assert (grad is None) == (expected is None)
        if grad is not None and expected is not None:
            assert_same_but_for_rounding(grad, expected, max(float(expected.abs().max()), 1e-3 * largest))
    for (name, buffer), same in zip(plain.named_buffers(), saving.named_buffers(), strict=True):
        torch.testing.assert_close(same[1], buffer, msg=name)


NAMES = {
    "unet-attention": ("up1.gate.theta.weight", "up2.gate.psi.bias", "inc.double_conv.1.running_mean"),
    "unet-deep": ("deep.0.conv.weight", "deep.1.conv.bias", "up3.conv.double_conv.4.weight"),
    "unet-none": ("inc.double_conv.0.bias", "down2.maxpool_conv.1.double_conv.3.weight"),
    "paper": ("inc.double_conv.0.bias", "down2.maxpool_conv.1.double_conv.3.bias", "up1.up.weight", "outc.conv.bias"),
    "resenc": (
        "stem.0.weight", "stem.1.weight", "stages.0.0.convolutions.0.weight", "stages.1.0.shortcut.1.weight",
        "stages.2.3.convolutions.4.bias", "ups.0.up.weight", "ups.1.conv.1.weight", "outc.conv.weight",
    ),
    "backbone-resnet": ("inc.double_conv.0.weight", "down.maxpool_conv.1.double_conv.0.weight", "ups.4.up.bias"),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_of_parameters_stay(name: str) -> None:
    assert set(NAMES[name]) <= set(build(VARIANTS[name]).state_dict())


# --- geometry


def test_the_papers_sizes() -> None:
    spec = ModelSpec("paper", bands=1, width=1, norm="none")
    geometry = geometry_of(spec)
    assert (geometry.valid_margin, geometry.multiple) == (92, 16)
    assert [geometry.output(side) for side in (572, 668, 724)] == [388, 484, 540]
    assert [geometry.at_least(side) for side in (0, 572, 573, 724, 1000)] == [188, 572, 588, 732, 1004]
    assert not geometry.is_valid(184) and geometry.is_valid(185)
    network = build(spec).eval()
    with torch.inference_mode():
        for side in (185, 188, 572, 668, 724, 731):
            assert network(torch.randn(1, 1, side, 188)).shape[2:] == (side - 184, 4)
    with pytest.raises(InputError, match=r"300 x 184 px.*at least 185 x 185"):
        network(torch.randn(1, 1, 184, 300))


@given(depth=st.integers(1, 5), side=st.integers(1, 3000))
def test_no_level_is_odd_in_a_size_that_suits(depth: int, side: int) -> None:
    geometry = geometry_of(ModelSpec("paper", depth=depth))
    chosen = geometry.at_least(side)
    assert side <= chosen and chosen - max(side, 2 * geometry.valid_margin + 1) < geometry.multiple
    length = chosen
    for _ in range(depth):
        length -= 4
        assert length % 2 == 0
        length //= 2
    length -= 4
    for _ in range(depth):
        length = 2 * length - 4
    assert length == geometry.output(chosen) > 0


@pytest.mark.parametrize("name", [name for name, spec in VARIANTS.items() if spec.architecture != "paper"])
def test_with_padding_any_size_is_valid(name: str) -> None:
    geometry = geometry_of(VARIANTS[name])
    assert geometry.valid_margin == 0 and geometry.is_valid(1) and geometry.at_least(37) == geometry.output(37) == 37
    assert geometry.multiple == (32 if VARIANTS[name].architecture in ENCODERS else 1 << VARIANTS[name].depth)


BOUNDED = [name for name, spec in VARIANTS.items() if geometry_of(spec).receptive_field_radius is not None]


def test_which_networks_look_only_so_far() -> None:
    assert BOUNDED == [
        "unet", "unet-bilinear", "unet-attention", "unet-attention-bilinear", "unet-deep", "unet-deep-bilinear",
        "unet-none", "paper", "paper-batch", "paper-depth-1", "resenc-batch", "backbone-resnet", "backbone-bottleneck",
    ]  # fmt: skip


def watched(spec: ModelSpec) -> tuple[nn.Module, Geometry, int, list[int]]:
    """A network in which no influence cancels out, and rows of a picture as high as returned, one per phase."""
    network, geometry = build(spec).double().eval(), geometry_of(spec)
    for name, parameter in network.named_parameters():
        if parameter.ndim == 4:
            nn.init.constant_(parameter, 1 / parameter[0].numel())
        else:
            nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 1.0)
    assert geometry.receptive_field_radius is not None
    around = -(-(geometry.receptive_field_radius + 1) // geometry.multiple) * geometry.multiple
    side = geometry.at_least(2 * around + geometry.multiple + 2 * geometry.valid_margin)
    return network, geometry, side, [around + phase for phase in range(geometry.multiple)]


@pytest.mark.slow
@pytest.mark.parametrize("name", BOUNDED)
def test_nothing_beyond_the_receptive_field_counts(name: str) -> None:
    network, geometry, side, rows = watched(VARIANTS[name])
    receptive_field_radius = geometry.receptive_field_radius or 0
    across = geometry.at_least(geometry.multiple + 2 * geometry.valid_margin)
    torch.manual_seed(0)
    image = torch.rand(1, VARIANTS[name].bands, side, across, dtype=torch.float64)
    with torch.inference_mode():
        expected = network(image)
        for row in {rows[0], rows[1], rows[-1], rows[len(rows) // 2]}:
            place = row + geometry.valid_margin
            other = torch.rand_like(image)
            other[:, :, max(0, place - receptive_field_radius) : place + receptive_field_radius + 1] = image[
                :, :, max(0, place - receptive_field_radius) : place + receptive_field_radius + 1
            ]
            torch.testing.assert_close(network(other)[:, :, row], expected[:, :, row], rtol=1e-12, atol=1e-12)
        if "bilinear" in name or "attention" in name:
            return  # which pixels are mixed depends on the size of the picture
        plain = torch.ones_like(image)  # where all are equal, pooling passes on whatever is raised
        expected = network(plain)
        ends = [(row, row + geometry.valid_margin + sign * receptive_field_radius) for row in rows for sign in (-1, 1)]
        assert any(not torch.equal(network(raised(plain, end))[:, :, row], expected[:, :, row]) for row, end in ends)


def raised(image: Tensor, row: int) -> Tensor:
    image = image.clone()
    image[:, :, row] += 1
    return image


@pytest.mark.parametrize("name", ["unet-group", "unet-instance", "resenc", "backbone-convnextv2", "backbone-swin",
                                  "backbone-segformer", "segformer"])  # fmt: skip
def test_the_far_end_counts_where_the_receptive_field_has_no_bound(name: str) -> None:
    spec = VARIANTS[name]
    network = network_of(spec).double().eval()
    torch.manual_seed(1)
    for parameter in network.parameters():
        nn.init.uniform_(parameter, -0.4, 0.4)
    image = torch.rand(1, spec.bands, 160, 32, dtype=torch.float64)
    other = image.clone()
    other[:, :, -1] += 3
    with torch.inference_mode():
        assert not torch.equal(network(image)[:, :, 0], network(other)[:, :, 0])


# --- settings


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ModelSpec("paper", bilinear=True), "bilinear = True, which architecture paper has not"),
        (ModelSpec("resenc", attention=True, dropout=0.1), "dropout = 0.1, attention = True"),
        (ModelSpec("unet", blocks=(1,) * 5), "blocks"),
        (ModelSpec("resenc", blocks=(1, 2)), "5 numbers above 0 for depth 4"),
        (ModelSpec(norm="layer"), "norm = layer; expected one of batch"),
        (ModelSpec(dropout=1.0), "dropout = 1.0"),
        (ModelSpec("backbone"), "encoder = ''"),
        (ModelSpec("segformer", encoder="nvidia/mit-b0"), "encoder = 'nvidia/mit-b0'"),
    ],
)
def test_settings_that_make_no_sense(spec: ModelSpec, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(spec)


def test_files_of_before_load(tmp_path: Path) -> None:
    """The description knew six settings then."""
    state = dict(build(UNET).state_dict())
    bundle.save(Bundle(UNET, Labels.numbered(2), Preprocessing(), None, {}, {}, state), tmp_path / "m.safetensors")
    raw = (tmp_path / "m.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    fields = json.loads(header["__metadata__"]["unet"])
    fields["format"] = 1
    fields["preprocessing"]["white"] = fields["preprocessing"].pop("data_range")
    fields["spec"] = {
        key: fields["spec"][key] for key in ("architecture", "bands", "classes", "width", "depth", "bilinear")
    }
    header["__metadata__"]["unet"] = json.dumps(fields)
    del header["__metadata__"]["checksum"]
    old = json.dumps(header).encode()
    (tmp_path / "old.safetensors").write_bytes(len(old).to_bytes(8, "little") + old + raw[8 + size :])
    loaded = bundle.load(tmp_path / "old.safetensors")
    assert loaded.spec == UNET
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.network().state_dict().items())


def test_only_the_plain_network_fits_a_pth_file(tmp_path: Path) -> None:
    for spec in (PAPER, replace(UNET, norm="group")):
        model = Bundle(spec, Labels.numbered(2), Preprocessing(), None, {}, {}, dict(build(spec).state_dict()))
        with pytest.raises(InputError, match="expected a plain U-Net"):
            bundle.save_pth(model, tmp_path / "m.pth")


def test_weights_begin_as_in_the_paper() -> None:
    torch.manual_seed(0)
    network = build(ModelSpec("paper", width=16, norm="none"))
    weights = network.state_dict()
    for name, values in {"down4.maxpool_conv.1.double_conv.3.weight": 256 * 9, "up1.up.weight": 256}.items():
        assert weights[name].std().item() == pytest.approx((2 / values) ** 0.5, rel=0.02)
    assert not weights["inc.double_conv.0.bias"].any()


def test_dropout_of_the_paper_is_only_for_training() -> None:
    network = build(replace(PAPER, dropout=0.5))
    image = torch.randn(1, 3, 60, 60)
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))


@given(before=st.integers(0, 30), after=st.integers(0, 30), side=st.integers(1, 9))
def test_mirrored_is_numpys_reflection(before: int, after: int, side: int) -> None:
    line = np.arange(side, dtype=np.float32)
    expected = np.pad(line, (before, after), mode="reflect")
    np.testing.assert_array_equal(mirrored(torch.from_numpy(line), before, after, 0).numpy(), expected)


# --- outputs of other shapes in the loss


def test_the_target_is_cut_to_the_logits() -> None:
    target = torch.randint(0, 2, (2, 20, 24))
    logits, weights = torch.randn(2, 2, 8, 10), torch.rand(2, 20, 24)

    def loss(logits: Tensor, target: Tensor, class_weights: Tensor | None, pixels: Tensor) -> Tensor:
        return losses.cross_entropy(logits, target, class_weights) + pixels.mean()

    result = loss_of_outputs(loss, logits, target, None, weights)  # type: ignore[arg-type]
    expected = losses.cross_entropy(logits, target[:, 6:14, 7:17]) + weights[:, 6:14, 7:17].mean()
    torch.testing.assert_close(result, expected)


def test_deep_outputs_count_less_and_less() -> None:
    target = torch.randint(0, 3, (1, 13, 18))
    outputs = tuple(torch.randn(1, 3, *size) for size in ((13, 18), (6, 9), (3, 4)))
    parts = [
        losses.cross_entropy(outputs[0], target),
        losses.cross_entropy(outputs[1], target[:, :12:2, ::2]),
        losses.cross_entropy(outputs[2], target[:, :12:4, :16:4]),
    ]
    expected = (parts[0] + parts[1] / 2 + parts[2] / 4) / 1.75
    torch.testing.assert_close(loss_of_outputs(losses.cross_entropy, outputs, target, None), expected)
