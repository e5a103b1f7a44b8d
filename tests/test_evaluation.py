"""Evaluations: what is counted, what is written and what is shown."""

from __future__ import annotations

import builtins
import io
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.evaluation import (
    Evaluation,
    Prediction,
    evaluate_predictions,
    evaluation_table,
    write_evaluation,
)
from rsfiqa.learning.metrics import correlations
from strict_warnings import no_warnings

FILES = {"predictions.jsonl", "summary.json", "run_config.json", "environment.json"}


def _rows(n: int = 60, groups: int = 3, seed: int = 0) -> list[Prediction]:
    rng = np.random.default_rng(seed)
    targets = rng.uniform(5, 95, n)
    scores = np.clip(targets + rng.normal(0, 8, n), 0, 100)
    return [
        Prediction(f"images/{i}.jpg", float(s), float(t), f"set {i % groups}" if groups else "")
        for i, (s, t) in enumerate(zip(scores, targets, strict=True))
    ]


FAILED = Prediction("broken.jpg", None, 40.0, "set 1", "the file is truncated")


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate_predictions([*_rows(), FAILED])


def _written(folder: Path, name: str) -> dict:
    return json.loads((folder / name).read_text("utf-8"))


def test_failures_are_counted_and_in_no_statistic(evaluation: Evaluation) -> None:
    rows = _rows()
    expected = correlations([row.score for row in rows], [row.target for row in rows])
    assert evaluation.overall == expected
    assert evaluation.failures == (FAILED,)
    assert len(evaluation.predictions) == 61
    found = evaluation.to_dict()
    assert (found["pictures"], found["scored"], found["failed"]) == (61, 60, 1)
    assert found["failures"] == [{"image": "broken.jpg", "error": "the file is truncated"}]
    assert {name: g["failed"] for name, g in found["groups"].items()} == {
        "set 0": 0,
        "set 1": 1,
        "set 2": 0,
    }


def test_intervals_hold_the_estimates_and_repeat(evaluation: Evaluation) -> None:
    for name in ("srcc", "plcc"):
        interval = getattr(evaluation, f"{name}_interval")
        assert interval[0] < getattr(evaluation.overall, name) < interval[1]
    assert evaluate_predictions([*_rows(), FAILED]) == evaluation


def test_without_groups() -> None:
    assert evaluate_predictions(_rows(groups=0)).groups == {}


def test_pictures_without_a_group_beside_others() -> None:
    rows = [*_rows(6, groups=1), Prediction("x.jpg", 1.0, 2.0)]
    assert set(evaluate_predictions(rows).groups) == {"set 0", "(no group)"}


def test_all_failed() -> None:
    found = evaluate_predictions([FAILED])
    assert found.overall.n == 0
    assert found.overall.srcc is found.srcc_interval is found.plcc_interval is None
    assert found.groups["set 1"].n == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"score": None},
        {"score": 3.0, "error": "why"},
        {"score": math.nan},
        {"score": math.inf},
        {"score": 3.0, "target": math.nan},
    ],
)
def test_a_prediction_has_a_score_or_a_reason(fields: dict) -> None:
    with pytest.raises(DataError, match=r"a\.jpg"):
        Prediction(**{"image": "a.jpg", "target": 50.0, **fields})


def test_no_rows_and_repeated_rows_are_refused() -> None:
    with pytest.raises(DataError, match="no predictions"):
        evaluate_predictions([])
    with pytest.raises(DataError, match=r"1 pictures have more .*images/0.jpg"):
        evaluate_predictions([*_rows(5), _rows(5)[0]])


def test_files(evaluation: Evaluation, tmp_path: Path) -> None:
    @dataclass
    class Settings:
        folder: Path

    folder = tmp_path / "a" / "b"
    config = {"model": "embedded", "seed": 3, "settings": Settings(Path("data"))}
    paths = write_evaluation(evaluation, folder, run_config=config)
    assert {path.name for path in paths} - {"scatter.png"} == FILES
    assert set(paths) == set(folder.iterdir())
    lines = (folder / "predictions.jsonl").read_text("utf-8").splitlines()
    assert [Prediction(**json.loads(line)) for line in lines] == list(evaluation.predictions)
    summary = _written(folder, "summary.json")
    assert summary["overall"]["srcc"] == evaluation.overall.srcc
    assert summary["overall"]["srcc_interval"] == list(evaluation.srcc_interval or ())
    assert set(summary["overall"]) - {"note"} <= {*summary["meaning"], *_intervals()}
    assert _written(folder, "run_config.json") == {
        "model": "embedded",
        "seed": 3,
        "settings": {"folder": "data"},
    }
    environment = _written(folder, "environment.json")
    assert environment["packages"]["numpy"] == np.__version__
    # Nothing that names the machine, its user or its folders.
    assert set(environment) == {"python", "platform", "cpu_count", "packages"}
    assert str(Path.home()) not in (folder / "environment.json").read_text("utf-8")


