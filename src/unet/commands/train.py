"""`unet train`: from a folder of pictures and masks to a checked model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from unet import processes
from unet.config import Config
from unet.errors import ConfigError
from unet.files import StrPath, as_path
from unet.runs.folder import choose_folder
from unet.runs.settings import LENGTHS, TrainFlags, from_flags, gather, refuse_beside_resume
from unet.runs.sharing import check_devices
from unet.runs.train_run import TrainResult, train_new, train_on
from unet.terminal.speech import listening

if TYPE_CHECKING:
    from typing_extensions import Unpack


def train(
    data: StrPath | None = None,
    *,
    out: StrPath | None = None,
    config_file: StrPath | None = None,
    resume: StrPath | None = None,
    moved_data: StrPath | None = None,
    load: StrPath | None = None,
    settings: Mapping[str, str] | None = None,
    overwrite: bool = False,
    started: float | None = None,
    **flags: Unpack[TrainFlags],
) -> TrainResult:
    """Train a model and check it on pictures it has not seen.

    Parameters
    ----------
    data : str or path, optional
        Folder with pictures and masks in any of the usual layouts; or give `images` and `masks`.
    out : str or path, optional
        The run folder; by default runs/NAME-DATE-TIME.
    config_file : str or path, optional
        Settings that hold unless something else is said here.
    settings : mapping of str to str, optional
        Any setting of `unet.config`, by "key" or "section.key".
    resume : str or path, optional
        A run folder to go on with; all other arguments but `moved_data` and one of `time`, `epochs` and `steps`, which
        is added to what the run had, must be left out then.
    moved_data : str or path, optional
        With `resume`: where the folder of its data is now.
    load : str or path, optional
        A model file to start from; it says what the network is like.
    started : float, optional
        The `time.monotonic()` from which `time` counts; now as a rule. The command line counts its own start in.
    **flags
        What is said of the data, of the length and of the device: see `unet.runs.settings.TrainFlags`.

    Returns
    -------
    TrainResult

    Raises
    ------
    InputError
        Data, settings or files that cannot be used.
    TrainingError
        The training cannot go on.
    """
    data, out, config_file = as_path(data), as_path(out), as_path(config_file)
    resume, moved_data, load = as_path(resume), as_path(moved_data), as_path(load)
    started = monotonic() if started is None else started

    def new() -> tuple[Config, Path]:
        wanted = gather(given, config_file, settings or {})
        check_devices(wanted.training.device, processes.among_all())
        return wanted, choose_folder(out, wanted, overwrite, (load,))

    def old() -> Mapping[str, Any]:
        refuse_beside_resume(given, {"out": out, "load": load, "config": config_file}, settings or {}, LENGTHS)
        return given["training"]

    with processes.joined(), nullcontext() if processes.is_first() else listening(False):
        given = processes.from_first(lambda: from_flags(data, **flags))
        if resume is not None:
            more = processes.from_first(old)
            result = train_on(resume, moved_data=moved_data, more=more, started=started)
        else:
            if moved_data is not None:
                what = "a run whose data were moved", "give the folder of the data alone"
                raise processes.left_to_first(ConfigError("--data without --resume", *what))
            wanted, folder = processes.from_first(new)
            result = train_new(wanted, folder, load=load, started=started)
        if not (result.finished or processes.is_first()):
            raise SystemExit(0)  # the first says so
    return result
