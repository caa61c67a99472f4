"""Model files and states that lie: attacks that were found once, and mutators for those to come.

Plain functions. An attack takes a path and writes a file there; a mutator takes the bytes of a file and a generator of
random numbers, and returns other bytes.
"""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import random
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from unet import models
from unet.labels import Labels
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing

SMALL = ModelSpec(width=2, depth=1)

RESNET = (
    '{"model_type": "resnet", "depths": [1, 1, 1, 1], "hidden_sizes": [4, 4, 4, 4], "embedding_size": 4, '
    '"layer_type": "basic", "downsample_in_bottleneck": false}'
)


def weights(spec: ModelSpec = SMALL) -> dict[str, Tensor]:
    """Return the weights of a new network."""
    torch.manual_seed(0)
    return dict(models.build(spec).state_dict())


def description(spec: ModelSpec = SMALL, **changes: Any) -> dict[str, Any]:
    """Return what the metadata of a model file say, as version 0.1 wrote it."""
    return {
        "format": 2,
        "spec": asdict(spec),
        "labels": asdict(Labels.numbered(max(2, spec.classes))),
        "preprocessing": asdict(Preprocessing(bands=spec.bands, mean=(0.5,) * spec.bands, std=(0.2,) * spec.bands)),
        "threshold": None,
        "scores": {"mean_iou": 0.5},
        "provenance": {"unet": "0.1.0", "step": 3},
        **changes,
    }


def model_file(about: dict[str, Any] | str, state: dict[str, Tensor] | None = None) -> bytes:
    """Return a model file with this description, and without a checksum as in version 0.1."""
    text = about if isinstance(about, str) else json.dumps(about)
    return save(weights() if state is None else state, {"format": "pt", "unet": text})


def pth_file(content: Any, **options: Any) -> bytes:
    """Return what `torch.save` writes."""
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


# ---- attacks ----


def _spec(**changes: Any) -> bytes:
    return model_file({**description(), "spec": {**asdict(SMALL), **changes}})


def _preprocessing(**changes: Any) -> bytes:
    return model_file({**description(), "preprocessing": {**description()["preprocessing"], **changes}})


def _encoder(**changes: Any) -> bytes:
    spec, changed = (
        ModelSpec("backbone", width=2, encoder=json.dumps({**json.loads(RESNET), **more})) for more in ({}, changes)
    )
    return model_file(description(changed), weights(spec))


def _recompressed(data: bytes) -> bytes:
    """Return an archive with its records deflated: it holds a thousandth of what it declares."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return file.getvalue()


def _pickled(opcodes: bytes) -> bytes:
    """Return an archive of torch with this pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", opcodes)
        archive.writestr("archive/version", b"3\n")
        archive.writestr("archive/byteorder", b"little")
    return file.getvalue()


