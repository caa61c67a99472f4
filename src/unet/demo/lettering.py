"""Lettering: street names, names of places, house numbers. It runs over every class and means none."""

from __future__ import annotations

import itertools
import math

import numpy as np

from unet.demo.grid import FINE, Ink, pixels
from unet.demo.town import Floats, Town, rotation

# A letter is a few strokes between points of a grid of 3 x 5: a b c on top, m n o at the bottom.
STROKES = {
    "A": "mgbio gi", "B": "amnlhg hfba", "C": "cbdjno", "D": "abflnma", "E": "camo gh", "F": "cam gh",
    "G": "cbdjnoih", "H": "am co gi", "I": "bn", "L": "amo", "M": "maeco", "N": "maoc", "O": "bflnjdb",
    "P": "mabfhg", "Q": "bflnjdb ko", "R": "mabfhgo", "S": "cbdhlnm", "T": "ac bn", "U": "ajnlc", "V": "anc",
    "X": "ao cm", "Y": "ahc hn", "Z": "acmo", "0": "bflnjdb", "1": "dbn", "2": "dbfmo", "3": "achlnj",
    "4": "bjl en", "5": "caghlnm", "6": "cbgjnlhg", "7": "acn", "8": "bdhlnjhfb", "9": "fbdhfln", ".": "nn",
}  # fmt: skip

STREET_NAMES = (
    "RUE DU BAC", "RUE ST DENIS", "QUAI NEUF", "RUE DES LILAS", "R. HAUTE", "PLACE D ARMES", "RUE DE L EST",
    "BOUL. DU NORD", "IMP. FERRY", "RUE MONGE", "RUE DU PUITS", "COURS DE LA REINE", "RUE VIEILLE",
    "R. DU PORT", "AVENUE DES ORMES", "RUE DE LA POSTE", "RUE SOUFFLOT", "GRANDE RUE",
)  # fmt: skip
PLACE_NAMES = ("ECOLE", "MAIRIE", "EGLISE", "HALLES", "GARE", "HOSPICE", "CASERNE", "LYCEE", "MARCHE")


def _glyph(strokes: str) -> Floats:
    """Return the segments (N, 2 ends, 2) of a letter 1 high with its top left at the origin."""
    lines = [[divmod(ord(point) - ord("a"), 3) for point in stroke] for stroke in strokes.split()]
    segments = [pair for line in lines for pair in itertools.pairwise(line)]
    return np.array(segments, dtype=np.float64) * [0.25, 0.27]


GLYPHS = {letter: _glyph(strokes) for letter, strokes in STROKES.items()}


def write(town: Town, size: tuple[int, int], rng: np.random.Generator) -> tuple[Ink, Ink]:
    """Return black and red lettering (0..1) on the fine grid; it runs over every class and means none."""
    bounds = np.array(size, dtype=np.float64)
    black = []
    for street in town.streets:
        direction = street.end - street.start
        if street.width < 6 or np.hypot(*direction) < 50 or rng.random() < 0.25:
            continue
        middle = street.start + direction * rng.uniform(0.35, 0.65)
        black.append(text_strokes(str(rng.choice(STREET_NAMES)), middle, direction, min(8.0, 0.55 * street.width)))
    for _ in range(max(2, round(bounds.prod() / 20000))):
        turn = town.angle + rng.choice([0.0, 0.0, math.pi / 2])
        text = str(rng.choice(PLACE_NAMES)) if rng.random() < 0.6 else str(rng.integers(2, 240))
        place = rng.uniform(0.08, 0.92, 2) * bounds
        black.append(text_strokes(text, place, np.array([math.sin(turn), math.cos(turn)]), rng.uniform(6, 9)))
    for _ in range(2):  # lines of the survey grid
        axis = rotation(town.angle * 0.1)[:, int(rng.integers(2))] * bounds.sum()
        start = rng.uniform(0.1, 0.9, 2) * bounds
        black.append(np.array([[start - axis, start + axis]]))
    red = []
    if rng.random() < 0.6:
        place = rng.uniform(0.25, 0.75, 2) * bounds
        red.append(text_strokes(f"{rng.integers(1, 21)} ARR.", place, np.array([0.0, 1.0]), rng.uniform(17, 24)))
    shape = (size[0] * FINE, size[1] * FINE)
    return as_ink(black, shape, FINE - 1) * np.float32(0.9), as_ink(red, shape, 2 * FINE) * np.float32(0.85)


def text_strokes(text: str, middle: Floats, direction: Floats, height: float) -> Floats:
    """Return the segments of a text in capitals of that height around a point, read from below or aside."""
    along = direction / np.hypot(*direction)
    along = -along if along[1] < -0.05 else along
    down = np.array([along[1], -along[0]])
    letters = [
        GLYPHS[letter] + [-0.5, 0.82 * (place - len(text) / 2)] for place, letter in enumerate(text) if letter != " "
    ]
    return np.asarray(middle + height * np.concatenate(letters) @ np.array([down, along]))


def as_ink(lines: list[Floats], shape: tuple[int, int], thickness: int) -> Ink:
    """Return 1 along segments (N, 2 ends, 2), `thickness` fine pixels wide, and 0 elsewhere."""
    layer = np.zeros(shape, dtype=np.float32)
    if lines:
        rows, columns = pixels(np.concatenate(lines), shape)
        for row, column in itertools.product(range(thickness), repeat=2):
            layer[np.minimum(rows + row, shape[0] - 1), np.minimum(columns + column, shape[1] - 1)] = 1
    return layer
