"""`rsfiqa parse`: the cache of a data set is filled once, and what was interrupted goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from command_line import records, rsfiqa, save_picture
from fake_reader import FakeReader
from rsfiqa.reading import wording
from rsfiqa.regions.grid import GridSegmenter

pytestmark = pytest.mark.usefixtures("cache")


def parse(*arguments: str | Path, segmenter: str = "grid:2", given: str | None = None) -> Result:
    options = ("--reader", "server:x", "--segmenter", segmenter, "--device", "cpu")
    return rsfiqa("parse", *arguments, *options, given=given)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A data set: three pictures, of which the scores name two."""
    folder = tmp_path / "album"
    save_picture(folder / "a.png", 50)
    save_picture(folder / "b.png", 100)
    save_picture(folder / "sub" / "c.png", 150, (90, 120))
    (folder / "scores.csv").write_text("image,mos,split\na.png,3.5,train\nsub/c.png,2,val\n")
    return folder


@pytest.fixture
def segmented(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """What has been segmented."""
    shapes: list[tuple[int, ...]] = []
    whole = GridSegmenter.segment

    def count(self: GridSegmenter, pixels: Any, semantic: Any) -> Any:
        shapes.append(pixels.shape)
        return whole(self, pixels, semantic)

    monkeypatch.setattr(GridSegmenter, "segment", count)
    return shapes


def kept(cache: Path) -> dict[str, int]:
    return {f.name: len(list(f.rglob("*.json"))) for f in cache.iterdir() if f.is_dir()}


def test_a_second_run_reads_segments_and_decodes_nothing(
    reader: FakeReader,
    album: Path,
    cache: Path,
    segmented: list[tuple[int, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = parse(album)
    assert ended.exit_code == 0, ended.output
    assert ended.stdout == ""
    assert "3 read, 0 failed" in ended.stderr
    assert kept(cache) == {"readings": 3, "regions": 3, "files": 3}
    assert (len(reader.shapes), len(segmented)) == (3, 3)
    before = {path: path.read_bytes() for path in cache.rglob("*.json")}

    def decode(*_: Any, **__: Any) -> Any:
        raise AssertionError("decoded")

    monkeypatch.setattr("rsfiqa.images.load.decode_file", decode)
    ended = parse(album)
    assert ended.exit_code == 0, ended.output
    assert "0 read, 3 unchanged and kept, 0 failed" in ended.stderr
    assert (len(reader.shapes), len(segmented)) == (3, 3)
    assert {path: path.read_bytes() for path in cache.rglob("*.json")} == before


def test_another_reader_takes_over_the_partitions(
    reader: FakeReader, album: Path, segmented: list[tuple[int, ...]]
) -> None:
    parse(album)
    reader.name = "fake/2"
    assert "3 read, 0 failed" in parse(album).stderr
    assert (len(reader.shapes), len(segmented)) == (6, 3)
    assert "3 read" in parse(album, segmenter="grid:3").stderr
    assert len(segmented) == 6
    assert "3 unchanged" in parse(album).stderr


def test_other_fixed_texts_mean_reading_again(
    reader: FakeReader, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse(album)
    monkeypatch.setattr(wording, "VERSION", "another")
    assert "3 read" in parse(album).stderr
    assert len(reader.shapes) == 6


def test_read_and_assess_find_what_was_parsed(
    reader: FakeReader, album: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    assert parse(album, "--cache", mine).exit_code == 0
    options = ("--reader", "server:x", "--segmenter", "grid:2", "--cache", mine, "--device", "cpu")
    ended = rsfiqa("read", album, *options)
    assert ended.exit_code == 0, ended.output
    ended = rsfiqa("assess", album, *options, "--model", tiny_model_folder)
    assert ended.exit_code == 0, ended.output
    assert [r["regions"][0]["description"] for r in records(ended.stdout)] == [
        "brightness 50.0", "brightness 100.0", "brightness 150.0",
    ]  # fmt: skip
    assert len(reader.shapes) == 3


def test_a_csv_names_the_pictures(reader: FakeReader, album: Path, tmp_path: Path) -> None:
    assert "2 read, 0 failed" in parse(album / "scores.csv").stderr
    assert "1 read, 2 unchanged and kept" in parse(album / "scores.csv", album / "b.png").stderr
    other = album / "other.CSV"
    other.write_text("name,quality\nb.png,0.5\n")
    ended = parse(other, "--image-column", "name", "--score-column", "quality")
    assert "1 unchanged and kept" in ended.stderr
    other.write_text("image,mos\nmissing.png,3\n")
    ended = parse(other)
    assert ended.exit_code == 1
    assert "missing.png" in ended.stderr


def test_a_named_data_set_is_its_pictures(reader: FakeReader, album: Path) -> None:
    assert "2 read, 0 failed" in parse(f"csv:{album}").stderr
    ended = parse(f"csv:{album}", "--score-column", "quality")
    assert ended.exit_code == 2
    assert "leave the settings of columns" in ended.stderr
    ended = parse(f"no-such-set:{album}")
    assert ended.exit_code == 2
    assert "no-such-set" in ended.stderr
    assert len(reader.shapes) == 2


def test_a_list_on_standard_input(reader: FakeReader, album: Path) -> None:
    ended = parse("-", given=f"{album / 'b.png'}\n{album / 'a.png'}\n")
    assert "2 read, 0 failed" in ended.stderr


def test_only_what_failed_changed_or_is_new_is_read_again(reader: FakeReader, album: Path) -> None:
    reader.failing = {2}
    (album / "broken.png").write_text("no picture")
    ended = parse(album)
    assert ended.exit_code == 1
    assert "0 read, 4 failed" in ended.stderr
    assert "3 regions could not be read; run it again" in ended.stderr
    assert "a.png: 1 of 4 regions could not be read: region 2 is refused" in ended.stderr
    assert "broken.png" in ended.stderr
    reader.failing = set()
    save_picture(album / "broken.png", 9)
    assert "4 read, 0 failed" in parse(album).stderr
    save_picture(album / "b.png", 101)
    assert "1 read, 3 unchanged" in parse(album).stderr


def test_a_copy_of_a_picture_is_found_whatever_its_name(
    reader: FakeReader, album: Path, tmp_path: Path
) -> None:
    parse(album)
    (tmp_path / "copy.png").write_bytes((album / "a.png").read_bytes())
    assert "1 unchanged" in parse(tmp_path / "copy.png").stderr
    save_picture(tmp_path / "same-pixels.bmp", 50)
    assert "1 read" in parse(tmp_path / "same-pixels.bmp").stderr
    assert len(reader.shapes) == 3, "the same pixels in another file"


@pytest.mark.parametrize("part", ["readings", "files", "regions"])
def test_damaged_files_of_the_cache_are_made_again(
    reader: FakeReader, album: Path, cache: Path, part: str
) -> None:
    parse(album)
    before = {path: path.read_bytes() for path in cache.rglob("*.json")}
    for path in (cache / part).rglob("*.json"):
        path.write_bytes(path.read_bytes()[:40])
    reader.name = "fake/2" if part == "regions" else reader.name
    assert parse(album).exit_code == 0
    assert {path: path.read_bytes() for path in before} == before


def test_an_interrupted_run_goes_on_where_it_stopped(
    reader: FakeReader, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsfiqa.parallel.cpu_workers", lambda: 1)
    reader.interrupted = True
    assert parse(album).exit_code == 130
    reader.interrupted = False
    assert "2 read, 1 unchanged and kept" in parse(album).stderr


@pytest.mark.parametrize(
    "arguments",
    [["--reader", "none"], ["--reader", "robot"], ["--adapter", "x"], ["--device", "toaster"]],
)
def test_wrong_usage_exits_with_2(reader: FakeReader, album: Path, arguments: list[str]) -> None:
    ended = rsfiqa("parse", album, "--reader", "server:x", *arguments)
    assert ended.exit_code == 2, ended.output
    assert ended.stderr.strip()
    assert reader.shapes == []


def test_a_cache_that_cannot_be_written_is_found_before_any_work(
    reader: FakeReader, album: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    ended = parse(album, "--cache", tmp_path / "file" / "below")
    assert ended.exit_code == 1
    assert "cannot be written" in ended.stderr
    assert reader.shapes == []


def test_a_cache_that_stops_being_writable_gives_exit_status_1(
    reader: FakeReader, album: Path, cache: Path
) -> None:
    cache.mkdir()
    (cache / "readings").write_text("a file")
    ended = parse(album)
    assert ended.exit_code == 1
    assert "3 read, 0 failed" in ended.stderr
    assert "readings cannot be written" in ended.stderr


def test_nothing_that_leads_to_a_picture(reader: FakeReader, tmp_path: Path) -> None:
    ended = parse(tmp_path / "missing.csv")
    assert ended.exit_code == 1
    assert "does not exist" in ended.stderr
    assert ended.stdout == ""
