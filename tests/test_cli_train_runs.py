"""`rsfiqa train` from files of settings, interrupted, on several data sets, watched, shared out."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file
from typer.testing import Result

from command_line import require_done, require_one_sentence, rsfiqa
from interrupted_training import interrupted_in_epoch
from scored_pictures import read_scores, write_scored_pictures, write_scores

SPLITS = ("train", "train", "train", "val")
Specs = list[dict[str, Any]]
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSFIQA_CACHE", str(tmp_path / "assets"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_scored_pictures(tmp_path / "data", 12, splits=SPLITS)


@pytest.fixture
def write(tiny_encoder_specs: Specs, folder: Path, tmp_path: Path) -> Write:
    """`write(**settings)` is a file of settings for a short run on tiny backbones."""

    def make(**settings: Any) -> Path:
        values = {
            "data": str(folder),
            "encoder": tiny_encoder_specs,
            "reader": "none",
            "spoiled": 3,
            "graded": 2,
            "leaks": "warn",
            "model": {"dim": 8, "hidden": 16, "members": 2},
            "training": {"epochs": 3, "batch_size": 4, "spoiled_per_step": 2, "context_epochs": 2},
            **settings,
        }
        file = tmp_path / "run.yaml"
        file.write_text(yaml.safe_dump(values), encoding="utf-8")
        return file

    return make


def train(file: Path, out: Path, *options: str | Path) -> Result:
    return rsfiqa("train", file, "--out", out, *options)


def weights(out: Path) -> bytes:
    return (out / "model.safetensors").read_bytes()


def test_what_a_run_leaves_repeats_it(write: Write, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    require_done(train(write(), one, "--epochs", "2", "--flips", "--name", "mine"))
    assert {path.name for path in one.iterdir()} >= {
        "config.json",
        "model.safetensors",
        "README.md",
        "run_config.yaml",
    }
    assert not (one / "training").exists(), "the state of a run that is done is of no use"
    held = yaml.safe_load((one / "run_config.yaml").read_text(encoding="utf-8"))
    assert (held["training"]["epochs"], held["flips"], held["name"]) == (2, True, "mine")
    require_done(train(one / "run_config.yaml", two))
    assert weights(one) == weights(two)
    assert (one / "run_config.yaml").read_text() == (two / "run_config.yaml").read_text()


def test_an_interrupted_run_goes_on_to_the_same_weights(write: Write, tmp_path: Path) -> None:
    file, whole, halted = write(), tmp_path / "whole", tmp_path / "halted"
    require_done(train(file, whole))

    with interrupted_in_epoch(5):  # the second one of the second member
        assert train(file, halted).exit_code == 130
    assert not (halted / "model.safetensors").exists()
    assert len(list((halted / "training").glob("*.safetensors"))) == 2

    other = train(file, halted, "--epochs", "4")
    require_one_sentence(other, 2, "unfinished run of other settings (training.epochs)", "--fresh")
    ended = train(file, halted, "--tensorboard")
    require_done(ended)
    assert "going on with the run in" in ended.stderr
    assert ended.stderr.count("epoch ") == 2, "of the second member the last two"
    assert weights(halted) == weights(whole)
    assert not (halted / "training").exists()


def test_a_run_can_begin_anew(write: Write, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "training").mkdir(parents=True)
    (out / "training" / "member-0.safetensors").write_bytes(b"damaged")
    file = write()
    require_one_sentence(train(file, out), 1, "cannot be read", "--fresh")
    require_done(train(file, out, "--fresh"))


def test_two_data_sets_train_one_scorer(write: Write, folder: Path, tmp_path: Path) -> None:
    second = write_scored_pictures(tmp_path / "more", 12, splits=SPLITS, side=80)
    rows = read_scores(second)
    write_scores(second, [{**row, "mos": f"{20 * float(row['mos']):.1f}"} for row in rows])
    out = tmp_path / "joint"
    ended = rsfiqa("train", write(), folder, second, "--out", out)
    require_done(ended)
    assert "data: 12 pictures, scores 1..5" in ended.stderr
    assert "more: 12 pictures, scores 0..100" in ended.stderr
    assert "(data " in ended.stderr, "each set's SRCC behind their mean"
    assert "rsa-data+more-" in ended.stderr
    assert "| more | 9 | 3 |" in (out / "README.md").read_text(encoding="utf-8")
    again = tmp_path / "again"
    require_done(train(out / "run_config.yaml", again))
    assert weights(out) == weights(again)


def test_the_same_picture_in_training_and_validation_ends_the_run(
    write: Write, folder: Path, tmp_path: Path
) -> None:
    (folder / "picture-03.png").write_bytes((folder / "picture-00.png").read_bytes())
    file, out = write(), tmp_path / "out"
    ended = train(file, out, "--leaks", "exact")
    require_one_sentence(ended, 1, "1 × same file: picture-03.png of val and picture-00.png")
    with (out / "leaks.csv").open(newline="") as listed:
        assert "same file" in {row["kind"] for row in csv.DictReader(listed)}
    dropped = train(file, out, "--leaks", "drop", "--limit", "0")
    require_done(dropped)
    assert "They are left out." in dropped.stderr
    ignored = train(file, out, "--leaks", "ignore")
    require_done(ignored)
    assert "looking for leaks" not in ignored.stderr


def test_a_trial_run_is_short(write: Write, tmp_path: Path) -> None:
    ended = train(write(), tmp_path / "out", "--limit", "7", "--epochs", "1", "--members", "1")
    require_done(ended)
    assert "training pictures: 4" in ended.stderr
    assert "validation pictures: 3" in ended.stderr
    assert ended.stderr.count("epoch ") == 1


def test_figures_go_to_tensorboard(write: Write, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "out"
    require_done(train(write(tensorboard=True), out))
    for member in (0, 1):
        events = EventAccumulator(str(out / "events" / f"member-{member}"))
        events.Reload()
        assert len(events.Scalars("train/loss")) == 9, "3 epochs of 9 pictures in batches of 4"
        assert [event.step for event in events.Scalars("val/plcc")] == [3, 6, 9]


def test_figures_go_to_weights_and_biases_only_when_asked_for(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[tuple[str, dict[str, float]]] = []

    class FakeRun:
        def __init__(self, name: str) -> None:
            self.name = name

        def log(self, figures: dict[str, float], step: int) -> None:
            logged.append((self.name, {**figures, "step": step}))

        def finish(self) -> None:
            logged.append((self.name, {"finished": 1.0}))

    def init(*, project: str, name: str, config: dict[str, Any], **_: Any) -> FakeRun:
        assert (project, config["training"]["epochs"]) == ("quality", 3)
        return FakeRun(name)

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))  # type: ignore[arg-type]
    require_done(train(write(), tmp_path / "silent"))
    assert not logged
    require_done(train(write(), tmp_path / "told", "--wandb", "quality"))
    assert {name for name, _ in logged} == {"rsa-data-0", "rsa-data-1"}
    assert sum("train/loss" in figures for _, figures in logged) == 18
    assert sum("val/plcc" in figures for _, figures in logged) == 6
    assert sum("finished" in figures for _, figures in logged) == 2


@pytest.mark.parametrize(
    ("module", "option", "extra"),
    [
        ("torch.utils.tensorboard", ("--tensorboard",), "rsfiqa[train]"),
        ("wandb", ("--wandb", "quality"), "rsfiqa[wandb]"),
    ],
)
def test_a_log_that_is_not_installed_is_a_sentence(
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    option: tuple[str, ...],
    extra: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    require_one_sentence(train(write(), tmp_path / "out", *option), 1, extra)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("one.yaml", "two.yaml"), 2, ("one file of settings is read at a time",)),
        (("missing.yaml",), 2, ("missing.yaml cannot be read",)),
    ],
)
def test_wrong_files_of_settings_are_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    ended = rsfiqa("train", *arguments, "--out", tmp_path / "out")
    require_one_sentence(ended, code, *words)


def test_two_processes_share_the_features_and_one_trains(write: Write, tmp_path: Path) -> None:
    """Started by torchrun, which is what `accelerate launch` does for GPUs."""
    file = write()
    require_done(train(file, tmp_path / "alone", "--cache", tmp_path / "first"))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launch, "-m", "rsfiqa", "train", str(file), "--out", str(tmp_path / "both")]
    ended = subprocess.run(
        [sys.executable, *command, "--cache", str(tmp_path / "second"), "--device", "cpu"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("written to") == 1, "the main process alone speaks"
    assert "pictures: 6" in ended.stderr, "half of 12 is its share"
    alone, both = (load_file(tmp_path / n / "model.safetensors") for n in ("alone", "both"))
    assert alone.keys() == both.keys()
    assert all(bool((alone[name] == both[name]).all()) for name in alone)
