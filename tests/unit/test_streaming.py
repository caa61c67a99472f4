"""Pictures predicted tile by tile: as the whole, whatever the tiles; read ahead and written behind."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from unet import models, raster
from unet.bundle import Bundle
from unet.errors import InputError, RasterError
from unet.inference.averaging import Ensemble
from unet.inference.layouts import spans_of
from unet.inference.mosaic import Mosaic, axes
from unet.inference.predictor import Predictor
from unet.inference.streaming import Plan, Scored, plan_tiles, predict_raster
from unet.inference.threads import Behind, ahead, overlapped
from unet.labels import Labels
from unet.models import Geometry, ModelSpec
from unet.preprocessing import Preprocessing
from unet.raster.roi import open_region
from unet.tiling import blend_weights


def make_bundle(seed: int = 0, preprocessing: Preprocessing | None = None, **spec: Any) -> Bundle:
    made = ModelSpec(**{"width": 4, "depth": 2, "classes": 3, **spec})
    torch.manual_seed(seed)
    network = models.build(made)
    state = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    for name in state:
        if name.endswith("running_mean"):
            torch.nn.init.normal_(state[name], std=0.3)
    labels = Labels.numbered(max(2, made.classes))
    return Bundle(made, labels, preprocessing or Preprocessing(bands=made.bands), None, {}, {}, state)


def make_ensemble(*bundles: Bundle, tta: str | None = None, **options: Any) -> Ensemble:
    return Ensemble([Predictor(bundle, device="cpu", exact=True, **options) for bundle in bundles], tta)


def noise(*shape: int, dtype: str = "uint8", seed: int = 0) -> NDArray[Any]:
    return (np.random.default_rng(seed).random(shape) * (256 if dtype == "uint8" else 60000)).astype(dtype)


def predicted(ensemble: Ensemble, path: Path, plan: Plan, **options: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return classes (H, W) and probabilities (K, H, W), and make sure that each pixel comes once."""
    classes = np.zeros(plan.size, np.uint8)
    values = np.zeros((ensemble.channels, *plan.size), np.float32)
    seen = np.zeros(plan.size, int)

    def write(scored: Scored) -> None:
        row, col, height, width = scored.window
        place = slice(row, row + height), slice(col, col + width)
        classes[place], values[:, place[0], place[1]] = scored.classes, scored.probabilities
        seen[place] += 1

    predict_raster(ensemble, path, plan, write, **options)
    there = options.get("rows_there", 0)
    assert (seen[there:] == 1).all() and (seen[:there] == 0).all()
    return classes, values


# --- the mosaic


