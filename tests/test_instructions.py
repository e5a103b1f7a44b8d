"""Sets of instruction data: made, gone on with, read, split and damaged."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from photographs import CROPS, quarters, save_photographs
from rsfiqa.errors import ConfigError, DataError, MissingExtraError
from rsfiqa.learning.fault_labels import LABELLED
from rsfiqa.learning.instruction_making import make_instructions
from rsfiqa.learning.instructions import (
    Fault,
    Instruction,
    RegionInstruction,
    instruction_from,
    read_instructions,
    record_of,
)
from rsfiqa.learning.levels import CLEAN_LEVEL, level_of_strengths, wanted_ratings
from rsfiqa.learning.set_making import name_photographs
from rsfiqa.learning.spoiling import SMALLEST_AREA
from rsfiqa.partition import Partition
from rsfiqa.types import DIMENSIONS

pytest.importorskip("piq")


@dataclass(frozen=True)
class Words:
    noun: str
    descriptions: tuple[str, ...]


def describe(pixels: np.ndarray, partition: Partition) -> Sequence[Words | None]:
    """Knows every region but one."""
    known = [Words(f"pane {k}", (f"a pane, {k}", f"pane {k} of a window")) for k in range(4)]
    return [*known[:3], None, Words("corner", ("a corner",))]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_photographs(tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="module")
def make(photographs: Path) -> Callable[..., Any]:
    def made(out: Path, pictures: int = 10, **settings: Any) -> Any:
        given: dict[str, Any] = {"segment": quarters, "describe": describe, "seed": 3, "workers": 1}
        return make_instructions(photographs, out, pictures=pictures, **(given | settings))

    return made


@pytest.fixture(scope="module")
def whole(make: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "set"
    report = make(out)
    assert (report.made, report.kept, report.failures) == (10, 0, ())
    return out


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copied"))


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_set_says_what_was_done(whole: Path) -> None:
    made = read_instructions(whole)
    assert len(made) == 10
    assert set(made.sources) == {f"{name}.png" for name in CROPS}
    polarities: dict[int, set[bool]] = {k: set() for k in range(4)}
    for instruction, source in zip(made, made.sources, strict=True):
        picture = Image.open(instruction.image)
        assert picture.size == (instruction.partition.width, instruction.partition.height)
        assert instruction.source == source
        assert [r.region for r in instruction.regions] == [0, 1, 2, 3]
        for region in instruction.regions:
            assert instruction.partition.regions[region.region].area >= SMALLEST_AREA
            polarities[region.region].add(bool(region.faults))
            expected = describe(np.empty(0), instruction.partition)[region.region]
            assert region.noun == (expected.noun if expected else None)
            assert region.descriptions == (expected.descriptions if expected else ())
            for d in set(DIMENSIONS) - {"overall", "blur"}:
                strengths = [f.strength for f in region.faults if f.dimension == d]
                wanted = level_of_strengths(strengths)
                assert region.ratings[d].value == pytest.approx(wanted, abs=1e-4)
            overall = region.ratings["overall"].value
            assert overall < CLEAN_LEVEL if region.faults else overall == pytest.approx(CLEAN_LEVEL)
    assert all(found == {True, False} for found in polarities.values())
    counts = made.count_regions()
    assert counts.regions == 10 * 4
    assert counts.described == 10 * 3
    assert counts.labelled == 0
    assert 0 < counts.spoiled < counts.regions


def test_the_seed_makes_the_set(make: Callable[..., Any], whole: Path, tmp_path: Path) -> None:
    make(tmp_path / "again", workers=2)
    assert _contents(tmp_path / "again") == _contents(whole)
    make(tmp_path / "other", pictures=4, seed=4)
    other = _contents(tmp_path / "other")
    assert other["pictures/000000.png"] != _contents(whole)["pictures/000000.png"]


class _InterruptedError(Exception):
    pass


@pytest.mark.parametrize("after", [1, 2])
def test_an_interrupted_run_goes_on_to_the_same_set(
    make: Callable[..., Any], whole: Path, tmp_path: Path, after: int
) -> None:
    left = after

    def segment(pixels: np.ndarray) -> Partition:
        nonlocal left
        left -= 1
        if left < 0:
            raise _InterruptedError
        return quarters(pixels)

    with pytest.raises(_InterruptedError):
        make(tmp_path / "set", segment=segment)
    assert len(read_instructions(tmp_path / "set")) == 4 * after
    report = make(tmp_path / "set")
    assert (report.made, report.kept) == (10 - 4 * after, 4 * after)
    assert _contents(tmp_path / "set") == _contents(whole)


@pytest.mark.parametrize("cut", [1, 40, -3000])
def test_a_torn_line_is_made_again(
    make: Callable[..., Any], whole: Path, copied: Path, cut: int
) -> None:
    file = copied / "instructions.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    torn = lines[6][:cut]
    file.write_bytes(b"".join(lines[:6]) + torn)
    assert len(read_instructions(copied)) == 6
    told: list[int] = []
    report = make(copied, told=told.append)
    assert (report.made, report.kept) == (4, 6)
    assert sum(told) == 10
    assert _contents(copied) == _contents(whole)


def test_a_set_can_grow(make: Callable[..., Any], whole: Path, tmp_path: Path) -> None:
    make(tmp_path / "set", pictures=6)
    report = make(tmp_path / "set")
    assert (report.made, report.kept) == (4, 6)
    assert _contents(tmp_path / "set") == _contents(whole)
    assert make(tmp_path / "set", pictures=3).made == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 4}, "seed"),
        ({"copies": 2}, "copies"),
        ({"describe": None}, "described"),
        ({"made_by": {"segmenter": "grid"}}, "segmenter"),
        ({"largest_side": 100}, "largest_side"),
    ],
)
def test_other_settings_do_not_mix(
    make: Callable[..., Any], copied: Path, change: dict[str, Any], named: str
) -> None:
    before = _contents(copied)
    with pytest.raises(DataError, match=rf"made otherwise.*{named}"):
        make(copied, **change)
    assert _contents(copied) == before


def test_other_photographs_do_not_mix(copied: Path, tmp_path: Path) -> None:
    other = save_photographs(tmp_path / "other", "cat", "coffee")
    with pytest.raises(DataError, match="photographs"):
        make_instructions(other, copied, segment=quarters, describe=describe, pictures=2, seed=3)


def test_two_runs_do_not_write_to_one_set(make: Callable[..., Any], copied: Path) -> None:
    with (
        FileLock(copied / ".instructions.jsonl.lock"),
        pytest.raises(DataError, match="another run"),
    ):
        make(copied, pictures=20)


def test_photographs_that_cannot_be_used_are_named(
    make: Callable[..., Any], tmp_path: Path
) -> None:
    folder = save_photographs(tmp_path / "some", "cat")
    (folder / "broken.jpg").write_bytes(b"no picture")
    Image.new("RGB", (300, 60)).save(folder / "narrow.png")
    report = make_instructions(
        folder, tmp_path / "set", segment=quarters, pictures=12, copies=2, seed=0, workers=1
    )
    assert sorted(name for name, _ in report.failures) == ["broken.jpg", "narrow.png"]
    assert "300×60" in dict(report.failures)["narrow.png"]
    made = read_instructions(tmp_path / "set")
    assert len(made) == report.made == 4
    assert set(made.sources) == {"cat.png"}


@pytest.mark.parametrize("change", [{"pictures": 0}, {"copies": 0}, {"largest_side": 10}])
def test_numbers_out_of_range_are_refused(
    make: Callable[..., Any], tmp_path: Path, change: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        make(tmp_path / "set", **change)


def test_no_photographs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for nothing in (tmp_path / "empty", [], tmp_path / "missing"):
        with pytest.raises(DataError):
            make_instructions(nothing, tmp_path / "set", segment=quarters, pictures=2)
    assert not (tmp_path / "set").exists()


def test_a_folder_that_cannot_be_written_is_named(make: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        make(tmp_path / "file" / "set")


def test_without_piq_nothing_is_begun(
    make: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "piq", None)
    with pytest.raises(MissingExtraError, match=r"rsfiqa\[teach\]"):
        make(tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_photographs_have_names_below_what_they_share(photographs: Path, tmp_path: Path) -> None:
    assert list(name_photographs(photographs)) == ["cat.png", "coffee.png", "people/astronaut.png"]
    assert list(name_photographs([photographs / "people", photographs / "cat.png"])) == [
        "cat.png",
        "people/astronaut.png",
    ]


class TestSplit:
    @pytest.fixture
    def many(self, whole: Path, tmp_path: Path) -> Path:
        """The first line of a set under many sources' names, three lines each."""
        shutil.copytree(whole / "pictures", tmp_path / "many" / "pictures")
        record = json.loads((whole / "instructions.jsonl").read_text().splitlines()[0])
        lines = [json.dumps({**record, "source": f"{n % 60}.jpg"}) for n in range(180)]
        (tmp_path / "many" / "instructions.jsonl").write_text("\n".join(lines) + "\n")
        return tmp_path / "many"

    @pytest.mark.parametrize("fraction", [0.0, 0.2, 0.5, 1.0])
    def test_no_photograph_is_in_both_parts(self, many: Path, fraction: float) -> None:
        made = read_instructions(many)
        for seed in range(5):
            train, held = made.split(fraction, seed=seed)
            assert not set(train.sources) & set(held.sources)
            assert len(train) + len(held) == len(made)
            assert len(set(held.sources)) / 60 == pytest.approx(fraction, abs=0.2)
        assert made.split(0.5, seed=0)[0].sources != made.split(0.5, seed=1)[0].sources

    def test_parts_stay_when_the_set_grows(self, many: Path) -> None:
        made = read_instructions(many)
        some = set(made[:40].split(0.5)[1].sources)
        assert some == set(made.split(0.5)[1].sources) & set(made[:40].sources)

    def test_parts_are_sets(self, many: Path) -> None:
        train, held = read_instructions(many).split(0.3)
        assert train[0].source == train.sources[0]
        assert held[-1].source == held.sources[-1]
        assert held[1:3].sources == held.sources[1:3]
        assert Counter(train.sources).most_common(1)[0][1] == 3
        with pytest.raises(IndexError):
            held[len(held)]


