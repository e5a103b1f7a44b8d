"""Splits: what random ones keep together, and what a file of them says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.datasets import ScoredImage, ScoredImages
from rsfiqa.learning.splits import (
    Splits,
    official_splits,
    random_splits,
    read_splits,
    write_splits,
)


def data_of(groups: list[str], *, by_reference: bool = True) -> ScoredImages:
    rows = [
        ScoredImage(Path(f"/x/{i}.png"), f"{i}.png", 1.0, 1.0, group=group)
        for i, group in enumerate(groups)
    ]
    return ScoredImages(tuple(rows), (0.0, 100.0), by_reference=by_reference)


groups_of_pictures = st.lists(st.sampled_from("abcdefghijkl"), min_size=2, max_size=60).filter(
    lambda groups: len(set(groups)) > 1
)
fractions = st.floats(0.05, 0.95)


@given(groups_of_pictures, fractions, st.integers(1, 4), st.integers(0, 9))
def test_no_reference_straddles_a_split(
    groups: list[str], fraction: float, count: int, seed: int
) -> None:
    data = data_of(groups)
    splits = random_splits(data, count=count, fraction=fraction, seed=seed)
    assert len(splits) == count
    assert splits.images == tuple(row.image for row in data)
    distinct = len(set(groups))
    for column in splits.columns:
        parts = {
            part: {g for g, p in zip(groups, column, strict=True) if p == part}
            for part in ("train", "test")
        }
        assert not parts["train"] & parts["test"]
        assert len(parts["test"]) == min(max(1, round(fraction * distinct)), distinct - 1)


@given(st.integers(2, 80), fractions, st.integers(0, 9))
def test_without_references_pictures_are_drawn(n: int, fraction: float, seed: int) -> None:
    data = data_of(["same"] * n, by_reference=False)
    for column in random_splits(data, count=3, fraction=fraction, seed=seed).columns:
        assert column.count("test") == min(max(1, round(fraction * n)), n - 1)
        assert set(column) == {"train", "test"}


@given(groups_of_pictures, st.integers(0, 9), st.randoms(use_true_random=False))
def test_splits_follow_from_names_and_seed(groups: list[str], seed: int, rng: object) -> None:
    data = data_of(groups)
    splits = random_splits(data, count=3, seed=seed)
    assert random_splits(data, count=3, seed=seed) == splits
    assert random_splits(data, count=1, seed=seed).columns == splits.columns[:1]
    rows = list(data.rows)
    rng.shuffle(rows)  # type: ignore[attr-defined]
    shuffled = random_splits(replace(data, rows=tuple(rows)), count=3, seed=seed)
    for ours, theirs in zip(splits.columns, shuffled.columns, strict=True):
        assert dict(zip(splits.images, ours, strict=True)) == dict(
            zip(shuffled.images, theirs, strict=True)
        )


def test_splits_differ_from_each_other_and_between_seeds() -> None:
    data = data_of([str(i) for i in range(40)])
    columns = [*random_splits(data, seed=0).columns, *random_splits(data, seed=1).columns]
    assert len(set(columns)) == 20


@given(groups_of_pictures, st.floats(0.1, 0.9), st.integers(0, 5))
def test_validation_pictures_are_drawn_by_reference_too(
    groups: list[str], fraction: float, seed: int
) -> None:
    rest, part = data_of(groups).random_split(fraction, seed)
    assert len(rest) + len(part) == len(groups)
    assert rest.rows
    assert part.rows
    assert not set(rest.groups) & set(part.groups)


@given(
    st.lists(st.text(min_size=1).filter(lambda t: "\0" not in t), min_size=1, unique=True),
    st.integers(1, 12),
    st.data(),
)
def test_files_say_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, images: list[str], count: int, data: st.DataObject
) -> None:
    images = [name for name in images if name.isprintable()] or ["a.jpg"]
    parts = st.sampled_from(("train", "val", "test"))
    column = st.lists(parts, min_size=len(images), max_size=len(images)).map(tuple)
    columns = data.draw(st.lists(column, min_size=count, max_size=count).map(tuple))
    file = tmp_path_factory.mktemp("splits") / "splits.csv"
    write_splits(Splits(tuple(images), columns), file)
    assert read_splits(file) == Splits(tuple(images), columns)


def test_the_file_is_for_people_too(tmp_path: Path) -> None:
    splits = Splits(("a, b.jpg", "c.jpg"), (("train", "test"), ("test", "train")))
    write_splits(splits, tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text() == (
        'image,split_0,split_1\n"a, b.jpg",train,test\nc.jpg,test,train\n'
    )
    assert [path.name for path in tmp_path.iterdir()] == ["s.csv"]


def test_a_split_takes_the_place_of_the_datas_own() -> None:
    data = data_of(["a", "b", "c"])
    splits = Splits(("2.png", "0.png", "1.png"), (("test", "train", "val"),))
    applied = splits.apply(data)
    assert [row.split for row in applied] == ["train", "val", "test"]
    assert official_splits(data) is None
    official = official_splits(applied)
    assert official is not None
    assert official.columns == (("train", "val", "test"),)


def test_splits_of_other_data_are_refused() -> None:
    data = data_of(["a", "b", "c"])
    two = Splits(("0.png", "1.png"), (("train", "test"),))
    with pytest.raises(DataError, match=r"do not name 2\.png \(1 in all\)"):
        two.apply(data)
    with pytest.raises(DataError, match=r"data lacks, 9\.png"):
        Splits(("0.png", "1.png", "2.png", "9.png"), (("train",) * 4,)).apply(data)
    with pytest.raises(ConfigError, match="splits 0 to 0; got 1"):
        two.apply(data, 1)


def test_settings_are_checked() -> None:
    data = data_of(["a", "b"])
    for settings, words in (
        ({"count": 0}, "count=0"),
        ({"fraction": 0.0}, "fraction"),
        ({"fraction": 1.0}, "fraction"),
        ({"fraction": float("nan")}, "fraction"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(ConfigError, match=words):
            random_splits(data, **settings)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="2 references or more; the data has 1"):
        random_splits(data_of(["a", "a"]))
    with pytest.raises(DataError, match="2 references or more; the data has 1"):
        data_of(["a", "a"]).random_split(0.5)


def test_an_official_split_leaves_nobody_out() -> None:
    data = data_of(["a", "b"])
    rows = (replace(data.rows[0], split="train"), data.rows[1])
    with pytest.raises(DataError, match=r"leaves out 1\.png"):
        official_splits(replace(data, rows=rows))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "its columns are none"),
        ("image\na.jpg\n", "its columns are image"),
        ("image,split_1\na.jpg,train\n", "should be image, split_0"),
        ("image,split_0\n", "no rows"),
        ("image,split_0\na.jpg\n", "line 2 has another number of cells"),
        ("image,split_0\na.jpg,holdout\n", "parts of a split are train, val, test"),
        ("image,split_0\na.jpg,train\na.jpg,test\n", r"more than once: a\.jpg"),
        ('image,split_0\n"a.jpg,train\n', "cannot be read as CSV"),
        (b"image,split_0\n\xff.jpg,train\n", "cannot be read as CSV"),
    ],
)
def test_damaged_files(tmp_path: Path, text: str | bytes, words: str) -> None:
    file = tmp_path / "splits.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=words):
        read_splits(file)


def test_files_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_splits(tmp_path / "none.csv")
    splits = Splits(("a.jpg",), (("train",),))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="name another place"):
        write_splits(splits, tmp_path / "file/splits.csv")
    write_splits(splits, tmp_path / "made/splits.csv")
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["splits.csv"]
    with pytest.raises(DataError, match="a column or more"):
        Splits(("a.jpg",), ())
