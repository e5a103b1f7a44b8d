"""Figures on photographs whose faults somebody saw, and the bench that prints them."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_line import rsfiqa
from fake_raters import Oracle, oracle_of, write_set
from fake_reader import serve
from labelled_photographs import LINES, save_labelled, write_labels
from photographs import quarters
from rsfiqa.encoders.build import build_encoder
from rsfiqa.errors import DataError
from rsfiqa.learning.fault_labels import LABELLED, read_labels
from rsfiqa.learning.instructions import read_instructions
from rsfiqa.learning.labelled_making import make_labelled
from rsfiqa.learning.reading_bench import BenchData, bench_reading
from rsfiqa.learning.reading_labelled import measure_labelled
from rsfiqa.learning.reading_raters import LINEAR, READER, ReaderRater, Studio
from rsfiqa.learning.reading_seen import seen_figures
from rsfiqa.learning.reading_spoiled import rate_spoiled
from rsfiqa.reading.base import NoReader
from rsfiqa.regions.grid import GridSegmenter
from rsfiqa.types import DIMENSIONS

BLUR, OVERALL = DIMENSIONS.index("blur"), DIMENSIONS.index("overall")


def _values(blur: list[float], others: float = 5.0) -> np.ndarray:
    values = np.full((len(blur), 5), others)
    values[:, BLUR] = blur
    return values


def test_slight_faults_are_neither_and_unknown_ones_left_out() -> None:
    seen: list[dict[Any, float]] = [{"blur": s} for s in (0.0, 0.0, 1.0, 2.0, 4.0)]
    figures = seen_figures(_values([5, 3, 1, 4, 2]), seen, range(5), np.ones(5))
    blur = figures.dimensions["blur"]
    assert (blur.clear, blur.clean) == (2, 2)
    assert blur.auc == 0.75
    assert blur.auc == blur.photograph_auc == figures.auc
    assert blur.srcc == pytest.approx(blur.photograph_srcc)
    noise = figures.dimensions["noise"]
    assert (noise.clear, noise.clean, noise.auc, noise.srcc) == (0, 0, None, None)
    unknown = seen_figures(_values([5, 3, 1, 4, 2, 1]), [*seen, {}], range(6), np.ones(6))
    assert unknown.dimensions == figures.dimensions
    assert unknown.regions == unknown.photographs == 6


def test_a_photograph_is_the_mean_of_its_regions_by_area() -> None:
    # Photograph 7 is blurred in three quarters of it, 2 in a quarter, 5 nowhere; 9 is not known.
    pictures = [7, 7, 2, 2, 5, 9]
    areas = np.array([0.75, 0.25, 0.25, 0.75, 1.0, 1.0])
    seen: list[dict[Any, float]] = [
        *({"blur": 4.0}, {"blur": 0.0}, {"blur": 4.0}),
        *({"blur": 0.0}, {"blur": 0.0}, {}),
    ]
    values = _values([1, 5, 1, 5, 4.5, 1])
    blur = seen_figures(values, seen, pictures, areas).dimensions["blur"]
    # Rated 2, 4 and 4.5, of severity 3, 1 and 0.
    assert blur.photograph_srcc == pytest.approx(1)
    assert blur.photograph_auc == 1
    values[:, OVERALL] = [1, 2, 3, 3, 5, 4]
    wanted = [1, 1, 3, 4, 4.8, 4]
    figures = seen_figures(values, seen, pictures, areas, wanted)
    assert figures.overall_srcc == pytest.approx(1)
    assert figures.photographs == 4
    assert seen_figures(values, seen, pictures, areas).overall_srcc is None


def test_no_regions_have_no_figures() -> None:
    figures = seen_figures(np.empty((0, 5)), [], [], [], [])
    assert figures.regions == figures.photographs == 0
    assert figures.auc is figures.srcc is figures.overall_srcc is None
    assert all(found.auc is None for found in figures.dimensions.values())


@given(
    rows=st.lists(
        st.tuples(
            st.floats(1, 5),
            st.dictionaries(st.sampled_from(LABELLED), st.sampled_from([0.0, 1.0, 2.0, 4.0])),
            st.integers(0, 4),
            st.floats(0.01, 1),
        ),
        min_size=1,
        max_size=30,
    ),
    seed=st.integers(0, 1000),
)
def test_figures_are_in_range_and_the_order_does_not_matter(rows: list[Any], seed: int) -> None:
    def figures(rows: list[Any]) -> dict[str, Any]:
        values = np.array([[row[0]] * 5 for row in rows])
        found = seen_figures(values, *([row[k] for row in rows] for k in (1, 2, 3)), values[:, 0])
        return asdict(found)

    before = figures(rows)
    order = np.random.default_rng(seed).permutation(len(rows))
    after = figures([rows[k] for k in order])
    for dimension in LABELLED:
        for key, value in before["dimensions"][dimension].items():
            if key in ("auc", "photograph_auc"):
                assert value is None or 0 <= value <= 1
            if key in ("srcc", "photograph_srcc"):
                assert value is None or -1 - 1e-9 <= value <= 1 + 1e-9
            again = after["dimensions"][dimension][key]
            assert again == (None if value is None else pytest.approx(value))


def test_equal_means_are_ties() -> None:
    rng = np.random.default_rng(0)
    seen: list[dict[Any, float]] = [{"blur": s} for s in rng.choice([0.0, 1.0, 3.0], 90)]
    values, areas = np.full((90, 5), 4.8), rng.random(90)
    figures = seen_figures(values, seen, np.arange(90) // 3, areas, rng.random(90))
    assert figures.dimensions["blur"].photograph_auc in (0.5, None)
    assert figures.dimensions["blur"].photograph_srcc is figures.overall_srcc is None


def test_who_says_the_labels_is_perfect() -> None:
    rng = np.random.default_rng(0)
    severities = rng.choice([0.0, 1.0, 2.0, 3.0, 4.0], (60, 4))
    seen: list[dict[Any, float]] = [dict(zip(LABELLED, row, strict=True)) for row in severities]
    values = np.full((60, 5), 5.0)
    for k, dimension in enumerate(LABELLED):
        values[:, DIMENSIONS.index(dimension)] -= severities[:, k]
    figures = seen_figures(values, seen, np.arange(60) // 3, np.ones(60), values[:, OVERALL])
    assert figures.auc == pytest.approx(1)
    assert figures.srcc == pytest.approx(1)
    for found in figures.dimensions.values():
        assert found.photograph_srcc == pytest.approx(1)


# The bench


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    table, photographs = save_labelled(folder / "given")
    # The three, under several names and in other words, so that there is something to rank.
    lines = list(LINES)
    for n, line in enumerate(LINES * 2):
        name, faults = line.split(",", 1)
        shutil.copy(photographs / name, photographs / f"again-{n}.png")
        overall = 1 + n / 2
        lines.append(f"again-{n}.png,{faults.rsplit(',', 1)[0]},{overall}")
    write_labels(table, *lines)
    labels = read_labels(table)
    report = make_labelled(labels, photographs, folder / "set", segment=quarters, workers=1)
    assert report.made == 9
    return folder / "set"


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("spoiled") / "set")


def test_who_knows_the_labels_reaches_every_figure(labelled: Path) -> None:
    raters = {READER: ReaderRater(oracle_of(labelled)), LINEAR: ReaderRater(Oracle())}
    instructions = read_instructions(labelled)
    done: list[int] = []
    found = measure_labelled(raters, instructions, Studio(), told=lambda: done.append(1))
    assert len(done) == found["photographs"] == 9
    assert found["regions"] == instructions.count_regions().labelled == 36
    row = found["rows"][READER]
    assert row["failed"] == 0
    assert row["dimensions"]["blur"]["auc"] == row["dimensions"]["noise"]["auc"] == 1
    assert row["dimensions"]["blur"]["photograph_auc"] == 1
    assert row["dimensions"]["artifact"]["auc"] is None, "nothing of it was seen"
    assert row["auc"] == 1
    assert row["srcc"] == pytest.approx(1)
    blind = found["rows"][LINEAR]
    assert blind["auc"] == 0.5
    assert blind["srcc"] is blind["overall_srcc"] is None
    assert found["difference"]["auc"]["value"] == 0.5
    assert "srcc" not in found["difference"], "one of them has none"
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert measure_labelled(raters, instructions, Studio(), workers=2) == found


def test_figures_are_of_regions_that_were_read(labelled: Path) -> None:
    instructions = read_instructions(labelled)
    raters = {READER: ReaderRater(oracle_of(labelled, failing=[0])), LINEAR: ReaderRater(Oracle())}
    found = measure_labelled(raters, instructions, Studio())
    assert found["rows"][READER]["failed"] == 9
    assert found["rows"][READER]["regions"] == 27
    nobody = {READER: ReaderRater(NoReader()), LINEAR: ReaderRater(Oracle())}
    found = measure_labelled(nobody, instructions, Studio())
    assert found["rows"][READER]["failed"] == 36
    assert found["rows"][READER]["auc"] is None
    assert found["difference"] == {}


def test_the_kinds_of_sets_are_kept_apart(labelled: Path, spoiled: Path) -> None:
    raters = {READER: ReaderRater(Oracle())}
    with pytest.raises(DataError, match="rsfiqa teach labels"):
        measure_labelled(raters, read_instructions(spoiled)[:2], Studio())
    with pytest.raises(DataError, match="rsfiqa teach data"):
        rate_spoiled(raters, read_instructions(labelled), Studio())
    # In a mixed set each finds its own.
    seen, made = read_instructions(labelled)[0], read_instructions(spoiled)[0]
    mixed = [seen, made, replace(seen, regions=())]
    assert len(rate_spoiled(raters, mixed, Studio()).faults) == len(made.regions)
    assert measure_labelled(raters, mixed, Studio())["regions"] == len(seen.regions)


def test_beside_the_linear_head(
    labelled: Path, spoiled: Path, tiny_encoder_specs: list[dict[str, Any]], tmp_path: Path
) -> None:
    taught = Path(shutil.copytree(spoiled, tmp_path / "taught"))
    done: list[tuple[str, int]] = []

    def progress(what: str, total: int) -> Any:
        from contextlib import nullcontext

        done.append((what, total))
        return nullcontext(lambda _: None)

    outcome = bench_reading(
        oracle_of(labelled),
        BenchData(labelled=labelled, taught_on=[taught]),
        GridSegmenter(2),
        encoder=build_encoder(tiny_encoder_specs).eval(),
        limit=4,
        progress=progress,
    )
    part = outcome.figures["labelled"]
    assert part["pictures"] == 4
    assert set(part["rows"]) == {READER, LINEAR}
    assert part["rows"][LINEAR]["failed"] == 0
    assert ("labelled photographs", 4) in done
    assert outcome.figures["left_out"] == ["spoiled", "leak", "people", "content"]
    [note] = outcome.notes
    assert "of the labelled set have names that occur" in note


def test_the_command(
    labelled: Path, spoiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    serve(monkeypatch, oracle_of(labelled))  # type: ignore[arg-type]
    out = tmp_path / "figures.json"
    arguments = ("bench", "read", "--reader", "server:URL", "--no-timing", "--no-cache-readings")
    ended = rsfiqa(*arguments, "--labelled", labelled, "--out", out)
    assert ended.exit_code == 0, ended.output
    printed = " ".join(ended.stdout.split())
    for words in (
        "Labelled photographs: 36 regions of 9 photographs",
        "AUC, severity 2 or more against 0",
        "SRCC of overall, whole photographs",
        "left out, for want of data: linear, spoiled, leak",
    ):
        assert words in printed, words
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["labelled"]["rows"]["reader"]["dimensions"]["blur"]["auc"] == 1
    assert figures["goals"] == []
    wrong = rsfiqa(*arguments, "--labelled", spoiled)
    assert wrong.exit_code == 1
    assert "teach labels" in wrong.stderr
