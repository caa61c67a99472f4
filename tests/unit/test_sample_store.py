"""Decoded pairs on disk: decoded once, never half, never more than there is room for, gone in the end."""

from __future__ import annotations

import multiprocessing
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from unet.data import sample_store as module
from unet.data.augment import PairTensors
from unet.data.sample_store import SampleStore, sample_store

BLOCK = 4096


def pair(index: int, size: int = 30) -> PairTensors:
    """A pair of 5 bytes a pixel and one of 5 * size^2 in all."""
    picture = torch.full((3, size, size), index, dtype=torch.uint8)
    return PairTensors(
        picture, torch.full((size, size), index + 1, dtype=torch.uint8), torch.full((size, size), 0.5).half()
    )


def equal(left: PairTensors, right: PairTensors) -> bool:
    tensors = list(zip(vars(left).values(), vars(right).values(), strict=True))
    return all(a is b is None or (a.dtype == b.dtype and torch.equal(a, b)) for a, b in tensors)


class Decoder:
    """Counts what is decoded."""

    def __init__(self, size: int = 30) -> None:
        self.size, self.indices = size, list[int]()

    def __call__(self, index: int) -> PairTensors:
        self.indices.append(index)
        return pair(index, self.size)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_pair_comes_back_as_it_was(tmp_path: Path, dtype: torch.dtype, weighted: bool) -> None:
    weights = torch.rand(7, 9).half() if weighted else None
    whole = PairTensors((torch.rand(3, 7, 9) * 255).to(dtype), torch.randint(0, 9, (7, 9)).to(torch.uint8), weights)
    store = SampleStore(tmp_path, 1 << 20)
    for _ in range(3):
        assert equal(store.get(5, lambda index: whole), whole)


def test_what_one_decodes_all_can_read(tmp_path: Path) -> None:
    decode = Decoder()
    stores = [SampleStore(tmp_path, 1 << 20) for _ in range(2)]
    for _ in range(3):
        for store in stores:
            assert all(equal(store.get(index, decode), pair(index)) for index in range(4))
    assert decode.indices == [0, 1, 2, 3]


@pytest.mark.parametrize(("blocks", "kept"), [(0, 0), (1, 0), (2, 1), (5, 2), (8, 4), (100, 4)])
def test_it_keeps_its_limit(tmp_path: Path, blocks: int, kept: int) -> None:
    decode = Decoder()  # 6300 bytes each: two blocks
    for store in (SampleStore(tmp_path, blocks * BLOCK), SampleStore(tmp_path, blocks * BLOCK)):
        assert all(equal(store.get(index, decode), pair(index)) for index in range(4))
    assert decode.indices == [0, 1, 2, 3, *range(kept, 4)]
    assert len(list(tmp_path.glob("*.safetensors"))) == kept


def test_a_small_pair_fits_where_a_large_one_does_not(tmp_path: Path) -> None:
    store = SampleStore(tmp_path, 3 * BLOCK)
    for index, size in enumerate((30, 30, 10)):
        store.get(index, Decoder(size))
    assert {path.name for path in tmp_path.glob("*.safetensors")} == {"0.safetensors", "2.safetensors"}


def test_it_leaves_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(0, 0, module.FREE_BYTES + 5000))
    decode = Decoder()
    with sample_store(tmp_path / "cache") as store:
        assert all(equal(store.get(0, decode), pair(0)) for _ in range(2))
        assert decode.indices == [0, 0] and not list(store.folder.glob("*.safetensors"))


def test_what_is_half_written_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(tensors: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    real, decode = module.save_file, Decoder()
    monkeypatch.setattr(module, "save_file", break_off)
    store = SampleStore(tmp_path, 1 << 20)
    assert equal(store.get(0, decode), pair(0)), "the store only saves time"
    monkeypatch.setattr(module, "save_file", real)
    assert all(equal(store.get(0, decode), pair(0)) for _ in range(2))
    assert decode.indices == [0, 0]
    assert not list(tmp_path.glob(".*"))


def test_it_is_empty_at_first_and_gone_in_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "cache"
    folder.mkdir(parents=True)
    (folder / "0.safetensors").write_bytes(b"of a run that was killed")
    (folder / ".1.safetensors.0badc0de.part").write_bytes(b"half")
    (folder / "blocks").write_bytes(bytes(10**6))
    decode = Decoder()
    with pytest.raises(KeyError), sample_store(folder, 1 << 20) as store:
        assert all(equal(store.get(0, decode), pair(0)) for _ in range(2))
        assert decode.indices == [0]
        raise KeyError
    assert not folder.exists() and folder.parent.exists()


def test_what_is_not_its_own_stays(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with sample_store(tmp_path) as store:
        store.get(0, pair)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def use(folder: Path, limit: int, start: int) -> None:
    store = SampleStore(folder, limit)
    for step in range(60):
        index = (start + step) % 20
        assert equal(store.get(index, pair), pair(index))


@pytest.mark.slow
def test_many_processes_keep_one_limit(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    limit = 15 * 2 * BLOCK
    processes = [context.Process(target=use, args=(tmp_path, limit, start)) for start in (0, 0, 0, 10)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    kept = list(tmp_path.glob("*.safetensors"))
    assert 8 <= len(kept) <= 15, "at the same moment a pair may be counted twice, never too seldom"
