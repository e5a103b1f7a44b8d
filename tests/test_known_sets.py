"""The data sets of the field: what is read from copies of their layouts, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from known_copies import COPIES, cells, csiq_cells, put_csv, put_pictures, write_csiq, write_live
from rsfiqa.errors import ConfigError, DataError, MissingExtraError
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.known_sets.catalog import describe, read_description, set_names
from rsfiqa.learning.known_sets.checking import check_copy, check_set
from rsfiqa.learning.known_sets.entries import read_copy
from rsfiqa.learning.known_sets.loading import load_set, named_set

BIQ = Path(__file__).parents[1] / "../shared/data/biq2021"


def load(name: str, folder: Path) -> ScoredImages:
    return load_set(describe(name), folder)


# What is read


def test_every_set_of_the_field_has_a_description_and_a_test_copy() -> None:
    assert set(set_names()) == set(COPIES)
    assert set_names()[-1] == "csv"


@pytest.mark.parametrize("name", set_names())
def test_descriptions_state_their_provenance(name: str) -> None:
    known = describe(name)
    assert all((known.title, known.summary, known.split_note, known.licence, known.knowledge))
    assert known.citation
    assert name == "csv" or (known.images > 700 and known.homepage.startswith("https://"))


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_read_as_their_makers_hand_them_out(name: str, tmp_path: Path) -> None:
    expected = COPIES[name](tmp_path)
    found = load(name, tmp_path)
    assert [(r.image, r.mos, r.group, r.split) for r in found] == expected
    assert all(row.path == tmp_path / row.image and row.path.is_file() for row in found)
    assert all(0 <= row.score <= 100 for row in found)


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("live", min),
        ("csiq", min),
        ("kadid10k", max),
        ("tid2013", max),
        ("koniq10k", max),
        ("pipal", max),
    ],
)
def test_the_best_human_score_is_the_highest(
    name: str, best: Callable[[list[float]], float], tmp_path: Path
) -> None:
    COPIES[name](tmp_path)
    rows = load(name, tmp_path).rows
    top = max(rows, key=lambda row: row.score)
    assert top.mos == best([row.mos for row in rows])


def test_groups_are_references_only_where_the_set_has_them(tmp_path: Path) -> None:
    by_reference = set()
    for name, write in COPIES.items():
        write(tmp_path / name)
        if load(name, tmp_path / name).by_reference:
            by_reference.add(name)
    assert by_reference == {"live", "csiq", "tid2013", "kadid10k", "pipal", "agiqa3k"}


def test_dmos_is_turned_round(tmp_path: Path) -> None:
    write_csiq(tmp_path)
    first = load("csiq", tmp_path).rows[0]
    assert (first.mos, first.score) == (0.125, 87.5)


def test_koniq_without_its_split_and_with_small_pictures(tmp_path: Path) -> None:
    put_pictures(tmp_path / "512x384", ["1.jpg"])
    header = ("image_name", "c1", "c_total", "MOS", "SD", "MOS_zscore")
    put_csv(
        tmp_path / "koniq10k_scores_and_distributions.csv",
        header,
        [("1.jpg", 0, 105, 3.9, 1, 77.4)],
    )
    found = load("koniq10k", tmp_path)
    assert [(r.image, r.mos, r.split) for r in found] == [("512x384/1.jpg", 77.4, "")]


def test_workbooks_are_read_where_that_is_installed(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    expected = write_csiq(tmp_path)
    (tmp_path / "csiq.DMOS.csv").unlink()
    book = openpyxl.Workbook()
    sheet = book.create_sheet("all_by_image")
    for row in csiq_cells():
        sheet.append(row)
    book.save(tmp_path / "csiq.DMOS.xlsx")
    assert [(r.image, r.mos, r.group, r.split) for r in load("csiq", tmp_path)] == expected


def test_a_workbook_can_be_saved_as_csv_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csiq(tmp_path)
    (tmp_path / "csiq.DMOS.csv").rename(tmp_path / "csiq.DMOS.xlsx")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingExtraError, match=r"csiq\.DMOS\.csv beside it.*rsfiqa\[xlsx\]"):
        load("csiq", tmp_path)


def test_labels_of_a_spreadsheet_need_not_be_utf8(tmp_path: Path) -> None:
    put_pictures(tmp_path, ["a.jpg"])
    (tmp_path / "data.csv").write_bytes("name,prompt,mos_quality\na.jpg,café,1\n".encode("cp1252"))
    assert load("agiqa3k", tmp_path).groups == ("café",)


@pytest.mark.skipif(not BIQ.is_dir(), reason="biq2021 is not beside the repository")
def test_a_slice_of_biq2021() -> None:
    found = ScoredImages.from_csv(f"biq2021:{BIQ}")
    assert found.rows == ScoredImages.from_csv(BIQ).rows
    assert (found.score_range, found.range_guessed, found.by_reference) == ((0, 1), False, False)
    faults = check_copy(read_copy(describe("biq2021"), BIQ), opened=False).faults
    assert [fault.items for fault in faults] == [("4200 pictures, not 12000",)]


# NAME:FOLDER


def test_a_name_and_a_folder_stand_for_a_copy(tmp_path: Path) -> None:
    expected = COPIES["kadid10k"](tmp_path)
    for source in (f"kadid10k:{tmp_path}", Path(f"kadid10k:{tmp_path}")):
        found = ScoredImages.from_csv(source)
        assert [row.image for row in found] == [row[0] for row in expected]
    assert found.score_range == (1, 5)


def test_only_names_of_data_sets_stand_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="no data set 'koniq'; there are agiqa3k, "):
        ScoredImages.from_csv("koniq:/data/koniq")
    assert named_set(r"C:\data\scores.csv") is None
    assert named_set("folder/scores:1.csv") is None
    monkeypatch.chdir(tmp_path)
    put_csv(tmp_path / "live:mine/scores.csv", ("image", "mos"), [])
    assert named_set("live:mine") is None, "what exists is a path"


@pytest.mark.parametrize(
    "settings",
    [
        {"score_column": "dmos"},
        {"score_range": (0, 1)},
        {"lower_is_better": True},
        {"group_column": "x"},
    ],
)
def test_a_description_is_not_overruled(tmp_path: Path, settings: dict[str, object]) -> None:
    COPIES["kadid10k"](tmp_path)
    with pytest.raises(ConfigError, match="description of KADID-10k says"):
        ScoredImages.from_csv(f"kadid10k:{tmp_path}", **settings)  # type: ignore[arg-type]


# What is missing or odd


def test_nothing_is_odd_about_a_whole_copy(tmp_path: Path) -> None:
    write_live(tmp_path)
    told: list[int] = []
    checked = check_copy(read_copy(describe("live"), tmp_path), told=told.append)
    assert checked.faults == ()
    assert sum(told) == len(checked.copy.entries) == 779


def test_all_that_is_odd_is_found_at_once(tmp_path: Path) -> None:
    names = [f"{i}.jpg" for i in range(6)]
    put_pictures(tmp_path / "1024x768", names[1:])
    (tmp_path / "1024x768/1.jpg").write_bytes(b"no picture")
    scores = ["50", "50", "200", "good", "nan", "50", "51"]
    parts = ["training", "test", *["training"] * 5]
    put_csv(
        tmp_path / "koniq10k_distributions_sets.csv",
        ("image_name", "MOS", "set"),
        list(zip([*names, "5.jpg"], scores, parts, strict=True)),
    )
    faults = {f.what: f.items for f in check_set(describe("koniq10k"), tmp_path).faults}
    assert faults["counts that a whole copy does not have"] == ("7 pictures, not 10073",)
    assert faults["pictures that are missing"] == ("1024x768/0.jpg",)
    assert faults["pictures with more than one row"] == ("1024x768/5.jpg",)
    assert [text.split(" for ")[0] for text in faults["scores that are not numbers"]] == [
        "'good'",
        "'nan'",
    ]
    assert faults["scores outside 0..100"] == (
        "200 for 1024x768/2.jpg (koniq10k_distributions_sets.csv, line 4)",
    )
    (unreadable,) = faults["pictures that cannot be read"]
    assert unreadable.startswith("1024x768/1.jpg")
    with pytest.raises(
        DataError, match=r"pictures that are missing \(1\): 1024x768/0.*data check koniq10k"
    ):
        load("koniq10k", tmp_path)


def test_splits_of_unknown_names_are_odd(tmp_path: Path) -> None:
    put_pictures(tmp_path, ["a.jpg"])
    put_csv(tmp_path / "scores.csv", ("image", "mos", "split"), [("a.jpg", 50, "holdout")])
    with pytest.raises(DataError, match=r"splits other than train, val, test \(1\): 'holdout'"):
        load("mmp2k", tmp_path)


def test_a_reference_too_few_is_odd(tmp_path: Path) -> None:
    COPIES["tid2013"](tmp_path)
    (count,) = check_copy(read_copy(describe("tid2013"), tmp_path), opened=False).faults
    assert count.items == ("6 pictures, not 3000", "2 references, not 25")


def test_a_folder_that_is_no_copy_names_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lacks dmos\.csv .*rsfiqa data show kadid10k"):
        load("kadid10k", tmp_path)
    with pytest.raises(DataError, match="no folder"):
        load("kadid10k", tmp_path / "none")
    COPIES["kadid10k"](tmp_path / "kadid10k")
    with pytest.raises(DataError, match=r"KADID-10k is in .*/kadid10k, not in"):
        load("kadid10k", tmp_path)


def _without_a_column(folder: Path) -> None:
    put_csv(folder / "dmos.csv", ("dist_img", "dmos"), [("I01_01_01.png", 4)])


def _with_a_column_twice(folder: Path) -> None:
    put_csv(folder / "dmos.csv", ("dist_img", "ref_img", "dmos", "dmos"), [("a", "b", 4, 4)])


def _with_a_short_row(folder: Path) -> None:
    (folder / "dmos.csv").write_text("dist_img,ref_img,dmos\nI01_01_01.png,I01.png\n")


def _without_rows(folder: Path) -> None:
    put_csv(folder / "dmos.csv", ("dist_img", "ref_img", "dmos"), [])


def _empty(folder: Path) -> None:
    (folder / "dmos.csv").write_text("")


def _with_an_open_quote(folder: Path) -> None:
    (folder / "dmos.csv").write_text('dist_img,ref_img,dmos\n"I01_01_01.png,I01.png,4\n')


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without_a_column, "no column 'ref_img'"),
        (_with_a_column_twice, "more than one column 'dmos'"),
        (_with_a_short_row, "line 2 .* none for 'dmos'"),
        (_without_rows, "have no rows"),
        (_empty, "first line is empty"),
        (_with_an_open_quote, "cannot be read as CSV"),
    ],
)
def test_damaged_tables(tmp_path: Path, spoil: Callable[[Path], None], words: str) -> None:
    COPIES["kadid10k"](tmp_path)
    spoil(tmp_path)
    with pytest.raises(DataError, match=words):
        load("kadid10k", tmp_path)


def test_names_that_are_not_of_the_set(tmp_path: Path) -> None:
    put_pictures(tmp_path / "distorted_images", ["other.bmp"])
    (tmp_path / "mos_with_names.txt").write_text("5.5 other.bmp\n")
    with pytest.raises(DataError, match=r"'other\.bmp' \(mos_with_names\.txt, line 1\)"):
        load("tid2013", tmp_path)
    write_csiq(tmp_path)
    text = (tmp_path / "csiq.DMOS.csv").read_text()
    (tmp_path / "csiq.DMOS.csv").write_text(text.replace("fnoise", "hail"))
    with pytest.raises(DataError, match=r"'hail' .* is no known folder; known are noise, blur"):
        load("csiq", tmp_path)


def test_damaged_arrays(tmp_path: Path) -> None:
    COPIES["live-wild"](tmp_path)
    scores = tmp_path / "Data/AllMOS_release.mat"
    savemat(scores, {"AllMOS_release": np.ones((1, 4))})
    with pytest.raises(DataError, match="AllImages_release 10, AllMOS_release 4 values"):
        load("live-wild", tmp_path)
    savemat(scores, {"other": np.ones((1, 10))})
    with pytest.raises(DataError, match="no variable 'AllMOS_release'"):
        load("live-wild", tmp_path)
    for damaged in (b"", b"no matrices", scores.read_bytes()[:150]):
        scores.write_bytes(damaged)
        with pytest.raises(DataError, match="cannot be read as a MATLAB file"):
            load("live-wild", tmp_path)


def test_another_number_of_entries_than_the_folders_have(tmp_path: Path) -> None:
    savemat(
        tmp_path / "dmos_realigned.mat", {"dmos_new": np.ones((1, 5)), "orgs": np.zeros((1, 5))}
    )
    savemat(tmp_path / "refnames_all.mat", {"refnames_all": cells(["a.bmp"] * 5)})
    with pytest.raises(DataError, match="5 entries, but this layout has 982"):
        load("live", tmp_path)


# Descriptions

LAYOUT = '[[layouts]]\nnote="n"\nimage="{a}"\nscore="b"\n'
TABLE = '[[layouts.tables]]\nfile="x.csv"\n'
HEAD = (
    'title="t"\nsummary="s"\nkind="any"\nsplit_note="n"\nlicence="l"\ncitation="c"\nknowledge="k"\n'
)


def test_a_description_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(HEAD + "scale={low=0,high=10}\n" + LAYOUT + TABLE)
    known = read_description(file)
    assert known.name == "mine"
    assert known.layouts[0].needed == ("b", "a")
    put_pictures(tmp_path, ["1.jpg"])
    put_csv(tmp_path / "x.csv", ("a", "b"), [("1.jpg", 7)])
    assert [row.score for row in load_set(known, tmp_path)] == [70.0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title=", "is no TOML"),
        (HEAD, "needs the field 'layouts'"),
        (HEAD + "layouts=[]", "one layout or more"),
        (HEAD + "layouts=3", "layouts is a list"),
        (HEAD + LAYOUT, "either tables or arrays"),
        (HEAD + 'colour="x"\n' + LAYOUT + TABLE, "no field 'colour'"),
        (HEAD + 'images="many"\n' + LAYOUT + TABLE, "images is a whole number; got 'many'"),
        (HEAD + "images=true\n" + LAYOUT + TABLE, "images is a whole number; got True"),
        (HEAD + "scale={low=1,high=1}\n" + LAYOUT + TABLE, "scale: a scale runs from low to high"),
        (HEAD + "scale=5\n" + LAYOUT + TABLE, "scale is a table"),
        (HEAD.replace('"any"', '"odd"') + LAYOUT + TABLE, "kind is synthetic"),
        (HEAD + LAYOUT + 'reference="{r}"\nsubset="{s}"\n' + TABLE, "not by both"),
        (HEAD + LAYOUT + 'derive={x={of="{a}",pattern="("}}\n' + TABLE, "no regular expression"),
        (HEAD + LAYOUT + 'derive={x={of="{a}",pattern="a"}}\n' + TABLE, "needs one group"),
    ],
)
def test_faults_of_descriptions(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_description(file)


def test_damaged_workbooks(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    put_pictures(tmp_path / "TestImage", ["1.jpg"])
    file = tmp_path / "MOS and Image attribute scores.xlsx"
    file.write_bytes(b"no workbook")
    with pytest.raises(DataError, match="cannot be read as a workbook"):
        load("spaq", tmp_path)
    book = openpyxl.Workbook()
    book.active.append(("Image name", "MOS"))
    book.active.append(("1.jpg", 46))
    book.save(file)
    assert [row.mos for row in load("spaq", tmp_path)] == [46]
    book.save(tmp_path / "csiq.DMOS.xlsx")
    with pytest.raises(DataError, match="no sheet 'all_by_image'; it has Sheet"):
        load("csiq", tmp_path)
