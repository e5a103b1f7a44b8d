"""Labels of the faults that photographs came with: read, refused, and brought to regions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelled_photographs import ALL, labels_of, write_labels
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.fault_labels import (
    COLUMNS,
    LABELLED,
    PhotographLabels,
    SeenFault,
    packaged_labels,
    packaged_names,
    read_labels,
)
from rsfiqa.learning.labelled_regions import pixels_in_cells, severities_of_regions
from rsfiqa.partition import Partition

PHOTOGRAPHS = Path(__file__).parents[1] / ".." / "shared" / "data" / "biq2021" / "images"

CELLS = st.lists(st.sampled_from(ALL), min_size=1, unique=True).map(lambda c: tuple(sorted(c)))
FAULTS = st.just((0.0, ())) | st.tuples(st.sampled_from([1.0, 2.0, 3.0, 4.0]), CELLS)
LABELS = st.builds(
    labels_of,
    st.fixed_dictionaries(dict.fromkeys(LABELLED, FAULTS)),
    st.sampled_from([1, 1.5, 3, 4.5, 5]),
)


def _line(labels: PhotographLabels) -> str:
    cells = [
        f"{f.severity:g},{''.join(map(str, f.cells)) or '-'}"
        for f in (labels.faults[d] for d in LABELLED)
    ]
    return ",".join([labels.image, *cells, str(labels.overall)])


@given(labels=LABELS)
def test_what_was_written_is_read(
    labels: PhotographLabels, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write_labels(tmp_path_factory.mktemp("labels") / "labels.csv", _line(labels))
    assert read_labels(path) == (labels,)


def test_a_table_as_people_write_it(tmp_path: Path) -> None:
    columns = [COLUMNS[-1], "note", *COLUMNS[:-1]]
    path = write_labels(
        tmp_path / "labels.csv",
        '2.5,"a, with\na break",  street/17.jpg , 2.5 ,85,0,-,1, all ,3,123',
        "",
        "5,,b.jpg,0,-,0,-,0,-,0,-",
        header=" , ".join(columns),
    )
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    first, second = read_labels(str(path))
    assert first.image == "street/17.jpg"
    assert first.overall == 2.5
    assert first.faults["blur"] == SeenFault(2.5, (5, 8))
    assert first.faults["artifact"] == SeenFault(1, ALL)
    assert second.severities == dict.fromkeys(LABELLED, 0.0)


CLEAN = "0,-,0,-,0,-,0,-"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f",{CLEAN},3", "name it in the column image"),
        ("a.jpg,5,all,0,-,0,-,0,-,3", "blur: a severity is a number from 0"),
        ("a.jpg,0,-,-1,all,0,-,0,-,3", "noise: a severity is a number from 0"),
        ("a.jpg,0,-,nan,all,0,-,0,-,3", "noise: a severity"),
        ("a.jpg,0,-,much,all,0,-,0,-,3", "noise: 'much' is no number"),
        ("a.jpg,0,-,0,-,2,-,0,-,3", "artifact: a severity above 0 comes with the cells"),
        ("a.jpg,0,-,0,-,0,-,0,all,3", "color: a severity above 0 comes with the cells"),
        ("a.jpg,0,-,0,-,0,-,2,,3", "color: cells are different digits"),
        ("a.jpg,0,-,0,-,0,-,2,190,3", "digits from 1 to 9.*'190'"),
        ("a.jpg,0,-,0,-,0,-,2,left,3", "'left'"),
        ("a.jpg,0,-,0,-,0,-,2,11,3", "'11'"),
        (f"a.jpg,{CLEAN},0.5", "overall is a number from 1 to 5 in halves; got 0.5"),
        (f"a.jpg,{CLEAN},5.5", "overall"),
        (f"a.jpg,{CLEAN},2.2", "halves"),
        (f"a.jpg,{CLEAN},nan", "overall"),
        (f"a.jpg,{CLEAN}", "more or fewer fields"),
        (f"a.jpg,{CLEAN},3,4", "more or fewer fields"),
        (f"before.jpg,{CLEAN},3", r"before\.jpg has been labelled before"),
        (f'a.jpg,{CLEAN},"3', "is no CSV"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, line: str, words: str) -> None:
    path = write_labels(tmp_path / "labels.csv", f"before.jpg,{CLEAN},3", line)
    with pytest.raises(DataError, match=rf"line 3 of .*labels\.csv.*{words}") as caught:
        read_labels(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_tables_of_labels(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "labels.csv", "a.jpg,0,-", header="image,blur,blur_cells")
    with pytest.raises(DataError, match=r"no column noise, noise_cells, .*header must name image,"):
        read_labels(path)
    path.write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(DataError, match="no labels"):
        read_labels(path)
    path.write_text("")
    with pytest.raises(DataError, match="no column image"):
        read_labels(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        read_labels(path)
    for missing in (tmp_path, tmp_path / "nowhere.csv"):
        with pytest.raises(DataError, match="cannot be read"):
            read_labels(missing)


@pytest.mark.parametrize("cells", [(0,), (10,), (2, 1), (1, 1)])
def test_faults_that_cannot_be(cells: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="numbers from 1 to 9"):
        SeenFault(1, cells)
    with pytest.raises(DataError, match="labelled for blur, noise, artifact, color"):
        PhotographLabels("a.jpg", {"blur": SeenFault(0)}, 3)


def test_labels_that_do_not_come_with_the_package() -> None:
    with pytest.raises(ConfigError, match="no labels named 'imagenet'"):
        packaged_labels("imagenet")


def test_labels_that_come_with_the_package() -> None:
    assert packaged_names() == ("biq2021-train", "biq2021-val")
    labels = packaged_labels("biq2021-train")
    assert len(labels) > 2000
    for dimension in LABELLED:
        assert {p.severities[dimension] for p in labels} >= {0.0, 1.0, 2.0, 3.0}
    if not PHOTOGRAPHS.is_dir():
        pytest.skip("the photographs of biq2021 are not here")
    assert all((PHOTOGRAPHS / photograph.image).is_file() for photograph in labels)


# Regions


def _partition(seed: int) -> Partition:
    """Regions of all sizes and shapes."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(3, 40, 2)
    rows, columns = (np.sort(rng.integers(0, 4, n)) for n in (height, width))
    return Partition.from_labels(rows[:, None] * 4 + columns)


