"""What is evaluated on: splits of a set, groups by name, pictures that are known from training."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage import data as pictures

from rsfiqa.errors import ConfigError, DataError, ImageError
from rsfiqa.learning.datasets import ScoredImage, ScoredImages
from rsfiqa.learning.evaluation_leaks import (
    TrainedOn,
    known_pictures,
    require_unknown,
    without_pictures,
)
from rsfiqa.learning.evaluation_scoring import Grouping
from rsfiqa.learning.evaluation_sets import (
    EvaluationSet,
    distinct_names,
    of_which,
    short_names,
)
from rsfiqa.learning.splits import Splits, random_splits
from scored_pictures import read_scores, write_scored_pictures, write_scores


def set_of(names: list[str], name: str = "s") -> EvaluationSet:
    rows = tuple(ScoredImage(Path(f"/x/{n}"), n, 1.0, float(i)) for i, n in enumerate(names))
    return EvaluationSet(name, f"/x/{name}", ScoredImages(rows, (0.0, 100.0)))


# Splits


@given(st.integers(2, 30), st.integers(1, 4))
def test_pictures_of_no_part_are_not_scored(n: int, count: int) -> None:
    given_set = set_of([f"{i}.png" for i in range(n)])
    splits = random_splits(given_set.data, count=count)
    found = given_set.with_splits(splits, "test")
    assert len(found.parts) == count
    union = frozenset().union(*found.parts)
    assert [row.image for row in found.data] == [
        row.image for row in given_set.data if row.image in union
    ]


def test_splits_without_the_part_are_refused() -> None:
    splits = Splits(("a", "b"), (("train", "test"),))
    with pytest.raises(DataError, match="no split 'val'"):
        set_of(["a", "b"]).with_splits(splits, "val")


def test_a_file_of_splits_is_of_the_set_with_its_pictures() -> None:
    sets = [set_of(["a", "b"], "one"), set_of(["b", "c"], "two")]
    splits = Splits(("c", "b"), (("train", "test"),))
    assert of_which(splits, sets, "f.csv") is sets[1]
    other = Splits(("c", "d"), (("train", "test"),))
    with pytest.raises(DataError, match=r"f\.csv names 2 pictures .* one, two"):
        of_which(other, sets, "f.csv")
    with pytest.raises(DataError, match=r"not of this data: .*a"):
        of_which(other, sets[:1], "f.csv")


def test_no_split_may_lose_all_its_pictures() -> None:
    splits = Splits(("a", "b", "c"), (("test", "train", "train"), ("train", "test", "test")))
    found = set_of(["a", "b", "c"]).with_splits(splits, "test")
    kept = found.without({"b": "same file as x"})
    assert kept.parts == (frozenset("a"), frozenset("c"))
    assert [row.image for row in kept.data] == ["a", "c"]
    assert kept.left_out == {"b": "same file as x"}
    with pytest.raises(DataError, match="All pictures of a split of s"):
        found.without({"a": "same file as x"})


# Names


@given(st.lists(st.sampled_from(["a", "b", "a (2)", ""]), max_size=8))
def test_names_become_distinct(names: list[str]) -> None:
    found = distinct_names(names)
    assert len(set(found)) == len(names)
    assert all(new.startswith(old) for new, old in zip(found, names, strict=True))


def test_short_names_never_are_empty(tmp_path: Path) -> None:
    found = short_names([tmp_path / "set", tmp_path / "set.v2", "/", f"csv:{tmp_path / 'mine'}"])
    assert found[0] == "set"
    assert found[3] == "mine"
    assert all(found)


# Groups


def row(name: str, group: str = "") -> ScoredImage:
    return ScoredImage(Path("/x") / name, name, 1.0, 1.0, group=group)


@pytest.mark.parametrize(
    ("pattern", "name", "group"),
    [
        ("", "images/I01_05_3.png", "own"),
        (r"_(\d+)_", "images/I01_05_3.png", "05"),
        (r"(?i)^i\d+_(\d+)", "i07_24_5.bmp", "24"),
        ("jpeg|blur", "a/blur/1.png", "blur"),
        (r"x(\d)?", "x.png", ""),
        ("nowhere", "a.png", ""),
    ],
)
def test_groups_by_name(pattern: str, name: str, group: str) -> None:
    assert Grouping(pattern).of(row(name, "own")) == group


@pytest.mark.parametrize(("pattern", "says"), [("(", "no regular"), ("(a)(b)", "2 groups")])
def test_odd_patterns_are_refused(pattern: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Grouping(pattern)


# Leaks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Different photographs, so that none is a near-duplicate of another by chance."""
    folder = tmp_path_factory.mktemp("photographs")
    rows = []
    for index, name in enumerate(("astronaut", "chelsea", "coffee", "rocket")):
        Image.fromarray(getattr(pictures, name)()[:256, :256]).save(folder / f"{name}.png")
        rows.append({"image": f"{name}.png", "mos": str(10 * index), "subset": "all"})
    write_scores(folder, rows)
    return folder


