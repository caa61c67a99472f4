"""What `torch.hub.load` finds here: the U-Net of the Carvana challenge, with or without its published weights."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))  # works without being installed

from unet.errors import InputError, ModelFileError
from unet.models import UNet, legacy

dependencies = ["torch", "numpy"]

RELEASE = "https://github.com/milesial/Pytorch-UNet/releases/download/v3.0"
WEIGHTS = {0.5: "unet_carvana_scale0.5_epoch2.pth", 1.0: "unet_carvana_scale1.0_epoch2.pth"}
"""Published weights by the scale of the pictures that they were trained on."""


def unet_carvana(pretrained: bool = False, scale: float = 0.5, release: str = RELEASE) -> UNet:
    """Return the U-Net for the Carvana challenge: 3 bands, 2 classes, 31 M parameters.

    Parameters
    ----------
    pretrained : bool
        Fetch the published weights, once; they are kept in torch's hub folder.
    scale : {0.5, 1.0}
        The scale of the pictures that the network is going to see.
    release : str
        Address of the folder with the weights.

    Raises
    ------
    InputError
        There are no weights for that scale, or they cannot be fetched.
    """
    network = UNet(n_channels=3, n_classes=2)
    if not pretrained:
        return network
    if scale not in WEIGHTS:
        raise InputError(f"scale {scale}", " or ".join(map(str, WEIGHTS)), "there are weights for these only")
    url = f"{release}/{WEIGHTS[scale]}"
    kept = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS[scale]
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(kept))
        except OSError as error:
            raise InputError(f"{url} cannot be fetched ({error})", remedy=f"put it at {kept} yourself") from error
    try:
        state, _ = legacy.read_pth(kept)
        network.load_state_dict(state)
    except (ModelFileError, RuntimeError) as error:
        kept.unlink()  # so that the next try fetches it anew
        raise InputError(f"{url} gave something else than the weights of this network", remedy="try again") from error
    return network
