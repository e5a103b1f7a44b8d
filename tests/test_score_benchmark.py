"""`rsfiqa bench score`: what is measured, what regions add, the goal, tables, plot and failures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from command_line import rsfiqa
from rsfiqa import score_benchmark, score_benchmark_steps
from rsfiqa.assessor import load_scorer
from rsfiqa.encoders.build import build_encoder
from rsfiqa.errors import ConfigError
from rsfiqa.export.graphs import EncoderGraph, ScorerGraph
from rsfiqa.export.interface import interface_of
from rsfiqa.reading.base import NoReader
from rsfiqa.score_benchmark import Plan, bench_score, by_setting, measure_setting, take_turns
from rsfiqa.score_benchmark_plot import score_png
from rsfiqa.score_benchmark_steps import (
    Setting,
    compact_partition,
    load,
    obstacle,
    reading_step,
    scoring_steps,
    without_regions,
)

SHARES = ("wall", "cpu", "wall_after_grid", "cpu_after_grid")
SMALL = Plan(sizes=(64, 96), regions=(2, 5), repeats=2, budget=0.0, reader="none")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are measured in this process, on a plain network quicker than ResNet-50."""

    def call(case: Callable[[], Any]) -> Any:
        threads = torch.get_num_threads()
        try:
            return case()
        finally:
            torch.set_num_threads(threads)

    monkeypatch.setattr(score_benchmark, "in_a_process", call)
    monkeypatch.setattr(score_benchmark, "resnet50_step", lambda *_: lambda: None)


def faked(
    engine: str, threads: int, size: int, regions: int, *, added: float | None
) -> dict[str, Any]:
    def stage(seconds: float) -> dict[str, float]:
        low, high = 0.9 * seconds, 1.3 * seconds
        return {"median": seconds, "low": low, "high": high, "cpu": seconds, "turns": 3}

    part = size / 512 / threads
    names = {"encode": 0.4, "segment": 0.15, "labels": 0.002, "stem": 0.006, "attend": 0.02}
    stages = {name: stage(part * seconds) for name, seconds in names.items()}
    stages |= {"whole": stage(part * 0.58), "resnet50": stage(part * 0.2)}
    if added is not None:
        stages["backbones"] = stage(part * 0.38)
    shares = None if added is None else dict.fromkeys(SHARES, added)
    return {
        "engine": engine,
        "precision": "fp32",
        "threads": threads,
        "size": size,
        "regions": regions,
        "peak_mb": 900.0 if size == 512 else None,
        "stages": stages,
        "added": shares,
    }


def fake_rows(setting: Setting, plan: Plan) -> list[dict[str, Any]]:
    added = None if setting.engine == "onnx" else 0.05 * setting.threads
    return [faked(setting.engine, setting.threads, *case, added=added) for case in plan.cases]


# What is measured


@given(st.integers(64, 700), st.integers(1, 16))
def test_partitions_hold_as_many_regions_as_asked(side: int, regions: int) -> None:
    partition = compact_partition(side, regions)
    assert (partition.height, partition.width) == (side, side)
    assert len(partition) == regions


def test_sizes_go_with_the_usual_regions_and_regions_with_the_usual_size() -> None:
    assert Plan().reference == (512, 16)
    assert Plan().cases == [(256, 16), (512, 4), (512, 16), (512, 64), (1024, 16), (2048, 16)]
    assert Plan(sizes=(600, 90), regions=(3,)).cases == [(90, 3), (600, 3)]


