"""`unet convert`, and the entry for `torch.hub`."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from unet import bundle, models
from unet.bundle import Bundle
from unet.commands.convert import convert
from unet.errors import InputError, ModelFileError
from unet.labels import Labels
from unet.models import ModelSpec, UNet
from unet.preprocessing import Preprocessing

ROOT = Path(__file__).resolve().parents[2]


def weights() -> dict[str, Any]:
    return dict(models.build(ModelSpec(width=2, depth=2)).state_dict())


def test_both_ways(tmp_path: Path) -> None:
    torch.save({**weights(), "mask_values": [0, 255]}, tmp_path / "MODEL.pth")
    made = convert(tmp_path / "MODEL.pth", tmp_path / "new" / "model.safetensors", scale=0.25)
    loaded = bundle.load(made)
    assert (loaded.preprocessing.scale, loaded.labels.values) == (0.25, (0, 255))
    assert loaded.provenance == {"converted_from": "MODEL.pth"}
    convert(made, tmp_path / "BACK.pth")
    assert torch.load(tmp_path / "BACK.pth", weights_only=True)["mask_values"] == [0, 255]


def test_copies_of_one_kind_are_allowed(tmp_path: Path) -> None:
    torch.save({f"module.{name}": tensor for name, tensor in weights().items()}, tmp_path / "a.pth")
    convert(tmp_path / "a.pth", tmp_path / "b.pth")
    assert "inc.double_conv.0.weight" in torch.load(tmp_path / "b.pth", weights_only=True)


def test_refusals(tmp_path: Path) -> None:
    source = tmp_path / "MODEL.pth"
    torch.save(weights(), source)
    (tmp_path / "there.safetensors").write_text("precious")
    for target, message in (
        ("model.onnx", "ends in .onnx"),
        ("model", "ends in nothing"),
        ("MODEL.pth", "is the source itself"),
        ("there.safetensors", "exists"),
    ):
        with pytest.raises(InputError, match=message):
            convert(source, tmp_path / target)
    assert (tmp_path / "there.safetensors").read_text() == "precious"
    convert(source, tmp_path / "there.safetensors", overwrite=True)
    with pytest.raises(InputError, match="source itself"):
        convert(source, source, overwrite=True)
    with pytest.raises(ModelFileError, match="does not exist"):
        convert(tmp_path / "none.pth", tmp_path / "x.safetensors")


def test_what_a_pth_cannot_hold(tmp_path: Path) -> None:
    preprocessing = Preprocessing(scale=0.3, mean=(0.5,) * 3, std=(0.2,) * 3)
    bundle.save(
        Bundle(ModelSpec(width=2, depth=2), Labels.numbered(2), preprocessing, None, {}, {}, weights()),
        tmp_path / "model.safetensors",
    )
    again = bundle.load(convert(tmp_path / "model.safetensors", tmp_path / "MODEL.pth"))
    assert again.preprocessing.mean == ()
    assert not torch.equal(again.state["inc.double_conv.0.weight"], weights()["inc.double_conv.0.weight"])


# --- torch.hub


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        if not self.path.startswith("/half"):
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", "2000")
        self.end_headers()
        self.wfile.write(b"x" * 1000)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server for a folder: its address and the folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(folder))) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", folder
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _own_hub(tmp_path: Path) -> Iterator[None]:
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path / "hub"))
    yield
    torch.hub.set_dir(before)


def hub(**arguments: Any) -> Any:
    return torch.hub.load(str(ROOT), "unet_carvana", source="local", verbose=False, **arguments)


def test_hub_without_weights() -> None:
    network = hub(pretrained=False, scale=0.5)
    assert type(network).__name__ == "UNet"
    assert (network.n_channels, network.n_classes, network.bilinear) == (3, 2, False)
    assert sum(parameter.numel() for parameter in network.parameters()) == 31_037_698


def test_hub_without_weights_of_the_first_version() -> None:
    network = hub(version="v1.0")
    assert (network.n_channels, network.n_classes, network.bilinear) == (3, 1, True)
    with pytest.raises(Exception, match=r"version .v2\.0.; expected v1\.0 or v3\.0"):
        hub(version="v2.0")


@pytest.mark.slow
@pytest.mark.parametrize(("version", "scale"), [("v3.0", 0.5), ("v1.0", None)])
def test_hub_fetches_weights_once(server: tuple[str, Path], version: str, scale: float | None) -> None:
    address, folder = server
    published = UNet().state_dict() if version == "v3.0" else UNet(n_classes=1, bilinear=True).state_dict()
    file = folder / ("unet_carvana_scale1_epoch5.pth" if scale is None else f"unet_carvana_scale{scale}_epoch2.pth")
    stored: dict[str, Any] = {**published, "mask_values": [0, 1]}
    if version == "v1.0":  # of the time before mask_values, with a bias before each norm
        stored = dict(published)
        for name in [name for name in published if ".double_conv." in name and name.endswith("running_mean")]:
            before = name.replace("1.running_mean", "0.bias").replace("4.running_mean", "3.bias")
            stored[before] = torch.ones_like(published[name])
    torch.save(stored, file)
    network = hub(pretrained=True, version=version, scale=scale, release=address)
    for name, tensor in network.state_dict().items():
        shift = 1 if version == "v1.0" and name.endswith("running_mean") else 0  # the biases, moved into the means
        assert torch.equal(tensor, published[name] - shift)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    file.unlink()
    hub(pretrained=True, version=version, scale=scale, release=address, sha256=digest.upper())
    with pytest.raises(Exception, match=r"is a file with the SHA-256 .* delete it and try again"):
        hub(pretrained=True, version=version, scale=scale, release=address, sha256="0" * 64)


@pytest.mark.slow
def test_hub_refusals(server: tuple[str, Path]) -> None:
    address, folder = server
    file = folder / "unet_carvana_scale0.5_epoch2.pth"
    with pytest.raises(Exception, match=r"scale 0.25; expected 0.5 or 1.0"):
        hub(pretrained=True, scale=0.25)
    with pytest.raises(Exception, match=r"scale 0.5; expected 1.0; v1.0 has weights for no other"):
        hub(pretrained=True, scale=0.5, version="v1.0")
    with pytest.raises(Exception, match="cannot be fetched"):
        hub(pretrained=True, release=address)
    for content in (b"<html>no such thing</html>", b""):
        file.write_bytes(content)
        with pytest.raises(Exception, match="something else than the weights"):
            hub(pretrained=True, release=address)
    torch.save(UNet(width=4).state_dict(), file)
    with pytest.raises(Exception, match="something else than the weights"):
        hub(pretrained=True, release=address)
    with pytest.raises(Exception, match=r"gave a file with the SHA-256 [0-9a-f]{64}; expected 0{64}; try again"):
        hub(pretrained=True, release=address, sha256="0" * 64)
    with pytest.raises(Exception, match=r"gave 1000 bytes; expected 2000, as announced"):
        hub(pretrained=True, release=address + "/half")
    assert not list((Path(torch.hub.get_dir()) / "checkpoints").iterdir()), "nothing of it is kept"


def test_hub_addresses_are_those_of_the_releases() -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("hubconf_under_test", ROOT / "hubconf.py")
    assert spec is not None and spec.loader is not None
    hubconf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hubconf)
    addresses = [f"{hubconf.RELEASES}/{v}/{name}" for v, by in hubconf.WEIGHTS.items() for name in by.values()]
    root = "https://github.com/milesial/Pytorch-UNet/releases/download"
    assert addresses == [
        f"{root}/v1.0/unet_carvana_scale1_epoch5.pth",
        f"{root}/v3.0/unet_carvana_scale0.5_epoch2.pth",
        f"{root}/v3.0/unet_carvana_scale1.0_epoch2.pth",
    ]
