"""Holding some pairs out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet.data.pairs import Pair
from unet.data.splitting import split
from unet.errors import DataError


def pairs_of(names: list[str]) -> list[Pair]:
    return [Pair(name, Path(f"/d/imgs/{name}.png"), Path(f"/d/masks/{name}_mask.png")) for name in names]


groups_of_names = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 99)), min_size=2, max_size=40, unique=True)


@given(groups_of_names, st.floats(0.01, 0.99), st.integers(0, 5), st.randoms())
def test_shares_and_groups(ids: list[tuple[int, int]], share: float, seed: int, order: object) -> None:
    pairs = pairs_of([f"{car}_{view}" for car, view in ids])
    grouped = len({car for car, _ in ids}) > 1
    train, val = split(pairs, val=share, group="^[^_]+" if grouped else None, seed=seed)
    assert train and val and sorted((*train, *val)) == sorted(pairs)
    if grouped:
        assert not {p.name.split("_")[0] for p in train} & {p.name.split("_")[0] for p in val}
    else:
        assert len(val) == min(max(round(share * len(pairs)), 1), len(pairs) - 1) or len(val) in (
            int(share * len(pairs)),
            int(share * len(pairs)) + 1,
        )
    order.shuffle(pairs)  # type: ignore[attr-defined]
    assert split(pairs, val=share, group="^[^_]+" if grouped else None, seed=seed) == (train, val)


def test_the_nearest_share_of_groups() -> None:
    pairs = pairs_of([f"{car}_{view}" for car in range(12) for view in range(4)])
    train, val = split(pairs, val=0.15, group="^[^_]+")
    assert (len(train), len(val)) == (40, 8)
    assert split(pairs, val=0.15, seed=1)[1] != split(pairs, val=0.15, seed=2)[1]


def test_group_one_of_the_pattern_counts() -> None:
    train, val = split(pairs_of(["a1x", "b1y", "a2x", "b2y"]), val=0.5, group=r"[ab](\d)")
    assert {pair.name[1] for pair in val} in ({"1"}, {"2"}) and len(train) == 2


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (["a"], {"val": 0.5}, "1 picture"),
        (["a_1", "a_2"], {"val": 0.5, "group": "^[^_]+"}, "one group"),
        (["a", "b"], {"val": 0.5, "group": "("}, "regular expression"),
        (["a", "b"], {"val": 0.5, "group": "[0-9]"}, "does not match the name 'a'"),
        (["a", "b"], {"val": 0.0}, "more than 0"),
        (["a", "b"], {"val": 1.5}, "less than 1"),
    ],
)
def test_splits_that_cannot_be(names: list[str], options: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        split(pairs_of(names), **options)  # type: ignore[arg-type]