def _call(module: str, name: str, *arguments: bytes) -> bytes:
    """Return a pickle that calls a function with arguments that are opcodes."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR."


def _long(value: int) -> bytes:
    raw = pickle.encode_long(value)
    return b"\x8a" + bytes([len(raw)]) + raw


def _doubled(levels: int) -> bytes:
    """Return opcodes of a tuple of the same tuple twice, and so on: 2 ** levels leaves when it is walked through."""
    return b"K\x00" + b"".join(b"q\x01h\x01\x86" for _ in range(levels))


def _old_storage(numel: int) -> bytes:
    """Return a file of the format before archives, whose storage is declared larger than what follows."""
    data = pth_file(OrderedDict(a=torch.zeros(3)), _use_new_zipfile_serialization=False)
    return data.replace(b"K\x03", _long(numel))


ATTACKS: dict[str, Callable[[], bytes]] = {
    "deep-pth.pth": lambda: pth_file({**weights(), "down99999999.x": torch.zeros(1)}),
    "gap-pth.pth": lambda: pth_file({**weights(), "down7.x": torch.zeros(1)}),
    "expanded-zeros.pth": lambda: pth_file({
        name: torch.zeros(()).expand(3000 * tensor.shape[0], 3000 * tensor.shape[1], *tensor.shape[2:])
        if tensor.ndim == 4 else tensor for name, tensor in weights().items()
    }),
    "expanded-mask-values.pth": lambda: pth_file({**weights(), "mask_values": torch.zeros(1).expand(10**10)}),
    "expanded-half.pth": lambda: pth_file({
        **weights(), "inc.double_conv.0.weight": torch.zeros(1, dtype=torch.half).expand(10**10, 3, 3, 3),
        "outc.conv.weight": torch.zeros(1).expand(2, 10**10, 1, 1),
    }),
    "deflated.pth": lambda: _recompressed(pth_file({**weights(), "x": torch.zeros(10**7)})),
    "bytearray.pth": lambda: _pickled(_call("__builtin__", "bytearray", _long(4 * 10**10))),
    "tensor-call.pth": lambda: _pickled(_call("torch", "Tensor", _long(10**10))),
    "doubled-key.pth": lambda: _pickled(b"\x80\x02}" + _doubled(60) + b"K\x01s."),
    "doubled-values.pth": lambda: _pickled(b"\x80\x02}X\x0b\x00\x00\x00mask_values" + _doubled(40) + b"s."),
    "old-storage.pth": lambda: _old_storage(10**10),
    "many-blocks.safetensors": lambda: model_file(
        description(ModelSpec("resenc", width=2, depth=2, norm="instance", blocks=(10_000_000,) * 3))
    ),
    "deep.safetensors": lambda: _spec(depth=60),
    "deep-resenc.safetensors": lambda: model_file(description(ModelSpec("resenc", width=2, depth=60, norm="instance"))),
    "deep-paper.safetensors": lambda: model_file(description(ModelSpec("paper", width=2, depth=60, norm="none"))),
    "wide.safetensors": lambda: _spec(width=10**12),
    "wide-float.safetensors": lambda: _spec(width=1e12),
    "endless-width.safetensors": lambda: _spec(width=10**400),
    "many-classes.safetensors": lambda: _spec(classes=10**12),
    "large-scale.safetensors": lambda: _preprocessing(scale=90.0),
    "endless-range.safetensors": lambda: _preprocessing(data_range=float("inf")),
    "no-range.safetensors": lambda: _preprocessing(data_range=0.0),
    "no-spread.safetensors": lambda: _preprocessing(std=[0.0, 1.0, 1.0]),
    "no-number.safetensors": lambda: _preprocessing(mean=[float("nan"), 1.0, 1.0]),
    "two-means.safetensors": lambda: _preprocessing(mean=[0.0, 0.0]),
    "other-bands.safetensors": lambda: _preprocessing(bands=1, mean=[0.5], std=[0.5]),
    "resample.safetensors": lambda: _preprocessing(resample="magic"),
    "dropout-text.safetensors": lambda: _spec(dropout="a"),
    "width-fraction.safetensors": lambda: _spec(width=4.5),
    "bands-text.safetensors": lambda: _spec(bands="3"),
    "blocks-number.safetensors": lambda: _spec(blocks=3),
    "unknown-setting.safetensors": lambda: _spec(wings=2),
    "encoder-deep.safetensors": lambda: _encoder(depths=[10_000_000, 1, 1, 1]),
    "encoder-stages.safetensors": lambda: _encoder(depths=[1] * 60, hidden_sizes=[4] * 60),
    "encoder-wide.safetensors": lambda: _encoder(hidden_sizes=[10**9] * 4),
    "encoder-other.safetensors": lambda: _encoder(model_type="bert", vocab_size=10**9),
    "encoder-text.safetensors": lambda: _encoder(depths="abc"),
    "encoder-window.safetensors": lambda: _encoder(model_type="swin", embed_dim=4, num_heads=[1] * 4, window_size=150),
    "nested.safetensors": lambda: model_file("[" * 200_000),
    "threshold-text.safetensors": lambda: model_file(description(threshold="high")),
    "threshold-high.safetensors": lambda: model_file(description(threshold=7.0)),
    "scores-list.safetensors": lambda: model_file(description(scores=[1])),
    "provenance-text.safetensors": lambda: model_file(description(provenance="mine")),
    "step-text.safetensors": lambda: model_file(description(provenance={"step": "many"})),
    "score-text.safetensors": lambda: model_file(description(scores={"mean_iou": "good"})),
    "format-text.safetensors": lambda: model_file(description(format="x")),
    "colour.safetensors": lambda: model_file(
        description(labels={**asdict(Labels.numbered(2)), "colors": [[0, 0, 0], [300, 10**9, -1]]})
    ),
    "mask-value.safetensors": lambda: model_file(
        description(labels={**asdict(Labels.numbered(2)), "values": [0, 2**70]})
    ),
    "mixed-values.safetensors": lambda: model_file(
        description(labels={**asdict(Labels.numbered(2)), "values": [0, [1, 2, 3]]})
    ),
    "dilated.safetensors": lambda: model_file(
        description(labels={**asdict(Labels.numbered(2)), "dilated": [0, 10**9]})
    ),
    "names.safetensors": lambda: model_file(description(labels={**asdict(Labels.numbered(2)), "names": [1, None]})),
    "shapes.safetensors": lambda: model_file(description(shapes={"dynamic": True, "area": "a"})),
    "nan-weight.safetensors": lambda: model_file(
        description(), {**weights(), "outc.conv.bias": torch.tensor([float("nan"), 0.0])}
    ),
    "inf-weight.pth": lambda: pth_file({**weights(), "outc.conv.bias": torch.tensor([float("inf"), 0.0])}),
    "negative-variance.safetensors": lambda: model_file(
        description(), {**weights(), "inc.double_conv.1.running_var": torch.tensor([-1.0, 1.0])}
    ),
    "whole-numbers.safetensors": lambda: model_file(
        description(), {name: tensor.to(torch.int8) for name, tensor in weights().items()}
    ),
    "whole-numbers.pth": lambda: pth_file({name: tensor.to(torch.int8) for name, tensor in weights().items()}),
    "complex.pth": lambda: pth_file({name: tensor.to(torch.complex64) for name, tensor in weights().items()}),
    "sparse.pth": lambda: pth_file({name: tensor.to_sparse() for name, tensor in weights().items()}),
    "values-text.pth": lambda: pth_file({**weights(), "mask_values": ["a", "b"]}),
    "values-none.pth": lambda: pth_file({**weights(), "mask_values": [None, 1]}),
    "values-huge.pth": lambda: pth_file({**weights(), "mask_values": [0, 2**70]}),
    "values-nan.pth": lambda: pth_file({**weights(), "mask_values": [0, float("nan")]}),
    "values-fraction.pth": lambda: pth_file({**weights(), "mask_values": [0.25, 0.5]}),
    "values-short.pth": lambda: pth_file({**weights(), "mask_values": [[0, 0], [1, 1]]}),
    "values-mixed.pth": lambda: pth_file({**weights(), "mask_values": [0, [1, 2, 3]]}),
    "values-colour.pth": lambda: pth_file({**weights(), "mask_values": [[0, 0, 0], [1, 2, 999]]}),
}  # fmt: skip
"""Files that must be refused by one line, quickly and in little memory. The name says what they pretend to be."""


# ---- mutators ----

NASTY: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 255, 256, 65_536, 10**6, 10**12, 2**63, -(2**63), 10**40, 0.0, 0.5, -0.5, 4.5,
    1e-300, 1e300, float("nan"), float("inf"), -float("inf"), "", "a", "3", "\x1b[31m", "/", "..", "nan", [], {}, [[]],
    [None], [0], [1, 2, 3], [10**12] * 3, {"a": 1}, [[[[]]]], "x" * 10_000, list(range(1000)), "{", "[" * 5_000,
)  # fmt: skip
"""What a value is replaced by."""


def mutated_json(plain: Any, rng: random.Random) -> Any:
    """Return a copy of plain data with one to three places changed: replaced, dropped, doubled, renamed or moved."""
    plain = json.loads(json.dumps(plain))
    for _ in range(rng.randint(1, 3)):
        places = list(_places(plain))
        if not places:
            return deepcopy(rng.choice(NASTY))
        holder, key = rng.choice(places)
        match rng.randint(0, 7):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.append(deepcopy(holder[key]))
            case 1:
                holder[rng.choice(["", "x", str(key) * 2])] = deepcopy(holder[key])
            case 2 if isinstance(holder[key], (int, float)):
                holder[key] = holder[key] * rng.choice([-1, 10, 1e3, 10**9]) + rng.choice([0, 1, 0.5])
            case 3:
                other, place = rng.choice(places)
                holder[key] = json.loads(json.dumps(other[place] if _has(other, place) else None))
            case _:
                holder[key] = deepcopy(rng.choice(NASTY))
    return plain


def _places(plain: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place of nested data as what holds it and its key there."""
    items = list(plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ())
    for key, value in items:
        yield plain, key
        yield from _places(value)


