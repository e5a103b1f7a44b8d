"""`rsfiqa bench collection`: the pictures, what is measured, bounds, memory, table, plot and failures."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from threading import Semaphore
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from command_line import rsfiqa, save_picture
from rsfiqa import collection_benchmark
from rsfiqa.collection_benchmark import Plan, bench_collection, bounds_of
from rsfiqa.collection_benchmark_jobs import Setting
from rsfiqa.collection_benchmark_memory import (
    ENOUGH_PICTURES,
    MemorySampler,
    memory_figures,
    resident_mb,
)
from rsfiqa.collection_benchmark_pictures import DAMAGED_EVERY, is_damaged, make_collection
from rsfiqa.collection_benchmark_plot import collection_png
from rsfiqa.errors import ConfigError, ImageError, MissingExtraError
from rsfiqa.images import load_image
from rsfiqa.inputs import find_images

LIGHT = Setting("read", "grid:2", "none")
STAGES = st.dictionaries(
    st.text("abcde", min_size=1, max_size=3),
    st.fixed_dictionaries({"rate": st.floats(0.01, 1e3), "cpu": st.floats(1e-3, 1e2)}),
    min_size=1,
    max_size=5,
)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has processes of its own is measured in this one."""

    def call(case: Callable[[], Any]) -> Any:
        return case()

    monkeypatch.setattr(collection_benchmark, "in_a_process", call)


# The pictures


def test_pictures_are_of_mixed_sizes_and_some_are_damaged(tmp_path: Path) -> None:
    names = make_collection(tmp_path, 60, sides=(40, 160))
    assert len(set(names)) == 60
    assert find_images(names) == names
    longest = []
    for k, name in enumerate(names):
        if is_damaged(k):
            with pytest.raises(ImageError):
                load_image(name)
            continue
        picture = load_image(name)
        longest.append(max(picture.height, picture.width))
        assert min(picture.height, picture.width) >= 40
    assert len(longest) == 58
    assert min(longest) < 60
    assert max(longest) > 120
    assert max(longest) <= 160


def test_the_same_seed_gives_the_same_pictures_and_many_are_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsfiqa.collection_benchmark_pictures.DISTINCT", 3)
    found = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / folder).mkdir()
        names = make_collection(tmp_path / folder, 7, sides=(40, 90), seed=seed)
        found.append([Path(name).read_bytes() for name in names])
    assert found[0] == found[1] != found[2]
    assert found[0][0] == found[0][3] == found[0][6]
    assert is_damaged(1)
    assert len(found[0][1]) < len(found[0][4])


def test_pictures_can_be_made_of_ones_own(tmp_path: Path) -> None:
    mine = str(save_picture(tmp_path / "mine.png", 200))
    (tmp_path / "made").mkdir()
    names = make_collection(tmp_path / "made", 1, sources=[mine], sides=(50, 50))
    assert abs(float(load_image(names[0]).pixels.mean()) - 200) < 2


# The bounds


@given(st.floats(0.01, 1e3), STAGES, st.integers(1, 64))
def test_no_bound_is_above_the_slowest_stage(
    rate: float, stages: dict[str, dict[str, float]], cores: int
) -> None:
    found = bounds_of(rate, stages, cores)
    slowest = min(stage["rate"] for stage in stages.values())
    assert found["in_a_row"] <= slowest + 1e-3
    assert found["bound"] <= slowest + 1e-3
    assert 0 <= found["cores"] <= cores
    assert stages[found["slowest"]]["rate"] == slowest
    assert found["bound_by"] in {"cores", found["slowest"]}


def test_a_stage_that_waits_for_a_server_is_the_bound() -> None:
    stages = {"read": {"rate": 1.0, "cpu": 0.01}, "score": {"rate": 20.0, "cpu": 0.1}}
    found = bounds_of(0.9, stages, cores=2)
    assert (found["bound"], found["bound_by"]) == (1.0, "read")
    assert found["of_bound"] == pytest.approx(0.9)


def test_a_busy_machine_gives_fewer_cores() -> None:
    stages = {"encode": {"rate": 0.65, "cpu": 1.0}, "read": {"rate": 0.39, "cpu": 1.7}}
    found = bounds_of(0.24, stages, cores=2)
    assert (found["bound_by"], found["cores"]) == ("cores", 0.66)
    assert found["of_bound"] == pytest.approx(0.24 / (0.663 / 2.7), abs=0.01)


# Memory


@given(st.floats(0, 300), st.floats(100, 1000), st.floats(0, 500))
def test_growth_is_found_whatever_the_warm_up_and_the_tides(
    slope: float, start: float, tide: float
) -> None:
    samples = [(k, start + slope * k / 1000 + tide * (k % 10) / 10) for k in range(2000)]
    samples[:200] = [(k, 5.0) for k in range(200)]
    found = memory_figures(samples)
    assert found["growth_mb"] == pytest.approx(slope, abs=0.02 + 0.01 * slope)
    if slope < 1:
        assert found["flat"]
    if slope > 200:
        assert not found["flat"]
    assert len(found["samples"]) <= 800


