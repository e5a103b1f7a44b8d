"""`rsfiqa segment`: files, standard output, resuming, given regions, bad input."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from command_line import records, rsfiqa, save_picture
from rsfiqa.partition import Partition
from rsfiqa.partitioning import Partitioner
from rsfiqa.regions.formats import FORMATS, PartitionFormat, load_partition, partition_paths
from rsfiqa.regions.formats.coco import read as read_coco
from rsfiqa.regions.grid import GridSegmenter


def segment(*arguments: str | Path, given: str | None = None) -> Result:
    return rsfiqa("segment", *arguments, "--segmenter", "grid:2", "--device", "cpu", given=given)


def quarters(height: int = 48, width: int = 60) -> Partition:
    return GridSegmenter(2).segment(np.zeros((height, width, 3), np.uint8), None)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Three good pictures, one of them in a sub-folder."""
    folder = tmp_path / "album"
    save_picture(folder / "a.png", 50)
    save_picture(folder / "b.png", 100)
    save_picture(folder / "sub" / "c.jpg", 150, (90, 120))
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_is_written_below_mirrored_folders(
    album: Path, out: Path, format_: PartitionFormat
) -> None:
    ended = segment(album, "--out", out, "--format", format_)
    assert ended.exit_code == 0, ended.output
    assert ended.stdout == ""
    assert "3 segmented, 0 failed" in ended.stderr
    files = [p for stem in ("a", "b", "sub/c") for p in partition_paths(out / stem, format_)]
    assert sorted(files) == sorted(
        p for p in out.rglob("*") if p.is_file() and "regions.jsonl" not in p.name
    )
    assert load_partition(files[0]) == quarters()
    assert load_partition(files[-1]) == quarters(120, 90)
    index = records(out / "regions.jsonl")
    assert [Path(r["image"]).name for r in index] == ["a.png", "b.png", "c.jpg"]
    assert index[0]["model"]["segmenter"] == "grid-1/2"
    assert [r["bbox"] for r in index[0]["regions"]] == [
        list(region.bbox) for region in quarters().regions
    ]


def test_without_a_folder_coco_json_lines_go_to_standard_output(album: Path) -> None:
    (album / "broken.png").write_text("no picture")
    ended = segment("-", given=f"{album / 'b.png'}\n{album / 'broken.png'}\n{album / 'a.png'}\n")
    assert ended.exit_code == 1
    lines = records(ended.stdout)
    assert [Path(r["image"]).name for r in lines] == ["b.png", "broken.png", "a.png"]
    assert set(lines[1]) == {"image", "error"}
    assert lines[0]["info"]["segmenter"] == "grid-1/2"
    assert read_coco(lines[0], Path("line")).exact() == quarters()


def test_a_rerun_keeps_what_is_unchanged_and_redoes_the_rest(album: Path, out: Path) -> None:
    (album / "broken.png").write_text("no picture")
    ended = segment(album, "--out", out)
    assert ended.exit_code == 1
    assert "failed: " in ended.stderr
    assert "broken.png" in ended.stderr
    save_picture(album / "broken.png")
    save_picture(album / "b.png", 7)
    (out / "sub" / "c.json").write_text("{}")  # spoiled by somebody
    ended = segment(album, "--out", out)
    assert ended.exit_code == 0
    assert "3 segmented, 1 unchanged and kept, 0 failed" in ended.stderr
    assert load_partition(out / "sub" / "c.json") == quarters(120, 90)
    before = (out / "regions.jsonl").read_bytes()
    assert "4 unchanged and kept" in segment(album, "--out", out).stderr
    assert (out / "regions.jsonl").read_bytes() == before
    (out / "a.json").unlink()
    (out / "b.json").write_bytes(b"")
    assert "2 segmented, 2 unchanged" in segment(album, "--out", out).stderr


def test_another_segmenter_or_format_or_an_overlay_means_working_again(
    album: Path, out: Path
) -> None:
    options = ("segment", album, "--out", out, "--device", "cpu", "--segmenter")
    rsfiqa(*options, "grid:2")
    assert "3 segmented" in rsfiqa(*options, "grid:3").stderr
    assert "3 segmented" in rsfiqa(*options, "grid:3", "--overlay").stderr
    assert "3 unchanged" in rsfiqa(*options, "grid:3").stderr
    assert "3 segmented" in rsfiqa(*options, "grid:3", "--format", "npy").stderr


def test_pictures_that_take_turns_at_one_name_are_not_mixed_up(tmp_path: Path, out: Path) -> None:
    first = save_picture(tmp_path / "1" / "x.png", 10, (40, 60))
    second = save_picture(tmp_path / "2" / "x.png", 10, (60, 40))
    for picture, size in ((first, (60, 40)), (second, (40, 60)), (first, (60, 40))):
        assert "1 segmented" in segment(picture, "--out", out).stderr
        assert load_partition(out / "x.json") == quarters(*size)


def test_overlays_show_the_picture_with_its_regions(album: Path, out: Path) -> None:
    ended = segment(album / "sub" / "c.jpg", "--out", out, "--overlay")
    assert ended.exit_code == 0
    overlay = Image.open(out / "c.regions.png")
    assert overlay.width / overlay.height == pytest.approx(90 / 120, abs=0.01)
    width, height = overlay.size
    corners = {overlay.getpixel((x, y)) for x in (9, width - 10) for y in (9, height - 10)}
    assert len(corners) == 4  # tints


