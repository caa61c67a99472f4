"""What breaks files: bytes, texts, plain data, and headers of pictures that lie."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from .models import MUTATORS as MODEL_MUTATORS
from .models import mutated_bytes, mutated_json

Mutator = Callable[[bytes, random.Random], bytes]

NUMBERS = ("0", "-1", "1", "2", "255", "256", "65536", "2147483648", "1e9", "1e400", "nan", "inf", "-0.5", "0.5", "")
WORDS = (
    "..", "../..", "/etc", "", "a", "\x1b[31mred\x1b[0m", "\u202eabc", "é", "家", "x" * 3000, "true", "null",
    "[]", "{}", "[[", "'", '"', "\n", "\0", "p0", "imgs", "masks", "con", "%s", "{0}", "NaN", "nowhere.txt",
    "background", "house",
)  # fmt: skip
"""What a number or a word is replaced by."""

SIDES = (0, 1, 7, 255, 60_000, 65_535, 1 << 20, (1 << 31) - 1, (1 << 32) - 1)


class Harmful:
    """A pickle that leaves a file behind when it is loaded carelessly."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, ("harmed",)


def harmful(suffix: str, rng: random.Random) -> bytes:
    """Return a file of arrays, tensors or weights in which Python objects hide."""
    import numpy as np
    import torch

    file = io.BytesIO()
    if suffix == ".npy":
        np.save(file, np.array([Harmful()], dtype=object), allow_pickle=True)
    elif rng.random() < 0.5:
        torch.save({"a": torch.zeros(3), "mask_values": Harmful()}, file)
    else:
        pickle.dump(Harmful(), file)
    return file.getvalue()


def mutated(path: Path, rng: random.Random) -> None:
    """Break a file in a way that suits what it holds."""
    data = path.read_bytes()
    if not data:
        return
    if path.suffix in (".npy", ".pt", ".pth") and rng.random() < 0.2:
        path.write_bytes(harmful(path.suffix, rng))
        return
    for _ in range(10):
        changed = rng.choice(_ways(path.suffix.lower(), data))(data, rng)
        if changed != data:
            break
    path.write_bytes(changed)


def _ways(suffix: str, data: bytes) -> list[Mutator]:
    ways: list[Mutator] = [mutated_bytes, emptied]
    if suffix in (".json", ".geojson"):
        return [*ways, plain_data, plain_data, plain_data, words]
    if suffix in (".toml", ".csv", ".txt", ".yaml", ".md"):
        return [*ways, words, words, lines, lines]
    if suffix in MODEL_MUTATORS:
        return [mutated_bytes, *MODEL_MUTATORS[suffix]]
    if suffix == ".pt":
        return [*ways, *MODEL_MUTATORS[".pth"]]
    if data.startswith(b"\x89PNG"):
        return [*ways, png_header, png_header, png_chunks]
    if data[:4] in (b"II*\0", b"MM\0*"):
        return [*ways, tiff_tag, tiff_tag, tiff_tag]
    if data.startswith(b"\x93NUMPY"):
        return [*ways, npy_header, npy_header]
    return [*ways, small_numbers]


def emptied(data: bytes, rng: random.Random) -> bytes:
    """Return nothing, noise, a text, or what looks like another kind of file."""
    return rng.choice(
        [b"", b"\0" * 50, b"hello", rng.randbytes(200), b"PK\3\4" + data, b"\x89PNG\r\n\x1a\n", b"II*\0" * 9]
    )


def plain_data(data: bytes, rng: random.Random) -> bytes:
    """Return JSON with other values."""
    return json.dumps(mutated_json(json.loads(data), rng)).encode()


def words(data: bytes, rng: random.Random) -> bytes:
    """Return a text with one to three numbers or words replaced."""
    text = data.decode("utf-8", "replace")
    for _ in range(rng.randint(1, 3)):
        places = list(re.finditer(r"-?\d+(\.\d+)?|[A-Za-z_./]+", text))
        if places:
            place = rng.choice(places)
            text = text[: place.start()] + rng.choice(NUMBERS + WORDS) + text[place.end() :]
    return text.encode("utf-8", "surrogatepass")