@given(seed=st.integers(0, 10**6), labels=LABELS)
def test_regions_have_the_faults_of_their_cells(seed: int, labels: PhotographLabels) -> None:
    partition = _partition(seed)
    regions = severities_of_regions(partition, labels)
    assert len(regions) == len(partition)
    for region in regions:
        assert set(region.seen) | set(region.unsure) == set(LABELLED)
        assert not set(region.seen) & set(region.unsure)
        for dimension, fault in labels.faults.items():
            assert region.seen.get(dimension, fault.severity) in (0, fault.severity)
            assert region.unsure.get(dimension, fault.severity) == fault.severity
            if not fault.cells or fault.cells == ALL:
                assert region.seen[dimension] == fault.severity


@given(seed=st.integers(0, 10**6))
def test_every_pixel_is_in_one_cell(seed: int) -> None:
    partition = _partition(seed)
    pixels = pixels_in_cells(partition)
    assert pixels.shape == (len(partition), 9)
    np.testing.assert_array_equal(
        pixels.sum(axis=1), np.bincount(partition.labels.reshape(-1), minlength=len(partition))
    )
    assert pixels.sum(axis=0).all()


def test_cells_are_numbered_row_by_row() -> None:
    partition = Partition(np.arange(9).reshape(3, 3).repeat(5, 0).repeat(7, 1))
    for cell in ALL:
        regions = severities_of_regions(partition, labels_of({"noise": (2.0, (cell,))}))
        assert [region.seen["noise"] for region in regions].index(2.0) == cell - 1


@pytest.mark.parametrize(
    ("inside", "expected"), [(0, 0), (15, 0), (16, None), (49, None), (50, 3), (100, 3)]
)
def test_what_is_half_in_half_out_is_not_known(inside: int, expected: float | None) -> None:
    # Of a row of 300 pixels the first cell has 100; a region has so many of its 100 pixels there.
    labels = np.ones((1, 300), int)
    labels[0, 100 - inside : 200 - inside] = 0
    labels = labels.repeat(3, 0)
    seen = severities_of_regions(Partition(labels), labels_of({"color": (3.0, (1, 4, 7))}))[0]
    assert seen.seen.get("color") == expected
    assert seen.unsure == ({"color": 3.0} if expected is None else {})
