"""Beneath `rsfiqa bench read`: spoiled regions, the leak, people, content, the linear head, timing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fake_raters import (
    LevelReader,
    Oracle,
    ok,
    oracle_of,
    write_coco,
    write_mmp2k,
    write_set,
)
from photographs import save_photographs
from rsfiqa.encoders.build import build_encoder
from rsfiqa.encoders.grid import GridEncoder
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.instructions import RegionInstruction, read_instructions
from rsfiqa.learning.levels import wanted_ratings
from rsfiqa.learning.mmp2k import read_mmp2k
from rsfiqa.learning.reading_bench import BenchData, bench_reading
from rsfiqa.learning.reading_content import measure_content
from rsfiqa.learning.reading_goals import GOALS, judge
from rsfiqa.learning.reading_leak import measure_leak
from rsfiqa.learning.reading_linear import PENALTIES, Standard, fit_linear_head
from rsfiqa.learning.reading_people import measure_people, picture_values
from rsfiqa.learning.reading_plots import reliability_png
from rsfiqa.learning.reading_raters import (
    LINEAR,
    READER,
    ReaderRater,
    Studio,
    is_read,
    levels_of,
    rating_only,
    values_of,
)
from rsfiqa.learning.reading_spoiled import rate_spoiled, reliability_of, spoiled_figures
from rsfiqa.learning.reading_timing import ten_regions, time_reader
from rsfiqa.learning.teaching_evidence import TaughtRegions
from rsfiqa.partition import Partition
from rsfiqa.reading.base import NoReader
from rsfiqa.reading.embedded import EmbeddedReader
from rsfiqa.reading.projector import EvidenceBatch
from rsfiqa.regions.grid import GridSegmenter
from rsfiqa.types import DIMENSIONS, Reading
from tiny_language import tiny_checkpoint, tiny_language

GRID = Studio(segmenter=GridSegmenter(2))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("made") / "set")


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copied"))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return sorted(save_photographs(tmp_path_factory.mktemp("clean"), "cat", "coffee").glob("*"))


@pytest.fixture(scope="module")
def encoder(tiny_encoder_specs: list[dict[str, Any]]) -> GridEncoder:
    return build_encoder(tiny_encoder_specs).eval()


# Who is measured, and what they see


def test_regions_that_were_not_read_have_no_levels() -> None:
    levels = levels_of([ok(2.0), Reading("failed", reason="refused"), Reading()])
    assert levels.shape == (3, 5, 5)
    assert is_read(levels).tolist() == [True, False, False]
    np.testing.assert_allclose(values_of(levels)[0], 2.0)


def test_a_reader_that_leaves_regions_out_is_found_out(cat: Any) -> None:
    class Short(Oracle):
        def read(self, *_: Any, **__: Any) -> list[Reading]:
            return [ok(3.0)]

    with pytest.raises(DataError, match="1 readings of 4 regions"):
        ReaderRater(Short()).rate(Studio(segmenter=GridSegmenter(2)).picture(cat[:200, :200]))


def test_a_picture_needs_what_is_asked_of_it(cat: Any) -> None:
    with pytest.raises(ConfigError, match="needs a segmenter"):
        Studio().picture(cat)
    with pytest.raises(ConfigError, match="no encoder"):
        _ = Studio().picture(cat, GridSegmenter(2).segment(cat, None)).grid
    with pytest.raises(DataError, match=r"451×300 but its partition 9×9"):
        Studio().picture(cat, Partition(np.zeros((9, 9), int)))


def test_regions_too_fine_for_the_budget_are_refused() -> None:
    labels = np.zeros((2000, 2000), int)
    labels[0, 0] = 1  # the first row that is kept is the second
    with pytest.raises(DataError, match="1 of 2 regions vanish"):
        Studio().picture(np.zeros((2000, 2000, 3), np.uint8), Partition(labels))


def test_features_are_shared_and_descriptions_left_out(cat: Any, encoder: GridEncoder) -> None:
    reader = EmbeddedReader(tiny_checkpoint(encoder), tiny_language())
    silent = rating_only(reader)
    assert silent.name == f"{reader.name}+ratings-only" == rating_only(silent).name
    picture = Studio(encoder).picture(cat, GridSegmenter(2).segment(cat, None))
    whole, rated = picture.read_by(reader), picture.read_by(silent)
    assert reader._encoder is None, "it was given the picture's features"
    assert any(reading.description for reading in whole)
    assert not any(reading.description for reading in rated)
    np.testing.assert_allclose(levels_of(rated), levels_of(whole), atol=1e-5)
    seconds = time_reader(reader, cat, GridSegmenter(2).segment(cat, None), Studio(encoder), 1)
    assert all(value and value > 0 for value in seconds.values())
    oracle = Oracle()
    assert rating_only(oracle) is oracle


# Spoiled regions


def test_who_knows_the_labels_reaches_every_figure(made: Path) -> None:
    raters = {READER: ReaderRater(oracle_of(made)), LINEAR: ReaderRater(Oracle())}
    done: list[int] = []
    instructions = read_instructions(made)
    rated = rate_spoiled(raters, instructions, Studio(), told=lambda: done.append(1))
    assert len(done) == len(instructions) == 12
    found = spoiled_figures(rated)
    assert found["photographs"] == 3
    assert found["regions"] == len(rated.faults) == instructions.count_regions().regions
    row = found["rows"][READER]
    assert row["failed"] == 0
    assert row["naming"] == row["auc"] == 1
    assert row["overall_srcc"] > 0.99
    assert set(row["dimension_auc"]) == set(DIMENSIONS[:4])
    assert row["calibration"]["error"] == pytest.approx(0, abs=1e-5)
    assert set(row["calibration"]["by_dimension"]) == set(DIMENSIONS)
    blind = found["rows"][LINEAR]
    assert blind["auc"] == 0.5
    assert blind["overall_srcc"] is None
    assert blind["calibration"]["error"] > 0.05
    better = found["difference"]["auc"]
    assert better["value"] == better["low"] == better["high"] == 0.5
    assert "overall_srcc" not in found["difference"], "one of them has none"
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert rate_spoiled(raters, instructions, Studio(), workers=2).levels[READER].tolist() == (
        rated.levels[READER].tolist()
    )


def test_figures_are_of_regions_that_were_read(made: Path) -> None:
    raters = {READER: ReaderRater(oracle_of(made, failing=[0, 1]))}
    rated = rate_spoiled(raters, read_instructions(made)[:3], Studio())
    row = spoiled_figures(rated)["rows"][READER]
    assert row["failed"] == 6
    assert row["regions"] == found_regions(made, 3) - 6
    assert row["naming"] == 1
    nobody = rate_spoiled({READER: ReaderRater(NoReader())}, read_instructions(made)[:1], Studio())
    row = spoiled_figures(nobody)["rows"][READER]
    assert row["naming"] is row["auc"] is None
    assert "calibration" not in row
    with pytest.raises(DataError, match="could read no region"):
        reliability_of(nobody, READER)


def found_regions(folder: Path, pictures: int) -> int:
    return read_instructions(folder)[:pictures].count_regions().regions


def test_a_set_without_regions_is_a_data_error() -> None:
    with pytest.raises(DataError, match="no region"):
        rate_spoiled({}, [], Studio())


def test_reliability_is_drawn(made: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    raters = {READER: ReaderRater(oracle_of(made)), LINEAR: ReaderRater(Oracle())}
    rated = rate_spoiled(raters, read_instructions(made)[:2], Studio())
    png = reliability_png({name: reliability_of(rated, name) for name in raters})
    (tmp_path / "plot.png").write_bytes(png)
    assert Image.open(tmp_path / "plot.png").size == (840, 990)


# The leak


def test_who_looks_at_regions_alone_does_not_leak(photographs: list[Path]) -> None:
    raters = {READER: ReaderRater(LevelReader()), LINEAR: ReaderRater(LevelReader(leak=0.5))}
    found = measure_leak(raters, photographs, GRID)
    assert found["pictures"] == 2
    assert found["copies"] + found["unseen"] == 8
    own, leaking = found["rows"][READER], found["rows"][LINEAR]
    assert own["mean"] == own["p95"] == 0
    assert all(row == {"mean": 0, "p95": 0} for row in own["by_dimension"].values())
    assert 0 < leaking["mean"] <= leaking["p95"]
    assert own["untouched"] == 3 * found["copies"]
    assert abs(own["own_fall"]) > 0
    assert set(own["own_fall_by_dimension"]) == set(DIMENSIONS[:4])
    assert measure_leak(raters, photographs, GRID, workers=2) == found
    assert measure_leak(raters, photographs, GRID, seed=5) != found


def test_faults_that_nobody_sees_are_left_out(tmp_path: Path) -> None:
    Image.new("RGB", (96, 96), (0, 0, 0)).save(tmp_path / "black.png")
    with pytest.raises(DataError, match="two regions"):
        measure_leak({}, [tmp_path / "black.png"], Studio(segmenter=GridSegmenter(1)))
    raters = {READER: ReaderRater(LevelReader())}
    found = measure_leak(raters, [tmp_path / "black.png"], GRID, seed=1)
    assert found["unseen"] > 0, "black cannot be blurred"


def test_untouched_regions_that_were_not_read_are_not_compared(photographs: list[Path]) -> None:
    refusing = ReaderRater(Oracle(failing=[0, 1, 2, 3]))
    found = measure_leak({READER: refusing}, photographs[:1], GRID)
    row = found["rows"][READER]
    assert row["untouched"] == 0
    assert row["mean"] is row["own_fall"] is None


# People


ANNOTATED = [
    [],
    [("overexposure", "mild", "center")],
    [("", "", ""), ("noise and artifact", "strong", "entire image")],
    [("out of focus", "mild", "left"), ("motion blur", "medium", "entire image")],
    [("underexposure", "strong", "entire image")],
]


def test_photographs_with_a_fault_are_told_from_those_without(tmp_path: Path) -> None:
    photographs = read_mmp2k(write_mmp2k(tmp_path / "mmp2k", ANNOTATED))
    assert [len(p.annotations) for p in photographs] == [0, 1, 1, 2, 1]
    raters = {READER: ReaderRater(LevelReader()), LINEAR: ReaderRater(Oracle(failing=range(4)))}
    found = measure_people(raters, photographs, GRID)
    # Rated by brightness, which falls from photograph to photograph.
    assert found["cases"] == {
        "blur": {"with": 1, "without": 4},
        "exposure": {"with": 1, "without": 3},
        "noise and artifact": {"with": 1, "without": 4},
    }
    row = found["rows"][READER]
    assert row["failed"] == 0
    assert row["exposure"]["auc"] == 1
    assert row["exposure"]["by_magnitude"] == {
        "mild": pytest.approx(1 / 3),
        "medium": None,
        "strong": 1,
    }
    assert row["blur"]["auc"] == 0.75
    assert row["noise and artifact"]["auc"] == row["noise and artifact"]["auc_worst_region"] == 0.5
    unread = found["rows"][LINEAR]
    assert unread["failed"] == 5
    assert unread["blur"]["auc"] is None


def test_a_picture_is_the_mean_of_its_regions_by_area() -> None:
    levels = levels_of([ok(1.0), ok(5.0), ok(3.0), Reading()])
    found = picture_values(levels, np.array([0.04, 0.36, 0.1, 0.5]))
    np.testing.assert_allclose(found["mean_by_area"], (0.04 + 5 * 0.36 + 3 * 0.1) / 0.5)
    np.testing.assert_allclose(found["worst_region"], 3.0)
    tiny = picture_values(levels[:1], np.array([0.01]))
    np.testing.assert_allclose(tiny["worst_region"], 1.0)


HEADER = "image,distortion_annotation\n"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("image,mos\n1.png,3\n", "columns image and distortion_annotation"),
        ("", "a row a photograph"),
        (HEADER + "1.png,nonsense\n", "line 2"),
        (HEADER + '1.png,"[{""factor"": ""blur""}]"\n', "line 2"),
        (HEADER + "1.png,[]\n", "1 of 1 photographs are missing"),
        (
            HEADER
            + '1.png,"[{""factor"": ""rain"", ""magnitude"": ""mild"", ""position"": """"}]"\n',
            "'mild' 'rain'",
        ),
    ],
)
def test_a_damaged_table_is_one_sentence(tmp_path: Path, table: str, words: str) -> None:
    (tmp_path / "scores.csv").write_text(table, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read_mmp2k(tmp_path)


def test_no_table_and_no_photographs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_mmp2k(tmp_path)
    with pytest.raises(DataError, match="none was given"):
        measure_people({}, [], GRID)


# Content


def test_descriptions_are_compared_with_labels(tmp_path: Path) -> None:
    from rsfiqa.learning.content_panoptic import CocoPanoptic

    coco = CocoPanoptic.open(write_coco(tmp_path / "coco"), "val")

    class Describes(Oracle):
        def read(self, pixels: Any, partition: Partition, grid: Any = None) -> list[Reading]:
            rows = [0.5 * sum(span) for span in _vertical(partition)]
            top = pixels.shape[0] / 2
            return [ok(4.0, description="the sky" if row < top else "a dog") for row in rows]

    found = measure_content(Describes(), coco, coco.names, GRID)
    assert found["pictures"] == 1
    assert found["failed"] == 0
    assert found["all"]["regions"] == found["all"]["said"] == 4
    assert found["all"]["accuracy"] == 0.5
    silent = measure_content(Oracle(failing=[0]), coco, coco.names, GRID)
    assert silent["failed"] == 1
    assert silent["all"]["said"] == 0
    with pytest.raises(DataError, match="none was given"):
        measure_content(Oracle(), coco, [], GRID)


def _vertical(partition: Partition) -> list[tuple[int, int]]:
    return [(r.bbox[1], r.bbox[1] + r.bbox[3]) for r in partition.regions]


# The linear head


def regions_of(count: int, seed: int, width: int = 6) -> TaughtRegions:
    """Regions whose first feature is the level that they are to be rated; the rest is noise."""
    rng = np.random.default_rng(seed)
    levels = rng.choice(np.linspace(1.3, 4.7, 18), count)
    features = rng.normal(size=(count, width)).astype(np.float32)
    features[:, 0] = 100 + 3 * levels
    features[:, 1] = 7  # always the same
    ratings = np.array(
        [[ok(level).ratings[d].probabilities for d in DIMENSIONS] for level in levels]
    )
    evidence = EvidenceBatch(
        torch.from_numpy(features),
        torch.zeros(count, 3),
        torch.zeros(count, 2),
        torch.zeros(count, 4, 2),
    )
    unknown = RegionInstruction(0, wanted_ratings(()))
    return TaughtRegions(evidence, torch.tensor(ratings).float(), [unknown] * count, range(count))


def test_the_linear_head_finds_what_is_linear() -> None:
    tried: list[int] = []
    head = fit_linear_head(regions_of(300, 0), regions_of(100, 1), told=tried.append)
    test = regions_of(100, 2)
    said = head.probabilities(test.evidence)
    assert said.shape == (100, 5, 5)
    torch.testing.assert_close(said.sum(-1), torch.ones(100, 5))
    wanted = values_of(test.ratings.double().numpy())
    assert np.abs(values_of(said.double().numpy()) - wanted).mean() < 0.25
    assert tried == list(range(1, len(tried) + 1))
    assert list(head.held_losses) == list(PENALTIES[: len(tried)])
    assert head.held_losses[head.penalty] == min(head.held_losses.values())
    again = fit_linear_head(regions_of(300, 0), regions_of(100, 1))
    torch.testing.assert_close(again.weight, head.weight, rtol=1e-3, atol=1e-4)


def test_noise_asks_for_a_strong_penalty() -> None:
    noise, held = regions_of(40, 0, width=60), regions_of(200, 1, width=60)
    shuffled = TaughtRegions(
        noise.evidence,
        noise.ratings[torch.randperm(40, generator=torch.Generator().manual_seed(0))],
        noise.instructions,
        noise.pictures,
    )
    assert fit_linear_head(shuffled, held).penalty == PENALTIES[0]


def test_the_linear_head_needs_both_parts() -> None:
    some, none = regions_of(3, 0), regions_of(0, 0)
    for training, held in ((some, none), (none, some)):
        with pytest.raises(DataError, match="both need some"):
            fit_linear_head(training, held)


def test_standardising_is_as_in_the_projector() -> None:
    from rsfiqa.reading.projector import Projector, ProjectorConfig

    regions = regions_of(50, 0)
    config = ProjectorConfig(
        features=6, parts=2, pixels=3, fine=((0, 1),), content=((0, 1),), width=4
    )
    projector = Projector(config)
    part = regions.evidence
    fitted = EvidenceBatch(part.features, torch.zeros(50, 8), torch.zeros(50, 3), part.parts)
    projector.fit(fitted, torch.zeros(5, 4), 1.0)
    expected = projector.standardised("features", part.features)
    torch.testing.assert_close(Standard.of(part)(part)[:, :6], expected, rtol=0.03, atol=1e-3)


# All together


def test_all_parts_in_one_run(
    made: Path, copied: Path, photographs: list[Path], tmp_path: Path, encoder: GridEncoder
) -> None:
    done: list[str] = []

    def progress(what: str, total: int) -> Any:
        from contextlib import nullcontext

        assert total > 0
        done.append(what)
        return nullcontext(lambda _: None)

    data = BenchData(
        spoiled=made,
        taught_on=[copied],
        clean=photographs,
        people=write_mmp2k(tmp_path / "mmp2k", ANNOTATED),
        coco=write_coco(tmp_path / "coco"),
    )
    outcome = bench_reading(
        oracle_of(made),
        data,
        GridSegmenter(2),
        encoder=encoder,
        limit=4,
        progress=progress,
    )
    figures = outcome.figures
    assert figures["left_out"] == ["labelled"]
    assert figures["spoiled"]["pictures"] == 4
    assert figures["people"]["pictures"] == 4
    assert figures["linear"]["regions"] + figures["linear"]["held"] == found_regions(copied, 12)
    for part in ("spoiled", "leak", "people"):
        assert set(figures[part]["rows"]) == {READER, LINEAR}
    assert figures["spoiled"]["rows"][READER]["naming"] == 1
    assert outcome.rated is not None
    assert len(outcome.notes) == 1
    assert "names that occur" in outcome.notes[0]
    assert len(done) == 6
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    goals = judge(figures)
    assert len(goals) == sum(goal.part != "timing" for goal in GOALS)
    named = next(row for row in goals if "rated worst" in row["goal"])
    assert named["met"] is True
    assert named[LINEAR] is not None


def test_parts_without_data_are_left_out(made: Path) -> None:
    outcome = bench_reading(oracle_of(made), BenchData(spoiled=made), GridSegmenter(2), limit=1)
    assert outcome.figures["left_out"] == ["linear", "labelled", "leak", "people", "content"]
    assert set(outcome.figures["spoiled"]["rows"]) == {READER}
    assert outcome.notes == ()
    assert outcome.figures["settings"] == {"limit": 1, "seed": 0, "precision": None}


def test_nobody_cannot_be_measured(made: Path) -> None:
    with pytest.raises(ConfigError, match="reads nothing"):
        bench_reading(NoReader(), BenchData(spoiled=made), GridSegmenter(2))


def test_a_set_of_few_photographs_teaches_no_linear_head(
    tmp_path: Path, encoder: GridEncoder
) -> None:
    few = write_set(tmp_path / "few", names=["coffee"])
    with pytest.raises(ConfigError, match="more photographs"):
        bench_reading(Oracle(), BenchData(taught_on=[few]), GridSegmenter(2), encoder=encoder)


def test_the_linear_head_learns_from_several_sets(
    made: Path, copied: Path, tmp_path: Path, encoder: GridEncoder
) -> None:
    # Too few photographs for a part to be held back, which the other set has.
    few = write_set(tmp_path / "few", names=["coffee"])
    data = BenchData(spoiled=made, taught_on=[few, copied])
    outcome = bench_reading(oracle_of(made), data, GridSegmenter(2), encoder=encoder, limit=2)
    sets = [read_instructions(folder) for folder in (few, copied)]
    regions = sum(part.count_regions().regions for part in sets)
    linear = outcome.figures["linear"]
    assert linear["regions"] + linear["held"] == regions
    assert set(outcome.figures["spoiled"]["rows"]) == {READER, LINEAR}
    # What was computed of a set's pictures is kept beside that set.
    for part in sets:
        assert len(list((part.folder / "evidence").iterdir())) == len(part)


def test_goals_are_met_missed_or_not_measured() -> None:
    figures = {
        "timing": {"seconds": {"ratings": None, "descriptions": 3.6}, "peak_mb": 2400.0},
        "leak": {"rows": {READER: {"mean": 0.15}, LINEAR: {"mean": 0.1}}},
    }
    met = {row["goal"]: row["met"] for row in judge(figures)}
    assert met == {
        "leak to untouched regions": False,
        "ratings": None,
        "ratings and descriptions": False,
        "peak memory of assessing": True,
    }


def test_ten_regions_are_ten() -> None:
    areas = [region.area for region in ten_regions().regions]
    assert len(areas) == 10
    assert max(areas) < 1.02 * min(areas)
