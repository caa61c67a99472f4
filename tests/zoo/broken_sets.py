"""A zoo of broken data sets, each made by a function, with what an inspection must find in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unet import raster

SIZE = (48, 64)
COUNT = 8
BLACK, RED, BLUE = (0, 0, 0), (200, 0, 0), (0, 0, 200)


@dataclass(frozen=True)
class Broken:
    """A broken data set.

    Attributes
    ----------
    name : str
    build : callable
        Writes the set into a folder that does not exist yet.
    finds : dict of str to str
        By kind of finding, a part of the name of a file (or class) that it must list; "" where it lists none.
    severity : str
        Of these findings; "error" unless the set can be trained on all the same.
    settings : dict
        Of `DataConfig`, besides root.
    """

    name: str
    build: Callable[[Path], None]
    finds: dict[str, str]
    severity: str = "error"
    settings: dict[str, Any] = field(default_factory=dict)


ZOO: list[Broken] = []


def broken(severity: str = "error", settings: dict[str, Any] | None = None, **finds: str) -> Callable[..., Any]:
    """Put a builder into the zoo; kinds are written with underscores."""

    def add(build: Callable[[Path], None]) -> Callable[[Path], None]:
        named = {kind.replace("_", "-"): file for kind, file in finds.items()}
        ZOO.append(Broken(build.__name__, build, named, severity, settings or {}))
        return build

    return add


# --- what is not broken yet


def picture(seed: int, size: tuple[int, int] = SIZE, bands: int = 3) -> np.ndarray:
    """A soft random landscape with fine noise, uint8 (H, W, bands): two of them never look alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, bands)).astype(np.uint8)
    soft = np.stack([raster.resize(coarse[..., band], *size, "bicubic") for band in range(bands)], axis=2)
    return (soft.astype(int) * 3 // 4 + rng.integers(0, 64, (*size, bands))).astype(np.uint8)


def blocks(values: Any, seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Patches of 7 x 7 pixels of the values, each in several places; no JPEG keeps them."""
    values = np.asarray(values)
    rows, columns = -(-size[0] // 7), -(-size[1] // 7)
    order = np.random.default_rng(seed).permutation(np.arange(rows * columns) % len(values)).reshape(rows, columns)
    patches = values[np.kron(order, np.ones((7, 7), int))[: size[0], : size[1]]]
    return patches.astype(np.uint8 if values.min() >= 0 and values.max() < 256 else np.int32)


def cells(count: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Numbered squares that do not touch, uint16."""
    mask = np.zeros(size, np.uint16)
    for number in range(count):
        row, column = divmod(number, 6)
        mask[row * 10 + 1 : row * 10 + 8, column * 10 + 1 : column * 10 + 8] = number + 1
    return mask


def save(path: Path, pixels: np.ndarray, **options: Any) -> None:
    """Write an array by its ending: .npy as it is, pictures by Pillow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        Image.fromarray(pixels).save(path, **options)


def good(
    root: Path,
    mask: Callable[[int], np.ndarray] = lambda number: blocks([0, 1], number),
    *,
    image: Callable[[int], np.ndarray] = picture,
    count: int = COUNT,
    images: str = "imgs/p{:02}.png",
    masks: str = "masks/p{:02}_mask.png",
    **options: Any,
) -> None:
    """Write pairs of which nothing is wrong unless `image` or `mask` say so; `options` go to the masks' encoder."""
    for number in range(count):
        save(root / images.format(number), image(number))
        save(root / masks.format(number), mask(number), **options)


def cut(path: Path, share: float = 0.5) -> None:
    """Keep the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


# --- names and folders


@broken(unpaired="p01.png")
def picture_without_mask(root: Path) -> None:
    good(root)
    (root / "masks/p01_mask.png").unlink()


@broken(unpaired="p01_mask.png")
def mask_without_picture(root: Path) -> None:
    good(root)
    (root / "imgs/p01.png").unlink()


@broken(near_miss_name="p01.png")
def mask_in_capitals(root: Path) -> None:
    good(root)
    (root / "masks/p01_mask.png").rename(root / "masks/P-01_mask.png")


@broken(near_miss_name="scan 3.png")
def mask_with_a_slip(root: Path) -> None:
    good(root, images="imgs/scan {}.png", masks="masks/scan {}.png")
    (root / "masks/scan 3.png").rename(root / "masks/sacn_3.png")


@broken(near_miss_name="p03.png", unpaired="p05.png")
def one_slip_and_one_loss(root: Path) -> None:
    good(root)
    (root / "masks/p03_mask.png").rename(root / "masks/p003_mask.png")
    (root / "masks/p05_mask.png").unlink()


@broken(doubled="p01.png")
def two_pictures_of_a_name(root: Path) -> None:
    good(root)
    save(root / "imgs/p01.jpg", picture(99))


@broken(doubled="p01_mask")
def two_masks_of_a_picture(root: Path) -> None:
    good(root)
    save(root / "masks/p01.png", blocks([0, 1], 77))


@broken(unpaired="a0.png")
def nothing_pairs(root: Path) -> None:
    good(root, images="imgs/a{}.png", masks="masks/house_{}.png")
    for number in reversed(range(COUNT)):
        (root / f"masks/house_{number}.png").rename(root / f"masks/house_{number * 3 + 100}.png")


@broken("warning", other_masks="mask")
def two_folders_of_masks(root: Path) -> None:
    good(root, masks="1st_manual/p{:02}.png")
    for number in range(COUNT):
        save(root / f"mask/p{number:02}.png", blocks([0, 255], 50 + number))


@broken(layout="")
def a_mask_for_each_object(root: Path) -> None:
    for number in range(COUNT):
        save(root / f"p{number}/images/p{number}.png", picture(number))
        for thing in range(1, 4):
            save(root / f"p{number}/masks/{thing}.png", np.uint8(255) * (cells(4) == thing))


@broken(layout="")
def no_folder_of_masks(root: Path) -> None:
    good(root)
    (root / "masks").rename(root / "drawings")


@broken(layout="")
def nothing_at_all(root: Path) -> None:
    root.mkdir()


@broken(layout="")
def no_pictures_among_the_pictures(root: Path) -> None:
    good(root)
    for path in (root / "imgs").iterdir():
        path.rename(path.with_suffix(".txt"))


@broken(layout="")
def pictures_beside_the_parts(root: Path) -> None:
    good(root)
    good(root, images="imgs/train/q{}.png", masks="masks/train/q{}_mask.png")


@broken(swapped="")
def folders_swapped_by_name(root: Path) -> None:
    good(root, images="masks/p{}.png", masks="imgs/p{}_mask.png")


@broken(swapped="p00.png")
def folders_swapped_by_content(root: Path) -> None:
    good(root, images="masks/p{:02}.png", masks="imgs/p{:02}.png")


@broken(swapped="p04_mask.png")
def one_pair_swapped(root: Path) -> None:
    good(root)
    save(root / "masks/p04_mask.png", picture(4))
    save(root / "imgs/p04.png", np.repeat(blocks([0, 1], 4)[..., None] * 255, 3, axis=2))


@broken(truncated="größe é 1.png", unpaired="größe é 2.png")
def names_of_many_signs(root: Path) -> None:
    good(root, images="imgs/größe é {}.png", masks="masks/größe é {}_mask.png")
    cut(root / "imgs/größe é 1.png")
    (root / "masks/größe é 2_mask.png").unlink()


@broken(empty_file="x y/z/deeper/p03.png", unpaired="x y/z/deeper/p05.png")
def deep_folders(root: Path) -> None:
    good(root, images="imgs/x y/z/deeper/p{:02}.png", masks="masks/x y/z/deeper/p{:02}.png")
    (root / "imgs/x y/z/deeper/p03.png").write_bytes(b"")
    (root / "masks/x y/z/deeper/p05.png").unlink()


@broken(split="", settings={"group": "^car[0-9]"})
def a_group_pattern_that_does_not_match(root: Path) -> None:
    good(root)


@broken(split="")
def a_single_pair(root: Path) -> None:
    good(root, count=1)


# --- files


@broken(empty_file="p02.png")
def a_picture_of_no_bytes(root: Path) -> None:
    good(root)
    (root / "imgs/p02.png").write_bytes(b"")


@broken(truncated="p02.jpg")
def a_picture_cut_off(root: Path) -> None:
    good(root, images="imgs/p{:02}.jpg")
    cut(root / "imgs/p02.jpg", 0.8)


@broken(truncated="p02_mask.bmp")
def a_mask_cut_off(root: Path) -> None:
    good(root, masks="masks/p{:02}_mask.bmp")
    cut(root / "masks/p02_mask.bmp")


@broken(unreadable="p02.png")
def a_text_for_a_picture(root: Path) -> None:
    good(root)
    (root / "imgs/p02.png").write_text("404: not found")


@broken(unreadable="p02_mask.png")
def a_mask_with_bytes_flipped(root: Path) -> None:
    good(root)
    path = root / "masks/p02_mask.png"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))


@broken(not_finite="p02.npy")
def pictures_with_nan(root: Path) -> None:
    good(root, image=lambda n: picture(n).astype(np.float32), images="imgs/p{:02}.npy")
    spoilt = picture(2).astype(np.float32)
    spoilt[3, 3] = np.nan
    save(root / "imgs/p02.npy", spoilt)


@broken(not_finite="p02.npy", empty_file="p02_mask.png")
def nan_and_an_empty_mask_file(root: Path) -> None:
    pictures_with_nan(root)
    (root / "masks/p02_mask.png").write_bytes(b"")


@broken(unreadable="p02_mask.npy")
def masks_of_fractions(root: Path) -> None:
    good(root, masks="masks/p{:02}_mask.npy")
    save(root / "masks/p02_mask.npy", np.full(SIZE, 0.5))


# --- sizes


@broken(size_scaled="p02.png")
def a_mask_of_half_size(root: Path) -> None:
    good(root)
    save(root / "masks/p02_mask.png", blocks([0, 1], 2, (24, 32)))


@broken(size_scaled="p07.png")
def all_masks_of_double_size(root: Path) -> None:
    good(root, lambda n: blocks([0, 1], n, (96, 128)))


@broken(size_differs="p02.png")
def a_mask_that_was_cropped(root: Path) -> None:
    good(root)
    save(root / "masks/p02_mask.png", blocks([0, 1], 2, (48, 50)))


@broken(size_rotated="p02.png")
def a_mask_on_its_side(root: Path) -> None:
    good(root)
    save(root / "masks/p02_mask.png", np.rot90(blocks([0, 1], 2)))


def with_orientation(root: Path, orientation: int, number: int = 2) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(root / f"imgs/p{number:02}.jpg", picture(number), exif=exif)


@broken(size_exif="p02.jpg")
def a_mask_drawn_before_exif(root: Path) -> None:
    good(root, images="imgs/p{:02}.jpg")
    with_orientation(root, 6)


@broken("note", exif="p02.jpg")
def a_mask_drawn_after_exif(root: Path) -> None:
    good(root, images="imgs/p{:02}.jpg")
    with_orientation(root, 6)
    save(root / "masks/p02_mask.png", np.rot90(blocks([0, 1], 2)))


@broken("warning", exif="p02.jpg")
def a_picture_upside_down_by_exif(root: Path) -> None:
    good(root, images="imgs/p{:02}.jpg")
    with_orientation(root, 3)


# --- pictures


@broken("warning", frames="p03.gif")
def animated_pictures(root: Path) -> None:
    good(root, images="imgs/p{:02}.gif")
    first, *others = (Image.fromarray(picture(seed)).convert("P") for seed in (3, 90, 91))
    first.save(root / "imgs/p03.gif", save_all=True, append_images=others)


@broken("warning", frames="p03.tif")
def a_picture_of_several_pages(root: Path) -> None:
    good(root, images="imgs/p{:02}.tif")
    first, other = (Image.fromarray(picture(seed)) for seed in (3, 90))
    first.save(root / "imgs/p03.tif", save_all=True, append_images=[other])


@broken("note", alpha="p00.png")
def pictures_with_alpha(root: Path) -> None:
    good(root, image=lambda n: picture(n, bands=4))


@broken("note", deep_pictures="p00.png")
def pictures_of_16_bits(root: Path) -> None:
    good(root, image=lambda n: picture(n, bands=1)[..., 0].astype(np.uint16) * 200)


@broken("warning", mixed_depth="p03.png")
def one_picture_of_16_bits(root: Path) -> None:
    good(root, image=lambda n: picture(n, bands=1)[..., 0])
    save(root / "imgs/p03.png", picture(3, bands=1)[..., 0].astype(np.uint16) * 200)


@broken("note", mixed_bands="p03.png")
def grey_among_rgb(root: Path) -> None:
    good(root)
    save(root / "imgs/p03.png", picture(3, bands=1)[..., 0])


@broken(unequal_bands="p03.npy")
def five_bands_among_three(root: Path) -> None:
    good(root, images="imgs/p{:02}.npy")
    save(root / "imgs/p03.npy", picture(3, bands=5))


@broken("warning", constant_picture="p03.png")
def a_black_picture(root: Path) -> None:
    good(root)
    save(root / "imgs/p03.png", np.zeros((*SIZE, 3), np.uint8))


# --- what the masks hold


@broken(lossy_mask="p03_mask.jpg")
def jpeg_masks(root: Path) -> None:
    good(root, lambda n: blocks([0, 255], n), masks="masks/p{:02}_mask.jpg", quality=90)


@broken(lossy_mask="p03_mask.jpg")
def jpeg_masks_of_colours(root: Path) -> None:
    big = (140, 168)
    good(root, lambda n: np.kron(blocks([BLACK, RED, BLUE], n, (20, 24)), np.ones((7, 7, 1), np.uint8)),
         image=lambda n: picture(n, big), masks="masks/p{:02}_mask.jpg", quality=95)  # fmt: skip


@broken(lossy_mask="p03_mask.jpg")
def jpeg_masks_with_a_table(root: Path) -> None:
    jpeg_masks_of_colours(root)
    (root / "classes.csv").write_text("name,r,g,b\nground,0,0,0\nhouse,200,0,0\nlake,0,0,200\n")


@broken(lossy_mask="p03_mask.jpg")
def one_jpeg_among_png_masks(root: Path) -> None:
    good(root, lambda n: blocks([0, 255], n))
    (root / "masks/p03_mask.png").unlink()
    save(root / "masks/p03_mask.jpg", blocks([0, 255], 3), quality=80)


@broken(lossy_mask="p03_mask.jpg")
def jpeg_masks_of_class_numbers(root: Path) -> None:
    good(root, lambda n: blocks(range(6), n), masks="masks/p{:02}_mask.jpg", quality=60)


def smooth(number: int, values: tuple[int, int] = (0, 255)) -> np.ndarray:
    """Soft edges."""
    return raster.resize(blocks(values, number, (24, 32)), *SIZE, "bicubic")


@broken(blended_mask="p03_mask.png")
def anti_aliased_masks(root: Path) -> None:
    good(root, smooth)


@broken(blended_mask="p03_mask.png")
def masks_reduced_by_half(root: Path) -> None:
    """Five values only, all of them far apart."""
    good(root, lambda n: raster.resize(np.roll(np.kron(blocks([0, 255], n), np.ones((2, 2), np.uint8)), 1, (0, 1)),
                                       *SIZE, "area"))  # fmt: skip


@broken(blended_mask="p03_mask.png")
def anti_aliased_colours(root: Path) -> None:
    def soft(number: int) -> np.ndarray:
        return raster.resize(blocks([BLACK, RED, BLUE], number, (24, 32)), *SIZE, "bilinear")

    good(root, soft)


@broken(blended_mask="p03_mask.png")
def one_anti_aliased_mask(root: Path) -> None:
    good(root, lambda n: blocks([0, 255], n))
    save(root / "masks/p03_mask.png", smooth(3))


@broken("warning", edge_values="p03_mask.png")
def class_numbers_resized_with_blending(root: Path) -> None:
    good(root, lambda n: raster.resize(np.kron(blocks([0, 9], n), np.ones((2, 2), np.uint8))[:47, :63],
                                       *SIZE, "bilinear"))  # fmt: skip


@broken(photo_mask="p03_mask.png")
def photographs_for_masks(root: Path) -> None:
    good(root, lambda n: picture(n + 50))


@broken(photo_mask="p03_mask.png")
def one_photograph_among_the_masks(root: Path) -> None:
    good(root, lambda n: blocks([0, 255], n))
    save(root / "masks/p03_mask.png", picture(50, bands=1)[..., 0])


@broken(instances="p03_mask.png")
def numbers_of_objects(root: Path) -> None:
    good(root, lambda n: cells(8 + n))


@broken(one_hot="p03_mask.npy")
def one_hot_of_three(root: Path) -> None:
    good(root, lambda n: np.eye(3, dtype=np.uint8)[blocks([0, 1, 2], n)], masks="masks/p{:02}_mask.npy")


@broken(one_hot="p03_mask.npy")
def one_hot_of_five_bands_first(root: Path) -> None:
    good(root, lambda n: np.eye(5, dtype=np.float32)[blocks(range(5), n)].transpose(2, 0, 1),
         masks="masks/p{:02}_mask.npy")  # fmt: skip


@broken(one_hot="p03_mask.png")
def one_hot_in_rgba(root: Path) -> None:
    good(root, lambda n: np.eye(4, dtype=np.uint8)[blocks(range(4), n)] * 255)


@broken(mask_bands="p03_mask.npy")
def masks_of_overlapping_bands(root: Path) -> None:
    good(root, lambda n: np.dstack([blocks([0, 1], n), blocks([0, 1], n + 1)]), masks="masks/p{:02}_mask.npy")


@broken(palettes_differ="p03_mask.png")
def one_palette_the_other_way_round(root: Path) -> None:
    good(root)
    for number in range(COUNT):
        colors = [*BLACK, *RED] if number != 3 else [*RED, *BLACK]
        raster.write_mask(root / f"masks/p{number:02}_mask.png", blocks([0, 1], number), colors)


@broken(palette_and_plain="p03_mask.png")
def a_palette_and_plain_values(root: Path) -> None:
    good(root)
    for number in range(COUNT):
        raster.write_mask(root / f"masks/p{number:02}_mask.png", blocks([0, 1], number), [*BLACK, *RED])
    save(root / "masks/p03_mask.png", blocks([0, 255], 3))


@broken(two_scales="p03_mask.png")
def one_mask_of_0_and_255(root: Path) -> None:
    good(root)
    save(root / "masks/p03_mask.png", blocks([0, 255], 3))


@broken(two_scales="p03_mask.png")
def three_classes_spread_in_one_mask(root: Path) -> None:
    good(root, lambda n: blocks([0, 1, 2], n))
    save(root / "masks/p03_mask.png", blocks([0, 127, 255], 3))


def with_pixels(root: Path, value: int, values: tuple[int, int], masks: tuple[int, ...] = (3,), many: int = 4) -> None:
    """Pairs with masks of two values, some of which have a few pixels of another."""
    good(root, lambda n: blocks(values, n))
    for number in masks:
        mask = blocks(values, number)
        mask[24, 2 : 2 + many] = value
        save(root / f"masks/p{number:02}_mask.png", mask)


@broken(stray_values="p03_mask.png")
def a_few_pixels_of_128(root: Path) -> None:
    with_pixels(root, 128, (0, 255))


@broken(stray_values="p03_mask.png")
def a_few_pixels_of_1_beside_0_and_255(root: Path) -> None:
    with_pixels(root, 1, (0, 255))


@broken(stray_values="p05_mask.png")
def a_few_pixels_of_57_among_class_numbers(root: Path) -> None:
    with_pixels(root, 57, (0, 1), masks=(3, 5))


@broken("warning", rare_values="p05_mask.png")
def a_few_pixels_of_128_in_most_masks(root: Path) -> None:
    with_pixels(root, 128, (0, 255), masks=tuple(range(1, 8)), many=2)


@broken("note", ignored="")
def white_for_ignored(root: Path) -> None:
    good(root, lambda n: blocks([0, 1, 255], n))


@broken("warning", ignored="p03_mask.png")
def a_mask_of_nothing_but_ignored(root: Path) -> None:
    good(root, lambda n: blocks([0, 1, 255], n))
    save(root / "masks/p03_mask.png", np.full(SIZE, 255, np.uint8))


@broken("warning", alpha_mask="p03_mask.png")
def masks_with_alpha(root: Path) -> None:
    good(root)
    grey = np.repeat(blocks([0, 1], 3)[..., None], 4, axis=2)
    grey[..., 3] = 255
    save(root / "masks/p03_mask.png", grey)


@broken("warning", frames_mask="p03_mask.gif")
def an_animated_mask(root: Path) -> None:
    good(root, masks="masks/p{:02}_mask.gif")
    for number in range(COUNT):
        frames = [Image.fromarray(blocks([0, 1], number + extra)).convert("P") for extra in (0, 50, 60)]
        for frame in frames:
            frame.putpalette([*BLACK, *RED])
        others = frames[1:] if number == 3 else []
        frames[0].save(root / f"masks/p{number:02}_mask.gif", save_all=True, append_images=others, optimize=False)


@broken(colors_not_in_table="p03_mask.png")
def a_colour_that_the_table_lacks(root: Path) -> None:
    good(root, lambda n: blocks([BLACK, RED], n))
    save(root / "masks/p03_mask.png", blocks([BLACK, RED, BLUE], 3))
    (root / "classes.csv").write_text("name,r,g,b\nground,0,0,0\nhouse,200,0,0\n")


@broken(table_without_colors="")
def names_for_colours(root: Path) -> None:
    good(root, lambda n: blocks([BLACK, RED], n))
    (root / "classes.txt").write_text("ground\nhouse\n")


@broken(values_not_in_table="p03_mask.png")
def a_number_that_the_table_lacks(root: Path) -> None:
    good(root)
    save(root / "masks/p03_mask.png", blocks([0, 1, 5], 3))
    (root / "classes.txt").write_text("ground\nhouse\n")


@broken(class_table="line 2")
def a_class_table_with_a_slip(root: Path) -> None:
    good(root, lambda n: blocks([BLACK, RED], n))
    (root / "classes.csv").write_text("name,r,g,b\nground,0,0\nhouse,200,0,0\n")


@broken(one_value="", empty_mask="p03_mask.png")
def masks_of_one_value(root: Path) -> None:
    good(root, lambda n: np.zeros(SIZE, np.uint8))


@broken("warning", empty_mask="p03_mask.png")
def most_masks_empty(root: Path) -> None:
    good(root, lambda n: np.zeros(SIZE, np.uint8) if n % 4 else blocks([0, 1], n), count=16)


@broken("note", empty_mask="p03_mask.png")
def one_mask_nearly_empty(root: Path) -> None:
    good(root)
    speck = np.zeros(SIZE, np.uint8)
    speck[4, 4] = 1
    save(root / "masks/p03_mask.png", speck)


# --- the split


@broken("warning", class_missing="class_2")
def a_class_on_one_side_only(root: Path) -> None:
    good(root, lambda n: blocks([0, 1, 2], n), images="train/imgs/a{}.png", masks="train/masks/a{}.png")
    good(root, image=lambda n: picture(n + 40), images="val/imgs/b{}.png", masks="val/masks/b{}.png")


@broken("warning", class_missing="lake")
def a_class_that_never_occurs(root: Path) -> None:
    good(root)
    (root / "classes.txt").write_text("ground\nhouse\nlake\n")


@broken("warning", duplicate_across_split="b3.png")
def a_picture_on_both_sides(root: Path) -> None:
    good(root, images="train/imgs/a{}.png", masks="train/masks/a{}.png")
    good(root, image=lambda n: picture(5 if n == 3 else n + 40), images="val/imgs/b{}.png", masks="val/masks/b{}.png")


@broken("warning", near_duplicate_across_split="b3.jpg")
def a_darker_copy_on_the_other_side(root: Path) -> None:
    def darker(number: int) -> np.ndarray:
        return (picture(5) * 0.95).astype(np.uint8) if number == 3 else picture(number + 40)

    good(root, images="train/imgs/a{}.png", masks="train/masks/a{}.png")
    good(root, image=darker, images="val/imgs/b{}.jpg", masks="val/masks/b{}.png")


# --- several at once


@broken(unpaired="p00.jpg", truncated="p01.jpg", size_scaled="p02.jpg", lossy_mask="p05_mask.jpg")
def lossy_and_cut_and_small_and_lost(root: Path) -> None:
    good(root, lambda n: blocks([0, 255], n), images="imgs/p{:02}.jpg", masks="masks/p{:02}_mask.jpg", quality=90)
    (root / "masks/p00_mask.jpg").unlink()
    cut(root / "imgs/p01.jpg", 0.8)
    save(root / "masks/p02_mask.jpg", blocks([0, 255], 2, (24, 32)), quality=90)


@broken(instances="p06_mask.png", not_finite="p02.npy", near_miss_name="p03.npy", size_rotated="p04.npy")
def objects_and_nan_and_a_slip(root: Path) -> None:
    pictures_with_nan(root)
    for number in range(COUNT):
        save(root / f"masks/p{number:02}_mask.png", cells(8 + number))
    (root / "masks/p03_mask.png").rename(root / "masks/p03_maks.png")
    save(root / "masks/p04_mask.png", np.rot90(cells(9)))


@broken(palettes_differ="p03_mask.png", unequal_bands="p05.npy", empty_file="p06_mask.png")
def palettes_and_bands_and_an_empty_file(root: Path) -> None:
    good(root, images="imgs/p{:02}.npy")
    for number in range(COUNT):
        colors = [*BLACK, *RED] if number != 3 else [*RED, *BLACK]
        raster.write_mask(root / f"masks/p{number:02}_mask.png", blocks([0, 1], number), colors)
    save(root / "imgs/p05.npy", picture(5, bands=7))
    (root / "masks/p06_mask.png").write_bytes(b"")


@broken(mixed_ranges="p03.npy")
def fractions_among_0_to_255(root: Path) -> None:
    good(root, image=lambda n: (picture(n) / (255 if n == 3 else 1)).astype(np.float32), images="imgs/p{:02}.npy")


@broken("warning", mixed_ranges="p03.npy")
def eight_bits_saved_as_sixteen(root: Path) -> None:
    good(root, image=lambda n: picture(n).astype(np.uint16) * (1 if n == 3 else 200), images="imgs/p{:02}.npy")


@broken(one_value="", alpha_mask="p00_mask.png")
def masks_drawn_in_alpha(root: Path) -> None:
    good(root, lambda n: np.dstack([np.full((*SIZE, 3), 255, np.uint8), blocks([0, 255], n)]))


@broken("warning", masks_differ="p05.png")
def a_picture_twice_with_two_masks(root: Path) -> None:
    good(root)
    save(root / "imgs/p05.png", picture(2))


@broken("note", duplicates="p05.png")
def a_picture_twice_with_one_mask(root: Path) -> None:
    good(root, lambda n: blocks([0, 1], n - n // 5 * 3), image=lambda n: picture(n - n // 5 * 3))
    for number in (6, 7):
        save(root / f"imgs/p0{number}.png", picture(number))


# --- sets that only look odd


def list_files_and_colours(root: Path) -> None:
    good(root, lambda n: blocks([BLACK, RED, BLUE], n), masks="gt/p{:02}_GT.bmp", images="images/p{:02}.bmp")
    (root / "classes.csv").write_text("name,r,g,b\nvoid,0,0,0\nhouse,200,0,0\nlake,0,0,200\n")


def flat_pictures(root: Path) -> None:
    """Nearly empty paper on both sides: alike, but no duplicates."""
    rng = np.random.default_rng(0)
    good(root, image=lambda n: rng.integers(200, 204, (*SIZE, 3)).astype(np.uint8))


def thin_lines(root: Path) -> None:
    def lines(number: int) -> np.ndarray:
        mask = np.zeros(SIZE, np.uint8)
        mask[number + 3 :: 12] = 255
        mask[:, number + 5 :: 17] = 255
        return mask

    good(root, lines)


def borders_of_128(root: Path) -> None:
    """A class that is one pixel wide, between two others."""

    def bordered(number: int) -> np.ndarray:
        mask = blocks([0, 255], number)
        mask[::8], mask[:, ::8] = 128, 128
        return mask

    good(root, bordered)


def a_rare_class(root: Path) -> None:
    """Few pixels, but many for one mask or in many of them."""
    with_pixels(root, 1, (0, 2), masks=(1, 2, 3, 4, 5, 6), many=9)


def organs(root: Path) -> None:
    """Three classes in one piece each are no objects."""
    good(root, lambda n: np.minimum(cells(3).astype(np.uint8), 3 - n % 2))


def json_beside_the_pictures(root: Path) -> None:
    good(root)
    (root / "imgs/notes.json").write_text(json.dumps({"by": "me"}))
    (root / "masks/Thumbs.db").write_bytes(b"x")


SOUND: list[Callable[[Path], None]] = [
    good,
    list_files_and_colours,
    flat_pictures,
    thin_lines,
    borders_of_128,
    a_rare_class,
    organs,
    json_beside_the_pictures,
]
"""Builders of sets in which an inspection must find nothing to warn of."""