@pytest.fixture
def copies(folder: Path, tmp_path: Path) -> Path:
    """The same file, a recompressed copy, and a picture of its own."""
    rows = [{"image": n, "mos": "50", "subset": "all"} for n in ("cat.png", "cup.jpg", "own.png")]
    shutil.copy(folder / "chelsea.png", tmp_path / "cat.png")
    Image.open(folder / "coffee.png").save(tmp_path / "cup.jpg", quality=40)
    Image.fromarray(pictures.camera()).convert("RGB").save(tmp_path / "own.png")
    write_scores(tmp_path, rows)
    return tmp_path


def test_known_pictures_are_told_with_how(folder: Path, copies: Path) -> None:
    told: list[int] = []
    data = ScoredImages.from_csv(copies)
    found = known_pictures([TrainedOn.of(folder)], data, copies, told.append)
    assert found["cat.png"] == "same file as chelsea.png"
    assert found["cup.jpg"].startswith("near-duplicate of coffee.png, ")
    assert list(found) == ["cat.png", "cup.jpg"]
    assert sum(told) == 7
    with pytest.raises(DataError, match=r"2 pictures of mine .*cat\.png \(same file"):
        require_unknown(found, "mine")
    assert [r.image for r in without_pictures(data, found, "mine")] == ["own.png"]
    with pytest.raises(DataError, match="All 3 pictures of mine"):
        without_pictures(data, ["cat.png", "cup.jpg", "own.png"], "mine")
    require_unknown({}, "mine")


def test_only_the_split_train_was_trained_on(tmp_path: Path) -> None:
    folder = write_scored_pictures(tmp_path, 8, splits=("train", "val"))
    assert {r.split for r in TrainedOn.of(folder).data} == {"train"}
    write_scores(folder, [{k: r[k] for k in ("image", "mos")} for r in read_scores(folder)])
    assert len(TrainedOn.of(folder).data) == 8


def test_a_damaged_test_picture_is_passed_over_and_a_trained_one_is_not(
    folder: Path, copies: Path
) -> None:
    (copies / "own.png").write_bytes(b"no picture")
    trained_on = [TrainedOn.of(folder)]
    data = ScoredImages.from_csv(copies)
    assert list(known_pictures(trained_on, data, copies)) == ["cat.png", "cup.jpg"]
    with pytest.raises(ImageError, match=r"own\.png"):
        known_pictures([TrainedOn.of(copies)], ScoredImages.from_csv(folder), folder)


def test_references_count_within_one_set_only(folder: Path, copies: Path) -> None:
    def referenced(data: ScoredImages) -> ScoredImages:
        return ScoredImages(data.rows, data.score_range, by_reference=True)

    test, train = (referenced(ScoredImages.from_csv(each)) for each in (copies, folder))
    trained_on = [TrainedOn("kadid10k:/data/kadid", train)]
    assert set(known_pictures(trained_on, test, "tid2013:/data/tid")) == {"cat.png", "cup.jpg"}
    same = known_pictures(trained_on, test, "kadid10k:/other/kadid")
    assert set(same) == {"cat.png", "cup.jpg", "own.png"}, "all pictures of a reference"
    assert same["own.png"] == "same reference as astronaut.png, all"
