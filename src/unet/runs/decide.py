"""A run is decided here, once: from what is wanted, the data, the machine and the time, for every command alike."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from time import monotonic

from unet import devices, plan, processes
from unet.bundle import Bundle
from unet.config import Config
from unet.data.seen import Seen
from unet.errors import ConfigError, did_you_mean
from unet.models import SETTINGS, ModelSpec
from unet.models.backbones import description
from unet.plan import Machine
from unet.plan.record import PARTS, RecordedPair, RunRecord
from unet.preprocessing import Preprocessing
from unet.runs.sharing import process_words
from unet.runs.source import Source
from unet.training import probe

MAX_WORKERS = 8
"""Processes that prepare samples for a GPU."""

PROBE_WIDTH = 32
"""Width of the network that stands for those of all widths where there is none yet."""


def decide_run(wanted: Config, source: Source, loaded: Bundle | None = None, started: float | None = None) -> RunRecord:
    """Decide what the user left open.

    Parameters
    ----------
    wanted : Config
    source : Source
    loaded : Bundle, optional
        The model to start from.
    started : float, optional
        The `time.monotonic()` from which the time of the run counts; now as a rule.

    Returns
    -------
    RunRecord
        Nothing in it is left open; each choice has its reason.

    Raises
    ------
    ConfigError
        A class to keep that does not exist; a model to start from that does not suit the data.
    InputError
        The device is not there.
    """
    _check_keep(wanted, source)
    device = devices.pick(wanted.training.device)
    compute = devices.choose(device, wanted.training.precision, wanted.training.channels_last)
    begun, where = monotonic() if started is None else started, processes.among_all()
    if where.count > 1:
        compute = replace(compute, threads=0)  # of one process of several: no number for others to keep to
    outline = spec_of(wanted, source).of_width(PROBE_WIDTH)
    # The first process decides, by itself and while the others wait: what it measures is the speed of one of them.
    speed = probe.speed_model(outline, compute, wanted.training)
    memory, count = probe.free_memory(device), where.count
    if device.type == "cpu":
        memory /= where.local_count
    machine = Machine(lambda width: count * speed(width), memory, processes=count)
    if wanted.training.steps is None and wanted.training.epochs is None:
        machine.speed(PROBE_WIDTH)  # measured now, so that its time counts too
        machine = replace(machine, ready=monotonic() - begun)
    decided = plan.decide(wanted, source.fingerprint, machine)
    workers = wanted.training.workers
    if workers is None:
        # A CPU that trains has no core to spare for reading ahead; a GPU must not wait for it.
        workers = 0 if device.type == "cpu" else max(1, min(MAX_WORKERS, (os.cpu_count() or 1) // where.local_count))
    config = decided.config.updated(
        {"training": {"precision": compute.precision, "channels_last": compute.channels_last, "workers": workers}}
    )
    spec = spec_of(config, source)
    if loaded is not None and loaded.spec != spec:
        have, want = (f"{each.bands} bands and {each.classes} outputs" for each in (loaded.spec, spec))
        raise ConfigError(f"the model to start from has {have}", f"{want} for these data", "leave out --load")
    fingerprint = source.fingerprint
    weighted = config.training.class_weights and len(source.labels) > 1
    rare = plan.rare_pictures(fingerprint) if config.training.balance else {}
    root = config.data.root
    shared = (f"{process_words(config, where)}.",) if where.count > 1 else ()
    computing = f"Computing on {device.type} in {devices.describe(compute)}: {compute.why}."
    return RunRecord(
        config=config,
        reasons=(computing, *shared, *decided.reasons),
        pairs=tuple(_recorded(source)),
        root=None if root is None else Path(root).absolute(),
        labels=source.labels,
        file_labels=source.file_labels,
        tile=source.tile,
        prepared=source.prepared,
        preprocessing=preprocessing_of(config, source),
        spec=spec,
        compute=compute,
        class_shares=fingerprint.class_shares,
        class_weights=plan.class_weights(fingerprint.class_shares) if weighted else (),
        expected_steps=max(1.0, decided.steps),  # so many are done in any case
        seen_before=None if loaded is None else Seen.from_dict(loaded.provenance.get("seen")),
        rare_pictures={index: tuple(source.train[place].name for place in places) for index, places in rare.items()},
    )


def spec_of(settings: Config, source: Source) -> ModelSpec:
    """Return the network that the settings ask for and the data need."""
    model = settings.model
    given = {key: getattr(model, key) for key in SETTINGS[model.architecture] if getattr(model, key) is not None}
    arguments = {**SETTINGS[model.architecture], **given}
    if model.blocks and model.depth is None:
        arguments["depth"] = len(model.blocks) - 1
    if "encoder" in arguments:
        arguments["encoder"] = description(arguments["encoder"], model.architecture)
    classes = model.outputs or len(source.labels)
    return ModelSpec(model.architecture, source.fingerprint.bands, classes, **arguments)


def preprocessing_of(config: Config, source: Source) -> Preprocessing:
    """Return what is done to pictures before the network sees them."""
    fingerprint, data = source.fingerprint, config.data
    return Preprocessing(
        bands=fingerprint.bands,
        scale=data.scale or 1.0,
        data_range=fingerprint.data_range,
        mean=fingerprint.mean if data.standardise else (),
        std=fingerprint.std if data.standardise else (),
        resample=data.resample,
    )


def _recorded(source: Source) -> list[RecordedPair]:
    parts = dict(zip(PARTS, (source.train, source.val, source.test), strict=True))
    return [
        RecordedPair(
            part,
            pair.name,
            source.files[origin.image],
            source.files[origin.mask],
            origin.roi,
            origin.window,
            origin.drawing,
            source.looks.get(origin, ""),
        )
        for part, pairs in parts.items()
        for pair in pairs
        for origin in [source.origins.get(pair, pair)]
    ]


def _check_keep(wanted: Config, source: Source) -> None:
    names = source.labels.names
    for name in wanted.data.keep:
        if name not in names:
            raise ConfigError(f"--keep {name}", f"one of {', '.join(names)}", did_you_mean(name, names))
