"""One scorer a split: what is cut from what, what is measured, and `rsfiqa train --splits`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import Result

from command_line import records, require_done, require_one_sentence, rsfiqa
from interrupted_training import interrupted_in_epoch
from rsfiqa import RSFIQA
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.extraction import FeatureExtractor
from rsfiqa.learning.cross_validation import (
    CrossValidation,
    make_cut,
    plan_copies,
    stem_pictures,
    under_splits,
)
from rsfiqa.learning.datasets import ScoredImage, ScoredImages
from rsfiqa.learning.evaluation import Prediction, evaluate_predictions
from rsfiqa.learning.evaluation_splits import FIGURES
from rsfiqa.learning.kept_evaluations import kept_evaluation
from rsfiqa.learning.prepared import Recipe
from rsfiqa.learning.splits import Splits, random_splits, read_splits, write_splits
from scored_pictures import read_scores, write_scored_pictures, write_scores

Specs = list[dict[str, Any]]
Write = Callable[..., Path]


def data_of(groups: list[str]) -> ScoredImages:
    rows = [
        ScoredImage(Path(f"/x/{i}.png"), f"{i}.png", 1.0, float(i), group=group)
        for i, group in enumerate(groups)
    ]
    return ScoredImages(tuple(rows), (0.0, 100.0), by_reference=True)


# What is cut


@given(st.lists(st.sampled_from("abcdefghij"), min_size=30, max_size=60), st.integers(1, 4))
def test_no_picture_and_no_reference_is_in_two_parts(groups: list[str], count: int) -> None:
    data = data_of([*"abcdefghij", *groups])
    recipe = Recipe(validation_fraction=0.3)
    applied = under_splits(data, random_splits(data, count=count))
    assert list(applied) == [f"split_{i}" for i in range(count)]
    for name, each in applied.items():
        try:
            cut = make_cut(name, each, recipe)
        except ConfigError:  # a drawn reference may have too few pictures
            continue
        parts = [cut.training, cut.validation, cut.test]
        assert sum(map(len, parts)) == len(data)
        assert {row.image for part in parts for row in part} == {row.image for row in data}
        assert len({group for part in parts for group in part.groups}) == sum(
            len(part.groups) for part in parts
        )


def test_a_files_own_validation_part_is_used() -> None:
    data = data_of([str(i) for i in range(12)])
    parts = ["train"] * 5 + ["val"] * 3 + ["test"] * 4
    splits = Splits(tuple(row.image for row in data), (tuple(parts),))
    cut = make_cut("split_0", under_splits(data, splits)["split_0"], Recipe())
    assert [len(part) for part in (cut.training, cut.validation, cut.test)] == [5, 3, 4]


def test_a_split_without_a_test_part_is_named() -> None:
    data = data_of([str(i) for i in range(4)])
    names = tuple(row.image for row in data)
    whole = ("train",) * 4
    with pytest.raises(DataError, match="split_1 has no test part"):
        under_splits(data, Splits(names, (("train", "train", "test", "test"), whole)))


def test_a_limit_is_the_same_pictures_of_each_split() -> None:
    data = data_of([str(i) for i in range(40)])
    applied = under_splits(data, random_splits(data, count=3), limit=20)
    kept = [{row.image for row in each} for each in applied.values()]
    assert len(kept[0]) == 20
    assert kept[0] == kept[1] == kept[2]


def test_the_stem_sees_pictures_of_no_test_part_where_there_are_enough() -> None:
    data = data_of([str(i) for i in range(400)])
    recipe = Recipe()
    one, many = (
        [
            make_cut(n, d, recipe)
            for n, d in under_splits(data, random_splits(data, count=k)).items()
        ]
        for k in (1, 10)
    )
    assert {row.image for row in stem_pictures(data, one)} == {row.image for row in data} - {
        row.image for row in one[0].test
    }
    assert stem_pictures(data, many) == data, "too few are left"


def test_each_split_has_about_as_many_copies_as_the_recipe_says() -> None:
    data = data_of([str(i) for i in range(100)])
    recipe = Recipe(spoiled=68, graded=34, validation_fraction=0.15)
    cuts = [
        make_cut(n, d, recipe) for n, d in under_splits(data, random_splits(data, count=3)).items()
    ]
    assert len(cuts[0].training) == 68

    def counts(recipe: Recipe, whole: int) -> list[int]:
        return [len(plans) for plans in plan_copies(data, cuts, recipe, whole)]

    assert counts(recipe, 100) == [100, 50]
    assert counts(recipe, 200) == [50, 25], "half of the pictures, half of the copies"
    pooling = replace(recipe, model=replace(recipe.model, aggregation="pooling"))
    assert counts(pooling, 100) == [0, 50]


# What is measured


def evaluation_of(errors: list[float]) -> Any:
    return evaluate_predictions(
        Prediction(f"{i}.png", score=10.0 * i + error, target=10.0 * i)
        for i, error in enumerate(errors)
    )


@settings(max_examples=25)
@given(
    st.lists(
        st.lists(st.floats(-30, 30), min_size=8, max_size=8, unique=True), min_size=1, max_size=6
    )
)
def test_the_spread_is_that_of_the_splits(errors: list[list[float]]) -> None:
    found = CrossValidation({f"split_{i}": evaluation_of(e) for i, e in enumerate(errors)})
    told = found.to_dict()
    assert told["splits"] == len(errors)
    assert list(told["each"]) == list(found.splits)
    rmse = [each.overall.rmse for each in found.splits.values()]
    spread = told["spread"]["rmse"]
    assert spread["median"] == pytest.approx(float(np.median(rmse)))
    low, high = spread["quartiles"]
    assert spread["low"] <= low <= spread["median"] <= high <= spread["high"]
    assert json.loads(json.dumps(told, allow_nan=False)) == told | {
        "spread": {
            k: v and {**v, "quartiles": list(v["quartiles"])} for k, v in told["spread"].items()
        }
    }
    names = [name for name, _, _ in found.rows()]
    assert names[: len(errors)] == list(found.splits)
    assert names[len(errors)] == "median"
    assert all(len(values) == len(FIGURES) for _, _, values in found.rows())


def test_a_figure_that_no_split_has_is_none() -> None:
    flat = evaluate_predictions(Prediction(f"{i}", 50.0, float(i)) for i in range(5))
    found = CrossValidation({"split_0": flat})
    assert found.figures.spread("srcc") is None
    assert found.to_dict()["spread"]["srcc"] is None


# The command


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSFIQA_CACHE", str(tmp_path / "assets"))
    monkeypatch.setenv("COLUMNS", "120")
    # Plots have tests of their own, and take much of the time here.
    monkeypatch.setattr("rsfiqa.learning.evaluation_files.scatter_png", lambda _: b"")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_scored_pictures(tmp_path / "data", 18)


@pytest.fixture
def write(tiny_encoder_specs: Specs, folder: Path, tmp_path: Path) -> Write:
    """`write(**settings)` is a file of settings for a short run on tiny backbones."""

    def make(**settings: Any) -> Path:
        values = {
            "data": str(folder),
            "encoder": tiny_encoder_specs,
            "reader": "none",
            "spoiled": 4,
            "graded": 2,
            "leaks": "warn",
            "validation_fraction": 0.3,
            "model": {"dim": 8, "hidden": 16},
            "training": {"epochs": 2, "batch_size": 8, "spoiled_per_step": 2, "context_epochs": 1},
            **settings,
        }
        file = tmp_path / "run.yaml"
        file.write_text(yaml.safe_dump(values), encoding="utf-8")
        return file

    return make


def train(file: Path, out: Path, splits: str | Path, *options: str | Path) -> Result:
    return rsfiqa("train", file, "--out", out, "--splits", splits, *options)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_one_scorer_a_split_each_tested_on_its_own_part(
    write: Write, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = train(write(), out, "3")
    require_done(ended)
    assert "pictures: 18" in ended.stderr, "features are computed once"
    assert ended.stderr.count("epoch ") == 6
    for word in ("split_0", "split_2", "median", "standard deviation", "first quartile"):
        assert word in ended.stdout
    splits = read_splits(out / "splits.csv")
    assert splits == random_splits(ScoredImages.from_csv(folder), count=3)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    for index, (name, column) in enumerate(zip(summary["each"], splits.columns, strict=True)):
        assert name == f"split_{index}"
        assert (out / name / "README.md").is_file()
        rows = records(out / name / "evaluation" / "predictions.jsonl")
        assert {row["image"] for row in rows} == {
            image for image, part in zip(splits.images, column, strict=True) if part == "test"
        }
        assert not (out / name / "training").exists()
        said = json.loads((out / name / "evaluation" / "summary.json").read_text("utf-8"))
        assert said["overall"]["rmse"] == pytest.approx(summary["each"][name]["rmse"])
    rmse = [each["rmse"] for each in summary["each"].values()]
    assert summary["spread"]["rmse"]["median"] == pytest.approx(float(np.median(rmse)))
    with (out / "figures.csv").open(newline="", encoding="utf-8") as file:
        assert [row["split"] for row in csv.DictReader(file)] == list(summary["each"])
    assert len({weights(out / name) for name in summary["each"]}) == 3

    # A split's scorer is a scorer like any other, and scores as it was measured.
    assessor = RSFIQA.from_pretrained(out / "split_1", reader="none")
    first = records(out / "split_1" / "evaluation" / "predictions.jsonl")[0]
    assert assessor.assess(folder / first["image"]).score == pytest.approx(first["score"], abs=0.2)

    # What the folder holds repeats it, as it says itself.
    head = (out / "run_config.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert head.endswith("rsfiqa train run_config.yaml --splits splits.csv --out FOLDER")
    again = tmp_path / "again"
    require_done(train(out / "run_config.yaml", again, out / "splits.csv"))
    assert weights(again / "split_2") == weights(out / "split_2")
    assert (again / "figures.csv").read_text() == (out / "figures.csv").read_text()


def test_finished_splits_are_kept_and_an_interrupted_one_goes_on(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, whole, halted = write(), tmp_path / "whole", tmp_path / "halted"
    require_done(train(file, whole, "2"))
    with interrupted_in_epoch(4):  # the second one of the second split
        assert train(file, halted, "2").exit_code == 130
    assert (halted / "split_0" / "evaluation" / "summary.json").is_file()
    assert not (halted / "split_1" / "config.json").exists()
    assert not (halted / "summary.json").exists()

    other = train(file, halted, "2", "--epochs", "3")
    require_one_sentence(other, 2, "split_0", "other settings (training.epochs)", "--fresh")
    ended = train(file, halted, "2")
    require_done(ended)
    assert "split_0: is there already" in ended.stderr
    assert "split_1: going on with the run in" in ended.stderr
    assert ended.stderr.count("epoch ") == 1
    for name in ("split_0", "split_1"):
        assert weights(halted / name) == weights(whole / name)
    assert (halted / "figures.csv").read_text() == (whole / "figures.csv").read_text()

    monkeypatch.setattr(
        FeatureExtractor, "__init__", lambda *_, **__: pytest.fail("work was begun")
    )
    repeated = train(file, halted, "2")
    require_done(repeated)
    assert repeated.stdout == ended.stdout, "all is there: nothing is computed"


def test_other_pictures_are_other_splits(write: Write, folder: Path, tmp_path: Path) -> None:
    file, out = write(), tmp_path / "out"
    require_done(train(file, out, "1", "--epochs", "1"))
    rows = read_scores(folder)
    write_scores(folder, [{**rows[0], "mos": "3.3"}, *rows[1:]])
    require_one_sentence(train(file, out, "1", "--epochs", "1"), 2, "other settings (pictures)")
    require_done(train(file, out, "1", "--epochs", "1", "--fresh"))


def test_leaks_of_each_split_are_found(write: Write, folder: Path, tmp_path: Path) -> None:
    (folder / "picture-03.png").write_bytes((folder / "picture-00.png").read_bytes())
    data = ScoredImages.from_csv(folder)
    names = tuple(row.image for row in data)
    columns = [
        tuple("test" if name in tested else "train" for name in names)
        for tested in (names[:6], names[1:7])
    ]
    file, out = tmp_path / "two.csv", tmp_path / "out"
    write_splits(Splits(names, tuple(columns)), file)
    settings = write(leaks="exact", validation_fraction=0.4)
    ended = train(settings, out, file)
    require_one_sentence(ended, 1, "same file")
    dropped = train(settings, out, file, "--leaks", "drop")
    require_done(dropped)
    assert "split_1: training pictures are in validation or test, too" in dropped.stderr
    rows = records(out / "split_1" / "evaluation" / "predictions.jsonl")
    assert len(rows) == 6, "test pictures stay; training pictures go"


@pytest.mark.parametrize(
    ("splits", "code", "words"),
    [
        ("0", 2, ("one split or more",)),
        ("missing.csv", 1, ("missing.csv cannot be read",)),
    ],
)
def test_splits_that_cannot_be_are_one_sentence(
    write: Write, tmp_path: Path, splits: str, code: int, words: tuple[str, ...]
) -> None:
    require_one_sentence(train(write(), tmp_path / "out", splits), code, *words)
    assert not (tmp_path / "out").exists()


def test_splits_are_of_one_data_set(write: Write, folder: Path, tmp_path: Path) -> None:
    second = write_scored_pictures(tmp_path / "more", 6)
    ended = rsfiqa("train", write(), folder, second, "--splits", "2", "--out", tmp_path / "out")
    require_one_sentence(ended, 2, "splits of one data set; got 2: data, more")


def test_a_damaged_evaluation_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "run_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"cannot be read .*--fresh"):
        kept_evaluation(tmp_path, {})