@pytest.mark.slow
@settings(max_examples=100)
@given(st.data())
def test_a_mosaic_is_the_whole(data: st.DataObject) -> None:
    """Tiles cut from known logits, joined and brought to another size, in the order of the tiles."""
    seen = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)), "seen")
    size = data.draw(st.one_of(st.just(seen), st.tuples(st.integers(1, 90), st.integers(1, 90))), "size")
    join = data.draw(st.sampled_from(["exact", "gaussian", "linear", "valid"]))
    margin = 3 if join == "valid" else 0
    geometry = Geometry(margin, data.draw(st.integers(0, 5)), data.draw(st.sampled_from([1, 2, 4])))
    side = data.draw(st.integers(12, 30), "side")
    how = "exact" if join == "valid" else join
    rows, cols = (spans_of(length, geometry, side, how) for length in seen)
    torch.manual_seed(0)
    logits = torch.randn(2, *seen)
    blend = join if join in ("gaussian", "linear") else None
    mosaic = Mosaic(*axes(rows, cols, seen, size, blend is not None), blend, margin)
    padded = F.pad(logits, (60, 60, 60, 60))
    expected = logits
    if blend is not None:  # tiles that differ: each adds its own number
        total, weights = torch.zeros(2, *seen), torch.zeros(seen)
    there = data.draw(st.integers(0, len(rows)), "rows of tiles there")
    there_rows = mosaic.rows_finished(there - 1) if there else 0
    result = torch.full((2, *size), torch.nan)
    result[:, :there_rows] = 0
    for row, down in enumerate(rows):
        for col, across in enumerate(cols):
            tile = padded[:, 60 + down.start + margin : 60 + down.stop - margin]
            tile = tile[:, :, 60 + across.start + margin : 60 + across.stop - margin]
            if blend is not None:
                tile = tile + (row * len(cols) + col)
                weight = torch.from_numpy(np.outer(*(blend_weights(n, blend) for n in tile.shape[1:])))
                total[:, down.start : down.stop, across.start : across.stop] += tile * weight
                weights[down.start : down.stop, across.start : across.stop] += weight
            if row < mosaic.first_row(there_rows):
                continue
            for part in mosaic.add(row, col, tile, wanted=mosaic.rows_finished(row) > there_rows):
                place = (
                    slice(part.row, part.row + part.logits.shape[1]),
                    slice(part.col, part.col + part.logits.shape[2]),
                )
                assert result[:, place[0], place[1]].isnan().all()
                result[:, place[0], place[1]] = part.logits
    if blend is not None:
        expected = total / weights
    if size != seen:
        expected = F.interpolate(expected[None], size, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(result[:, there_rows:], expected[:, there_rows:], rtol=1e-4, atol=1e-4)


# --- whole pictures


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.37])
@pytest.mark.parametrize("classes", [1, 2, 3])
def test_a_small_picture_is_what_the_predictor_says(tmp_path: Path, scale: float, classes: int, precision: str) -> None:
    raster.write_picture(tmp_path / "a.png", noise(61, 83, 3))
    bundle = make_bundle(classes=classes, preprocessing=Preprocessing(scale=scale, mean=(0.4,) * 3, std=(0.2,) * 3))
    predictor = Predictor(bundle, device="cpu")
    ensemble = Ensemble([predictor])
    plan = plan_tiles(ensemble, 61, 83)
    assert plan.whole and len(plan.rows) == len(plan.cols) == 1
    classes_found, values = predicted(ensemble, tmp_path / "a.png", plan)
    expected = predictor.predict(raster.read(tmp_path / "a.png"), probabilities=True)
    np.testing.assert_array_equal(classes_found, expected.indices)
    np.testing.assert_array_equal(values, expected.probabilities)


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "paper": {"architecture": "paper", "norm": "none"},
    "resenc": {"architecture": "resenc", "norm": "batch", "blocks": (1, 1, 1)},
}


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_exact_tiles_are_the_whole(tmp_path: Path, kind: str, scale: float) -> None:
    raster.write_picture(tmp_path / "a.png", noise(231, 183, 3))
    ensemble = make_ensemble(make_bundle(preprocessing=Preprocessing(scale=scale), **KINDS[kind]))
    whole = predicted(ensemble, tmp_path / "a.png", plan_tiles(ensemble, 231, 183))
    for side in (64, 77):
        plan = plan_tiles(ensemble, 231, 183, tile=side, join="exact")
        assert len(plan.rows) > 1 and len(plan.cols) > 1
        classes, values = predicted(ensemble, tmp_path / "a.png", plan)
        np.testing.assert_allclose(values, whole[1], atol=1e-5)
        assert (classes != whole[0]).mean() < 1e-4


@pytest.mark.slow
def test_blended_tiles_hardly_depend_on_their_size(tmp_path: Path) -> None:
    raster.write_picture(tmp_path / "a.png", noise(331, 283, 3))
    ensemble = make_ensemble(make_bundle(bilinear=True))
    whole = predicted(ensemble, tmp_path / "a.png", plan_tiles(ensemble, 331, 283))
    for side in (64, 128):
        plan = plan_tiles(ensemble, 331, 283, tile=side)
        assert plan.blend == "gaussian"
        classes, _ = predicted(ensemble, tmp_path / "a.png", plan)
        assert (classes != whole[0]).mean() < 0.05


