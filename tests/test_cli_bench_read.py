"""`rsfiqa bench read`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from command_line import rsfiqa
from fake_raters import Oracle, oracle_of, write_coco, write_mmp2k, write_set
from fake_reader import serve
from photographs import save_photographs
from rsfiqa.learning import reading_bench, reading_timing
from rsfiqa.learning.reading_bench import BenchData, BenchOutcome

TIMING = {
    "width": 512,
    "height": 512,
    "regions": 10,
    "threads": 2,
    "repeats": 5,
    "seconds": {"ratings": 0.8, "descriptions": 3.6, "assess": 4.25},
    "assess_regions": 7,
    "peak_mb": None,
}


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    asked: list[tuple[str, dict[str, Any]]] = []

    def measure(spec: str, settings: dict[str, Any], *, told: Any) -> dict[str, Any]:
        told("reading")
        asked.append((spec, settings))
        return TIMING

    monkeypatch.setattr(reading_timing, "measure_timing", measure)
    monkeypatch.setenv("COLUMNS", "140")
    return asked


def test_tables_json_and_plots(
    tmp_path: Path, timed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    made = write_set(tmp_path / "set", names=["coffee"])
    serve(monkeypatch, oracle_of(made))  # type: ignore[arg-type]
    people = write_mmp2k(tmp_path / "mmp2k", [[], [("motion blur", "strong", "center")]])
    out, plots = tmp_path / "new" / "figures.json", tmp_path / "plots"
    ended = rsfiqa(
        *("bench", "read", "--reader", "server:URL", "--no-cache-readings"),
        *("--spoiled", made, "--people", people, "--coco", write_coco(tmp_path / "coco")),
        *("--clean", save_photographs(tmp_path / "clean", "cat"), "--segmenter", "grid:2"),
        *("--limit", "2", "--concurrency", "3", "--out", out, "--plots", plots),
    )
    assert ended.exit_code == 0, ended.output
    printed = " ".join(ended.stdout.split())
    for words in (
        "Spoiled regions",
        "gaussian noise",
        "untouched",
        "photographs",
        "accuracy",
        "3.60",
        "unknown",
        "missed",
        "reached",
        "not measured",
        "left out, for want of data: linear",
    ):
        assert words in printed, words
    assert "linear head" in printed
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["reader"] == "oracle/1"
    assert figures["settings"]["limit"] == 2
    assert figures["spoiled"]["rows"]["reader"]["naming"] == 1
    assert figures["timing"] == TIMING
    assert figures["machine"]["cores"]
    assert {row["goal"]: row["met"] for row in figures["goals"]}["ratings"] is True
    assert (plots / "reliability.png").read_bytes().startswith(b"\x89PNG")
    (spec, settings) = timed[0]
    assert spec == "server:URL"
    assert settings["concurrency"] == 3


@pytest.mark.usefixtures("timed")
def test_timing_alone_needs_no_data() -> None:
    ended = rsfiqa("bench", "read")
    assert ended.exit_code == 0, ended.output
    assert "embedded: 512×512, 2 threads" in ended.stdout
    assert "left out" not in ended.stdout


def test_without_timing(tmp_path: Path, timed: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, Oracle())  # type: ignore[arg-type]
    ended = rsfiqa(
        *("bench", "read", "--reader", "server:URL", "--no-timing", "--no-cache-readings"),
        *("--spoiled", write_set(tmp_path / "set", names=["cat"]), "--limit", "1"),
    )
    assert ended.exit_code == 0, ended.output
    assert timed == []
    assert "seconds" not in ended.stdout


def test_several_sets_may_have_taught_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[BenchData] = []

    def measure(_reader: Any, data: BenchData, *_: Any, **__: Any) -> BenchOutcome:
        measured.append(data)
        return BenchOutcome({})

    monkeypatch.setattr(reading_bench, "bench_reading", measure)
    serve(monkeypatch, Oracle())  # type: ignore[arg-type]
    given = ("bench", "read", "--reader", "server:URL", "--no-timing", "--spoiled", tmp_path)
    ended = rsfiqa(*given, "--taught-on", "made", "--taught-on", "labelled")
    assert ended.exit_code == 0, ended.output
    assert rsfiqa(*given).exit_code == 0
    assert [list(data.taught_on) for data in measured] == [[Path("made"), Path("labelled")], []]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--no-timing",), 2, "nothing to measure"),
        (("--reader", "none"), 2, "reads nothing"),
        (("--taught-on", "x"), 2, "nothing to be measured on"),
        (("--taught-on", "x", "--coco", "x"), 2, "nothing to be measured on"),
        (("--plots", "x"), 2, "give both"),
        (("--reader", "crystal", "--spoiled", "x"), 2, "unknown reader"),
        (("--reader", "server:URL", "--clean", "nowhere"), 2, "no photographs"),
        (("--reader", "server:URL", "--spoiled", "nowhere"), 1, "cannot be read"),
        (("--reader", "server:URL", "--people", "nowhere"), 1, "MMP-2k"),
        (("--reader", "server:URL", "--coco", "nowhere"), 1, "COCO is incomplete"),
        (("--reader", "server:URL", "--coco", "x", "--precision", "fp8"), 2, "fp8"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    arguments: tuple[str, ...],
    status: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    serve(monkeypatch, Oracle())  # type: ignore[arg-type]
    ended = rsfiqa("bench", "read", "--segmenter", "grid", *arguments)
    assert ended.exit_code == status, ended.output
    assert words in ended.stderr
    assert "Traceback" not in ended.output


def test_figures_that_cannot_be_kept_are_found_out_before_measuring(tmp_path: Path) -> None:
    ended = rsfiqa("bench", "read", "--out", tmp_path)
    assert ended.exit_code == 1
    assert "cannot be written" in ended.stderr
