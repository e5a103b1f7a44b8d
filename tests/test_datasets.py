"""Score files: what is read, what is inferred and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.datasets import ScoredImage, ScoredImages

BIQ = Path(__file__).parents[1] / "../shared/data/biq2021"


def _folder(root: Path, text: str | bytes, name: str = "scores.csv") -> Path:
    """A CSV with pictures a.jpg ... f.jpg beside it (only looked for, never opened)."""
    for letter in "abcdef":
        (root / f"{letter}.jpg").touch()
    (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def _dataset(n: int) -> ScoredImages:
    rows = [ScoredImage(Path(f"/x/{i}.jpg"), f"{i}.jpg", float(i), float(i)) for i in range(n)]
    return ScoredImages(tuple(rows), (0.0, 100.0))


def test_reads_rows_in_order(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "image,mos,split,subset\nb.jpg,0.25,train,x\na.jpg,1,val,y\n")
    found = ScoredImages.from_csv(folder)
    assert found.rows == (
        ScoredImage(tmp_path / "b.jpg", "b.jpg", 0.25, 25.0, "train", "x"),
        ScoredImage(tmp_path / "a.jpg", "a.jpg", 1.0, 100.0, "val", "y"),
    )
    assert (found.score_range, found.range_guessed) == ((0.0, 1.0), True)
    assert (found.splits, found.groups) == (("train", "val"), ("x", "y"))
    assert len(found) == 2
    assert [row.image for row in found] == ["b.jpg", "a.jpg"]


def test_paths_are_absolute_for_a_relative_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _folder(tmp_path, "image,mos\n./a.jpg,3\n")
    monkeypatch.chdir(tmp_path)
    assert ScoredImages.from_csv("scores.csv").rows[0].path == tmp_path / "a.jpg"


def test_other_columns_can_be_named(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "file,dmos,part,camera\na.jpg,10,t,p\nb.jpg,90,v,q\n", "labels.csv")
    found = ScoredImages.from_csv(
        folder,
        image_column="file",
        score_column="dmos",
        split_column="part",
        group_column="camera",
        score_range=(0, 100),
        lower_is_better=True,
    )
    assert [(row.mos, row.score, row.split, row.group) for row in found] == [
        (10, 90, "t", "p"),
        (90, 10, "v", "q"),
    ]
    assert not found.range_guessed


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffimage,mos\na.jpg,3\n",
        "image,mos\r\na.jpg,3\r\n\r\n",
        " image , mos \na.jpg , 3 \n",
        "image,mos\na.jpg,3",
    ],
    ids=["byte order mark", "Windows line ends", "spaces", "no last line end"],
)
def test_usual_kinds_of_csv(tmp_path: Path, text: str) -> None:
    found = ScoredImages.from_csv(_folder(tmp_path, text))
    assert [(row.image, row.mos, row.split, row.group) for row in found] == [("a.jpg", 3, "", "")]


def test_quoted_and_accented_names(tmp_path: Path) -> None:
    (tmp_path / "é, 1.jpg").touch()
    found = ScoredImages.from_csv(_folder(tmp_path, 'image,mos\n"é, 1.jpg",3\n'))
    assert found.rows[0].path.is_file()


def test_the_only_csv_of_a_folder_is_found(tmp_path: Path) -> None:
    assert len(ScoredImages.from_csv(_folder(tmp_path, "image,mos\na.jpg,3\n", "mine.csv"))) == 1
    (tmp_path / "other.csv").touch()
    with pytest.raises(DataError, match=r"2 CSV files \(mine.csv, other.csv\)"):
        ScoredImages.from_csv(tmp_path)
    assert len(ScoredImages.from_csv(tmp_path / "mine.csv")) == 1


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.2, 0.9), (0, 1)),
        ((1.0, 4.9), (1, 5)),
        ((0.5, 4.9), (0, 10)),
        ((0.0, 10.0), (0, 10)),
        ((3.0, 87.5), (0, 100)),
    ],
)
def test_range_is_inferred(
    tmp_path: Path, scores: tuple[float, float], expected: tuple[float, float]
) -> None:
    text = "image,mos\n" + "".join(f"{n}.jpg,{s}\n" for n, s in zip("ab", scores, strict=True))
    found = ScoredImages.from_csv(_folder(tmp_path, text))
    assert found.score_range == expected
    low, high = expected
    assert [row.score for row in found] == pytest.approx(
        [100 * (s - low) / (high - low) for s in scores]
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no rows"),
        ("image,mos\n", "no rows"),
        ("picture,score\na.jpg,3\n", "'image' or 'mos'.*picture, score.*image_column and score_co"),
        ("image,mos,mos\na.jpg,3,4\n", "more than one column mos"),
        ("image,mos\na.jpg,3,4\n", "2 columns, but line 2 has 3"),
        ("image,mos\na.jpg\n", "2 columns, but line 2 has 1"),
        ("image,mos\na.jpg,good\nb.jpg,nan\nc.jpg,\nd.jpg,4\n", r"'good' for a.jpg.*\(3 in all\)"),
        ("image,mos\na.jpg,inf\n", "'inf' for a.jpg"),
        ("image,mos\na.jpg,3\nb.jpg,-2\n", r"from -2 to 3.*score_range"),
        ("image,mos\na.jpg,3\nb.jpg,3\n./a.jpg,4\n", r"more than one row.*a.jpg, ./a.jpg"),
        ("image,mos\na.jpg,3\nx.jpg,3\ny.jpg,4\n", r"do not exist: x.jpg, y.jpg \(2 in all\)"),
        ("image,mos\n.,3\n", "do not exist"),
        ("image,mos\n,3\n", "name no picture: line 2"),
        (b"image,mos\n\xff\xfe.jpg,3\n", "UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "CSV text|no rows"),
        ('image,mos\n"a.jpg,3\n', "cannot be read as CSV"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(DataError, match=says):
        ScoredImages.from_csv(_folder(tmp_path, text))


def test_only_the_first_faults_are_listed(tmp_path: Path) -> None:
    text = "image,mos\n" + "".join(f"missing{i}.jpg,3\n" for i in range(300))
    with pytest.raises(DataError) as error:
        ScoredImages.from_csv(_folder(tmp_path, text))
    message = str(error.value)
    assert "missing4.jpg" in message
    assert "missing5.jpg" not in message
    assert "300 in all" in message


def test_a_named_group_column_must_exist(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "image,mos\na.jpg,3\n")
    with pytest.raises(DataError, match=r"no column 'camera'.*group_column"):
        ScoredImages.from_csv(folder, group_column="camera")


def test_scores_outside_a_given_range(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "image,mos\na.jpg,3\nb.jpg,7\n")
    with pytest.raises(DataError, match=r"outside 1..5: 7 for b.jpg \(line 3\)"):
        ScoredImages.from_csv(folder, score_range=(1, 5))
    for bad in ((5, 1), (1, 1), (0, float("nan"))):
        with pytest.raises(ConfigError, match="score_range"):
            ScoredImages.from_csv(folder, score_range=bad)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file or folder"):
        ScoredImages.from_csv(tmp_path / "none")
    with pytest.raises(DataError, match="no CSV file"):
        ScoredImages.from_csv(tmp_path)


def test_split_names_the_splits_that_exist(tmp_path: Path) -> None:
    found = ScoredImages.from_csv(
        _folder(tmp_path, "image,mos,split\na.jpg,3,train\nb.jpg,4,val\nc.jpg,5,train\n")
    )
    assert [row.image for row in found.split("train")] == ["a.jpg", "c.jpg"]
    with pytest.raises(DataError, match="'test': the splits are train, val"):
        found.split("test")
    for data in (found, _dataset(3)):
        with pytest.raises(DataError, match="no split ''"):
            data.split("")
    with pytest.raises(DataError, match="random_split"):
        _dataset(3).split("val")


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 9))
def test_random_split_is_a_partition(n: int, fraction: float, seed: int) -> None:
    data = _dataset(n)
    rest, part = data.random_split(fraction, seed)
    assert sorted(rest.rows + part.rows, key=lambda row: row.mos) == list(data.rows)
    assert len(part) == min(max(1, round(fraction * n)), n - 1)
    assert list(part) == sorted(part, key=lambda row: row.mos)
    assert data.random_split(fraction, seed) == (rest, part)


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 9))
def test_take_is_a_sample_in_order(size: int, n: int, seed: int) -> None:
    data = _dataset(size)
    taken = data.take(n, seed)
    assert len(taken) == min(n, size)
    assert list(taken) == sorted(set(taken), key=lambda row: row.mos)
    assert data.take(n, seed) == taken


def test_sample_settings_are_checked() -> None:
    for fraction in (0, 1, -0.5, float("nan")):
        with pytest.raises(ConfigError, match="fraction"):
            _dataset(4).random_split(fraction)
    with pytest.raises(DataError, match="2 pictures"):
        _dataset(1).random_split(0.5)
    with pytest.raises(ConfigError, match="n=0"):
        _dataset(4).take(0)


@pytest.mark.skipif(not BIQ.is_dir(), reason="biq2021 is not beside the repository")
def test_biq2021() -> None:
    found = ScoredImages.from_csv(BIQ)
    assert found.score_range == (0.0, 1.0)
    assert found.splits == ("train", "val")
    assert found.groups == ("ss01", "ss02", "ss03")
    assert (len(found.split("train")), len(found.split("val"))) == (3700, 500)
    assert all(0 <= row.score <= 100 for row in found)
    first = found.rows[0]
    assert (first.image, first.mos, first.score) == ("images/ss01_1805.jpg", 0.2421, 24.21)