@given(
    faults=st.lists(
        st.sampled_from(
            [
                Fault("noise", "shot_noise", 1.25),
                Fault("color", "haze", 4.0),
                Fault("blur", "defocus", 2),
            ]
        ),
        max_size=2,
    ),
    similarity=st.floats(0, 1),
    noun=st.none() | st.text(),
    descriptions=st.lists(st.text(), max_size=3),
)
def test_an_instruction_survives_json(
    faults: list[Fault], similarity: float, noun: str | None, descriptions: list[str]
) -> None:
    folder = Path("somewhere")
    region = RegionInstruction(
        1, wanted_ratings(faults, similarity), tuple(descriptions), noun, tuple(faults)
    )
    partition = Partition([[0, 0, 1], [0, 1, 1]])
    before = Instruction(folder / "pictures/1.png", "ä/1.jpg", partition, (region,))
    after = instruction_from(json.loads(json.dumps(record_of(before, folder))), folder)
    assert (after.image, after.source, after.partition) == (
        before.image,
        before.source,
        before.partition,
    )
    [back] = after.regions
    assert (back.region, back.noun, back.descriptions, back.faults) == (
        1,
        noun,
        tuple(descriptions),
        tuple(faults),
    )
    for d in DIMENSIONS:
        np.testing.assert_allclose(
            back.ratings[d].probabilities, region.ratings[d].probabilities, atol=1e-6
        )