def test_an_environment_from_elsewhere_is_kept(evaluation: Evaluation, tmp_path: Path) -> None:
    write_evaluation(evaluation, tmp_path, run_config={}, environment={"python": "3.10.1"})
    assert _written(tmp_path, "environment.json") == {"python": "3.10.1"}
    with pytest.raises(ConfigError, match="environment holds"):
        write_evaluation(evaluation, tmp_path, run_config={}, environment={"x": object()})


def _intervals() -> set[str]:
    return {"srcc_interval", "plcc_interval"}


def test_names_that_are_no_unicode_read_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xc3\xa9.jpg")
    found = evaluate_predictions([Prediction(name, 1.0, 2.0)])
    write_evaluation(found, tmp_path, run_config={})
    assert json.loads((tmp_path / "predictions.jsonl").read_bytes())["image"] == name


def test_a_second_run_replaces_the_first(evaluation: Evaluation, tmp_path: Path) -> None:
    write_evaluation(evaluate_predictions([FAILED]), tmp_path, run_config={"run": 1})
    write_evaluation(evaluation, tmp_path, run_config={"run": 2})
    assert _written(tmp_path, "run_config.json") == {"run": 2}
    assert _written(tmp_path, "summary.json")["scored"] == 60


@pytest.mark.parametrize("value", [object(), math.nan, {1, 2}])
def test_a_config_that_json_cannot_hold_leaves_the_earlier_files(
    evaluation: Evaluation, tmp_path: Path, value: object
) -> None:
    write_evaluation(evaluation, tmp_path, run_config={"run": 1})
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match="run_config"):
        write_evaluation(evaluate_predictions([FAILED]), tmp_path, run_config={"x": value})
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_failed_write_leaves_the_earlier_files(
    evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_evaluation(evaluation, tmp_path, run_config={"run": 1})
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        write_evaluation(evaluate_predictions([FAILED]), tmp_path, run_config={"run": 2})
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_unwritable_folders(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "summary.json").mkdir(parents=True)
    for folder in ("file", "taken"):
        with pytest.raises(DataError, match=f"cannot be written to .*{folder}"):
            write_evaluation(evaluation, tmp_path / folder, run_config={})
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["summary.json"]


def test_without_matplotlib_the_summary_says_so(
    evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scatter.png").write_bytes(b"of an earlier run")
    real = builtins.__import__

    def missing(name: str, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    paths = write_evaluation(evaluation, tmp_path, run_config={})
    assert {path.name for path in paths} == FILES == {path.name for path in tmp_path.iterdir()}
    summary = _written(tmp_path, "summary.json")
    assert summary["plot"] is None
    assert "rsfiqa[plot]" in summary["plot_note"]


@pytest.mark.parametrize(
    "rows",
    [
        [*_rows(), FAILED],
        _rows(200, groups=12),
        _rows(groups=0),
        [FAILED],
        [Prediction("a", 5.0, 5.0, "$x_1$"), Prediction("b", 5.0, 7.0, "_hidden 图")],
        [Prediction(f"{i}", -20.0 + 40 * i, 25.0 * i) for i in range(4)],
    ],
    ids=["groups", "many groups", "no groups", "all failed", "odd names", "out of range"],
)
@no_warnings
def test_scatter_plot(rows: list[Prediction], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the scatter plot needs the extra 'plot'")
    write_evaluation(evaluate_predictions(rows), tmp_path, run_config={})
    with Image.open(tmp_path / "scatter.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 600
    assert _written(tmp_path, "summary.json")["plot"] == "scatter.png"


def _shown(evaluation: Evaluation, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(evaluation_table(evaluation, "val [split]"))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_table(evaluation: Evaluation) -> None:
    text = _shown(evaluation)
    overall = next(line for line in text.splitlines() if "overall" in line)
    assert f"{evaluation.overall.srcc:.3f}" in overall
    assert f"{evaluation.overall.plcc_logistic:.3f}" in overall
    assert all(word in text for word in ("val [split]", "raw", "logistic", "set 2", "failed"))
    assert "1 of 61 pictures failed" in text
    assert "…" not in text


def test_table_shows_no_number_where_there_is_none() -> None:
    text = _shown(evaluate_predictions([Prediction("a", 1.0, 2.0), Prediction("b", 3.0, 2.0)]))
    assert "–" in text
    assert "too few" in text
    assert "nan" not in text.lower()
    assert "failed" not in text
