"""What `torch.hub.load` finds here: the U-Net of the Carvana challenge, with or without its published weights."""

from __future__ import annotations

import hashlib
import http.client
import sys
import urllib.request
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))  # works without being installed

from unet import files
from unet.errors import InputError, ModelFileError
from unet.models import UNet, legacy

dependencies = ["torch", "numpy"]

RELEASES = "https://github.com/milesial/Pytorch-UNet/releases/download"
WEIGHTS = {
    "v1.0": {1.0: "unet_carvana_scale1_epoch5.pth"},
    "v3.0": {0.5: "unet_carvana_scale0.5_epoch2.pth", 1.0: "unet_carvana_scale1.0_epoch2.pth"},
}
"""Published weights by version, and by the scale of the pictures that they were trained on."""


def unet_carvana(
    pretrained: bool = False,
    scale: float | None = None,
    version: str = "v3.0",
    sha256: str | None = None,
    release: str | None = None,
) -> UNet:
    """Return the U-Net for the Carvana challenge, of 3 bands.

    Version v3.0 has two outputs (background, car) and transposed convolutions, 31 M parameters; v1.0 has one output
    (car, for a sigmoid) and is bilinear, 17 M.

    No checksums of the published files are known to this program, and their names hold none. What is checked: that as
    many bytes came as the server announced, that they are weights and nothing else (code in the file is not run), and
    that the weights are those of this network by name and shape. Who knows the checksum gives it.

    Parameters
    ----------
    pretrained : bool
        Fetch the published weights, once; they are kept in torch's hub folder.
    scale : {0.5, 1.0}, optional
        The scale of the pictures that the network is going to see; 0.5 by default, 1.0 for v1.0, which has no other.
    version : {"v3.0", "v1.0"}
        Which of the published networks.
    sha256 : str, optional
        The checksum that the file must have, in hexadecimal digits.
    release : str, optional
        Address of the folder with the weights, if it is not that of the version.

    Raises
    ------
    InputError
        There are no weights for that scale, they cannot be fetched, or what came is something else.
    """
    if version not in WEIGHTS:
        raise InputError(f"version {version!r}", " or ".join(WEIGHTS), "there are weights of these only")
    first = version == "v1.0"
    network = UNet(n_channels=3, n_classes=1 if first else 2, bilinear=first)
    if not pretrained:
        return network
    published = WEIGHTS[version]
    scale = min(published) if scale is None else scale
    if scale not in published:
        raise InputError(f"scale {scale}", " or ".join(map(str, published)), f"{version} has weights for no other")
    kept = Path(torch.hub.get_dir()) / "checkpoints" / published[scale]
    if kept.is_file():
        _load(network, kept, sha256, f"{kept} is", "delete it and try again")
        return network
    url = f"{release or f'{RELEASES}/{version}'}/{kept.name}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(kept) as part:  # nothing is kept of what turns out to be wrong
        try:
            _fetch(url, part)
        except (OSError, http.client.HTTPException) as error:
            raise InputError(f"{url} cannot be fetched ({error})", remedy=f"put it at {kept} yourself") from error
        _load(network, part, sha256, f"{url} gave", "try again")
    return network


def _fetch(url: str, path: Path) -> None:
    """Download a file.

    Raises
    ------
    InputError
        Fewer bytes came than were announced.
    """
    with urllib.request.urlopen(url, timeout=60) as answer, path.open("wb") as file:
        length = answer.headers.get("Content-Length")
        print(f"fetching {url}" + (f" ({int(length) / 1e6:.1f} MB)" if length else ""), file=sys.stderr)
        while block := answer.read(1 << 20):
            file.write(block)
        got = file.tell()
    if length is not None and got != int(length):
        raise InputError(f"{url} gave {got} bytes", f"{length}, as announced", "try again")


def _load(network: UNet, path: Path, sha256: str | None, found: str, remedy: str) -> None:
    """Load weights from a file into the network.

    Raises
    ------
    InputError
        The file has another checksum, or holds something else.
    """
    if sha256 is not None:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != sha256.lower():
            raise InputError(f"{found} a file with the SHA-256 {digest.hexdigest()}", sha256.lower(), remedy)
    try:
        state, _ = legacy.read_pth(path)
        network.load_state_dict(state)
    except (ModelFileError, RuntimeError) as error:
        raise InputError(f"{found} something else than the weights of this network", remedy=remedy) from error