def test_what_was_written_can_be_given_again(album: Path, out: Path, tmp_path: Path) -> None:
    segment(album, "--out", out, "--format", "panoptic", "--overlay")
    other = tmp_path / "other"
    ended = rsfiqa("segment", album, "--regions", out, "--out", other, "--format", "npy")
    assert ended.exit_code == 0, ended.output
    assert load_partition(other / "sub" / "c.npy") == quarters(120, 90)
    index = records(other / "regions.jsonl")
    assert all(r["model"]["segmenter"].startswith("given/") for r in index)

    again = ("segment", album, "--regions", out, "--out", other, "--format", "npy")
    assert "3 unchanged" in rsfiqa(*again).stderr
    png = out / "a.png"
    png.write_bytes(png.read_bytes() + b" ")
    assert "1 segmented, 2 unchanged" in rsfiqa(*again).stderr


def test_a_picture_without_given_regions_fails_alone(
    album: Path, out: Path, tmp_path: Path
) -> None:
    segment(album / "a.png", "--out", out)
    ended = rsfiqa("segment", album / "a.png", album / "b.png", "--regions", out)
    assert ended.exit_code == 1
    assert ["error" in r for r in records(ended.stdout)] == [False, True]
    assert "b.png has no regions in" in ended.stderr


def test_results_with_given_regions_are_redone_when_these_change(
    album: Path, out: Path, tmp_path: Path, tiny_model_folder: Path
) -> None:
    segment(album, "--out", out, "--format", "npy")
    results = tmp_path / "r.jsonl"
    command = ("assess", album, "--regions", out, "--out", results, "--device", "cpu",
               "--model", tiny_model_folder)  # fmt: skip
    ended = rsfiqa(*command)
    assert ended.exit_code == 0, ended.output
    assert all(len(r["regions"]) == 4 for r in records(results))
    assert all(r["model"]["segmenter"].startswith("given/") for r in records(results))
    assert "3 unchanged" in rsfiqa(*command).stderr
    np.save(out / "a.npy", np.zeros((48, 60), np.uint8))
    assert "1 assessed, 2 unchanged" in rsfiqa(*command).stderr
    assert [len(r["regions"]) for r in records(results)] == [1, 4, 4]


def test_the_embedded_segmenter_reads_features(
    album: Path,
    out: Path,
    tiny_encoder_specs: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rsfiqa.encoders.build.DEFAULT_ENCODER", tiny_encoder_specs)
    picture = save_picture(album / "d.png")
    for precision in ("fp32", "bf16"):
        ended = rsfiqa("segment", picture, "--out", out, "--precision", precision)
        assert ended.exit_code == 0, ended.output
        assert "1 segmented" in ended.stderr
    assert records(out / "regions.jsonl")[0]["model"]["segmenter"].startswith("embedded")
    assert len(load_partition(out / "d.json")) == 1


def test_an_interrupted_run_goes_on_where_it_stopped(
    album: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(8):
        save_picture(album / f"more{k}.png", k)
    whole = Partitioner.partition

    def stop(self: Partitioner, picture: Any) -> Any:
        if "more7" in picture.name:
            raise KeyboardInterrupt
        return whole(self, picture)

    monkeypatch.setattr(Partitioner, "partition", stop)
    assert segment(album, "--out", out).exit_code == 130
    done = len(records(out / "regions.jsonl"))
    assert 0 < done < 11
    monkeypatch.undo()
    ended = segment(album, "--out", out)
    assert f"{11 - done} segmented, {done} unchanged and kept" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--format", "npy"],
        ["--overlay"],
        ["--format", "tiff", "--out", "OUT"],
        ["--segmenter", "no-such"],
        ["--segmenter", "grid:x"],
        ["--precision", "fp8"],
        ["--device", "toaster"],
    ],
)
def test_wrong_usage_exits_with_2(album: Path, out: Path, arguments: list[str]) -> None:
    given = [str(out) if a == "OUT" else a for a in arguments]
    ended = rsfiqa("segment", album / "a.png", *given)
    assert ended.exit_code == 2, ended.output
    assert ended.stdout == ""
    assert ended.stderr.strip()


def test_a_place_that_cannot_be_written_is_found_before_any_work(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Partitioner, "build", None)
    (tmp_path / "file").touch()
    ended = segment(album, "--out", tmp_path / "file" / "below")
    assert ended.exit_code == 1
    assert "cannot be written" in ended.stderr


def test_somebody_elses_file_is_not_taken_for_the_index(album: Path, out: Path) -> None:
    out.mkdir()
    (out / "regions.jsonl").write_text("my notes\n")
    ended = segment(album, "--out", out)
    assert ended.exit_code == 1
    assert "no result of rsfiqa" in ended.stderr
    assert (out / "regions.jsonl").read_text() == "my notes\n"


def test_nothing_that_leads_to_a_picture(tmp_path: Path, out: Path) -> None:
    ended = segment(tmp_path / "missing.png", "--out", out)
    assert ended.exit_code == 1
    assert "missing.png does not exist" in ended.stderr
    assert not os.path.lexists(out / "regions.jsonl")


def test_a_picture_over_the_limit_fails_alone(album: Path) -> None:
    ended = segment(album, "--max-pixels", "5000", "--quiet")
    assert ended.exit_code == 1
    assert ["error" in r for r in records(ended.stdout)] == [False, False, True]
    assert ended.stderr.count("\n") == 1
