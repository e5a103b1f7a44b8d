"""Training that was interrupted, ended early, or watched: the same weights, and what is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.joint_sets import JointSets
from rsfiqa.learning.metrics import correlations
from rsfiqa.learning.training import (
    EpochReport,
    StepReport,
    TrainingResult,
    predict,
    train_scorer,
)
from rsfiqa.learning.training_config import TrainingConfig
from rsfiqa.learning.training_state import TrainingState, data_digest
from test_graded import with_growing_fault
from test_training import MODEL, QUICK, data_set, spoiled_copies

DROPPING = replace(MODEL, dropout=0.3)
CONFIG = replace(QUICK, epochs=4, batch_size=8, locality_weight=0.1, spoiled_per_step=2)


class HaltError(Exception):
    """Stands for Ctrl+C, a power cut or a queue's time limit."""


def interrupt_after(epochs: int) -> Callable[[EpochReport], None]:
    def told(report: EpochReport) -> None:
        if report.epoch == epochs:
            raise HaltError

    return told


@pytest.fixture(scope="module")
def pictures() -> Any:
    grids = ((4, 5), (3, 3))
    training, scores, faults = data_set(32, seed=21, grids=grids)
    held, held_scores, _ = data_set(12, seed=22, grids=grids)
    return training, scores, held, held_scores, spoiled_copies(training, faults, seed=0)


SETS = JointSets(("first", "second"), (0,) * 24 + (1,) * 8, (0,) * 6 + (1,) * 6)


def state_in(folder: Path, **settings: Any) -> TrainingState:
    return TrainingState(folder / "training", {"seed": 0, **settings})


def require_same(one: TrainingResult, other: TrainingResult) -> None:
    first, second = one.scorer.state_dict(), other.scorer.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert one.history == other.history
    assert one.best == other.best
    assert one.lines == other.lines


@pytest.mark.parametrize("aggregation", ["rsa", "pooling"])
@pytest.mark.parametrize("sets", [None, SETS], ids=["one set", "two sets"])
def test_an_interrupted_run_ends_with_the_same_weights(
    pictures: Any, aggregation: Any, sets: JointSets | None, tmp_path: Path
) -> None:
    model = replace(DROPPING, aggregation=aggregation)
    more: Any = {"sets": sets, "graded": with_growing_fault(pictures[0])}
    whole = train_scorer(model, CONFIG, *pictures, **more)
    for epochs in (1, 3):  # interrupted twice
        member = state_in(tmp_path).member(0, {})
        with pytest.raises(HaltError):
            train_scorer(model, CONFIG, *pictures, interrupt_after(epochs), **more, state=member)
        torch.rand(3)  # the random numbers of another process
    told: list[EpochReport] = []
    member = state_in(tmp_path).member(0, {})
    result = train_scorer(model, CONFIG, *pictures, told.append, **more, state=member)
    require_same(result, whole)
    assert [report.epoch for report in told] == [4], "epochs are not done twice"


def test_a_finished_run_is_only_read(pictures: Any, tmp_path: Path) -> None:
    member = state_in(tmp_path).member(0, {})
    first = train_scorer(DROPPING, CONFIG, *pictures, state=member)
    told: list[EpochReport] = []
    again = train_scorer(DROPPING, CONFIG, *pictures, told.append, state=member)
    require_same(first, again)
    assert not told


