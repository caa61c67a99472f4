"""The Carvana system's training, setting for setting, on our loop: what `train.py` in the root runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unet import bundle, devices
from unet.bundle import Bundle, save_pth
from unet.commands.checkpoints import CHECKPOINTS, INTERRUPTED, set_aside
from unet.config import parse
from unet.runs.folder import choose_folder
from unet.runs.train_run import TrainResult, train_new


def train_legacy(
    *,
    epochs: int = 5,
    batch_size: int = 1,
    lr: float = 1e-5,
    load: Path | None = None,
    scale: float = 0.5,
    val_percent: float = 10.0,
    amp: bool = False,
    bilinear: bool = False,
    classes: int = 2,
    trackers: Sequence[str] = (),
) -> TrainResult:
    """Train on data/imgs and data/masks; write checkpoints/checkpoint_epochN.pth after every epoch.

    A training that the user stops leaves the best weights so far as checkpoints/INTERRUPTED.pth.

    Parameters
    ----------
    val_percent : float
        Percent of the pictures to validate on; at least one picture is.
    amp : bool
        Mixed precision on a GPU. On a CPU the fastest precision is measured either way.
    trackers : sequence of {"wandb", "tensorboard"}
        Where to log beside `metrics.csv`.

    Raises
    ------
    InputError
        Data or settings that cannot be used.
    MissingExtraError
        The package of a tracker is not installed.
    """
    on_gpu = devices.pick().type != "cpu"
    wanted = parse(
        {
            "data": {
                "root": "data", "val": str(val_percent / 100), "scale": scale, "whole": True,
                "resample": "bicubic", "standardise": False,
            },
            "model": {"width": 64, "depth": 4, "bilinear": bilinear, "deep_supervision": False, "outputs": classes},
            "training": {
                "epochs": epochs, "batch_size": batch_size, "learning_rate": lr, "optimizer": "rmsprop",
                "weight_decay": 1e-8, "momentum": 0.999, "schedule": "plateau", "patience": 5,
                "best_by": "mean_dice_foreground", "loss": "ce + micro_dice", "class_weights": False, "clip": 1.0,
                "augment": "none", "upright": True, "balance": 0.0, "validations_per_epoch": 5,
                "precision": "32-true" if on_gpu and not amp else "auto",
                "trackers": list(dict.fromkeys(trackers)),
            },
        }
    )  # fmt: skip

    written: list[str] = []

    def write(model: Bundle, name: str) -> None:
        if not written:  # not before: one of the old files may be the model to start from
            set_aside(CHECKPOINTS)
        save_pth(model, CHECKPOINTS / name)
        written.append(name)

    result = train_new(
        wanted,
        choose_folder(None, wanted, overwrite=False),
        load=load,
        epoch_ended=lambda model, epoch: write(model, f"checkpoint_epoch{epoch}.pth"),
    )
    if not result.finished:
        write(bundle.load(result.model), INTERRUPTED)
    return result
