"""Several scorers on several sets: splits, differences that are beyond chance, and the files."""

from __future__ import annotations

import csv
import io
import json
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console
from rich.table import Table

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning import evaluation_files
from rsfiqa.learning.evaluation import (
    Evaluation,
    Prediction,
    evaluate_predictions,
    evaluation_table,
    write_evaluation,
)
from rsfiqa.learning.evaluation_files import write_matrix
from rsfiqa.learning.evaluation_matrix import EvaluationMatrix, compare
from rsfiqa.learning.evaluation_plot import grid_png
from rsfiqa.learning.evaluation_splits import FIGURES, split_figures
from rsfiqa.learning.evaluation_tables import matrix_table
from rsfiqa.learning.metrics import correlations, paired_bootstrap
from strict_warnings import no_warnings


def rows_of(noise: float, n: int = 80, seed: int = 0, leaks: int = 0) -> list[Prediction]:
    """Predictions of the same pictures, further from people's scores the more noise."""
    rng = np.random.default_rng(seed)
    targets = rng.uniform(10, 90, n)
    errors = np.random.default_rng(seed + 1).normal(0, 1, n) * noise
    return [
        Prediction(f"{i}.png", float(t + e), float(t), leak="same file as x" if i < leaks else "")
        for i, (t, e) in enumerate(zip(targets, errors, strict=True))
    ]


@pytest.fixture(scope="module")
def matrix() -> EvaluationMatrix:
    names = [f"{i}.png" for i in range(80)]
    parts = [names[start : start + 20] for start in (0, 20, 40)]
    cells = {}
    for scorer, noise in (("good", 5.0), ("twin", 5.0), ("bad", 40.0)):
        cells[scorer, "with splits"] = evaluate_predictions(rows_of(noise, leaks=3), parts=parts)
        failed = Prediction("broken.png", None, 50.0, error="truncated")
        cells[scorer, "small"] = evaluate_predictions([*rows_of(noise, 12, 7), failed])
    return compare(["good", "twin", "bad"], ["with splits", "small"], cells)


