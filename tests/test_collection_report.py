"""The overview of a collection: its numbers, its data, its files, and what may be wrong with them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from collection_world import blurred, line, make_report, rows_in, save_picture, save_results
from fake_assessments import MODEL, read_assessments, reading
from rsfiqa.errors import DataError
from rsfiqa.report.collection import find_sources, save_collection_report
from rsfiqa.report.collection.entry import Entry
from rsfiqa.report.collection.overlay import OVERLAY_SIDE, draw_small_overlay, overlay_key
from rsfiqa.report.collection.pictures import PictureFinder, link_to
from rsfiqa.report.collection.rows import script_json
from rsfiqa.report.collection.statistics import Statistics
from rsfiqa.report.collection.thumbnails import THUMBNAIL_SIDE, map_ahead
from rsfiqa.types import DIMENSIONS, Reading
from test_report import HOSTILE, Page


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Results of three pictures, one of them failed, beside the pictures."""
    records = [
        line("sub/a.png", 30, folder=tmp_path, readings=blurred()),
        line("b c.png", 85, folder=tmp_path, novelty=0.999, interval=(70.0, 95.0)),
        {"image": "broken.jpg", "error": "the file is empty"},
    ]
    return save_results(tmp_path / "results.jsonl", records)


def test_the_page_tells_of_the_collection(album: Path) -> None:
    made, text = make_report(album, out=album.with_name("overview.html"))
    assert (made.pictures, made.failures, made.notes) == (2, 1, [])
    page = Page(text)
    assert "Pictures2" in page.text.replace("\n", "").replace(" ", "")
    assert "Not assessed: 1" in page.text
    assert "broken.jpg: the file is empty" in page.text
    assert "57.5 of 100" in page.text
    level = page.rows[[row[0] for row in page.rows].index("poor")]
    assert [cell.strip() for cell in level[2:]] == ["1", "50 %"]
    problem = next(row for row in page.rows if row[0] == "Blurred")
    assert problem[2].split() == ["1", "100", "%"]
    assert problem[3].split() == ["dog", "1"]
    assert f"scorer {MODEL.scorer}" in page.text


def test_every_picture_is_in_the_data(album: Path) -> None:
    _, text = make_report(album, out=album.with_name("overview.html"))
    first, second = rows_in(text)
    assert first[0] == "sub/a.png"
    assert first[1] == "sub/a.png"
    assert first[4:7] == [128, 96, 30.0]
    assert first[10] == [[DIMENSIONS.index("blur"), 2, 25, ["dog"]]]
    assert first[11] == "sky dog" or first[11] == "dog sky"
    assert second[1] == "b%20c.png"
    assert second[7:9] == [[70.0, 95.0], False]
    assert second[9] is None


def test_thumbnails_lie_beside_the_page(album: Path) -> None:
    _, text = make_report(album, out=album.with_name("overview.html"))
    files = album.with_name("overview_files")
    for row in rows_in(text):
        with (
            Image.open(files / f"{row[2]}.jpg") as thumbnail,
            Image.open(files / f"{row[3]}.png") as o,
        ):
            assert thumbnail.format == "JPEG"
            assert max(thumbnail.size) <= THUMBNAIL_SIDE
            assert o.size == (128, 96)
    # Both pictures have the same regions, in other colours.
    assert len(list(files.iterdir())) == 4


def test_thumbnails_are_made_once(album: Path) -> None:
    out = album.with_name("overview.html")
    make_report(album, out=out)
    files = album.with_name("overview_files")
    for path in files.iterdir():
        os.utime(path, ns=(0, 0))  # a clock that is coarse does not tell two moments apart
    kept = {path: path.stat().st_mtime_ns for path in files.iterdir()}
    gone, *_ = sorted(files.glob("*.jpg"))
    gone.unlink()
    (files / "0123456789abcdef0123.jpg").write_bytes(b"of an earlier page")
    (files / "mine.txt").write_text("somebody's own")
    make_report(album, out=out)
    after = {path: path.stat().st_mtime_ns for path in files.iterdir()}
    assert set(after) == {*kept, files / "mine.txt"}
    assert [path for path in kept if after[path] != kept[path]] == [gone]


