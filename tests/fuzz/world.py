"""Sound files of every kind that commands read: what cases begin with."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unet import cli, raster

SIZE = (24, 32)


def make_world(folder: Path) -> None:
    """Write data sets, pictures of many kinds, masks, annotations, a model and a run, each in a folder of its own."""
    rng = np.random.default_rng(0)
    make_data(folder / "data", rng)
    make_pictures(folder / "kinds", rng)
    make_sheet(folder / "sheet", rng)
    make_annotations(folder, rng)
    make_described(folder / "described", rng)
    run = folder / "run"
    line = (
        "--steps 2 --set width=2 --set depth=1 --set crop=[24,32] --set batch_size=2 --set validations=1 --device cpu"
    )
    train = ["train", str(folder / "data"), "--out", str(run), *line.split(), "--set", "workers=0"]
    assert cli.main(train) == 0
    (folder / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    convert = ["convert", str(folder / "model.safetensors"), str(folder / "model.pth")]
    assert cli.main(convert) == 0


def picture_and_mask(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return noise with a bright rectangle, and where it is."""
    mask = np.zeros(SIZE, np.uint8)
    row, column = rng.integers(2, SIZE[0] // 2), rng.integers(2, SIZE[1] // 2)
    mask[row : row + SIZE[0] // 3, column : column + SIZE[1] // 3] = 1
    return rng.integers(0, 60, (*SIZE, 3), dtype=np.uint8) + 150 * mask[..., None], mask


def make_data(folder: Path, rng: np.random.Generator, count: int = 4) -> None:
    """Write pictures and masks that `train` reads as they are."""
    for number in range(count):
        picture, mask = picture_and_mask(rng)
        raster.write_picture(folder / "imgs" / f"p{number}.png", picture)
        raster.write_mask(folder / "masks" / f"p{number}.png", mask, [0, 0, 0, 200, 30, 30])


def make_pictures(folder: Path, rng: np.random.Generator) -> None:
    """Write one picture, and its mask, in every format."""
    import torch

    picture, mask = picture_and_mask(rng)
    folder.mkdir(parents=True)
    image = Image.fromarray(picture)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "turned.jpg", exif=exif)
    for ending in ("png", "jpg", "tif", "bmp", "gif", "webp", "ppm"):
        image.save(folder / f"a.{ending}")
    image.save(folder / "packed.tif", compression="tiff_lzw")
    image.getchannel(0).save(folder / "grey.png")
    Image.fromarray(mask > 0).save(folder / "bits.png")
    Image.fromarray(picture[..., 0].astype(np.uint16) * 256).save(folder / "deep.png")
    np.save(folder / "a.npy", picture)
    np.save(folder / "float.npy", picture[..., 0] / np.float32(255))
    torch.save(torch.from_numpy(picture), folder / "a.pt")
    with raster.create(folder / "labels.tif", height=SIZE[0], width=SIZE[1], dtype="int32", kind="labels") as sink:
        sink.write((0, 0, *SIZE), mask.astype(np.int32))
    raster.write_mask(folder / "mask.png", mask, [0, 0, 0, 200, 30, 30])
    raster.write_grey(folder / "edges.png", (1 - mask) * np.uint8(255))
    for ending in ("png", "bmp", "gif", "tif", "npy", "pgm"):
        (folder.parent / "masks").mkdir(exist_ok=True)
        path = folder.parent / "masks" / f"m.{ending}"
        np.save(path, mask) if ending == "npy" else Image.fromarray(mask).save(path)


def make_sheet(folder: Path, rng: np.random.Generator) -> None:
    """Write a sheet that lies somewhere, its labels, and polygons on it."""
    picture, mask = picture_and_mask(rng)
    place: dict[str, Any] = {"height": SIZE[0], "width": SIZE[1], "crs": "EPSG:4326", "transform": (1, 0, 0, 0, -1, 24)}
    with raster.create(folder / "imgs" / "geo.tif", bands=3, nodata=0, **place) as sink:
        sink.write((0, 0, *SIZE), picture)
    with raster.create(folder / "labels.tif", dtype="int32", kind="labels", **place) as sink:
        sink.write((0, 0, *SIZE), mask.astype(np.int32))
    for name, sign in (("roi", 1), ("flat", -1)):
        rings = [[[[x, sign * y] for x, y in ((2, 2), (20, 2), (20, 15), (2, 15), (2, 2))]]]
        rings += [[[[x, sign * y] for x, y in ((22, 5), (30, 5), (25, 20), (22, 5))]]]
        features = [
            {"type": "Feature", "properties": {"class": number}, "geometry": {"type": "Polygon", "coordinates": ring}}
            for number, ring in enumerate(rings, start=1)
        ]
        (folder / f"{name}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def make_annotations(folder: Path, rng: np.random.Generator) -> None:
    """Write the annotations of one picture or two in each format that `import` knows."""
    picture, mask = picture_and_mask(rng)
    coco, labelme, yolo, objects, nnunet = (folder / name for name in ("coco", "labelme", "yolo", "objects", "nnunet"))
    outline = [[3, 3], [20, 3], [20, 15], [3, 15]]
    flat = [side for point in outline for side in point]
    raster.write_picture(coco / "imgs" / "a.png", picture)
    about = {
        "images": [{"id": 1, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}],
        "categories": [{"id": 1, "name": "house"}, {"id": 2, "name": "road"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [flat]},
            {"id": 2, "image_id": 1, "category_id": 2, "iscrowd": 1,
             "segmentation": {"counts": [100, 20, SIZE[0] * SIZE[1] - 120], "size": list(SIZE)}},
        ],
    }  # fmt: skip
    (coco / "instances.json").write_text(json.dumps(about))
    raster.write_picture(labelme / "a.png", picture)
    shapes = [{"label": "house", "points": outline, "shape_type": "polygon"},
              {"label": "road", "points": outline[:2], "shape_type": "linestrip"},
              {"label": "road", "points": outline[:2], "shape_type": "circle"}]  # fmt: skip
    page = {"version": "5.0", "shapes": shapes, "imagePath": "a.png", "imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    (labelme / "a.json").write_text(json.dumps(page))
    raster.write_picture(yolo / "images" / "train" / "a.png", picture)
    (yolo / "labels" / "train").mkdir(parents=True)
    (yolo / "labels" / "train" / "a.txt").write_text("1 0.25 0.2 0.75 0.2 0.75 0.8\n0 0.1 0.1 0.2 0.1 0.2 0.2\n")
    (yolo / "data.yaml").write_text("path: .\ntrain: images/train\nnames: [road, house]\n")
    raster.write_picture(objects / "one" / "images" / "one.png", picture)
    for channel in range(2):
        raster.write_grey(nnunet / "imagesTr" / f"a_{channel:04}.png", picture[..., channel])
    raster.write_grey(nnunet / "labelsTr" / "a.png", mask.astype(np.uint8))
    (nnunet / "dataset.json").write_text(
        json.dumps(
            {"channel_names": {"0": "a", "1": "b"}, "labels": {"background": 0, "house": 1}, "file_ending": ".png"}
        )
    )
    for number in range(2):
        raster.write_grey(
            objects / "one" / "masks" / f"{number}.png", np.roll(mask, number * 9, axis=1) * np.uint8(255)
        )


def make_described(folder: Path, rng: np.random.Generator) -> None:
    """Write a data set whose `dataset.toml` uses most of what can be said in one."""
    make_data(folder, rng)
    table = io.StringIO()
    csv.writer(table).writerows([("name", "value", "r", "g", "b"), ("ground", 0, 0, 0, 0), ("house", 1, 200, 30, 30)])
    (folder / "classes.csv").write_text(table.getvalue())
    (folder / "val.txt").write_text("p0\n")
    (folder / "dataset.toml").write_text(
        'images = "imgs"\nmasks = "masks"\nignore = [7]\nclasses = "classes.csv"\n[split]\nval = "val.txt"\n'
    )
