"""`rsfiqa read`: lines, resuming, failed regions, the cache, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from command_line import records, rsfiqa, save_picture
from fake_reader import FakeReader, serve
from rsfiqa.encoders.build import build_encoder
from rsfiqa.images import load_image
from rsfiqa.parsing import Parser
from rsfiqa.partition import Partition
from rsfiqa.regions.grid import GridSegmenter
from rsfiqa.types import DIMENSIONS, Reading

pytestmark = pytest.mark.usefixtures("cache")


def read(*arguments: str | Path, given: str | None = None) -> Result:
    options = ("--reader", "server:http://localhost:1", "--segmenter", "grid:2", "--device", "cpu")
    return rsfiqa("read", *arguments, *options, given=given)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Three good pictures, one of them in a sub-folder."""
    folder = tmp_path / "album"
    save_picture(folder / "a.png", 50)
    save_picture(folder / "b.png", 100)
    save_picture(folder / "sub" / "c.jpg", 150, (90, 120))
    return folder


def test_a_line_says_what_was_read_of_each_region(reader: FakeReader, album: Path) -> None:
    ended = read(album)
    assert ended.exit_code == 0, ended.output
    assert "3 read, 0 failed" in ended.stderr
    lines = records(ended.stdout)
    assert [Path(line["image"]).name for line in lines] == ["a.png", "b.png", "c.jpg"]
    line = lines[0]
    assert (line["width"], line["height"]) == (60, 48)
    assert line["readings"] == {"ok": 4, "failed": 0, "absent": 0}
    assert line["model"] | {"version": ""} == {
        "segmenter": "grid-1/2", "reader": "fake/1", "version": "",
    }  # fmt: skip
    partition = Partition.from_rle([region["mask"] for region in line["regions"]])
    assert partition == GridSegmenter(2).segment(np.zeros((48, 60, 3), np.uint8), None)
    pixels = load_image(album / "a.png").pixels
    for region, expected in zip(line["regions"], FakeReader().read(pixels, partition), strict=True):
        assert region["description"] == "brightness 50.0"
        assert region["bbox"] == list(partition.regions[region["id"]].bbox)
        assert list(region["levels"]) == list(region["ratings"]) == list(DIMENSIONS)
        back = Reading.from_dict(region)
        assert back.values == pytest.approx(expected.values, abs=1e-5)
    assert "mask" not in records(read(album, "--no-masks").stdout)[0]["regions"][0]


def test_without_a_reader_regions_are_absent(album: Path) -> None:
    ended = rsfiqa("read", album / "a.png", "--segmenter", "grid:2", "--reader", "none", "-q")
    assert ended.exit_code == 0, ended.output
    assert ended.stderr == ""
    (line,) = records(ended.stdout)
    assert line["readings"] == {"ok": 0, "failed": 0, "absent": 4}
    assert line["regions"][0]["ratings"] is None
    assert "levels" not in line["regions"][0]


