"""Samples: decided by their number alone, whole where nothing is asked for, ignored where there is nothing."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unet import raster
from unet.data.augment import PRESETS, Augmentation
from unet.data.dataset import Balance, Batch, Borders, Sample, SegmentationDataset, collate
from unet.data.pair_arrays import read_pair
from unet.data.pairs import Pair, find_pairs
from unet.data.sample_store import SampleStore
from unet.errors import DataError, InputError
from unet.labels import IGNORED, Labels
from unet.preprocessing import Preprocessing
from unet.raster.network_input import network_input
from unet.shapes.border_weights import border_weights

DataMaker = Callable[..., Path]
NONE = Augmentation()


def dataset(folder: Path, **arguments: object) -> SegmentationDataset:
    pairs = find_pairs(folder)["all"]
    defaults: dict[str, object] = {
        "labels": Labels.numbered(2),
        "preprocessing": Preprocessing(),
        "crop": (16, 16),
        "augmentation": PRESETS["light"],
    }
    return SegmentationDataset(pairs, **{**defaults, **arguments})  # type: ignore[arg-type]


def same(left: Sample | Batch, right: Sample | Batch) -> bool:
    pairs = zip(vars(left).values(), vars(right).values(), strict=True)
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)


# --- which samples


EVERY_KIND = Augmentation(
    flip=True, flip_rows=True, zoom=1.5, rotate=20, shear=5, elastic=2, brightness=0.3, contrast=0.3, color=0.2,
    gamma=1.3, blur=1, noise=0.2, jpeg=50, outside="mirror",
)  # fmt: skip


def test_every_epoch_has_every_picture_once_in_another_order(make_data: DataMaker) -> None:
    data = dataset(make_data(count=5))
    epochs = [[data[5 * epoch + position].name for position in range(5)] for epoch in range(4)]
    assert all(sorted(names) == ["p00", "p01", "p02", "p03", "p04"] for names in epochs)
    assert len({tuple(names) for names in epochs}) > 1


def test_a_sample_depends_on_seed_and_number_only(make_data: DataMaker) -> None:
    folder, arguments = make_data(), {"augmentation": EVERY_KIND, "borders": Borders(10, 5)}
    first, again, other = (
        dataset(folder, **arguments),
        dataset(folder, **arguments),
        dataset(folder, seed=1, **arguments),
    )
    backwards = {number: again[number] for number in reversed(range(12))}
    assert all(same(first[number], backwards[number]) for number in range(12))
    assert not all(same(first[number], other[number]) for number in range(12))


# --- rare classes


@pytest.fixture
def rare_data(make_data: DataMaker) -> SegmentationDataset:
    """Six pictures of 100 x 100 px without objects; the third and the fifth have a speck of class 1."""
    folder = make_data(count=6, size=(100, 100))
    for number, path in enumerate(sorted((folder / "masks").iterdir())):
        mask = np.zeros((100, 100), np.uint8)
        if number in (2, 4):
            mask[10 * number : 10 * number + 3, 70:73] = 1
        Image.fromarray(mask).save(path)
    return dataset(folder, balance=Balance(0.5, {1: (2, 4)}))


@pytest.mark.slow
def test_rare_classes_are_sampled(rare_data: SegmentationDataset) -> None:
    shown = [bool((rare_data[number].target == 1).any()) for number in range(300)]
    assert 0.45 < np.mean(shown) < 0.6, "half of the crops are laid over it"
    rare_data.balance = None
    assert np.mean([bool((rare_data[number].target == 1).any()) for number in range(300)]) < 0.1


def test_samples_of_rare_classes_depend_on_seed_and_number_only(rare_data: SegmentationDataset) -> None:
    fresh = dataset(rare_data.pairs[0].image.parents[1], balance=rare_data.balance)
    backwards = {number: fresh[number] for number in reversed(range(30))}
    assert all(same(rare_data[number], backwards[number]) for number in range(30))


def test_a_class_that_is_gone_after_scaling_is_no_fault(rare_data: SegmentationDataset) -> None:
    rare_data.balance = Balance(1.0, {0: (0,), 1: (0,)})  # as if the first picture had held it
    assert {rare_data[number].name for number in range(10)} == {"p00"}
    assert len(rare_data.candidates(0, 1)) == 0


def test_few_candidates_are_remembered(rare_data: SegmentationDataset) -> None:
    assert rare_data.candidates(0, 0).shape == (64, 2)
    target = rare_data.scaled(2).target
    pixels = rare_data.candidates(2, 1)
    assert pixels.shape == (9, 2) and all(target[row, column] == 1 for row, column in pixels)


# --- kept samples


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_a_store_changes_nothing_and_keeps_what_was_decoded(
    make_data: DataMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder = make_data(count=4)
    for path in (folder / "imgs").iterdir():
        np.save(path.with_suffix(".npy"), raster.read(path).astype(kind) * (200 if kind == "uint16" else 1))
        path.unlink()
    arguments: dict[str, object] = {"borders": Borders(10, 5), "preprocessing": Preprocessing(scale=0.7)}
    expected = [dataset(folder, **arguments)[number] for number in range(12)]
    read: list[Path] = []
    real = raster.read

    def count(path: Path) -> object:
        read.append(path)
        return real(path)

    monkeypatch.setattr(raster, "read", count)
    for store in (SampleStore(tmp_path / "cache", 1 << 20), SampleStore(tmp_path / "cache", 1 << 20)):
        data = dataset(folder, store=store, **arguments)
        assert all(same(data[number], sample) for number, sample in enumerate(expected))
        assert data.scaled(0).picture.dtype == getattr(torch, kind)
        assert len(read) == 4, "another process, too, finds them"


def test_what_workers_are_sent_is_small(make_data: DataMaker, tmp_path: Path) -> None:
    data = dataset(make_data(size=(100, 100)), store=SampleStore(tmp_path / "cache", 1 << 20))
    samples = [data[number] for number in range(8)]  # decoded, then mapped
    pickled = pickle.dumps(data)
    assert len(pickled) < 10_000 < data.scaled(0).nbytes
    copy = pickle.loads(pickled)
    assert all(same(copy[number], sample) for number, sample in enumerate(samples))


# --- what is in them


def test_whole_and_unchanged_is_what_prediction_sees(make_data: DataMaker) -> None:
    folder = make_data()
    preprocessing = Preprocessing(scale=0.7, mean=(0.1, 0.2, 0.3), std=(0.3, 0.2, 0.1))
    data = dataset(folder, preprocessing=preprocessing, crop=None, augmentation=NONE)
    for number in range(4):
        sample = data[number]
        pair = next(pair for pair in data.pairs if pair.name == sample.name)
        assert np.array_equal(sample.image.numpy(), network_input(raster.read(pair.image), preprocessing))
        assert sample.target.shape == (16, 22) and sample.target.dtype == torch.int64


def test_a_crop_as_large_as_the_picture_is_the_picture(make_data: DataMaker) -> None:
    folder = make_data()
    whole = dataset(folder, crop=None, augmentation=NONE)
    warped = dataset(folder, crop=(24, 32), augmentation=NONE)
    for number in range(4):
        torch.testing.assert_close(whole[number].image, warped[number].image, atol=1e-4, rtol=0)
        assert torch.equal(whole[number].target, warped[number].target)


def test_sixteen_and_eight_bits_agree(make_data: DataMaker) -> None:
    folder = make_data("a")
    deep = make_data("b")
    for path in (deep / "imgs").iterdir():
        grey = raster.read(path)[..., 0]
        path.unlink()
        Image.fromarray(grey.astype(np.uint16) * 257).save(path.with_suffix(".tif"))
    for path in (folder / "imgs").iterdir():
        Image.fromarray(raster.read(path)[..., 0]).save(path)
    for scale in (1.0, 0.5):
        flat = dataset(folder, preprocessing=Preprocessing(bands=1, data_range=255.0, scale=scale))
        full = dataset(deep, preprocessing=Preprocessing(bands=1, data_range=65535.0, scale=scale))
        for number in range(4):
            torch.testing.assert_close(flat[number].image, full[number].image, atol=3e-3, rtol=0)


def test_eight_bits_among_sixteen(make_data: DataMaker) -> None:
    flat, mixed = (
        dataset(make_data(), preprocessing=Preprocessing(data_range=data_range)) for data_range in (255.0, 4095.0)
    )
    for number in range(4):
        torch.testing.assert_close(mixed[number].image, flat[number].image, atol=1e-4, rtol=0)


def test_sixteen_bits_for_a_network_of_eight() -> None:
    deep = np.full((4, 4, 1), 3000, np.uint16)
    with pytest.raises(InputError, match="16-bit picture with values up to 3000"):
        network_input(deep, Preprocessing(bands=1, mean=(0.5,), std=(0.2,)))
    assert network_input(deep, Preprocessing(bands=1)).max() == pytest.approx(3000 / 255), "as the Carvana system does"
    assert network_input(deep // 12, Preprocessing(bands=1, mean=(0.5,), std=(0.2,))).max() > 0


def test_what_is_ignored_stays_ignored(make_data: DataMaker) -> None:
    folder = make_data(count=1, size=(60, 60))
    (path,) = (folder / "masks").iterdir()
    mask = raster.read_mask(path).astype(np.uint8)
    mask[:, :20] = 9
    Image.fromarray(mask).save(path)
    picture = np.zeros((60, 60, 3), np.uint8)
    picture[:, :20, 0] = 255  # red where nothing counts
    raster.write_picture(folder / "imgs" / "p00.png", picture)
    table = Labels(("a", "b"), ((0, 0, 0), (9, 9, 9)), (0, 1), ignored=(9,))
    data = dataset(folder, labels=table, crop=(32, 32))
    shares = []
    for number in range(40):
        sample = data[number]
        assert set(sample.target.unique().tolist()) <= {0, 1, IGNORED}
        # Away from the edges, where both are interpolated, red and ignored are the same pixels.
        red = sample.image[0] - sample.image[1]
        red = (red - red.min()) / (red.max() - red.min()).clamp(min=1e-6) if red.max() - red.min() > 0.5 else red * 0
        inside = (sample.target == IGNORED) == (red > 0.5)
        shares.append(inside.float().mean().item())
    assert np.mean(shares) > 0.95


@pytest.mark.parametrize("augmentation", [NONE, EVERY_KIND])
def test_crops_are_taken_where_something_counts(make_data: DataMaker, augmentation: Augmentation) -> None:
    folder = make_data(count=1, size=(96, 96))
    pair = find_pairs(folder)["all"][0]
    truth = np.full((96, 96), IGNORED, dtype=np.uint8)
    truth[80:, 80:] = 1  # a 36th of the picture: a crop at random shows none of it three times in four
    Image.fromarray(truth).save(pair.mask)
    table = Labels(("a", "b"), ((0, 0, 0), (9, 9, 9)), (0, 1), ignored=(IGNORED,))
    data = dataset(folder, labels=table, crop=(32, 32), augmentation=augmentation)
    known = [float((data[number].target != IGNORED).float().mean()) for number in range(40)]
    assert min(known) > 0
    assert len(set(known)) > 4, "and not always in the same place"
    truth[:] = IGNORED
    Image.fromarray(truth).save(pair.mask)
    assert (data[0].target == IGNORED).all(), "there is nothing to be found, and that is no fault"


def test_batches_are_filled_up_with_what_does_not_count() -> None:
    small = Sample(torch.full((3, 4, 9), 5.0), torch.ones(4, 9, dtype=torch.int64), "small")
    large = Sample(torch.full((3, 7, 5), 2.0), torch.zeros(7, 5, dtype=torch.int64), "large")
    batch = collate([small, large])
    assert batch.images.shape == (2, 3, 7, 9) and batch.targets.shape == (2, 7, 9)
    assert batch.names == ("small", "large")
    assert torch.equal(batch.images[0, :, :4, :9], small.image) and torch.equal(batch.targets[1, :7, :5], large.target)
    assert float(batch.images[0, :, 4:].abs().max()) == 0 and bool((batch.targets[0, 4:] == IGNORED).all())
    assert bool((batch.targets[1, :, 5:] == IGNORED).all())
    assert int((batch.targets != IGNORED).sum()) == 4 * 9 + 7 * 5


def test_pictures_smaller_than_the_crop(make_data: DataMaker) -> None:
    sample = dataset(make_data(size=(12, 40)), crop=(20, 20), augmentation=NONE)[0]
    assert sample.target.shape == (20, 20)
    assert int((sample.target == IGNORED).sum()) == 8 * 20, "what lies outside does not count"


# --- pairs that cannot be read


def test_faults_name_the_mask(make_data: DataMaker) -> None:
    folder = make_data(count=1)
    image, mask = folder / "imgs" / "p00.png", folder / "masks" / "p00_mask.png"
    with pytest.raises(DataError, match=r"p00_mask.png: mask values 1"):
        read_pair(Pair("p00", image, mask), Labels(("a", "b"), ((0, 0, 0), (1, 1, 1)), (0, 7)))
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(mask)
    with pytest.raises(DataError, match=r"p00_mask.png: mask of 6 x 5 px for a picture of 32 x 24 px"):
        read_pair(Pair("p00", image, mask), Labels.numbered(2))


# --- how much pixels count


@pytest.fixture
def touching(make_data: DataMaker) -> Path:
    """One picture of 40 x 60 px with three objects: 1 and 2 touch, 7 lies six columns beside them."""
    folder = make_data(count=1, size=(40, 60))
    numbers = np.zeros((40, 60), np.uint8)
    numbers[10:20, 10:20], numbers[20:30, 10:20], numbers[10:30, 26:40] = 1, 2, 7
    raster.write_grey(folder / "masks" / "p00_mask.png", numbers)
    return folder


OBJECTS = Labels(("background", "object"), ((0, 0, 0), (9, 9, 9)), (0, 1), kind="instances")


def test_numbered_objects_are_parted_and_weighted(touching: Path) -> None:
    data = dataset(touching, labels=OBJECTS, crop=None, augmentation=NONE, borders=Borders(10, 5))
    sample = data[0]
    target, weights = sample.target.numpy(), sample.weights
    assert weights is not None and weights.dtype == torch.float32
    assert (target[19, 10:20] == 0).all() and (target[18, 10:20] == 1).all() and (target[20, 10:20] == 1).all()
    objects = raster.read_mask(data.pairs[0].mask) * target
    assert np.allclose(weights.numpy(), border_weights(objects), atol=5e-3), "kept as float16"
    assert weights[19, 14] > 10 and weights[14, 23] < 6 and (weights[target == 1] == 1).all()
    without = dataset(touching, labels=OBJECTS, crop=None, augmentation=NONE)[0]
    assert without.weights is None and (without.target[19, 10:20] == 1).all()


def test_objects_are_looked_at_at_the_scale_of_training(touching: Path) -> None:
    data = dataset(
        touching,
        labels=OBJECTS,
        crop=None,
        augmentation=NONE,
        borders=Borders(10, 5),
        preprocessing=Preprocessing(scale=0.5),
    )
    sample = data[0]
    assert sample.weights is not None and sample.weights.shape == (20, 30)
    assert sample.weights[7, 11] == pytest.approx(1 + 10 * np.exp(-(4**2) / 50), abs=0.01), "a gap of three pixels"


def test_classes_have_weights_of_their_own(touching: Path) -> None:
    arguments: dict[str, object] = {"labels": Labels.numbered(8), "crop": None, "augmentation": NONE}
    weights = (2.0, 3, 4, 1, 1, 1, 1, 5)
    sample = dataset(touching, borders=Borders(10, 5, weights), **arguments)[0]
    assert sample.weights is not None and (sample.target[19] == 1).any(), "classes that touch stay as they are"
    values = sample.weights.numpy()
    for index in (1, 2, 7):
        assert (values[sample.target == index] == weights[index]).all()
    assert values[0, 59] == 2 and values[14, 22] == pytest.approx(2 + 10 * np.exp(-(7**2) / 50), abs=0.02)


def test_batches_have_weights_where_samples_do() -> None:
    small, large = torch.zeros(2, 3, dtype=torch.int64), torch.zeros(4, 3, dtype=torch.int64)
    samples = [
        Sample(torch.zeros(1, *target.shape), target, "", torch.full(target.shape, 2.0)) for target in (small, large)
    ]
    batch = collate(samples)
    assert batch.weights is not None and batch.weights.tolist() == [[[2] * 3] * 2 + [[0] * 3] * 2, [[2] * 3] * 4]
    assert collate([Sample(torch.zeros(1, 2, 3), small, "")]).weights is None