def lines(data: bytes, rng: random.Random) -> bytes:
    """Return a text with lines left out, doubled, swapped or made very long."""
    rows = data.split(b"\n")
    place = rng.randrange(len(rows))
    match rng.randint(0, 4):
        case 0:
            del rows[place]
        case 1:
            rows.insert(place, rows[place])
        case 2:
            rng.shuffle(rows)
        case 3:
            rows[place] *= 1000
        case _:
            rows[place] = rng.choice(rows)[: rng.randint(0, 9)] + rows[place]
    return b"\n".join(rows)


def png_header(data: bytes, rng: random.Random) -> bytes:
    """Return a PNG that declares another size or kind of pixel, with a checksum that holds."""
    changed = bytearray(data)
    if rng.random() < 0.7:
        place = rng.choice([16, 20])
        changed[place : place + 4] = struct.pack(">I", rng.choice(SIDES))
    else:
        changed[rng.choice([24, 25, 26, 27, 28])] = rng.choice([0, 1, 2, 3, 4, 6, 8, 16, 255])
    changed[29:33] = struct.pack(">I", zlib.crc32(changed[12:29]))
    return bytes(changed)


def png_chunks(data: bytes, rng: random.Random) -> bytes:
    """Return a PNG with chunks left out, doubled, or others added."""
    chunks, place = [], 8
    while place + 12 <= len(data):
        length = struct.unpack(">I", data[place : place + 4])[0]
        chunks.append(data[place : place + 12 + length])
        place += 12 + length
    where = rng.randrange(len(chunks))
    match rng.randint(0, 3):
        case 0:
            del chunks[where]
        case 1:
            chunks.insert(where, rng.choice(chunks))
        case 2:
            rng.shuffle(chunks)
        case _:
            kind = rng.choice([b"tRNS", b"eXIf", b"acTL", b"iTXt", b"zTXt", b"iCCP", b"PLTE", b"gAMA"])
            body = rng.choice(
                [b"", rng.randbytes(9), b"a\0\0" + zlib.compress(b"\0" * 10**6), b"MM\0*\0\0\0\x08\xff\xff"]
            )
            chunks.insert(
                where, struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            )
    return data[:8] + b"".join(chunks)


def tiff_tag(data: bytes, rng: random.Random) -> bytes:
    """Return a TIFF with one to three entries of its directory changed."""
    order = "<" if data.startswith(b"II") else ">"
    start = struct.unpack(order + "I", data[4:8])[0]
    if start + 2 > len(data):
        return mutated_bytes(data, rng)
    count = struct.unpack(order + "H", data[start : start + 2])[0]
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        entry = start + 2 + 12 * rng.randrange(max(count, 1))
        if entry + 12 > len(data):
            continue
        match rng.randint(0, 3):
            case 0:
                changed[entry : entry + 2] = struct.pack(
                    order + "H", rng.choice([256, 257, 258, 259, 262, 274, 277, 322])
                )
            case 1:
                changed[entry + 2 : entry + 4] = struct.pack(order + "H", rng.randint(0, 19))
            case 2:
                changed[entry + 4 : entry + 8] = struct.pack(order + "I", rng.choice(SIDES))
            case _:
                changed[entry + 8 : entry + 12] = struct.pack(order + "I", rng.choice(SIDES))
    return bytes(changed)


def npy_header(data: bytes, rng: random.Random) -> bytes:
    """Return an array file that declares another shape or kind of number."""
    length = struct.unpack("<H", data[8:10])[0]
    header, rest = data[10 : 10 + length], data[10 + length :]
    if rng.random() < 0.6:
        side = rng.choice([*SIDES, -1])
        header = re.sub(rb"\d+(?=[,)])", str(side).encode(), header, count=rng.randint(1, 3))
    else:
        kind = rng.choice(
            [b"<f8", b"<f4", b">u2", b"<i8", b"|O", b"<c8", b"|b1", b"<U5", b"<M8[s]", b"|V3", b"<f2", b"z"]
        )
        header = re.sub(rb"'[<>|][a-z]\d'", b"'" + kind + b"'", header)
    return data[:8] + struct.pack("<H", len(header)) + header + rest


def small_numbers(data: bytes, rng: random.Random) -> bytes:
    """Return a file with two or four bytes near its beginning replaced by a number that matters."""
    place, width = rng.randrange(min(200, len(data))), rng.choice(["H", "I"])
    value = rng.choice(SIDES) & (0xFFFF if width == "H" else 0xFFFFFFFF)
    packed = struct.pack(rng.choice("<>") + width, value)
    return data[:place] + packed + data[place + len(packed) :]