@pytest.mark.parametrize("join", ["exact", "gaussian"])
@pytest.mark.parametrize("scale", [1.0, 0.6])
def test_going_on_gives_the_same_bits(tmp_path: Path, join: str, scale: float) -> None:
    raster.write_picture(tmp_path / "a.png", noise(161, 103, 3))
    ensemble = make_ensemble(make_bundle(depth=1, preprocessing=Preprocessing(scale=scale)))
    plan = plan_tiles(ensemble, 161, 103, tile=48, join=join)
    marks: list[int] = []
    _, whole = predicted(ensemble, tmp_path / "a.png", plan, rows_done=marks.append)
    assert marks[-1] == 161 and marks == sorted(set(marks)) and len(marks) == len(plan.rows)
    for rows in marks[:: len(marks) // 3]:
        _, values = predicted(ensemble, tmp_path / "a.png", plan, rows_there=rows)
        np.testing.assert_array_equal(values[:, rows:], whole[:, rows:])


@pytest.mark.parametrize("kind", ["plain", "paper"])
@pytest.mark.parametrize("pad", ["mirror", "edge", "constant"])
def test_borders(tmp_path: Path, kind: str, pad: str) -> None:
    picture = noise(131, 83, 3)
    raster.write_picture(tmp_path / "a.png", picture)
    preprocessing = Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3)
    bundle = make_bundle(preprocessing=preprocessing, **KINDS[kind])
    ensemble = make_ensemble(bundle)
    size = 64
    around = ((size, size), (size, size), (0, 0))
    image = (picture.astype(np.float32) / 255 - 0.5) / 0.25
    wide = np.pad(image, around, **{"mirror": {"mode": "reflect"}, "edge": {"mode": "edge"}, "constant": {}}[pad])
    with torch.inference_mode():
        logits = bundle.network()(torch.from_numpy(wide.transpose(2, 0, 1))[None])[0]
    cut = (logits.shape[1] - 131) // 2, (logits.shape[2] - 83) // 2
    expected = logits[:, cut[0] : cut[0] + 131, cut[1] : cut[1] + 83].softmax(0).numpy()
    plan = plan_tiles(ensemble, 131, 83, pad=pad, tile=160 if kind == "plain" else 100)
    _, values = predicted(ensemble, tmp_path / "a.png", plan)
    np.testing.assert_allclose(values, expected, atol=1e-4)


# --- several views, several models


def test_views_are_averaged(tmp_path: Path) -> None:
    picture = noise(64, 48, 3)
    raster.write_picture(tmp_path / "a.png", picture)
    bundle = make_bundle()
    predictor = Predictor(bundle, device="cpu", exact=True)

    def turned(turns: int, mirrored: bool) -> NDArray[np.float32]:
        view = np.rot90(picture, turns)[:, :: -1 if mirrored else 1]
        values = predictor.predict(np.ascontiguousarray(view), probabilities=True).probabilities
        assert values is not None
        return np.rot90(values[:, :, :: -1 if mirrored else 1], -turns, axes=(1, 2))

    for tta, views in (
        ("flips", [(0, False), (0, True), (2, False), (2, True)]),
        ("d4", [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]),
    ):
        ensemble = make_ensemble(bundle, tta=tta)
        classes, values = predicted(ensemble, tmp_path / "a.png", plan_tiles(ensemble, 64, 48))
        expected = np.mean([turned(*view) for view in views], axis=0)
        np.testing.assert_allclose(values, expected, atol=1e-6)
        np.testing.assert_array_equal(classes, values.argmax(0))


