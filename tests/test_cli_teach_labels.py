"""`rsfiqa teach labels`."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import records, rsfiqa
from fake_content import teach_cats
from labelled_photographs import LINES, save_labelled, write_labels
from rsfiqa.learning import fault_labels
from rsfiqa.learning.instructions import read_instructions


@pytest.fixture
def given(tmp_path: Path) -> tuple[Path, Path]:
    return save_labelled(tmp_path / "given")


PLAIN = ("--segmenter", "grid:2", "--no-content")


def test_a_set_from_a_table(given: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "set"
    first = rsfiqa("teach", "labels", *given, "--out", out, *PLAIN)
    assert first.exit_code == 0, first.output
    assert first.stdout == ""
    made = read_instructions(out)
    regions = made.count_regions().regions
    assert (
        f"3 pictures made, 0 kept; the set has 3 pictures of 3 photographs with {regions} regions, "
        f"{regions} labelled and 0 described." in first.stderr
    )
    again = rsfiqa("teach", "labels", *given, "--out", out, *PLAIN)
    assert "0 pictures made, 3 kept" in again.stderr
    quiet = rsfiqa("teach", "labels", *given, "--out", out, *PLAIN, "-q")
    assert (quiet.exit_code, quiet.stderr) == (0, "")
    other = rsfiqa("teach", "labels", *given, "--out", out, "--segmenter", "grid:3", "--no-content")
    assert other.exit_code == 1
    assert "made otherwise" in other.stderr


def test_descriptions_come_from_the_content_teachers(
    given: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teach_cats(monkeypatch)
    result = rsfiqa("teach", "labels", *given, "--out", tmp_path / "set", "--segmenter", "grid:2")
    assert result.exit_code == 0, result.output
    counts = read_instructions(tmp_path / "set").count_regions()
    assert counts.described == counts.regions > 0


def test_conversations_for_other_tools(given: tuple[Path, Path], tmp_path: Path) -> None:
    out, tuning = tmp_path / "set", tmp_path / "tuning.jsonl"
    result = rsfiqa("teach", "labels", *given, "--out", out, *PLAIN, "--messages", tuning)
    assert result.exit_code == 0, result.output
    made = read_instructions(out)
    regions = [region for instruction in made for region in instruction.regions]
    conversations = [line["messages"] for line in records(tuning)]
    assert len(conversations) == sum(len(region.seen or {}) + 1 for region in regions)
    # The astronaut's quarters lie half in, half out of where it is dark.
    assert len(conversations) < 5 * len(regions)
    assert f"{len(conversations)} conversations about {len(regions)} regions" in result.stderr
    assert all((tuning.parent / line["images"][0]).is_file() for line in records(tuning))


def test_missing_photographs_are_counted_and_named(
    given: tuple[Path, Path], tmp_path: Path
) -> None:
    table, photographs = given
    nowhere = [f"no-{n}.jpg,{LINES[2].split(',', 1)[1]}" for n in range(12)]
    write_labels(table, *LINES, *nowhere)
    result = rsfiqa("teach", "labels", table, photographs, "--out", tmp_path / "set", *PLAIN)
    assert result.exit_code == 0, result.output
    said = " ".join(result.stderr.split())
    assert f"12 labelled photographs are not in {photographs}: no-0.jpg, no-1.jpg," in said
    assert "no-9.jpg and 2 more." in said
    assert len(read_instructions(tmp_path / "set")) == 3


def test_a_photograph_that_fails_is_named(given: tuple[Path, Path], tmp_path: Path) -> None:
    (given[1] / "coffee.png").write_bytes(b"no picture")
    result = rsfiqa("teach", "labels", *given, "--out", tmp_path / "set", *PLAIN)
    assert result.exit_code == 1
    assert "failed: coffee.png" in result.stderr
    assert len(read_instructions(tmp_path / "set")) == 2


def test_labels_of_the_package(
    given: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = fault_labels.read_labels(given[0])
    monkeypatch.setattr(fault_labels, "packaged_names", lambda: ("biq2021",))
    monkeypatch.setattr(fault_labels, "packaged_labels", lambda name: known)
    arguments = ("--out", tmp_path / "set", *PLAIN)
    result = rsfiqa("teach", "labels", "biq2021", given[1], *arguments)
    assert result.exit_code == 0, result.output
    assert len(read_instructions(tmp_path / "set")) == 3
    unknown = rsfiqa("teach", "labels", "biq2022", given[1], *arguments)
    assert unknown.exit_code == 1
    assert "labels that come with rsfiqa: biq2021." in unknown.stderr


def test_what_can_be_refused_is_refused_at_once(given: tuple[Path, Path], tmp_path: Path) -> None:
    table, photographs = given
    out = tmp_path / "set"
    none = rsfiqa("teach", "labels", table, tmp_path, "--out", out)
    assert none.exit_code == 1
    assert "none of the 3 labelled photographs" in none.stderr
    assert rsfiqa("teach", "labels", table, photographs).exit_code == 2
    magic = rsfiqa("teach", "labels", *given, "--out", out, "--segmenter", "magic")
    assert magic.exit_code == 2
    contrary = rsfiqa("teach", "labels", *given, "--out", out, "--no-content", "--coco", out)
    assert contrary.exit_code == 2
    write_labels(table, "cat.png,7,all,0,-,0,-,0,-,2")
    wrong = rsfiqa("teach", "labels", *given, "--out", out)
    assert wrong.exit_code == 1
    assert "line 2 of" in wrong.stderr
    assert "a severity is a number from 0" in wrong.stderr
