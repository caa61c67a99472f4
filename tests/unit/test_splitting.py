"""Holding some pairs out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet.data.pairs import Pair
from unet.data.splitting import Split, folds, split
from unet.errors import DataError


def pairs_of(names: list[str]) -> list[Pair]:
    return [Pair(name, Path(f"/d/imgs/{name}.png"), Path(f"/d/masks/{name}_mask.png")) for name in names]


groups_of_names = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 99)), min_size=2, max_size=40, unique=True)


@pytest.mark.slow
@given(groups_of_names, st.floats(0.01, 0.99), st.integers(0, 5), st.randoms())
def test_shares_and_groups(ids: list[tuple[int, int]], share: float, seed: int, order: object) -> None:
    pairs = pairs_of([f"{car}_{view}" for car, view in ids])
    grouped = len({car for car, _ in ids}) > 1
    divided = split(pairs, val=share, group="^[^_]+" if grouped else None, seed=seed)
    train, val = divided.train, divided.val
    assert divided.test == ()
    assert train and val and sorted((*train, *val)) == sorted(pairs)
    if grouped:
        assert not {p.name.split("_")[0] for p in train} & {p.name.split("_")[0] for p in val}
    else:
        assert len(val) == min(max(round(share * len(pairs)), 1), len(pairs) - 1) or len(val) in (
            int(share * len(pairs)),
            int(share * len(pairs)) + 1,
        )
    order.shuffle(pairs)  # type: ignore[attr-defined]
    assert split(pairs, val=share, group="^[^_]+" if grouped else None, seed=seed) == divided


def test_the_nearest_share_of_groups() -> None:
    pairs = pairs_of([f"{car}_{view}" for car in range(12) for view in range(4)])
    divided = split(pairs, val=0.15, group="^[^_]+")
    assert (len(divided.train), len(divided.val)) == (40, 8)
    assert split(pairs, val=0.15, seed=1).val != split(pairs, val=0.15, seed=2).val


def test_group_one_of_the_pattern_counts() -> None:
    divided = split(pairs_of(["a1x", "b1y", "a2x", "b2y"]), val=0.5, group=r"[ab](\d)")
    assert {pair.name[1] for pair in divided.val} in ({"1"}, {"2"}) and len(divided.train) == 2


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (["a"], {"val": 0.5}, "1 picture"),
        (["a_1", "a_2"], {"val": 0.5, "group": "^[^_]+"}, "one group"),
        (["a", "b"], {"val": 0.5, "group": "("}, "regular expression"),
        (["a", "b"], {"val": 0.5, "group": "[0-9]"}, "does not match the name 'a'"),
        (["a", "b"], {"val": 0.0}, "more than 0"),
        (["a", "b"], {"val": 1.5}, "less than 1"),
        (["a", "b"], {"val": 0.3, "test": -0.1}, "more than 0"),
        (["a", "b", "c"], {"val": 0.6, "test": 0.4}, "less than 1 together"),
        (["a", "b"], {"val": 0.3, "test": 0.3}, "2 pictures; expected at least three"),
    ],
)
def test_splits_that_cannot_be(names: list[str], options: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        split(pairs_of(names), **options)  # type: ignore[arg-type]


# As before: what users' runs were split into stays

BEFORE = {
    (0.15, 0): ["p10", "p16", "p18"],
    (0.15, 3): ["p03", "p06", "p08"],
    (0.4, 1): ["p00", "p01", "p05", "p09", "p11", "p16", "p17", "p19"],
}


@pytest.mark.parametrize(("share", "seed"), BEFORE)
def test_a_split_without_need_is_what_it_was(share: float, seed: int) -> None:
    pairs = pairs_of([f"p{number:02}" for number in range(20)])
    expected = BEFORE[share, seed]
    assert [pair.name for pair in split(pairs, val=share, seed=seed).val] == expected
    everywhere = dict.fromkeys(pairs, frozenset({0, 1}))
    assert [pair.name for pair in split(pairs, val=share, seed=seed, classes=everywhere).val] == expected
    assert [pair.name for pair in split(pairs, val=share, seed=seed, alike=[pairs[:1], []]).val] == expected


# Three parts


@given(groups_of_names, st.floats(0.05, 0.5), st.floats(0.05, 0.45), st.integers(0, 5))
def test_a_part_to_test_on(ids: list[tuple[int, int]], val: float, test: float, seed: int) -> None:
    pairs = pairs_of([f"{car}_{view}" for car, view in ids])
    grouped = len({car for car, _ in ids}) > 2
    if len(pairs) < 3:
        return
    group = "^[^_]+" if grouped else None
    divided = split(pairs, val=val, test=test, group=group, seed=seed)
    parts = (divided.train, divided.val, divided.test)
    assert all(parts) and sorted(pair for part in parts for pair in part) == sorted(pairs)
    if grouped:
        cars = [{pair.name.split("_")[0] for pair in part} for part in parts]
        assert not (cars[0] & cars[1] or cars[0] & cars[2] or cars[1] & cars[2])


def test_the_part_to_test_on_does_not_hang_on_that_to_validate_on() -> None:
    pairs = pairs_of([f"p{number:03}" for number in range(100)])
    few, many = (split(pairs, val=val, test=0.2, seed=1) for val in (0.1, 0.3))
    assert few.test == many.test and len(few.test) == 20
    assert (len(few.val), len(many.val)) == (10, 30) and set(few.val) < set(many.val)


# Classes


def sides_of(divided: Split, classes: dict[Pair, frozenset[int]]) -> list[frozenset[int]]:
    return [frozenset().union(*(classes[pair] for pair in part)) for part in (divided.train, divided.val, divided.test)]


def test_a_rare_class_is_on_both_sides_at_every_seed() -> None:
    pairs = pairs_of([f"p{number:02}" for number in range(40)])
    classes = {pair: frozenset({0, 1}) for pair in pairs} | dict.fromkeys(pairs[7:9], frozenset({0, 2}))
    mended = 0
    for seed in range(30):
        before = split(pairs, val=0.15, seed=seed)
        divided = split(pairs, val=0.15, seed=seed, classes=classes)
        train, val, _ = sides_of(divided, classes)
        assert train == val == {0, 1, 2} and len(divided.val) == 6
        assert len(set(divided.val) - set(before.val)) <= 1, "as few as possible change sides"
        mended += divided != before
    assert mended > 0
    assert split(pairs[::-1], val=0.15, seed=5, classes=classes) == split(pairs, val=0.15, seed=5, classes=classes)


@pytest.mark.slow
@given(
    st.lists(st.frozensets(st.integers(0, 5), min_size=1, max_size=3), min_size=4, max_size=30),
    st.floats(0.1, 0.5),
    st.integers(0, 3),
)
def test_mending_never_loses_a_class(shown: list[frozenset[int]], share: float, seed: int) -> None:
    pairs = pairs_of([f"p{number:02}" for number in range(len(shown))])
    classes = dict(zip(pairs, shown, strict=True))
    before, after = split(pairs, val=share, seed=seed), split(pairs, val=share, seed=seed, classes=classes)
    often = {index for index in range(6) if sum(index in held for held in shown) > 1}

    def missing(divided: Split) -> int:
        train, val, _ = sides_of(divided, classes)
        return len(often - train) + len(often - val)

    assert missing(after) <= missing(before)
    assert after == before or missing(before) > 0
    assert sorted((*after.train, *after.val)) == pairs and after.train and after.val


def test_single_pictures_are_mended_where_it_is_possible() -> None:
    """Ten classes of two pictures each: every one can be on both sides when half of the pictures are held out."""
    pairs = pairs_of([f"p{number:02}" for number in range(20)])
    classes = {pair: frozenset({number // 2}) for number, pair in enumerate(pairs)}
    for seed in range(10):
        divided = split(pairs, val=0.5, seed=seed, classes=classes)
        assert [len(part) for part in sides_of(divided, classes)] == [10, 10, 0] and len(divided.val) == 10


def test_groups_stay_together_when_classes_are_mended() -> None:
    pairs = pairs_of([f"{car}_{view}" for car in range(10) for view in range(4)])
    classes = {pair: frozenset({0, 1} if pair.name in ("3_2", "6_0") else {0}) for pair in pairs}
    for seed in range(10):
        divided = split(pairs, val=0.2, group="^[^_]+", seed=seed, classes=classes)
        assert sides_of(divided, classes)[:2] == [{0, 1}, {0, 1}]
        assert not {p.name[0] for p in divided.train} & {p.name[0] for p in divided.val}


def test_classes_of_three_parts() -> None:
    pairs = pairs_of([f"p{number:02}" for number in range(50)])
    classes = {pair: frozenset({0}) for pair in pairs}
    classes |= dict.fromkeys(pairs[10:13], frozenset({0, 1})) | dict.fromkeys(pairs[30:32], frozenset({0, 2}))
    for seed in range(20):
        divided = split(pairs, val=0.2, test=0.2, seed=seed, classes=classes)
        assert sides_of(divided, classes) == [{0, 1, 2}, {0, 1, 2}, {0, 1}], "two pictures are not enough for three"


def test_a_class_of_one_picture_moves_nothing() -> None:
    pairs = pairs_of([f"p{number:02}" for number in range(20)])
    classes = {pair: frozenset({0} if number else {0, 1}) for number, pair in enumerate(pairs)}
    for seed in range(8):
        assert split(pairs, val=0.2, seed=seed, classes=classes) == split(pairs, val=0.2, seed=seed)


# Pictures that look alike


def test_what_looks_alike_stays_on_one_side() -> None:
    pairs = pairs_of([f"p{number:02}" for number in range(40)])
    alike = [set(pairs[0:5]), set(pairs[4:9]), {pairs[20], pairs[39]}]
    for seed in range(20):
        divided = split(pairs, val=0.3, test=0.2, seed=seed, alike=alike)
        for together in (pairs[0:9], [pairs[20], pairs[39]]):
            assert sum(not set(together).isdisjoint(part) for part in (divided.train, divided.val, divided.test)) == 1
        parts = folds(pairs, 4, seed=seed, alike=alike)
        assert sorted(len(part) for part in parts) == [10] * 4
        assert any(set(pairs[:9]) <= set(part) for part in parts)


def test_what_looks_alike_joins_groups() -> None:
    pairs = pairs_of([f"{car}_{view}" for car in range(10) for view in range(3)])
    for seed in range(10):
        divided = split(pairs, val=0.3, group="^[^_]+", seed=seed, alike=[{pairs[0], pairs[29]}])
        assert len({pair.name[0] for pair in divided.val} & {"0", "9"}) in (0, 2)
        assert not {p.name[0] for p in divided.train} & {p.name[0] for p in divided.val}


def test_a_film_of_one_scene_is_split_all_the_same() -> None:
    pairs = pairs_of([f"p{number:02}" for number in range(20)])
    assert split(pairs, val=0.15, alike=[pairs]) == split(pairs, val=0.15)
    assert split(pairs, val=0.15, alike=[pairs[:10], pairs[10:]]) == split(pairs, val=0.15), "or half is held out"
    assert folds(pairs, 4, alike=[pairs[:15]]) == folds(pairs, 4)