def test_few_pictures_or_none_say_nothing_of_growth() -> None:
    few = memory_figures([(k, 100.0 + k) for k in range(ENOUGH_PICTURES)])
    assert (few["growth_mb"], few["flat"], few["most_mb"]) == (None, None, 499.0)
    assert memory_figures([])["most_mb"] is None


def test_memory_is_looked_at_while_the_block_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    if resident_mb() is None:
        pytest.skip("this platform does not tell")
    monkeypatch.setattr("rsfiqa.collection_benchmark_memory._MOST_SAMPLES", 10)
    looks = Semaphore(0)

    def look() -> float | None:
        looks.release()
        return resident_mb()

    monkeypatch.setattr("rsfiqa.collection_benchmark_memory.resident_mb", look)
    with MemorySampler(every=0.001) as memory:
        for done in range(30):
            memory.done = done
            assert looks.acquire(timeout=60)
    assert 2 <= len(memory.samples) <= 11
    assert memory.samples[-1][0] > 20
    assert [done for done, _ in memory.samples] == sorted(done for done, _ in memory.samples)
    assert all(mb > 1 for _, mb in memory.samples)


# The whole


@pytest.mark.usefixtures("here")
def test_readings_without_a_network_are_measured() -> None:
    told: list[str] = []
    figures = bench_collection(Plan(12, sides=(40, 90), setting=LIGHT), told=told.append)
    assert len(told) == 3
    assert figures["whole"]["pictures"] == 12
    assert figures["whole"]["failed"] == figures["damaged"] == 1
    assert list(figures["stages"]) == ["decode", "segment and read", "write"]
    assert figures["bounds"]["of_bound"] > 0
    json.dumps(figures)


@pytest.mark.usefixtures("here")
def test_assessments_are_measured_stage_by_stage(tiny_model_folder: Path) -> None:
    setting = Setting("assess", "grid:2", "none", model=str(tiny_model_folder))
    figures = bench_collection(Plan(4, sides=(48, 90), setting=setting))
    assert list(figures["stages"]) == ["decode", "encode", "segment", "read", "score", "write"]
    assert all(stage["rate"] > 0 and stage["cpu"] >= 0 for stage in figures["stages"].values())
    assert (figures["whole"]["pictures"], figures["whole"]["failed"]) == (4, 1)


@pytest.mark.usefixtures("here")
def test_the_command_shows_and_keeps_what_was_found(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs the extra 'plot'")
    save_picture(tmp_path / "photos" / "mine.png")
    out, plot = tmp_path / "figures.json", tmp_path / "figures.png"
    command = ("bench", "collection", tmp_path / "photos", "--pictures", DAMAGED_EVERY + 2,
               "--sides", 40, 60, "--command", "read", "--segmenter", "grid:2",
               "--reader", "none")  # fmt: skip
    ended = rsfiqa(*map(str, command), "--json", out, "--plot", plot)
    assert ended.exit_code == 0, ended.output
    for words in (
        "52 pictures of 40 to 60",
        "decode alone",
        "the whole",
        "2 of 52 failed",
        "too few",
    ):
        assert words in ended.stdout
    assert json.loads(out.read_text())["plan"]["sources"] == 1
    with Image.open(plot) as picture:
        assert picture.width > 1000
    ended = rsfiqa(*map(str, command), "--no-stages")
    assert "alone" not in ended.stdout


def test_a_plot_without_stages_shows_memory_alone() -> None:
    pytest.importorskip("matplotlib")
    figures = {
        "machine": {"cores": 2},
        "plan": {"setting": {"command": "read", "segmenter": "grid", "reader": "none"}},
        "whole": {"pictures": 900, "rate": 3.0},
        "stages": {},
        "bounds": None,
        "memory": memory_figures([(k, 300.0) for k in range(900)]) | {"loaded_mb": None},
    }
    with Image.open(BytesIO(collection_png(figures))) as picture:
        assert 700 < picture.width < 1000


@pytest.mark.parametrize(
    "arguments",
    [
        ["--pictures", "0"],
        ["--sides", "8", "100"],
        ["--sides", "200", "100"],
        ["--command", "parse"],
        ["--command", "read", "--segmenter", "no-such"],
        ["no-such-folder"],
    ],
)
@pytest.mark.usefixtures("here")
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    ended = rsfiqa("bench", "collection", "--pictures", "1", "--reader", "none", *arguments)
    assert ended.exit_code == 2, ended.output
    assert ended.stderr.strip()


def test_a_plan_says_what_it_takes() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        Plan(0)
    with pytest.raises(ConfigError, match="shortest"):
        Plan(sides=(10, 5))
    with pytest.raises(ConfigError, match="assess or read"):
        Setting("segment")


def test_a_missing_library_is_named_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing() -> None:
        raise MissingExtraError("The plot", "plot")

    monkeypatch.setattr("rsfiqa.score_benchmark_plot.require_plots", missing)
    ended = rsfiqa("bench", "collection", "--plot", tmp_path / "p.png")
    assert ended.exit_code != 0
    assert "plot" in ended.stderr