def shown(table: Table, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


# Splits


values = st.lists(st.floats(0, 100), min_size=4, max_size=12, unique=True)


@settings(max_examples=40)
@given(st.lists(st.tuples(values, st.integers(0, 99)), min_size=1, max_size=6))
def test_the_median_lies_among_the_splits(parts: list[tuple[list[float], int]]) -> None:
    pairs = [
        (scores, list(np.random.default_rng(seed).permutation(len(scores))))
        for scores, seed in parts
    ]
    found = split_figures(pairs)
    assert [one.n for one in found.each] == [len(scores) for scores, _ in pairs]
    for figure in FIGURES:
        each = [v for one in found.each if (v := getattr(one, figure)) is not None]
        spread = found.spread(figure)
        if spread is None:
            assert not each
        else:
            assert spread.median == pytest.approx(statistics.median(each))
            assert spread.low <= spread.quartiles[0] <= spread.median
            assert spread.median <= spread.quartiles[1] <= spread.high
            assert spread.splits == len(each)
            assert (spread.deviation is None) is (len(each) < 2)


def test_splits_are_measured_on_their_own_pictures(matrix: EvaluationMatrix) -> None:
    found = matrix.cells["good", "with splits"]
    rows = rows_of(5.0)
    assert found.splits is not None
    for index, one in enumerate(found.splits.each):
        part = rows[20 * index : 20 * index + 20]
        assert one == correlations([r.score for r in part], [r.target for r in part])
    summary = found.to_dict()["splits"]
    assert summary["count"] == 3
    assert summary["spread"]["srcc"]["median"] == found.splits.spread("srcc").median  # type: ignore[union-attr]


def test_a_split_of_other_pictures_is_refused() -> None:
    with pytest.raises(DataError, match=r"1 pictures that have no prediction \(99\.png\)"):
        evaluate_predictions(rows_of(1.0), parts=[["1.png", "99.png"]])


def test_a_split_whose_pictures_failed_has_no_figure() -> None:
    failed = Prediction("broken.png", None, 50.0, error="truncated")
    found = evaluate_predictions([*rows_of(1.0), failed], parts=[["broken.png"]])
    assert found.splits is not None
    assert found.splits.spread("srcc") is None
    assert found.to_dict()["splits"]["spread"]["srcc"] is None


# Pictures that are known from training


def test_figures_with_and_without_known_pictures(tmp_path: Path) -> None:
    found = evaluate_predictions(rows_of(20.0, leaks=10))
    rest = rows_of(20.0)[10:]
    assert found.without_leaks == correlations([r.score for r in rest], [r.target for r in rest])
    assert found.overall.n == 80
    write_evaluation(found, tmp_path, run_config={})
    summary = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    assert len(summary["leaks"]) == 10
    assert summary["without_leaks"]["n"] == 70
    lines = (tmp_path / "predictions.jsonl").read_text("utf-8").splitlines()
    assert [Prediction(**json.loads(line)) for line in lines] == list(found.predictions)
    text = shown(evaluation_table(found, "test"))
    assert "without leaks" in text
    assert "10 of 80 pictures are known from training" in text


def test_without_known_pictures_nothing_is_said_of_them() -> None:
    found = evaluate_predictions(rows_of(20.0))
    assert found.without_leaks is None
    assert not {"without_leaks", "leaks", "splits"} & set(found.to_dict())


def test_all_pictures_may_be_known() -> None:
    found = evaluate_predictions(rows_of(20.0, leaks=80))
    assert found.without_leaks is not None
    assert found.without_leaks.n == 0
    assert "too few" in found.without_leaks.note


# Uncertainty


def test_intervals_are_measured_where_there_are_any() -> None:
    rows = [
        replace(row, uncertainty=8.0, low=row.score - 10, high=row.score + 10)  # type: ignore[operator]
        for row in rows_of(8.0)
    ]
    found = evaluate_predictions([*rows[:60], *rows_of(8.0)[60:]])
    assert found.reliability is not None
    assert found.reliability.n == 60
    inside = [abs(row.score - row.target) <= 10 for row in rows[:60]]  # type: ignore[operator]
    assert found.reliability.coverage == pytest.approx(sum(inside) / 60)
    assert found.to_dict()["reliability"]["width"] == pytest.approx(20)
    assert "intervals hold" in shown(evaluation_table(found, "test"))
    assert evaluate_predictions(rows_of(8.0)).reliability is None


# The matrix


def test_a_worse_scorer_is_told_and_an_equal_one_is_not(matrix: EvaluationMatrix) -> None:
    bad = matrix.difference_to_first("bad", "with splits", "srcc")
    assert bad is not None
    assert bad.high < 0
    twin = matrix.difference_to_first("twin", "with splits", "srcc")
    assert twin is not None
    assert (twin.low, twin.high) == (0, 0)
    worse = matrix.difference_to_first("bad", "with splits", "rmse")
    assert worse is not None
    assert worse.low > 0
    assert matrix.difference_to_first("good", "small", "srcc") is None
    assert matrix.difference_to_first("bad", "small", "krcc") is None
    found = [each.to_dict() for each in matrix.differences]
    assert len(found) == 3 * 2 * 3, "pairs, sets, figures"
    assert {
        (d["second"], d["first"]) for d in found if d["significant"] and d["set"] != "small"
    } == {
        ("good", "bad"),
        ("twin", "bad"),
    }


def test_differences_are_taken_on_pictures_that_both_scored() -> None:
    first, second = rows_of(5.0, 40), rows_of(30.0, 40)
    second[0] = Prediction("0.png", None, first[0].target, error="truncated")
    cells = {("a", "s"): evaluate_predictions(first), ("b", "s"): evaluate_predictions(second)}
    found = compare(["a", "b"], ["s"], cells).differences[0]
    assert found.pictures == 39
    scores = [[row.score for row in rows[1:]] for rows in (second, first)]
    wanted = paired_bootstrap(*scores, [row.target for row in first[1:]])
    assert found.found == wanted


def test_names_repeat_or_evaluations_lack() -> None:
    cell = evaluate_predictions(rows_of(5.0))
    with pytest.raises(ConfigError, match="distinct names"):
        compare(["a", "a"], ["s"], {("a", "s"): cell})
    with pytest.raises(ConfigError, match="no evaluation of a on t"):
        compare(["a"], ["s", "t"], {("a", "s"): cell})


def test_table_of_the_matrix(matrix: EvaluationMatrix) -> None:
    text = shown(matrix_table(matrix))
    lines = text.splitlines()
    first = next(line for line in lines if "SRCC" in line)
    assert "good" in first
    assert f"{matrix.cells['good', 'with splits'].overall.srcc:.3f}" in first
    assert "▼" in text
    assert text.count("▲") == 1, "only where the marks are explained: a higher RMSE is worse"
    assert "±" in text
    assert "3 predictions failed" in text
    assert "known from training: 3 of with splits" in text
    assert "nan" not in text.lower()


def test_table_of_one_scorer_has_no_marks() -> None:
    cells = {("a", name): evaluate_predictions(rows_of(5.0, seed=i)) for i, name in enumerate("st")}
    text = shown(matrix_table(compare(["a"], ["s", "t"], cells)))
    assert "▼" not in text
    assert "first scorer" not in text
    assert "median of splits" not in text


def test_many_groups_are_told_in_a_sentence() -> None:
    rows = [Prediction(f"{i}", float(i % 7), float(i % 11), f"I{i % 30:02}") for i in range(180)]
    text = shown(evaluation_table(evaluate_predictions(rows), "test"))
    assert "30 groups: SRCC" in " ".join(text.split())
    assert "I03 " not in text


def test_files(matrix: EvaluationMatrix, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plots need the extra 'plot'")
    paths = write_matrix(matrix, tmp_path / "out", run_config={"seed": 3})
    assert all(path.is_file() for path in paths)
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        *("summary.json", "matrix.csv", "run_config.json", "environment.json", "scatter.png"),
        *("good", "twin", "bad"),
    }
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    assert summary["scorers"] == ["good", "twin", "bad"]
    assert summary["figures"]["srcc"][2][0] == matrix.cells["bad", "with splits"].overall.srcc
    assert summary["median_of_splits"]["srcc"][0][1] is None
    assert summary["without_leaks"]["srcc"][0][0] is not None
    one = out / summary["folders"]["bad"]["with splits"]
    assert json.loads((one / "run_config.json").read_text("utf-8")) == {
        "seed": 3,
        "scorer": "bad",
        "set": "with splits",
    }
    assert (one / "predictions.jsonl").read_text("utf-8").count("\n") == 80
    lines = list(csv.DictReader(io.StringIO((out / "matrix.csv").read_text("utf-8"))))
    assert [(line["scorer"], line["set"]) for line in lines] == list(matrix.cells)
    assert float(lines[0]["srcc"]) == pytest.approx(summary["figures"]["srcc"][0][0], abs=1e-6)
    assert lines[1]["srcc_median_of_splits"] == ""
    with Image.open(out / "scatter.png") as image:
        assert min(image.size) > 600


ODD = ("../a/b", "..-a-b", "图 $x", "_", "?", "A-B", "a-b")


def test_odd_names_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("scatter_png", "grid_png"):
        monkeypatch.setattr(evaluation_files, name, lambda _: b"a plot")
    cell = evaluate_predictions(rows_of(5.0, 8))
    cells: dict[tuple[str, str], Evaluation] = {(name, "s"): cell for name in ODD}
    write_matrix(compare(ODD, ["s"], cells), tmp_path / "out", run_config={})
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    folders = {row["s"] for row in summary["folders"].values()}
    assert len({folder.casefold() for folder in folders}) == len(ODD)
    assert all((tmp_path / "out" / folder / "summary.json").is_file() for folder in folders)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@no_warnings
def test_odd_names_are_drawn() -> None:
    pytest.importorskip("matplotlib", reason="the plots need the extra 'plot'")
    cell = evaluate_predictions(rows_of(5.0, 8))
    assert grid_png(compare(["图 $x"], ["_", "?"], {("图 $x", s): cell for s in "_?"}))