def _has(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def split_safetensors(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the header and the bytes of the tensors."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined_safetensors(header: Any, rest: bytes) -> bytes:
    """Return the file of a header and the bytes of tensors."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + rest


def mutated_description(data: bytes, rng: random.Random) -> bytes:
    """Return a safetensors file with other things said in its metadata: those of a model, or of a state.

    The checksum goes along in half of the cases, so that what comes behind it is reached.
    """
    header, rest = split_safetensors(data)
    metadata = header["__metadata__"]
    key = next(name for name in ("unet", "checkpoint") if name in metadata)
    about = json.loads(metadata[key])
    if isinstance(about.get("spec"), dict) and about["spec"].get("encoder") and rng.random() < 0.5:
        about["spec"]["encoder"] = json.dumps(mutated_json(json.loads(about["spec"]["encoder"]), rng))
    else:
        about = mutated_json(about, rng)
    metadata[key] = json.dumps(about)
    if rng.random() < 0.9:
        metadata.pop("checksum", None)
    return joined_safetensors(header, rest)


def mutated_tensors(data: bytes, rng: random.Random) -> bytes:
    """Return a safetensors file whose header says other things of its tensors."""
    header, rest = split_safetensors(data)
    metadata = header.pop("__metadata__")
    names, whole = list(header), deepcopy(header)
    for _ in range(rng.randint(1, 3)):
        name = rng.choice(names)
        match rng.randint(0, 4):
            case 0:
                header[rng.choice(names)] = deepcopy(header.get(name))
            case 1:
                header[rng.choice(["", "x", name + ".x", "deep.9.x", "down99.x"])] = deepcopy(header.get(name))
            case 2 if isinstance(header.get(name), dict):
                header[name]["dtype"] = rng.choice(["F16", "BF16", "F64", "I8", "U8", "BOOL", "I64", "F8_E4M3", "C64"])
                if rng.random() < 0.7:  # as many numbers as there are bytes for
                    wide = {"F16": 2, "BF16": 2, "F64": 8, "I64": 8, "C64": 8}.get(header[name]["dtype"], 1)
                    begin, end = whole[name]["data_offsets"]
                    header[name]["shape"] = [(end - begin) // wide]
            case 3 if isinstance(header.get(name), dict):
                header[name] = mutated_json(header[name], rng)
            case _:
                header.pop(name, None)
    metadata.pop("checksum", None)
    return joined_safetensors({"__metadata__": metadata, **header}, rest)


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return a file with bytes flipped, cut out, doubled, or with its end cut off."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        place = rng.randrange(len(changed))
        match rng.randint(0, 4):
            case 0:
                del changed[place : place + rng.choice([1, 8, 100])]
            case 1:
                changed[place:place] = changed[place : place + rng.choice([1, 8, 100])]
            case 2 if rng.random() < 0.1:
                del changed[place:]
            case _:
                changed[place] ^= 1 << rng.randrange(8)
        if not changed:
            break
    return bytes(changed)


def mutated_pickle(data: bytes, rng: random.Random) -> bytes:
    """Return an archive of torch with another pickle; the records of the tensors stay."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("data.pkl"):
                content = _mutated_opcodes(content, rng)
            new.writestr(name, content)
    return file.getvalue()


def _mutated_opcodes(content: bytes, rng: random.Random) -> bytes:
    starts = [place for _, _, place in pickletools.genops(content) if place is not None]
    pieces = [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]
    odd = (b"(", b"0", b"1", b"2", b"t", b"R", b"b", b"s", b"u", b"a", b"e", b"l", b"d", b"}", b"]", b")", b"Q", b"N",
           b"\x85", b"\x86", b"\x87", b"\x81", b"\x8f", b"\x90", b"\x91", b"\x94", b"\x88", b"h\x05", b"q\x05",
           b"j\xff\xff\xff\x7f", b"r\xff\xff\xff\x7f", b"J\xff\xff\xff\xff", b"\x8a\x08" + b"\xff" * 7 + b"\x7f",
           b"\x8b\xff\xff\xff\x7f", b"X\xff\xff\xff\x7f", b"\x8d" + b"\xff" * 7 + b"\x7f",
           b"G" + b"\x7f\xf8" + bytes(6),
           b"c__builtin__\nbytearray\n", b"cos\nsystem\n", b"ctorch\nQInt8Storage\n", b"ctorch\nLongStorage\n",
           b"ctorch._utils\n_rebuild_qtensor\n", b"ctorch._tensor\n_rebuild_from_type_v2\n",
           b"ccollections\nOrderedDict\n")  # fmt: skip
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(pieces))
        match rng.randint(0, 3):
            case 0:
                del pieces[place]
            case 1:
                pieces.insert(place, rng.choice(pieces))
            case 2:
                pieces[place] = rng.choice(pieces)
            case _:
                pieces.insert(place, rng.choice(odd))
    return b"".join(pieces)


MUTATORS: dict[str, tuple[Callable[[bytes, random.Random], bytes], ...]] = {
    ".safetensors": (mutated_description, mutated_tensors, mutated_bytes),
    ".pth": (mutated_pickle, mutated_bytes),
}
"""For each kind of file."""
