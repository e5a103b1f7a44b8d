"""`rsfiqa bench rsa`: what is measured, the goal, the table and the failures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from rsfiqa.cli import app
from rsfiqa.errors import ConfigError
from rsfiqa.learning import rsa_bench
from rsfiqa.learning.rsa_bench import RSACase, bench_rsa, compact_regions, measure_times


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases are measured in this process, which is quicker to start."""

    def call(case: Callable[[], Any]) -> Any:
        return case()

    monkeypatch.setattr(rsa_bench, "in_a_process", call)


@given(st.integers(1, 40), st.integers(1, 60))
def test_regions_are_all_there_and_alike_in_size(side: int, regions: int) -> None:
    labels = compact_regions(side, regions)
    assert labels.shape == (1, side, side)
    if side * side >= 16 * regions:
        counts = labels.flatten().bincount()
        assert len(counts) == regions
        assert int(counts.max()) <= 4 * int(counts.min())


def test_times_are_taken_in_turns() -> None:
    times = measure_times(RSACase(side=4, regions=3, width=8, heads=2, repeats=2))
    assert times["threads"] >= 1
    for name in ("rsa", "attention"):
        assert len(times[name]) == 2
        assert all(seconds > 0 for both in times[name] for seconds in both)


@pytest.mark.usefixtures("here")
def test_positions_and_regions_are_gone_through() -> None:
    told: list[str] = []
    figures = bench_rsa((8, 4), (2, 5), width=8, heads=2, repeats=1, told=told.append)
    assert [(row["side"], row["regions"]) for row in figures["rows"]] == [(4, 5), (8, 5), (8, 2)]
    assert len(told) == 3
    assert figures["goal"] is None
    for row in figures["rows"]:
        assert row["positions"] == row["side"] ** 2
        assert row["ratio"] > 0
        assert row["rsa"].keys() == row["attention"].keys() == {"forward", "backward", "peak_mb"}
    json.dumps(figures)


@pytest.mark.parametrize(("ratio", "met"), [(0.3, True), (2.5, False)])
def test_the_goal_is_judged(monkeypatch: pytest.MonkeyPatch, ratio: float, met: bool) -> None:
    def measured(case: Callable[[], Any]) -> Any:
        if case.func is measure_times:  # type: ignore[attr-defined]
            return {"threads": 1, "rsa": [(ratio, ratio)] * 3, "attention": [(1, 1)] * 3}
        return 5.0

    monkeypatch.setattr(rsa_bench, "in_a_process", measured)
    assert bench_rsa((64,), (64,))["goal"] == {"under": 2.0, "ratio": ratio, "met": met}


@pytest.mark.parametrize(
    ("sides", "regions", "settings", "word"),
    [
        ((2,), (64,), {}, "2×2 positions cannot hold 64 regions"),
        ((), (4,), {}, "one of each"),
        ((4,), (0,), {}, "positive"),
        ((4,), (4,), {"width": 10, "heads": 4}, "heads must divide the width"),
    ],
)
def test_what_cannot_be_measured(
    sides: tuple[int, ...], regions: tuple[int, ...], settings: dict[str, int], word: str
) -> None:
    with pytest.raises(ConfigError, match=word):
        bench_rsa(sides, regions, **settings)


def test_memory_is_told_by_a_process_of_its_own() -> None:
    figures = bench_rsa((4,), (2,), width=8, heads=2, repeats=1, threads=1)
    (row,) = figures["rows"]
    assert row["threads"] == 1
    for name in ("rsa", "attention"):
        assert row[name]["peak_mb"] is None or 0 <= row[name]["peak_mb"] < 200


@pytest.mark.usefixtures("here")
def test_the_command_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    path = tmp_path / "figures" / "rsa.json"
    options = "--side 4 --side 6 --regions 3 --width 8 --heads 2 --repeats 1"
    result = CliRunner().invoke(
        app,
        ["bench", "rsa", *options.split(), "--json", str(path)],
        env={"COLUMNS": "80"},
    )
    assert result.exit_code == 0, result.output
    assert "6×6" in result.stdout
    assert "…" not in result.stdout
    figures = json.loads(path.read_text())
    assert [row["side"] for row in figures["rows"]] == [4, 6]
    assert figures["machine"]["torch"]
    assert figures["width"] == 8


def test_the_command_says_what_is_wrong() -> None:
    result = CliRunner().invoke(app, ["bench", "rsa", "--side", "2", "--regions", "64"])
    assert result.exit_code != 0
    assert isinstance(result.exception, ConfigError) or "cannot hold" in result.output