def test_without_thumbnails_the_page_is_alone(album: Path) -> None:
    made, text = make_report(album, out=album.with_name("overview.html"), thumbnails=False)
    assert not album.with_name("overview_files").exists()
    assert made.notes == []
    assert all(row[2] is None and row[3] is None for row in rows_in(text))


def test_missing_changed_and_broken_pictures_are_said(tmp_path: Path) -> None:
    records = [line(f"{name}.png", 50 + i, folder=tmp_path) for i, name in enumerate("abc")]
    results = save_results(tmp_path / "results.jsonl", records)
    (tmp_path / "a.png").unlink()
    save_picture(tmp_path / "b.png", 200)
    (tmp_path / "c.png").write_bytes(b"no picture")
    made, text = make_report(results, out=tmp_path / "overview.html")
    assert made.troubles == {"missing": 1, "changed": 1, "unreadable": 1}
    assert made.missing == ["a.png"]
    assert "1 of 3 pictures could not be found" in Page(text).text
    assert [row[2] for row in rows_in(text)] == [None] * 3
    assert all(row[3] for row in rows_in(text)), "the regions are known all the same"


def test_damaged_masks_leave_the_photo(tmp_path: Path) -> None:
    record = line("a.png", folder=tmp_path)
    record["regions"][1]["mask"]["counts"] = "\x01\x02"
    results = save_results(tmp_path / "results.jsonl", [record])
    made, text = make_report(results, out=tmp_path / "overview.html")
    assert made.troubles == {"masks": 1}
    assert rows_in(text)[0][2] is not None


@pytest.mark.parametrize(
    "damage",
    [
        {"score": 1000},
        {"regions": [1]},
        {"regions": None},
        {"width": "wide"},
        {"model": {}},
        {"ratings": {"blur": 3}},
        {"interval": [1, 2, 3]},
    ],
)
def test_a_damaged_line_counts_as_not_assessed(tmp_path: Path, damage: dict[str, Any]) -> None:
    results = save_results(tmp_path / "r.jsonl", [line("a.png") | damage, line("b.png")])
    made, text = make_report(results, out=tmp_path / "o.html", thumbnails=False)
    assert (made.pictures, made.failures) == (1, 1)
    assert "a.png: its line of results is damaged" in Page(text).text


def test_readings_without_scores(tmp_path: Path) -> None:
    record = line("a.png", readings=blurred(value=1.0))
    for key in ("score", "level", "interval", "uncertainty", "familiar", "novelty", "ratings"):
        record.pop(key)
    for region in record["regions"]:
        del region["score"], region["weight"], region["level"]
    record["readings"] = {"ok": 4, "failed": 0, "absent": 0}
    del record["model"]["scorer"]
    results = save_results(tmp_path / "read.jsonl", [record])
    _, text = make_report(results, out=tmp_path / "o.html")
    (row,) = rows_in(text)
    assert row[6] is None
    blur = row[9][DIMENSIONS.index("blur")]
    assert blur == pytest.approx((1 + 3 * 4.5) / 4, abs=0.06)
    assert row[3] is not None
    page = Page(text)
    assert "Mean score" not in page.text
    assert "Blurred" in page.text


def test_assessments_without_readings_tell_no_ratings(tmp_path: Path) -> None:
    results = save_results(tmp_path / "r.jsonl", [line("a.png", 70)])
    page = Page(make_report(results, out=tmp_path / "o.html")[1])
    assert "Most common problems" not in page.text
    assert "Scores" in page.text


def test_the_last_line_of_a_picture_counts_and_a_torn_one_does_not(tmp_path: Path) -> None:
    results = save_results(
        tmp_path / "r.jsonl", [line("a.png", 20), line("b.png", 50), line("a.png", 90)]
    )
    with results.open("ab") as file:
        file.write(b'{"image": "c.png", "score')
    _, text = make_report(results, out=tmp_path / "o.html")
    assert [(row[0], row[6]) for row in rows_in(text)] == [("b.png", 50.0), ("a.png", 90.0)]


def test_several_files_and_folders(tmp_path: Path) -> None:
    one = save_results(tmp_path / "all" / "one.jsonl", [line("a.png", 20)])
    save_results(tmp_path / "all" / "sub" / "two.jsonl", [line("a.png", 40)])
    (tmp_path / "all" / "other.jsonl").write_text('{"prompt": "no result"}\n')
    (tmp_path / "all" / ".hidden.jsonl").write_text("nothing")
    _, text = make_report(one, tmp_path / "all", out=tmp_path / "o.html")
    assert [(row[6], row[13]) for row in rows_in(text)] == [(20.0, 0), (40.0, 1)]


