"""What many tests share: real pictures where there are some, tiny data sets, a cache of their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from unet import raster

# Before torch is loaded, as the command line does: test runs share their machine, see docs/decisions/007-threads.md.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
os.environ["HF_HUB_OFFLINE"] = "1"  # no test asks the hub
os.environ["UNET_BACKEND"] = "torch"  # what most tests compare with; those of other backends name them
if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as processors run already
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # shells start what runs in the background so
    signal.signal(signal.SIGINT, signal.default_int_handler)  # for the processes of tests that are interrupted

# No test may depend on how busy a machine is.
hypothesis.settings.register_profile("unet", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("unet")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count tests on real pictures among the slow ones."""
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; the test is skipped where there is none."""
    given = os.environ.get("UNET_TEST_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real pictures in {folder}; set UNET_TEST_DATA to a folder that holds them")
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the scans of tests out of the user's cache."""
    monkeypatch.setenv("UNET_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def _bfloat16_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all tests as on a CPU with (UNET_TEST_BF16=1) or without (0) bfloat16 units, whatever this one has."""
    if given := os.environ.get("UNET_TEST_BF16"):
        monkeypatch.setattr("unet.devices.cpu_has_bf16", lambda: given == "1")


@pytest.fixture(params=["float32", "bfloat16"])
def precision(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a CPU predicts in by default; every CPU computes bfloat16, if slowly."""
    monkeypatch.setattr("unet.devices.cpu_has_bf16", lambda: request.param == "bfloat16")
    return str(request.param)


DataMaker = Callable[..., Path]


@pytest.fixture
def make_data(tmp_path: Path) -> DataMaker:
    """A function that writes a tiny data set: bright squares on dark noise, masks 0/1 in a palette PNG."""

    def make(
        name: str = "data",
        *,
        count: int = 4,
        size: tuple[int, int] = (24, 32),
        images: str = "imgs",
        masks: str = "masks",
        suffix: str = "_mask",
        ending: str = ".png",
        seed: int = 0,
    ) -> Path:
        folder = tmp_path / name
        rng = np.random.default_rng(seed)
        for number in range(count):
            mask = np.zeros(size, np.uint8)
            row, column = rng.integers(2, size[0] // 2), rng.integers(2, size[1] // 2)
            mask[row : row + size[0] // 3, column : column + size[1] // 3] = 1
            picture = rng.integers(0, 60, (*size, 3), dtype=np.uint8) + 150 * mask[..., None]
            raster.write_picture(folder / images / f"p{number:02}{ending}", picture)
            raster.write_mask(folder / masks / f"p{number:02}{suffix}.png", mask, [0, 0, 0, 200, 30, 30])
        return folder

    return make