@given(seen=st.none() | st.dictionaries(st.sampled_from(LABELLED), st.floats(0, 4)))
def test_what_was_seen_survives_json(seen: dict[Any, float] | None) -> None:
    region = RegionInstruction(0, wanted_ratings([]), seen=seen)
    before = Instruction(Path("a/1.png"), "1.jpg", Partition([[0]]), (region,))
    record = json.loads(json.dumps(record_of(before, Path("a"))))
    assert ("seen" in record["regions"][0]) == (seen is not None), "sets of before look the same"
    [after] = instruction_from(record, Path("a")).regions
    assert after.seen == seen
    assert after.faults == ()


class TestDamage:
    def _edit(self, folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
        file = folder / "instructions.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines()
        record = json.loads(lines[2])
        changed = change(record)
        lines[2] = changed if isinstance(changed, str) else json.dumps(record)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @pytest.mark.parametrize(
        "change",
        [
            lambda r: "nonsense",
            lambda r: "[]",
            lambda r: r.pop("source") and None,
            lambda r: r.pop("regions") and None,
            lambda r: r.update(image=7),
            lambda r: r.update(regions=[1]),
        ],
    )
    def test_a_damaged_line_is_found_on_opening(
        self, copied: Path, change: Callable[[dict[str, Any]], Any]
    ) -> None:
        self._edit(copied, change)
        with pytest.raises(DataError, match=r"line 3 .*instructions\.jsonl is no instruction"):
            read_instructions(copied)

    @pytest.mark.parametrize(
        "change",
        [
            lambda r: r["partition"].pop(),
            lambda r: r.pop("partition") and None,
            lambda r: r["regions"][0].update(region=9),
            lambda r: r["regions"][0].update(region=None),
            lambda r: r["regions"][0]["ratings"].pop("blur") and None,
            lambda r: r["regions"][0]["ratings"].update(blur=[1, 1, 0, 0, 0]),
            lambda r: r["regions"][0]["ratings"].update(blur=["a"] * 5),
            lambda r: r["regions"][0]["ratings"].update(blur=3),
            lambda r: r["regions"][0].update(faults=[{"dimension": "blur"}]),
            lambda r: r["regions"][0].update(
                faults=[{"dimension": "blur", "family": "haze", "strength": 2}]
            ),
            lambda r: r["regions"][0].update(
                faults=[{"dimension": "color", "family": "haze", "strength": 9}]
            ),
            lambda r: r["regions"][0].pop("descriptions") and None,
            lambda r: r["regions"][0].update(seen=3),
            lambda r: r["regions"][0].update(seen={"overall": 3}),
            lambda r: r["regions"][0].update(seen={"blur": 5}),
            lambda r: r["regions"][0].update(seen={"blur": "much"}),
            lambda r: r["regions"][0].update(
                seen={}, faults=[{"dimension": "blur", "family": "defocus", "strength": 2}]
            ),
        ],
    )
    def test_damage_inside_is_found_on_reading(
        self, copied: Path, change: Callable[[dict[str, Any]], Any]
    ) -> None:
        self._edit(copied, lambda record: change(record) and None)
        made = read_instructions(copied)
        assert made[1].regions
        with pytest.raises(DataError, match=r"line 3 .*damaged"):
            made[2]

    def test_a_missing_picture_is_named(self, copied: Path) -> None:
        (copied / "pictures" / "000005.png").unlink()
        with pytest.raises(DataError, match=r"000005\.png is missing"):
            read_instructions(copied)

    def test_no_set_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="rsfiqa teach data"):
            read_instructions(tmp_path)

    def test_a_damaged_set_is_not_gone_on_with(
        self, make: Callable[..., Any], copied: Path
    ) -> None:
        self._edit(copied, lambda _: "nonsense")
        with pytest.raises(DataError, match="line 3"):
            make(copied)
        (copied / "settings.json").write_text("{")
        with pytest.raises(DataError, match="made otherwise"):
            make(copied)