def test_a_run_of_other_settings_or_data_is_refused_by_name(pictures: Any, tmp_path: Path) -> None:
    settings = {"training": {"epochs": 4, "seed": 0}, "reader_settings": {}}
    state = state_in(tmp_path, **settings)
    assert not state.check()
    train_scorer(DROPPING, CONFIG, *pictures, state=state.member(0, {"training pictures": "a"}))
    assert state.check()
    other = {"training": {"epochs": 5, "seed": 0}, "reader_settings": {"precision": "bf16"}}
    sentence = r"of other settings \(training.epochs, reader_settings.precision\)"
    with pytest.raises(ConfigError, match=sentence):
        state_in(tmp_path, **other).check()
    with pytest.raises(ConfigError, match=r"\(training pictures\).*--fresh"):
        state.member(0, {"training pictures": "b"}).load()
    state.clear()
    assert not state.check()
    assert not state.folder.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b'format\\": 1', b'format\\": 7'),
        lambda data: data.replace(b"random.cpu", b"random.gpu"),
        lambda data: data.replace(b'steps\\"', b'stops\\"'),
    ],
    ids=["empty", "cut off", "another format", "a tensor is missing", "a figure is missing"],
)
def test_a_damaged_state_is_a_sentence(
    pictures: Any, damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    member = state_in(tmp_path).member(0, {})
    config = replace(CONFIG, epochs=1)
    train_scorer(DROPPING, config, *pictures, state=member)
    member.path.write_bytes(damage(member.path.read_bytes()))
    with pytest.raises(DataError, match=r"cannot be read .*--fresh"):
        train_scorer(DROPPING, config, *pictures, state=member)


def test_a_state_that_cannot_be_written_is_a_sentence(pictures: Any, tmp_path: Path) -> None:
    (tmp_path / "training").write_text("a file")
    with pytest.raises(DataError, match="state of training cannot be written"):
        train_scorer(DROPPING, CONFIG, *pictures, state=state_in(tmp_path).member(0, {}))


def test_data_is_told_apart_by_pictures_scores_and_copies(pictures: Any) -> None:
    training, scores, held, held_scores, copies = pictures
    digests = [
        data_digest(training, scores, copies),
        data_digest(training, scores),
        data_digest(training[::-1], scores, copies),
        data_digest(training, scores[::-1], copies),
        data_digest(held, held_scores),
    ]
    assert len(set(digests)) == len(digests)
    assert data_digest(list(training), list(scores), list(copies)) == digests[0]


# Ending early


def test_patience_ends_a_run_that_gets_no_better(pictures: Any, tmp_path: Path) -> None:
    training, scores, held, _, _ = pictures
    nonsense = [float(i) for i in range(len(held))]
    config = replace(QUICK, epochs=30, patience=2)
    state = state_in(tmp_path).member(0, {})
    result = train_scorer(DROPPING, config, training, scores, held, nonsense, state=state)
    assert len(result.history) == result.best.epoch + 2 < 30
    again = train_scorer(DROPPING, config, training, scores, held, nonsense, state=state)
    require_same(again, result)


def test_patience_that_is_not_tried_changes_nothing(pictures: Any) -> None:
    plain = train_scorer(DROPPING, CONFIG, *pictures)
    patient = train_scorer(DROPPING, replace(CONFIG, patience=4), *pictures)
    require_same(plain, patient)


# Which epoch is kept


def test_the_last_epoch_is_kept_when_asked_for(pictures: Any) -> None:
    result = train_scorer(DROPPING, replace(CONFIG, keep="last"), *pictures)
    assert result.best == result.history[-1]
    best = train_scorer(DROPPING, CONFIG, *pictures)
    assert [report.srcc for report in best.history] == [report.srcc for report in result.history]
    figures = correlations(predict(result.scorer, pictures[2]), pictures[3])
    assert figures.srcc == pytest.approx(result.best.srcc)


# What is told


def test_every_step_is_told(pictures: Any) -> None:
    told: list[StepReport] = []
    result = train_scorer(DROPPING, CONFIG, *pictures, on_step=told.append)
    steps = 4 * 4  # two grids of 16 pictures, in batches of 8
    assert [(report.step, report.steps) for report in told] == [
        (i, steps) for i in range(1, steps + 1)
    ]
    assert max(report.rate for report in told) <= CONFIG.learning_rate
    assert told[-1].rate < told[4].rate
    mean = sum(report.loss for report in told[:4]) / 4
    assert mean == pytest.approx(result.history[0].loss)


# Settings


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "epochs must be 1 or more; got 0"),
        ({"batch_size": 0}, "batch_size must be 1 or more"),
        ({"patience": -1}, "patience must be 0 or more; got -1"),
        ({"keep": "worst"}, "keep must be best or last; got 'worst'"),
        ({"keep": "last", "patience": 2}, "patience waits for the best epoch; got patience 2"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"weight_decay": -0.1}, "weight_decay must be 0 or more"),
        ({"unread": 1.5}, "unread must be from 0 to 1"),
        ({"average": 1.0}, "average must be from 0 to below 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        TrainingConfig(**settings)


def test_weights_are_those_of_the_best_epoch_after_a_resumption(
    pictures: Any, tmp_path: Path
) -> None:
    member = state_in(tmp_path).member(0, {})
    with pytest.raises(HaltError):
        train_scorer(DROPPING, CONFIG, *pictures, interrupt_after(2), state=member)
    loaded = member.load()
    assert loaded is not None
    tensors, progress = loaded
    best = {name: tensor for name, tensor in tensors.items() if name.startswith("kept.")}
    assert best
    assert all(isinstance(tensor, Tensor) for tensor in best.values())
    assert len(progress["history"]) == 2