def test_turns_are_taken_and_what_regions_add_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    worked = 0.0
    # By a clock that only work moves, on a machine that gives it half of its time.
    clock = SimpleNamespace(process_time=lambda: worked, perf_counter=lambda: 2 * worked)
    monkeypatch.setattr(score_benchmark, "time", clock)

    def step(name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            nonlocal worked
            order.append(name)
            worked += seconds * (1 + 0.1 * (order.count(name) - 3))  # longer from turn to turn

        return run

    times = {"backbones": 0.02, "encode": 0.022, "labels": 0.001, "stem": 0.002, "attend": 0.005}
    stages, added = take_turns({n: step(n, s) for n, s in times.items()}, 3, 100.0)
    assert order == list(times) * 4
    assert added == pytest.approx(
        {"wall": 0.5, "cpu": 0.5, "wall_after_grid": 0.4, "cpu_after_grid": 0.4}
    )
    for name, stage in stages.items():
        assert stage["cpu"] == pytest.approx(times[name])
        around = [2 * times[name] * share for share in (0.9, 1.0, 1.1)]
        assert [stage[key] for key in ("low", "median", "high")] == pytest.approx(around)
        assert stage["turns"] == 3


def test_a_spent_budget_still_leaves_two_turns() -> None:
    stages, added = take_turns({"whole": lambda: None}, 9, 0.0)
    assert stages["whole"]["turns"] == 2
    assert added is None


def test_backbones_alone_pool_what_the_encoder_sees(
    tiny_encoder_specs: list[dict[str, Any]],
) -> None:
    encoder = build_encoder(tiny_encoder_specs)
    pixels = torch.rand(2, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    pooled = without_regions(encoder, pixels)
    assert pooled.shape == (2, 2 * sum(c for b in encoder.backbones for c in b.channels))
    # Mean and deviation of every map stand in the encoder's context, too.
    context = encoder(pixels).context
    assert (pooled[:, :, None] - context[:, None]).abs().amin(2).max() < 1e-5


@pytest.mark.usefixtures("here")
def test_every_stage_of_a_setting_is_measured(tiny_model_folder: Path) -> None:
    setting = Setting("eager", "fp32", torch.get_num_threads(), str(tiny_model_folder))
    rows = measure_setting(setting, SMALL)
    assert [(row["size"], row["regions"]) for row in rows] == SMALL.cases
    for row in rows:
        stages = {"whole", "backbones", "encode", "segment", "labels", "stem", "attend", "resnet50"}
        assert set(row["stages"]) == stages
        assert set(row["added"]) == set(SHARES)
    peaks = [row["peak_mb"] for row in rows if row["peak_mb"] is not None]
    assert peaks == sorted(peaks)
    json.dumps(rows)


def test_a_reader_is_timed_on_the_reference_picture(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[tuple[int, ...], int]] = []

    class Noting(NoReader):
        def read(self, pixels: Any, partition: Any, grid: Any = None) -> Any:
            seen.append((pixels.shape, len(partition)))
            return super().read(pixels, partition, grid)

    monkeypatch.setattr("rsfiqa.reading.build.build_reader", lambda *_, **__: Noting())
    setting = Setting("eager", "fp32", torch.get_num_threads(), str(tiny_model_folder))
    reading_step(load(setting), "embedded", 80, 3)()
    assert seen == [((80, 80, 3), 3)]


def test_onnx_stages_say_what_torch_says(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsfiqa.export.runtime.OnnxModel", GraphModel)
    folder = str(tiny_model_folder)
    setting = Setting(
        "onnx", "fp32", torch.get_num_threads(), folder, *[f"{folder}/e", f"{folder}/s"]
    )
    onnx = scoring_steps(load(setting), setting, 64, 3)
    eager = Setting("eager", "fp32", setting.threads, folder)
    plain = scoring_steps(load(eager), eager, 64, 3)
    assert set(plain) - set(onnx) == {"stem", "backbones"}
    for name in ("whole", "attend"):
        found, expected = onnx[name](), plain[name]()
        np.testing.assert_allclose(found["score"], expected.score.numpy(), atol=1e-2)
    assert np.array_equal(onnx["segment"]().labels, plain["segment"]().labels)


class GraphModel:
    """In the place of an exported file: the network that is exported, which takes no minute."""

    def __init__(self, source: str, *, threads: int = 0) -> None:
        folder, part = source.rsplit("/", 1)
        checkpoint = load_scorer(folder)
        encoder = build_encoder(checkpoint.encoder)
        self.interface = interface_of({"e": "encoder", "s": "scorer"}[part], checkpoint, encoder)
        self.graph = (
            EncoderGraph(encoder, checkpoint.stem)
            if part == "e"
            else ScorerGraph(checkpoint.scorer)
        )

    def __call__(self, arrays: dict[str, Any]) -> dict[str, Any]:
        assert set(arrays) == {port.name for port in self.interface.inputs}
        tensors = [torch.from_numpy(arrays[port.name]) for port in self.interface.inputs]
        for tensor, port in zip(tensors, self.interface.inputs, strict=True):
            assert tensor.dtype == port.kind
        with torch.inference_mode():
            found = self.graph(*tensors)
        return {
            port.name: value.numpy()
            for port, value in zip(self.interface.outputs, found, strict=True)
        }


def test_both_parts_are_exported(
    tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, str, bool]] = []

    def note(_: Any, path: str, *, part: str, encoder: Any = None, check: bool) -> None:
        written.append((path, part, encoder is not None))

    monkeypatch.setattr("rsfiqa.export.onnx_file.export_onnx", note)
    files = score_benchmark._export(str(tiny_model_folder), str(tmp_path))
    assert written == [(files[0], "encoder", True), (files[1], "scorer", False)]


# The report


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(score_benchmark, "in_a_process", lambda case: case())
    monkeypatch.setattr(score_benchmark, "measure_setting", fake_rows)
    monkeypatch.setattr(score_benchmark, "_export", lambda *_: ("e.onnx", "s.onnx"))
    monkeypatch.setattr(
        score_benchmark,
        "obstacle",
        lambda engine, _: "no compiler" if engine == "compile" else None,
    )
    return bench_score(engines=("onnx", "eager", "compile"), precisions=("fp32",))


def test_settings_are_gone_through_and_what_cannot_run_is_said(figures: dict[str, Any]) -> None:
    assert figures["skipped"] == {"compile fp32": "no compiler"}
    assert list(by_setting(figures["rows"])) == [
        "eager fp32, 1 thread",
        "eager fp32, 2 threads",
        "onnx fp32, 1 thread",
        "onnx fp32, 2 threads",
    ]
    assert figures["goal"] == {"under": 0.15, "added": 0.1, "with_grid": 0.1, "met": True}
    assert figures["machine"]["torch"]
    json.dumps(figures)


def test_the_plot_can_be_drawn(figures: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "score.png"
    path.write_bytes(score_png(figures))
    with Image.open(path) as picture:
        assert picture.width > 1000
        assert len(np.unique(np.asarray(picture.convert("L")))) > 20


@pytest.mark.usefixtures("here")
def test_the_command_prints_tables_and_writes_json(
    tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = tmp_path / "figures" / "score.json"
    options = (
        "--size 64 --size 96 --regions 3 --threads 1 --precision fp32 --reader none --repeats 2"
    )
    result = rsfiqa(
        "bench",
        "score",
        *options.split(),
        "--seconds",
        "0",
        "--model",
        tiny_model_folder,
        "--out",
        out,
    )
    assert result.exit_code == 0, result.output
    assert "eager fp32, 1 thread" in result.stdout
    assert "…" not in result.stdout
    assert "goal: labels, stem and attend add less than 15%" in " ".join(result.stdout.split())
    assert [row["size"] for row in json.loads(out.read_text())["rows"]] == [64, 96]


def test_six_cases_fit_a_terminal(figures: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = rsfiqa(
        "bench", "score", "--precision", "fp32", "--engine", "compile", "--engine", "onnx"
    )
    assert result.exit_code == 0, result.output
    assert "…" not in result.stdout
    assert "2048²" in result.stdout
    assert "not measured: compile fp32 (no compiler)" in result.stdout


# Failures


@pytest.mark.parametrize(
    ("changes", "settings", "words"),
    [
        ({}, {"engines": ("magic",)}, "eager, compile, onnx; got magic"),
        ({}, {"engines": ()}, "got none"),
        ({}, {"precisions": ("fp8",)}, "fp32 or bf16"),
        ({}, {"threads": (0,)}, "positive"),
        ({"sizes": ()}, {}, "one of each"),
        ({"sizes": (16,)}, {}, "32 pixels a side"),
        ({"sizes": (64,), "regions": (500,)}, {}, "too few for 500"),
        ({"reader": "aloud"}, {}, "unknown reader"),
    ],
)
def test_what_cannot_be_measured(
    changes: dict[str, Any], settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        bench_score(Plan(**changes), **settings)


def test_obstacles(monkeypatch: pytest.MonkeyPatch) -> None:
    assert obstacle("eager", "bf16") is None
    assert "fp32 only" in str(obstacle("onnx", "bf16"))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(score_benchmark_steps.shutil, "which", lambda _: None)
    assert "C++ compiler" in str(obstacle("compile", "fp32"))
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    assert "rsfiqa[onnx]" in str(obstacle("onnx", "fp32"))