@pytest.mark.parametrize("classes", [1, 3])
def test_models_are_averaged(tmp_path: Path, classes: int) -> None:
    raster.write_picture(tmp_path / "a.png", noise(64, 48, 3))
    bundles = [make_bundle(seed, classes=classes) for seed in (1, 2)]
    ensemble = make_ensemble(*bundles)
    _, values = predicted(ensemble, tmp_path / "a.png", plan_tiles(ensemble, 64, 48))
    each = [
        Predictor(bundle, device="cpu", exact=True).predict(raster.read(tmp_path / "a.png"), probabilities=True)
        for bundle in bundles
    ]
    np.testing.assert_allclose(values, np.mean([one.probabilities for one in each], axis=0), atol=1e-6)
    assert "2 models" in ensemble.describe()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (make_bundle(classes=2), "logits 2; expected logits 3"),
        (make_bundle(bands=4), "bands 4"),
        (replace(make_bundle(), labels=Labels(("a", "b", "c"), ((0, 0, 0),) * 3, (0, 1, 2))), "class names a, b, c"),
        (make_bundle(preprocessing=Preprocessing(scale=0.5)), "a scale of 0.5"),
        (make_bundle(architecture="paper", norm="none"), "a margin of"),
    ],
)
def test_models_that_do_not_go_together(other: Bundle, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_ensemble(make_bundle(), other)


# --- where nothing is, and where nothing is asked for


class Counting(Ensemble):
    """Counts the tiles that are computed."""

    computed = 0

    def scores(self, images: Any, whole: bool, outside: Any = None) -> Tensor:
        self.computed += len(images)
        return super().scores(images, whole, outside)


def test_nothing_is_computed_where_nothing_is(tmp_path: Path) -> None:
    pixels = noise(200, 160, 3)
    pixels[:100] = 0
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=200, width=160, count=3, dtype="uint8", nodata=0,
        transform=(1, 0, 5, 0, -1, 6),
    ) as file:  # fmt: skip
        file.write(pixels.transpose(2, 0, 1))
    ensemble = Counting([Predictor(make_bundle(depth=1), device="cpu", exact=True)])
    plan = plan_tiles(ensemble, 200, 160, tile=48, join="exact")
    classes, _ = predicted(ensemble, tmp_path / "a.tif", plan)
    valid = (pixels != 0).any(axis=2)
    np.testing.assert_array_equal(classes == 255, ~valid)
    assert 0 < ensemble.computed < 0.7 * len(plan.rows) * len(plan.cols)


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("join", ["exact", "gaussian"])
def test_a_region_changes_nothing_inside(tmp_path: Path, join: str, scale: float) -> None:
    raster.write_picture(tmp_path / "a.png", noise(200, 160, 3))
    inside = np.zeros((200, 160), np.uint8)
    inside[100:150, 30:100] = 1
    raster.write_grey(tmp_path / "roi.png", inside)
    ensemble = Counting(
        [Predictor(make_bundle(depth=1, preprocessing=Preprocessing(scale=scale)), device="cpu", exact=True)]
    )
    plan = plan_tiles(ensemble, 200, 160, tile=48 if scale == 1 else 32, join=join)
    everything, _ = predicted(ensemble, tmp_path / "a.png", plan)
    all_tiles, ensemble.computed = ensemble.computed, 0
    classes, _ = predicted(ensemble, tmp_path / "a.png", plan, region=tmp_path / "roi.png")
    np.testing.assert_array_equal(classes, np.where(inside, everything, 255))
    assert ensemble.computed < all_tiles


def geojson(path: Path, *rings: Any, crs: str | None = None) -> Path:
    features = [{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}} for ring in rings]
    named = {"crs": {"type": "name", "properties": {"name": crs}}} if crs else {}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **named}))
    return path


