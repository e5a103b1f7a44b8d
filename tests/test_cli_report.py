"""`rsfiqa report`: what it takes, writes and says."""

from __future__ import annotations

from pathlib import Path

import pytest

from collection_world import line, rows_in, save_results
from command_line import rsfiqa


@pytest.fixture
def results(tmp_path: Path) -> Path:
    records = [line(f"{i}.png", 20 * i + 10, folder=tmp_path / "photos") for i in range(3)]
    return save_results(tmp_path / "results" / "r.jsonl", records)


def test_a_page_is_written(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "page.html"
    ended = rsfiqa("report", results, "--out", out, "--pictures", tmp_path / "photos")
    assert ended.exit_code == 0, ended.output
    assert "page.html shows 3 pictures" in ended.stderr
    assert "not found" not in ended.stderr
    rows = rows_in(out.read_text())
    assert [row[1] for row in rows] == [f"../photos/{i}.png" for i in range(3)]
    assert len(list((tmp_path / "made" / "page_files").glob("*.jpg"))) == 3


def test_missing_pictures_are_said_and_not_fatal(results: Path, tmp_path: Path) -> None:
    ended = rsfiqa("report", results.parent, "--out", tmp_path / "o.html", "--quiet")
    assert ended.exit_code == 0
    assert "3 of 3 pictures could not be found; --pictures names the folder" in ended.stderr
    assert "not found: 0.png" in ended.stderr
    assert "shows" not in ended.stderr


def test_no_thumbnails(results: Path, tmp_path: Path) -> None:
    ended = rsfiqa("report", results, "--out", tmp_path / "o.html", "--no-thumbnails")
    assert ended.exit_code == 0
    assert not (tmp_path / "o_files").exists()


def test_wrong_usage(results: Path, tmp_path: Path) -> None:
    assert rsfiqa("report").exit_code == 2
    ended = rsfiqa("report", results, "--out", tmp_path / "page.pdf")
    assert (ended.exit_code, "ends in .html" in ended.stderr) == (2, True)
    ended = rsfiqa("report", results, "--out", tmp_path / "o.html", "--pictures", tmp_path / "no")
    assert (ended.exit_code, "is none" in ended.stderr) == (2, True)


def test_no_results(tmp_path: Path) -> None:
    for given, reason in (("no.jsonl", "cannot be read"), (".", "holds no results")):
        ended = rsfiqa("report", tmp_path / given, "--out", tmp_path / "o.html")
        assert (ended.exit_code, reason in ended.stderr) == (1, True)
        assert not (tmp_path / "o.html").exists()