@pytest.mark.parametrize("content", ["hello", "hello\nworld\n", '{"image": "a.jpg"}\n', "[1]\n"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=r"no result"):
        find_sources([path])
    with pytest.raises(DataError, match="holds no results"):
        find_sources([tmp_path])
    with pytest.raises(DataError, match="cannot be read"):
        find_sources([tmp_path / "no.jsonl"])


def test_a_collection_of_failures_is_still_a_page(tmp_path: Path) -> None:
    failures = [{"image": f"{i}.jpg", "error": "empty"} for i in range(600)]
    results = save_results(tmp_path / "r.jsonl", failures)
    page = Page(make_report(results, out=tmp_path / "o.html")[1])
    assert "Not assessed: 600" in page.text
    assert "And 100 more" in page.text


def test_a_page_that_cannot_be_written_leaves_the_old_one(album: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(DataError, match="cannot be written"):
        save_collection_report([album], tmp_path / "file" / "overview.html")
    assert (tmp_path / "file").read_text() == "old"


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    record = line(HOSTILE, readings=blurred(HOSTILE))
    record["summary"] = HOSTILE
    record["model"]["reader"] = HOSTILE
    records = [record, {"image": f"x{HOSTILE}", "error": HOSTILE}]
    results = save_results(tmp_path / "</script>.jsonl", records)
    _, text = make_report(results, out=tmp_path / "o.html")
    page = Page(text)
    assert len(page.all("script")) == 3
    assert page.text.count(HOSTILE) == 3
    assert rows_in(text)[0][0] == HOSTILE
    assert rows_in(text)[0][12] == HOSTILE


def test_the_page_needs_no_network(album: Path) -> None:
    _, text = make_report(album, out=album.with_name("overview.html"))
    assert not re.search(r"https?:|//[a-z]+\.", text)
    page = Page(text)
    assert not page.all("link")
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"] or ""
    assert policy.startswith("default-src 'none'; img-src 'self' file: data:;")


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    name = "caf\udce9.jpg"
    results = save_results(tmp_path / "r.jsonl", [line(name), {"image": f"b{name}", "error": "x"}])
    _, text = make_report(results, out=tmp_path / "o.html")
    assert rows_in(text)[0][0] == name
    assert "bcaf?.jpg" in text


@given(st.recursive(st.text() | st.floats(allow_nan=False, allow_infinity=False), st.lists))
def test_data_cannot_leave_its_element(value: Any) -> None:
    text = script_json(value)
    assert "<" not in text
    assert json.loads(text) == value


@given(st.lists(read_assessments(), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_counts_agree_with_the_pictures(assessments: list[Any]) -> None:
    statistics = Statistics()
    entries = [Entry.from_record(json.loads(a.to_json())) for a in assessments]
    for entry in entries:
        statistics.add(entry)
    assert sum(statistics.histogram(25)) == sum(statistics.levels.values()) == len(entries)
    # Bins and levels share their edges.
    bins = statistics.histogram(5)
    assert bins == [
        statistics.levels[level] for level in ("bad", "poor", "fair", "good", "excellent")
    ]
    scores = [entry.score or 0 for entry in entries]
    assert statistics.mean_score == pytest.approx(np.mean(scores))
    assert min(scores) - 0.1 <= statistics.quantile(0.5) <= max(scores)
    for dimension in DIMENSIONS:
        assert sum(statistics.ratings[dimension].values()) == statistics.read
        count = statistics.problems[dimension].pictures
        assert count == sum(dimension in {p.dimension for p in e.problems} for e in entries)
    for entry in entries:
        assert all(0 < p.area <= 1 and p.degree in {1, 2, 3} for p in entry.problems)


def test_a_perhaps_is_no_problem() -> None:
    unsure = {0: reading("a dog", blur=3.45), **{k: reading() for k in range(1, 4)}}
    assert Entry.from_record(line("a.png", readings=unsure)).problems == ()
    failed = {0: Reading(status="failed", reason="no answer")}
    entry = Entry.from_record(line("a.png", readings=failed))
    assert (entry.unread, entry.ratings, entry.problems) == (1, None, ())


def test_overlays_show_each_region_in_its_place() -> None:
    record = line("a.png", 90)
    record["regions"][0]["score"] = 10
    picture = np.asarray(draw_small_overlay(record).convert("RGBA"))
    assert picture.shape == (96, 128, 4)
    bad, excellent = picture[20, 33], picture[80, 100]
    assert bad[0] > bad[2]
    assert excellent[2] > excellent[0]
    assert picture[20, 64, :3].tolist() == [255, 255, 255], "the border between two regions"
    assert overlay_key(line("a.png", masks=False)) is None
    assert overlay_key(record) != overlay_key(line("a.png", 90))


@given(st.integers(1, 900), st.integers(1, 900))
@settings(max_examples=20, deadline=None)
def test_overlays_keep_the_shape_of_the_picture(height: int, width: int) -> None:
    from rsfiqa.partition import Partition

    masks = Partition(np.zeros((height, width), int)).to_rle()
    drawn = draw_small_overlay({"image": "a", "regions": [{"mask": m, "score": 50} for m in masks]})
    assert max(drawn.size) == min(OVERLAY_SIDE, max(height, width))
    assert abs(drawn.width / drawn.height - width / height) <= 1.01 * max(1, width / height) / min(
        drawn.size
    )
    assert (np.asarray(drawn) != 0).all()


@pytest.mark.parametrize(
    "mask",
    [
        {"size": [10**12, 10**12], "counts": "0"},
        {"size": [4, 4], "counts": "0P1"},
        {"size": [4, 4], "counts": "d0:WOI"},  # 20, 10, -25, 3
        {"size": [-4, 4], "counts": "0"},
        {"size": [4], "counts": "0"},
        {"size": [4, 4]},
        {"size": [4, 4], "counts": 7},
    ],
)
def test_masks_that_are_none(mask: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        draw_small_overlay({"image": "a", "regions": [{"mask": mask, "score": 50}]})


def test_pictures_are_found_where_they_moved(tmp_path: Path) -> None:
    picture = save_picture(tmp_path / "new" / "trip" / "a.png", 5)
    results = tmp_path / "results"
    finder = PictureFinder(tmp_path / "new")
    for name in ("/old/place/trip/a.png", "trip/a.png", "../trip/a.png", "C:\\old\\trip\\a.png"):
        assert finder.find(name, beside=results) == picture
    assert PictureFinder(None).find("trip/a.png", beside=tmp_path / "new") == picture
    assert PictureFinder(None).find("photos/trip/a.png", beside=tmp_path / "new") == picture
    assert PictureFinder(None).find(str(picture), beside=results) == picture
    assert finder.find("no.png", beside=results) is None
    assert finder.find("nul\0.png", beside=results) is None
    assert finder.find("x" * 5000, beside=results) is None


def test_links_are_no_schemes() -> None:
    assert (
        link_to(Path("/a/javascript:alert(1).jpg"), Path("/a")) == "javascript%3Aalert%281%29.jpg"
    )
    assert link_to(Path("/a/#1?.jpg"), Path("/a/b")) == "../%231%3F.jpg"


def test_work_ahead_keeps_order_and_ends_with_its_reader() -> None:
    drawn: list[int] = []

    def numbers() -> Any:
        for n in range(1000):
            drawn.append(n)
            yield n

    ahead = map_ahead(lambda n: n + 1, numbers(), workers=2)
    assert [next(ahead) for _ in range(3)] == [1, 2, 3]
    ahead.close()  # type: ignore[attr-defined]
    assert len(drawn) < 20


def test_ten_thousand_pictures(tmp_path: Path) -> None:
    text = json.dumps(line("photos/NAME.jpg", 62.5, readings=blurred(), masks=False))
    lines = (text.replace("NAME", str(i)) for i in range(10_000))
    results = tmp_path / "r.jsonl"
    results.write_text("\n".join(lines) + "\n")
    made, page = make_report(results, out=tmp_path / "o.html", thumbnails=False)
    assert made.pictures == 10_000
    assert len(page) < 6_000_000
    assert len(rows_in(page)) == 10_000
    assert "10,000 of 10,000 pictures could not be found" in page
