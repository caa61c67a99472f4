"""What a picture declares is held against its length and the memory, wherever pictures are opened."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unet import cli, raster
from unet.errors import RasterError
from unet.raster import limits

DataMaker = Callable[..., Path]
SIDE = 60_000


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(path: Path, length: int = 0) -> Path:
    """Write a PNG that declares 60,000 x 60,000 pixels of 1 bit, and is some bytes long."""
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 1, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"") + bytes(length)), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


READERS = [
    raster.probe, raster.read, raster.read_mask, raster.read_bands, raster.read_picture_file, raster.read_mask_file,
    raster.mask_palette, raster.open,
]  # fmt: skip


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_a_file_too_short_for_what_it_declares(tmp_path: Path, read: Callable[[Path], object]) -> None:
    small = png(tmp_path / "small.png")
    assert small.stat().st_size == 65
    with pytest.raises(RasterError, match="declares 60000 x 60000 px, which 65 bytes cannot hold"):
        read(small)


@pytest.mark.parametrize("name", ["read", "read_mask", "read_bands", "read_picture_file", "read_mask_file", "open"])
def test_a_picture_that_does_not_fit_into_the_memory(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = png(tmp_path / "large.png", 437_000)
    monkeypatch.setattr(limits, "available_memory", lambda: 4 << 30)
    with pytest.raises(RasterError, match=r"takes 16\.8 GiB of memory to decode; expected 2\.0 GiB at most") as caught:
        getattr(raster, name)(large)
    assert caught.value.kind == "too-large"
    assert raster.probe(large).height == SIDE  # what is only asked for its size is not refused


@pytest.mark.parametrize("ending", [".tif", ".npy", ".pt"])
def test_large_sheets_go_by_windows_or_not_at_all(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"sheet{ending}"
    pixels = np.zeros((6000, 6000), np.uint8)
    if ending == ".npy":
        np.save(path, pixels)
    elif ending == ".pt":
        torch.save(torch.zeros(1, dtype=torch.uint8).expand(6000, 6000), path)  # a file of 1 kB
    else:
        Image.fromarray(pixels).save(path, compression="tiff_deflate")
    monkeypatch.setattr(limits, "available_memory", lambda: 50 << 20)
    with pytest.raises(RasterError, match="of memory to decode"):
        raster.read(path)
    if ending != ".pt":
        with raster.open(path) as source:
            assert source.read((5990, 0, 10, 7)).shape == (10, 7, 1)


def test_what_is_sound_is_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "available_memory", lambda: 0)  # small pictures do not ask
    for ending in ("png", "gif", "jpg", "bmp", "tif", "webp"):
        for side in (1, 1500):  # one colour all over is what packs best
            Image.fromarray(np.zeros((side, side), np.uint8)).save(tmp_path / f"flat.{ending}")
            assert raster.read(tmp_path / f"flat.{ending}").shape[:2] == (side, side)


def test_blocks_that_a_file_cannot_name(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    start = struct.unpack("<I", data[4:8])[0]
    for entry in range(start + 2, len(data) - 12, 12):
        tag = struct.unpack("<H", data[entry : entry + 2])[0]
        if tag in (256, 257, 278):  # width, height, rows of a strip
            kind = 4
            value = 1 if tag == 278 else 1_000_000
            data[entry + 2 : entry + 12] = struct.pack("<HII", kind, 1, value)
    path.write_bytes(data)
    with pytest.raises(RasterError, match="declares 1,000,000 blocks"):
        raster.open(path)


def test_free_memory_is_that_of_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.available_memory() > 0
    monkeypatch.setattr(
        limits.Path, "read_text", lambda path: "1000" if "max" in path.name or "limit" in path.name else "400"
    )
    assert limits.available_memory() == 600


@pytest.mark.parametrize("line", ["inspect data --out out", "repair data --out out"])
@pytest.mark.parametrize("place", ["imgs/p01.png", "masks/p01_mask.png"])
def test_in_data_sets(
    make_data: DataMaker, line: str, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_data()
    monkeypatch.chdir(data.parent)
    png(data / place)
    code = cli.main(line.split())
    printed = capsys.readouterr()
    assert code == (0 if line.startswith("repair") else 2), printed.err
    text = (data.parent / "out" / "repair.md").read_text() if code == 0 else printed.out
    assert "which 65 bytes cannot hold" in text and "Traceback" not in printed.err
