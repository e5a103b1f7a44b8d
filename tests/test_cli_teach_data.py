"""`rsfiqa teach data`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from command_line import records, rsfiqa
from fake_content import teach_cats
from photographs import save_photographs
from rsfiqa.cli import COMMANDS
from rsfiqa.learning.instructions import read_instructions

pytest.importorskip("piq")


@pytest.fixture(autouse=True)
def _entered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "teach", "rsfiqa.cli.teach:app")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    return save_photographs(tmp_path / "photographs")


def test_a_set_from_a_folder_and_once_more(photographs: Path, tmp_path: Path) -> None:
    out, tuning = tmp_path / "set", tmp_path / "tuning.jsonl"
    given = (photographs, "--out", out, "--segmenter", "grid:2", "--no-content", "--copies", 2)
    first = rsfiqa("teach", "data", *map(str, given), "--pictures", "3")
    assert first.exit_code == 0, first.output
    assert "3 pictures made, 0 kept; the set has 3 pictures of 2 photographs" in first.stderr
    again = rsfiqa("teach", "data", *map(str, given), "--pictures", "5", "--messages", tuning)
    assert again.exit_code == 0, again.output
    assert "2 pictures made, 3 kept" in again.stderr
    made = read_instructions(out)
    assert len(made) == 5
    regions = made.count_regions().regions
    assert f"{5 * regions} conversations about {regions} regions" in again.stderr
    assert len(records(tuning)) == 5 * regions
    other = rsfiqa("teach", "data", *map(str, given), "--seed", "1")
    assert other.exit_code == 1
    assert "made otherwise" in other.stderr


def test_descriptions_come_from_the_content_teachers(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teach_cats(monkeypatch)
    given = [
        photographs,
        "--out",
        tmp_path / "set",
        "--segmenter",
        "grid:2",
        "--pictures",
        "2",
        "-q",
    ]
    result = rsfiqa("teach", "data", *given)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    counts = read_instructions(tmp_path / "set").count_regions()
    assert counts.described == counts.regions > 0


def test_a_photograph_that_fails_is_named(photographs: Path, tmp_path: Path) -> None:
    (photographs / "broken.jpg").write_bytes(b"no picture")
    given = [photographs, "--out", tmp_path / "set", "--segmenter", "grid:2", "--no-content"]
    result = rsfiqa("teach", "data", *given, "--pictures", "4", "--copies", "1")
    assert result.exit_code == 1
    assert "failed: broken.jpg" in result.stderr
    assert len(read_instructions(tmp_path / "set")) == 3


def test_what_can_be_refused_is_refused_at_once(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "set"
    assert rsfiqa("teach", "data", tmp_path / "missing", "--out", out).exit_code == 1
    unknown = rsfiqa("teach", "data", photographs, "--out", out, "--segmenter", "magic")
    assert unknown.exit_code == 2
    assert "magic" in unknown.stderr
    assert rsfiqa("teach", "data", photographs).exit_code == 2
    contrary = rsfiqa("teach", "data", photographs, "--out", out, "--no-content", "--coco", out)
    assert contrary.exit_code == 2
    monkeypatch.setitem(sys.modules, "piq", None)
    missing = rsfiqa("teach", "data", photographs, "--out", out)
    assert missing.exit_code == 1
    assert "rsfiqa[teach]" in missing.stderr
