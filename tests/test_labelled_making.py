"""Sets of instruction data from labelled photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from labelled_photographs import save_labelled
from photographs import quarters
from rsfiqa.errors import DataError
from rsfiqa.images import PIXEL_BUDGET
from rsfiqa.learning.fault_labels import LABELLED, packaged_labels, read_labels
from rsfiqa.learning.instruction_making import make_instructions
from rsfiqa.learning.instructions import read_instructions
from rsfiqa.learning.labelled_making import make_labelled
from rsfiqa.learning.levels import (
    CLEAN_LEVEL,
    SEEN_SIGMA,
    UNSURE_SIGMA,
    level_distribution,
    level_of_strengths,
    overall_shift,
    seen_ratings,
)
from rsfiqa.partition import Partition
from rsfiqa.regions.grid import GridSegmenter
from rsfiqa.types import DIMENSIONS

DATA = Path(__file__).parents[1] / ".." / "shared" / "data" / "biq2021" / "images"


@dataclass(frozen=True)
class Words:
    noun: str
    descriptions: tuple[str, ...]


def describe(pixels: np.ndarray, partition: Partition) -> Sequence[Words | None]:
    """Knows the first region only."""
    return [Words("pane", ("a pane",)), *[None] * (len(partition) - 1)]


@pytest.fixture
def given_files(tmp_path: Path) -> tuple[Path, Path]:
    return save_labelled(tmp_path / "given")


@pytest.fixture
def make(given_files: tuple[Path, Path]) -> Callable[..., Any]:
    table, photographs = given_files

    def made(out: Path, **settings: Any) -> Any:
        given: dict[str, Any] = {"segment": quarters, "describe": describe, "workers": 1}
        labels = settings.pop("labels", read_labels(table))
        return make_labelled(labels, photographs, out, **(given | settings))

    return made


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_set_says_what_was_seen(
    make: Callable[..., Any], given_files: tuple[Path, Path], tmp_path: Path
) -> None:
    told: list[int] = []
    report = make(tmp_path / "set", told=told.append)
    assert (report.made, report.kept, report.failures, report.missing) == (3, 0, (), ())
    assert sum(told) == 3
    made = read_instructions(tmp_path / "set")
    assert made.sources == ("cat.png", "people/astronaut.png", "coffee.png")
    counts = made.count_regions()
    assert (counts.regions, counts.labelled, counts.spoiled, counts.described) == (12, 12, 0, 3)
    for instruction in made:
        # The photograph is not changed at all.
        before = np.asarray(Image.open(given_files[1] / instruction.source))
        np.testing.assert_array_equal(np.asarray(Image.open(instruction.image)), before)
        assert instruction.partition == quarters(before)
        assert [region.region for region in instruction.regions] == [0, 1, 2, 3], "no tiny ones"
        assert all(region.faults == () for region in instruction.regions)
    blurred, noisy, clean = made
    for region in blurred.regions:
        assert region.seen == {"blur": 3.0, "noise": 0.0, "artifact": 0.0, "color": 0.0}
        values = {d: region.ratings[d].value for d in DIMENSIONS}
        assert values["blur"] == pytest.approx(level_of_strengths([3]), abs=1e-4)
        assert values["noise"] == pytest.approx(CLEAN_LEVEL, abs=1e-4)
        # 2 is a little worse than blur 3 alone, 2.15.
        assert values["overall"] == pytest.approx(2.15 - 0.5 * 0.15, abs=1e-4)
    # Of the left upper quarter 8 of 9 parts are in cells 1 and 4 and those between; of the left
    # lower one a ninth and two: neither in nor out.
    assert "noise" not in (noisy.regions[2].seen or {})
    unsure = noisy.regions[2].ratings["noise"].probabilities
    wanted = level_distribution((CLEAN_LEVEL + level_of_strengths([2])) / 2, UNSURE_SIGMA)
    np.testing.assert_allclose(unsure, wanted.probabilities, atol=1e-5)
    assert noisy.regions[0].seen == {"blur": 0.0, "noise": 2.0, "artifact": 0.0, "color": 1.0}
    assert noisy.regions[3].seen == {"blur": 0.0, "noise": 0.0, "artifact": 0.0, "color": 0.0}
    overall = [region.ratings["overall"].value for region in noisy.regions]
    assert overall[0] < overall[1] < overall[3]
    for region in clean.regions:
        assert region.seen == dict.fromkeys(LABELLED, 0.0)
        assert region.ratings["overall"].value == pytest.approx(4.65, abs=1e-4)
        assert region.noun == ("pane" if region.region == 0 else None)


class _InterruptedError(Exception):
    pass


@pytest.mark.parametrize("after", [1, 2])
def test_an_interrupted_run_goes_on_to_the_same_set(
    make: Callable[..., Any], tmp_path: Path, after: int
) -> None:
    make(tmp_path / "whole", workers=2)
    left = after

    def segment(pixels: np.ndarray) -> Partition:
        nonlocal left
        left -= 1
        if left < 0:
            raise _InterruptedError
        return quarters(pixels)

    with pytest.raises(_InterruptedError):
        make(tmp_path / "set", segment=segment)
    file = tmp_path / "set" / "instructions.jsonl"
    with file.open("ab") as stream:
        stream.write(b'{"image": "pictures/0000')  # torn
    told: list[int] = []
    report = make(tmp_path / "set", told=told.append)
    assert (report.made, report.kept) == (3 - after, after)
    assert sum(told) == 3
    assert _contents(tmp_path / "set") == _contents(tmp_path / "whole")
    again = make(tmp_path / "set")
    assert (again.made, again.kept) == (0, 3)


def test_sets_do_not_mix(
    make: Callable[..., Any], given_files: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "set"
    make(out)
    before = _contents(out)
    labels = read_labels(given_files[0])
    changed = (replace(labels[0], overall=5.0), *labels[1:])
    for change, named in (
        ({"labels": changed}, "labels"),
        ({"labels": labels[:2]}, "labels"),
        ({"describe": None}, "described"),
        ({"made_by": {"segmenter": "grid"}}, "segmenter"),
    ):
        with pytest.raises(DataError, match=rf"made otherwise.*{named}"):
            make(out, **change)
    pytest.importorskip("piq")
    with pytest.raises(DataError, match="made otherwise"):
        make_instructions(given_files[1], out, segment=quarters, pictures=2)
    with (
        FileLock(out / ".instructions.jsonl.lock"),
        pytest.raises(DataError, match="another run"),
    ):
        make(out)
    assert _contents(out) == before


def test_missing_photographs_are_named_and_made_later(
    make: Callable[..., Any], given_files: tuple[Path, Path], tmp_path: Path
) -> None:
    cat = given_files[1] / "cat.png"
    kept = cat.read_bytes()
    cat.unlink()
    (given_files[1] / "coffee.png").write_bytes(b"no picture")
    report = make(tmp_path / "set")
    assert report.made == 1
    assert report.missing == ("cat.png",)
    [(name, reason)] = report.failures
    assert name == "coffee.png"
    assert "coffee.png" in reason
    cat.write_bytes(kept)
    again = make(tmp_path / "set")
    assert (again.made, again.kept, again.missing) == (1, 1, ())
    assert set(read_instructions(tmp_path / "set").sources) == {"cat.png", "people/astronaut.png"}


def test_nothing_to_make_a_set_of(
    make: Callable[..., Any], given_files: tuple[Path, Path], tmp_path: Path
) -> None:
    labels = read_labels(given_files[0])
    with pytest.raises(DataError, match=r"none of the 3 labelled .* is in .*cat\.png"):
        make_labelled(labels, tmp_path, tmp_path / "set", segment=quarters)
    with pytest.raises(DataError, match="no labels were given"):
        make(tmp_path / "set", labels=())
    assert not (tmp_path / "set").exists()


def test_photographs_are_kept_as_readers_see_them(
    make: Callable[..., Any], given_files: tuple[Path, Path], tmp_path: Path
) -> None:
    Image.new("RGB", (3000, 1500), (90, 120, 200)).save(given_files[1] / "cat.png")
    Image.new("RGB", (300, 60)).save(given_files[1] / "coffee.png")
    report = make(tmp_path / "set")
    assert "300×60" in dict(report.failures)["coffee.png"]
    picture = read_instructions(tmp_path / "set")[0]
    assert picture.partition.width * picture.partition.height <= PIXEL_BUDGET
    assert Image.open(picture.image).size == (picture.partition.width, picture.partition.height)


SEVERITIES = st.floats(0, 4)


@given(
    severities=st.fixed_dictionaries(dict.fromkeys(LABELLED, SEVERITIES)),
    unsure=st.sets(st.sampled_from(LABELLED)),
    shift=st.floats(-2, 2),
)
def test_ratings_follow_severities(
    severities: dict[Any, float], unsure: set[Any], shift: float
) -> None:
    seen = {d: s for d, s in severities.items() if d not in unsure}
    maybe = {d: severities[d] for d in unsure}
    ratings = seen_ratings(seen, maybe, shift)
    assert set(ratings) == set(DIMENSIONS)
    for dimension, severity in severities.items():
        value = ratings[dimension].value
        level = level_of_strengths([severity])
        if dimension in unsure:
            assert level - 1e-6 <= value <= CLEAN_LEVEL + 1e-6
            assert value == pytest.approx((level + CLEAN_LEVEL) / 2, abs=1e-6)
        else:
            assert value == pytest.approx(level, abs=1e-6)
    assert 1 - 1e-6 <= ratings["overall"].value <= CLEAN_LEVEL + 1e-6
    without = seen_ratings(seen, {}, shift)["overall"].value
    assert ratings["overall"].value <= without + 1e-6, "a fault that may be is no merit"
    certain = seen_ratings(severities, {}, shift)["overall"].value
    assert certain <= ratings["overall"].value + 1e-6
    assert SEEN_SIGMA < UNSURE_SIGMA


def test_a_word_on_the_whole_moves_half_way() -> None:
    assert overall_shift(CLEAN_LEVEL, [0, 0, 0, 0]) == 0
    assert overall_shift(3.1, [2, 0, 0, 0]) == pytest.approx(0)
    assert overall_shift(5, [4]) == pytest.approx(1.9)
    assert seen_ratings({"blur": 4.0}, shift=-1.9)["overall"].value == pytest.approx(1)
    assert seen_ratings({}, shift=2)["overall"].value == pytest.approx(CLEAN_LEVEL)


@pytest.mark.skipif(not DATA.is_dir(), reason="the photographs of biq2021 are not here")
def test_real_photographs(tmp_path: Path) -> None:
    def segment(pixels: np.ndarray) -> Partition:
        return GridSegmenter(4).segment(pixels, None)

    labels = packaged_labels("biq2021-train")[:4]
    report = make_labelled(labels, DATA, tmp_path / "set", segment=segment, workers=1)
    assert (report.made, report.missing, report.failures) == (4, (), ())
    made = read_instructions(tmp_path / "set")
    for photograph, instruction in zip(labels, made, strict=True):
        assert instruction.source == photograph.image
        assert len(instruction.regions) == 16
        for dimension, fault in photograph.faults.items():
            values = {(region.seen or {}).get(dimension) for region in instruction.regions}
            assert values <= {0.0, fault.severity, None}
