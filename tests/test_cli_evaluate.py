"""`rsfiqa evaluate` with several sets and scorers, splits, groups and leaks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from command_line import records, rsfiqa
from rsfiqa.cli import common
from rsfiqa.learning import evaluation_files
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.splits import random_splits, write_splits
from scored_pictures import write_scored_pictures


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all the rest, and has tests of its own."""
    for name in ("scatter_png", "grid_png"):
        monkeypatch.setattr(evaluation_files, name, lambda _: b"a plot")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_scored_pictures(tmp_path / "mine", 12, splits=("train", "val", "val"))


@pytest.fixture
def splits(folder: Path, tmp_path: Path) -> Path:
    file = tmp_path / "splits.csv"
    write_splits(random_splits(ScoredImages.from_csv(folder), count=3, fraction=0.34), file)
    return file


@pytest.fixture
def other_model(tiny_model_folder: Path, tmp_path: Path) -> Path:
    """The tiny scorer again, under another name."""
    copy = tmp_path / "other"
    shutil.copytree(tiny_model_folder, copy)
    config = json.loads((copy / "config.json").read_text("utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, "name": "other"}), "utf-8")
    return copy


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a model fails the test."""

    def begun(*_: Any, **__: Any) -> Any:
        pytest.fail("work was begun")

    monkeypatch.setattr(common, "make_assessor", begun)


def summary_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text("utf-8"))
    return found


def test_median_over_splits(
    folder: Path, splits: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    how = ("--model", tiny_model_folder, "--splits", splits, "--out", out)
    ended = rsfiqa("evaluate", folder, *how)
    assert ended.exit_code == 0, ended.output
    assert "splits: median" in ended.stdout
    summary = summary_of(out)
    assert summary["splits"]["count"] == 3
    assert [each["n"] for each in summary["splits"]["each"]] == [4, 4, 4]
    assert len(records(out / "predictions.jsonl")) == summary["pictures"] <= 12
    config = json.loads((out / "run_config.json").read_text("utf-8"))
    assert config["splits"] == [str(splits)]
    trained = rsfiqa("evaluate", folder, *how, "--split", "train")
    assert trained.exit_code == 0
    assert [each["n"] for each in summary_of(out)["splits"]["each"]] == [8, 8, 8]


def test_several_sets_and_scorers_make_a_matrix(
    folder: Path, splits: Path, tiny_model_folder: Path, other_model: Path, tmp_path: Path
) -> None:
    second = write_scored_pictures(tmp_path / "second" / "mine", 6)
    out = tmp_path / "out"
    models = ("--model", tiny_model_folder, "--model", other_model)
    ended = rsfiqa("evaluate", folder, f"mmp2k:{second}", *models, "--splits", splits, "--out", out)
    assert ended.exit_code == 0, ended.output
    summary = summary_of(out)
    assert summary["scorers"] == ["tiny-test", "other"]
    assert summary["sets"] == ["mine", "mmp2k"]
    assert summary["figures"]["srcc"][0] == summary["figures"]["srcc"][1], "one and the same"
    assert {(d["low"], d["high"]) for d in summary["differences"]} == {(0, 0)}
    assert summary["median_of_splits"]["srcc"][0][1] is None
    one = out / summary["folders"]["other"]["mmp2k"]
    assert len(records(one / "predictions.jsonl")) == 6
    config = json.loads((out / "run_config.json").read_text("utf-8"))
    assert config["sets"]["mmp2k"]["score_range"] == [0, 100]
    assert config["models"]["other"]["scorer"] == "other"
    assert (out / "matrix.csv").read_text("utf-8").count("\n") == 5


def test_a_damaged_picture_is_named_once(
    folder: Path, tiny_model_folder: Path, other_model: Path, tmp_path: Path
) -> None:
    (folder / "picture-03.png").write_bytes(b"no picture")
    models = ("--model", tiny_model_folder, "--model", other_model)
    ended = rsfiqa("evaluate", folder, *models, "--out", tmp_path / "out")
    assert ended.exit_code == 1
    assert ended.stderr.count("rsfiqa: picture-03.png") == 1
    assert summary_of(tmp_path / "out")["failed"] == [[1], [1]]


def test_groups_by_what_is_in_the_names(
    folder: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    how = ("--model", tiny_model_folder, "--group-pattern", r"picture-(\d)", "--out", out)
    assert rsfiqa("evaluate", folder, *how).exit_code == 0
    assert {name: g["n"] for name, g in summary_of(out)["groups"].items()} == {"0": 10, "1": 2}
    how = ("--model", tiny_model_folder, "--group-column", "split", "--out", out)
    assert rsfiqa("evaluate", folder, *how).exit_code == 0
    assert {name: g["n"] for name, g in summary_of(out)["groups"].items()} == {"train": 4, "val": 8}


@pytest.fixture
def known(folder: Path, tmp_path: Path) -> Path:
    """A set that was trained on, with two of the pictures."""
    train = tmp_path / "trained"
    train.mkdir()
    lines = ["image,mos"]
    for name in ("picture-01.png", "picture-04.png"):
        shutil.copy(folder / name, train / f"copy-{name}")
        lines.append(f"copy-{name},3")
    (train / "scores.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return train


def leaking(summary: dict[str, Any]) -> set[str]:
    return {each["image"] for each in summary["leaks"] if each["leak"].startswith("same file")}


def test_figures_with_and_without_what_is_known(
    folder: Path, known: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    how = ("--model", tiny_model_folder, "--trained-on", known, "--out", out)
    ended = rsfiqa("evaluate", folder, *how)
    assert ended.exit_code == 0, ended.output
    assert "are known from training" in ended.stderr
    summary = summary_of(out)
    assert leaking(summary) == {"picture-01.png", "picture-04.png"}
    assert summary["overall"]["n"] == 12
    assert summary["without_leaks"]["n"] == 12 - len(summary["leaks"])

    dropped = rsfiqa("evaluate", folder, *how, "--leaks", "drop")
    assert dropped.exit_code == 0, dropped.output
    after = summary_of(out)
    assert after["overall"] | {"srcc_interval": 0, "plcc_interval": 0} == summary[
        "without_leaks"
    ] | {"srcc_interval": 0, "plcc_interval": 0}
    config = json.loads((out / "run_config.json").read_text("utf-8"))
    assert len(config["left_out"]) == len(summary["leaks"])
    assert config["leaks"] == "drop"


@pytest.mark.usefixtures("no_work")
def test_a_leak_may_stop_the_run(folder: Path, known: Path) -> None:
    ended = rsfiqa("evaluate", folder, "--trained-on", known, "--leaks", "fail")
    assert ended.exit_code == 1
    assert "pictures of mine are known from training, such as picture-0" in ended.stderr


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--leaks", "hide"), 2, "--leaks is warn, drop, fail; got 'hide'"),
        (("--group-pattern", "("), 2, "no regular expression"),
        (("--group-column", "kind"), 1, "no column 'kind'"),
        (("--trained-on", "missing"), 1, "There is no file or folder missing"),
        (("--splits", "missing.csv"), 1, "missing.csv cannot be read"),
        (("--model", "m", "--model", "m"), 2, "--model m is given twice"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    folder: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    ended = rsfiqa("evaluate", folder, *options)
    assert ended.exit_code == code, ended.output
    assert words in " ".join(ended.stderr.split())
    assert "fault of rsfiqa" not in ended.stderr


@pytest.mark.usefixtures("no_work")
def test_sets_and_splits_are_given_once(folder: Path, splits: Path) -> None:
    twice = rsfiqa("evaluate", folder, folder)
    assert twice.exit_code == 2
    assert "is given twice" in twice.stderr
    again = rsfiqa("evaluate", folder, "--splits", splits, "--splits", splits)
    assert again.exit_code == 2
    assert "second file of splits of mine" in again.stderr