def test_polygons_as_regions(tmp_path: Path) -> None:
    from rasterio.warp import transform as moved

    place = {"crs": "EPSG:2154", "transform": (2.0, 0.0, 652000.0, 0.0, -2.0, 6862000.0)}
    with raster.create(tmp_path / "a.tif", height=40, width=60, **place) as sink:
        sink.write((0, 0, 40, 60), noise(40, 60))
    corners = np.array([[10.0, 5.0], [50, 5], [50, 30], [10, 30], [10, 5]])
    on_map = [[652000 + 2 * x, 6862000 - 2 * y] for x, y in corners.tolist()]
    expected = np.zeros((40, 60), bool)
    expected[5:30, 10:50] = True
    longitude, latitude = moved("EPSG:2154", "OGC:CRS84", *np.array(on_map).T.tolist())
    with raster.open(tmp_path / "a.tif") as source:
        with open_region(geojson(tmp_path / "map.geojson", on_map, crs="EPSG:2154"), source) as region:
            assert region.remark == ""
            np.testing.assert_array_equal(region.inside((0, 0, 40, 60)), expected)
            np.testing.assert_array_equal(region.inside((3, 8, 9, 30)), expected[3:12, 8:38])
        earth = geojson(tmp_path / "earth.geojson", list(zip(longitude, latitude, strict=True)))
        with open_region(earth, source) as region:
            assert "EPSG:2154" in region.remark
            assert (region.inside((0, 0, 40, 60)) != expected).mean() < 0.01
    raster.write_grey(tmp_path / "plain.png", noise(40, 60))
    with raster.open(tmp_path / "plain.png") as source:
        with open_region(geojson(tmp_path / "pixels.geojson", corners.tolist()), source) as region:
            np.testing.assert_array_equal(region.inside((0, 0, 40, 60)), expected)
        with open_region(geojson(tmp_path / "up.geojson", (corners * [1, -1]).tolist()), source) as region:
            np.testing.assert_array_equal(region.inside((0, 0, 40, 60)), expected)
        for name, text, message in (
            ("a.geojson", "{", "no GeoJSON"),
            ("b.geojson", '{"type": "Point", "coordinates": [1, 2]}', "no polygons"),
        ):
            (tmp_path / name).write_text(text)
            with pytest.raises(RasterError, match=message):
                open_region(tmp_path / name, source)
        raster.write_grey(tmp_path / "small.png", noise(30, 60))
        with pytest.raises(RasterError, match="60 x 30 px; expected 60 x 40"):
            open_region(tmp_path / "small.png", source)


# --- layouts and threads


def test_sheets_are_cut_and_pictures_are_not() -> None:
    ensemble = make_ensemble(make_bundle(width=8, depth=3))
    assert plan_tiles(ensemble, 1280, 1918).whole
    plan = plan_tiles(ensemble, 20_000, 20_000)
    assert not plan.whole and plan.blend is None and len(plan.rows) == 11
    with pytest.raises(InputError, match="border 'wrap'"):
        plan_tiles(ensemble, 100, 100, pad="wrap")
    with pytest.raises(InputError, match="tiles of 2 px"):
        plan_tiles(ensemble, 100, 100, tile=2)


def test_items_that_overlap() -> None:
    main, both = threading.current_thread(), threading.Barrier(2, timeout=60)
    worked: dict[int, threading.Thread] = {}

    def work(item: int) -> int:
        worked[item] = threading.current_thread()
        if item in (0, 1):
            both.wait()  # one alone would wait for ever
        if item == 3:
            raise KeyError("three")
        assert item != 4 or set(worked) == {0, 1, 2, 3, 4}
        return 10 * item

    results = []
    for item, result in overlapped(range(8), work, alone=lambda item: item == 4, workers=2):
        if item == 3:
            with pytest.raises(KeyError, match="three"):
                result()
            continue
        results.append(result())
        assert len(worked) <= item + 1 + 3, "no more is begun than needed"
    assert results == [0, 10, 20, 40, 50, 60, 70]
    assert [item for item, thread in worked.items() if thread is main] == [4]


def test_what_goes_wrong_ahead_and_behind_comes_out() -> None:
    def items() -> Any:
        yield 1
        raise KeyError("reading")

    got = []
    with pytest.raises(KeyError, match="reading"):
        for item in ahead(items, depth=2):
            got.append(item)
    assert got == [1]

    def fail() -> None:
        raise OSError("writing")

    done: list[int] = []
    with pytest.raises(OSError, match="writing"), Behind() as behind:
        behind.do(fail)
        for _ in range(10):
            behind.do(lambda: done.append(1))
    assert not done
    with pytest.raises(ValueError, match="computing"), Behind() as behind:
        for _ in ahead(lambda: iter(range(100)), depth=1):
            raise ValueError("computing")