def test_a_rerun_keeps_what_is_unchanged_and_redoes_the_rest(
    reader: FakeReader, album: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.jsonl"
    (album / "broken.png").write_text("no picture")
    ended = read(album, "--out", out, "--no-cache-readings")
    assert ended.exit_code == 1
    assert ended.stdout == ""
    assert "broken.png" in ended.stderr
    assert [("error" in line) for line in records(out)] == [False, False, True, False]
    save_picture(album / "broken.png")
    save_picture(album / "b.png", 7)
    asked = len(reader.shapes)
    ended = read(album, "--out", out, "--no-cache-readings")
    assert "2 read, 2 unchanged and kept, 0 failed" in ended.stderr
    assert len(reader.shapes) == asked + 2
    before = out.read_bytes()
    assert "4 unchanged and kept" in read(album, "--out", out).stderr
    assert out.read_bytes() == before
    reader.name = "fake/2"
    assert "4 read" in read(album, "--out", out).stderr


def test_lines_without_masks_are_made_again_when_masks_are_wanted(
    reader: FakeReader, album: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.jsonl"
    read(album, "--out", out, "--no-masks")
    assert "3 unchanged" in read(album, "--out", out, "--no-masks").stderr
    assert "3 read" in read(album, "--out", out).stderr
    assert len(reader.shapes) == 3, "a server's readings are in the cache"


def test_failed_regions_are_named_and_tried_again(
    reader: FakeReader, album: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.jsonl"
    reader.failing = {1, 3}
    ended = read(album / "a.png", album / "b.png", "--out", out)
    assert ended.exit_code == 1
    assert "0 read, 2 failed" in ended.stderr
    assert "a.png: 2 of 4 regions could not be read: region 1 is refused" in ended.stderr
    line = records(out)[0]
    assert line["readings"] == {"ok": 2, "failed": 2, "absent": 0}
    assert [region["reading"] for region in line["regions"]] == ["ok", "failed"] * 2
    assert line["regions"][1]["reading_reason"] == "region 1 is refused"
    reader.failing = set()
    assert "2 read, 0 failed" in read(album / "a.png", album / "b.png", "--out", out).stderr
    assert records(out)[0]["readings"]["ok"] == 4


def test_a_server_that_is_gone_leaves_earlier_readings_alone(
    reader: FakeReader, album: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.jsonl"
    read(album, "--out", out)
    before = out.read_bytes()
    reader.failing, reader.name = set(range(9)), "fake/unknown"
    ended = read(album, "--out", out)
    assert ended.exit_code == 1
    assert "3 failed" in ended.stderr
    assert "4 of 4 regions could not be read" in ended.stderr
    assert out.read_bytes() == before
    lines = records(read(album).stdout)
    assert all(set(line) == {"image", "error"} for line in lines)


def test_a_server_is_not_asked_twice_unless_the_cache_is_refused(
    reader: FakeReader, album: Path, cache: Path, tmp_path: Path
) -> None:
    first = read(album)
    assert read(album).stdout == first.stdout
    assert len(reader.shapes) == 3
    assert len(list((cache / "readings").rglob("*.json"))) == 3
    read(album, "--no-cache-readings")
    assert len(reader.shapes) == 6
    read(album, "--cache", tmp_path / "mine")
    assert len(list((tmp_path / "mine" / "readings").rglob("*.json"))) == 3


def test_a_cache_that_cannot_be_written_is_noted_and_reading_goes_on(
    reader: FakeReader, album: Path, cache: Path
) -> None:
    cache.write_text("a file")
    ended = read(album)
    assert ended.exit_code == 0
    assert len(records(ended.stdout)) == 3
    assert ended.stderr.count("cannot be written") == 1
    ended = read(album, "--cache", cache / "below")
    assert ended.exit_code == 1
    assert "cannot be written" in ended.stderr


def test_reader_options_reach_the_reader(monkeypatch: pytest.MonkeyPatch, album: Path) -> None:
    asked = serve(monkeypatch, FakeReader())
    read(album / "a.png", "--view", "picture", "--concurrency", 2, "--timeout", 9.5, "--retries", 0)
    assert asked == [
        {
            "spec": "http://localhost:1",
            "view": "picture",
            "concurrency": 2,
            "timeout": 9.5,
            "retries": 0,
        }
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--reader", "robot"],
        ["--reader", "none", "--view", "crop"],
        ["--adapter", "folder"],
        ["--segmenter", "no-such"],
        ["--precision", "fp8"],
        ["--concurrency", "0"],
        ["--cache", "DIR", "--no-cache-readings"],
        [],
    ],
)
def test_wrong_usage_exits_with_2(
    reader: FakeReader, album: Path, tmp_path: Path, arguments: list[str]
) -> None:
    given = [str(tmp_path) if a == "DIR" else a for a in arguments]
    where = [album / "a.png"] if arguments else []
    ended = rsfiqa("read", *where, "--reader", "server:x", *given)
    assert ended.exit_code == 2, ended.output
    assert ended.stdout == ""
    assert reader.shapes == []


def test_assessments_are_not_taken_for_readings(
    reader: FakeReader, album: Path, tmp_path: Path
) -> None:
    out = tmp_path / "assessments.jsonl"
    line = '{"image": "a.png", "score": 50.0, "regions": [], "model": {}}\n'
    out.write_text(line)
    ended = read(album, "--out", out)
    assert ended.exit_code == 1
    assert "no result of rsfiqa" in ended.stderr
    assert out.read_text() == line


def test_nothing_that_leads_to_a_picture(reader: FakeReader, tmp_path: Path) -> None:
    ended = read(tmp_path / "missing.png")
    assert ended.exit_code == 1
    assert "does not exist" in ended.stderr
    assert set(records(ended.stdout)[0]) == {"image", "error"}


def test_given_regions_are_read(reader: FakeReader, album: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.repeat([[0, 1, 2]], 48, 0).repeat(20, 1))
    command = ("read", album / "a.png", "--reader", "server:x", "--out", tmp_path / "r.jsonl")
    (tmp_path / "regions").mkdir()
    (tmp_path / "a.npy").rename(tmp_path / "regions" / "a.npy")
    ended = rsfiqa(*command, "--regions", tmp_path / "regions")
    assert ended.exit_code == 0, ended.output
    (line,) = records(tmp_path / "r.jsonl")
    assert len(line["regions"]) == 3
    assert line["model"]["segmenter"].startswith("given/")
    assert "1 unchanged" in rsfiqa(*command, "--regions", tmp_path / "regions").stderr


def test_assess_tries_failed_regions_again_and_keeps_the_others(
    reader: FakeReader, album: Path, tmp_path: Path, tiny_model_folder: Path
) -> None:
    out = tmp_path / "r.jsonl"
    command = ("assess", album, "--out", out, "--model", tiny_model_folder, "--segmenter", "grid:2",
               "--reader", "server:x", "--device", "cpu")  # fmt: skip
    reader.failing = {0}
    ended = rsfiqa(*command)
    assert ended.exit_code == 0, ended.output
    assert [r["regions"][0]["reading"] for r in records(out)] == ["failed"] * 3
    reader.failing = set()
    assert "3 assessed" in rsfiqa(*command).stderr
    line = records(out)[0]
    assert [region["reading"] for region in line["regions"]] == ["ok"] * 4
    assert sum(line["regions"][0]["levels"]["blur"]) == pytest.approx(1, abs=1e-5)
    assert "3 unchanged" in rsfiqa(*command).stderr


def test_an_encoder_that_segmenter_and_reader_share_looks_once(
    tiny_encoder_specs: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    album: Path,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("rsfiqa.encoders.build.DEFAULT_ENCODER", tiny_encoder_specs)
    alone = Parser.build("embedded", FakeReader(), device="cpu")
    picture = load_image(album / "a.png")
    reader = FakeReader()
    reader.encoder_name = build_encoder(tiny_encoder_specs).name
    parser = Parser.build("embedded", reader, device="cpu", cache=tmp_path / "mine")
    parsed = parser.parse(picture)
    assert parsed.partition == alone.parse(picture).partition
    (grid,) = reader.grids
    assert grid is not None
    assert grid.positions.ndim == 4
    parser.parse(picture)
    assert len(reader.grids) == 2, "features are handed over where the partition is kept, too"
    assert reader.grids[1] is not None
