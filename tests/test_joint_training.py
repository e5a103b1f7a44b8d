"""Several data sets in one run: who is in a batch, whose scale is learned, what is told."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsfiqa.errors import ConfigError
from rsfiqa.learning.batches import balanced_chunks
from rsfiqa.learning.card import model_card
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.joint_sets import Alignment, JointSets, figures_by_set, mean_of
from rsfiqa.learning.recipe import Recipe, prepare, train
from rsfiqa.learning.training import TrainingConfig, predict, train_scorer
from rsfiqa.scoring.checkpoint import load_checkpoint, save_checkpoint
from rsfiqa.scoring.model import ScorerConfig
from scored_pictures import read_scores, write_scored_pictures, write_scores
from test_training import MODEL, QUICK, data_set, srcc

Specs = list[dict[str, Any]]

# Batches


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=2, max_size=40),
    st.integers(1, 7),
    st.integers(0, 99),
)
def test_an_epoch_has_as_many_of_each_set_and_batches_of_one_set_and_kind(
    owned: list[tuple[int, int]], size: int, seed: int
) -> None:
    sets, kinds = [owner for owner, _ in owned], [kind for _, kind in owned]
    share = max(1, round(len(sets) / len(set(sets))))
    seen: Counter[int] = Counter()
    for epoch in (1, 2, 3):
        batches = balanced_chunks(sets, kinds, size, seed, epoch)
        assert batches == balanced_chunks(sets, kinds, size, seed, epoch), "the seed decides"
        assert all(1 <= len(batch) <= size for batch in batches)
        assert all(len({owned[i] for i in batch}) == 1 for batch in batches)
        drawn = Counter(sets[i] for batch in batches for i in batch)
        assert drawn == dict.fromkeys(set(sets), share)
        seen.update(i for batch in batches for i in batch)
    for owner in set(sets):
        counts = [seen[i] for i in range(len(sets)) if sets[i] == owner]
        assert max(counts) - min(counts) <= 1, "pictures of a set are seen equally often"


# Scales


def test_the_first_set_has_the_scale_of_the_scorer_and_the_others_a_line() -> None:
    lines = Alignment(3)
    scores = torch.tensor([0.0, 40.0, 100.0])
    for index in range(3):
        assert lines(scores, index).tolist() == scores.tolist(), "no change to begin with"
    with torch.no_grad():
        lines.log_slope.copy_(torch.tensor([-0.7, 0.3]))
        lines.offset.copy_(torch.tensor([0.2, -0.1]))
    assert torch.equal(lines(scores, 0), scores)
    for index, line in enumerate(lines.lines()):
        wanted = [line.slope * score + line.offset for score in scores.tolist()]
        assert lines(scores, index).tolist() == pytest.approx(wanted, abs=1e-3)
        assert line.slope > 0, "better stays better"


def two_sets() -> tuple[list[Any], list[float], JointSets]:
    """The same rule twice; people's scores of the second set are 0.5 times those, plus 45."""
    first, scores, _ = data_set(60, seed=31)
    second, others, _ = data_set(30, seed=32)
    wanted = scores + [0.5 * score + 45 for score in others]
    return (
        first + second,
        wanted,
        JointSets(("a", "b"), (0,) * 60 + (1,) * 30, (0,) * 15 + (1,) * 15),
    )


def test_scores_are_on_the_scale_of_the_first_set_and_the_seconds_scale_is_learned() -> None:
    pictures, wanted, sets = two_sets()
    held, held_scores, _ = data_set(15, seed=33)
    more, more_scores, _ = data_set(15, seed=34)
    targets = held_scores + [0.5 * score + 45 for score in more_scores]
    config = replace(QUICK, epochs=10, mse_weight=20.0)
    result = train_scorer(MODEL, config, pictures, wanted, held + more, targets, sets=sets)
    line = result.lines[1]
    assert result.lines[0].slope == 1
    assert line.slope == pytest.approx(0.5, abs=0.15)
    assert line.slope * 50 + line.offset == pytest.approx(70, abs=5)
    unseen, true, _ = data_set(40, seed=35)
    found = predict(result.scorer, unseen)
    assert srcc(found, true) > 0.9
    error = sum(abs(a - b) for a, b in zip(found, true, strict=True)) / len(true)
    naive = train_scorer(MODEL, config, pictures, wanted, held + more, targets)
    worse = predict(naive.scorer, unseen)
    assert 2 * error < sum(abs(a - b) for a, b in zip(worse, true, strict=True)) / len(true)


def test_epochs_are_compared_by_the_mean_over_sets_of_what_each_has() -> None:
    figures = figures_by_set(("a", "b"), [0, 0, 0, 1, 1, 1], [1, 2, 3, 9, 8, 7], [1, 2, 3, 1, 2, 3])
    assert [(one.name, one.srcc) for one in figures] == [
        ("a", pytest.approx(1)),
        ("b", pytest.approx(-1)),
    ]
    assert mean_of([one.srcc for one in figures]) == pytest.approx(0)
    assert mean_of([]) is None


@pytest.mark.parametrize(
    ("training", "validation"), [((0, 0, 1), (0, 1) * 3), ((0, 1) * 3, (0,) * 5)]
)
def test_a_set_with_too_few_pictures_is_named(
    training: tuple[int, ...], validation: tuple[int, ...]
) -> None:
    with pytest.raises(ConfigError, match="of each data set; small has"):
        JointSets(("large", "small"), training, validation)


# From folders to a scorer


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ScoredImages]:
    """Two folders of the same kind; the second has fewer pictures and scores the other way."""
    splits = ("train", "train", "train", "val")
    base = tmp_path_factory.mktemp("joint")
    one = write_scored_pictures(base / "one", 16, splits=splits)
    two = write_scored_pictures(base / "two", 12, splits=splits, side=80)
    rows = read_scores(two)
    write_scores(two, [{**row, "mos": f"{100 - 10 * float(row['mos']):.2f}"} for row in rows])
    return {
        "one": ScoredImages.from_csv(one),
        "two": ScoredImages.from_csv(two, score_range=(0, 100), lower_is_better=True),
    }


@pytest.fixture(scope="module")
def recipe(tiny_encoder_specs: Specs) -> Recipe:
    return Recipe(
        model=ScorerConfig(channels=0, context_dim=0, dim=8, hidden=16, members=2),
        training=TrainingConfig(epochs=2, batch_size=8, spoiled_per_step=2),
        encoder=tiny_encoder_specs,
        spoiled=4,
        graded=2,
    )


def test_two_folders_give_one_scorer_and_figures_of_each(
    folders: dict[str, ScoredImages], recipe: Recipe, tmp_path: Path
) -> None:
    prepared = prepare(folders, recipe, tmp_path / "cache")
    assert prepared.sets is not None
    assert prepared.sets.names == ("one", "two")
    assert prepared.sets.training == (0,) * 12 + (1,) * 9
    assert prepared.sets.validation == (0,) * 4 + (1,) * 3
    checkpoint = train(prepared, "joint")
    first, second = checkpoint.training["sets"]
    assert (first["name"], first["training_pictures"], first["validation_pictures"]) == (
        "one",
        12,
        4,
    )
    assert (second["name"], second["training_pictures"]) == ("two", 9)
    assert first["line"] == {"slope": 1.0, "offset": 0.0}
    assert checkpoint.training["validation"]["srcc"] == first["srcc"]
    assert {one["name"] for one in checkpoint.training["members"][0]["sets"]} == {"one", "two"}
    save_checkpoint(checkpoint, tmp_path / "scorer")
    json.dumps(checkpoint.training)
    assert load_checkpoint(tmp_path / "scorer").scorer.config.members == 2
    card = model_card(checkpoint, "rsfiqa train one two")
    assert "| two | 9 | 3 |" in card
    assert "on whose scale the scores are" in card


def test_one_folder_by_name_is_one_folder(
    folders: dict[str, ScoredImages], recipe: Recipe, tmp_path: Path
) -> None:
    named = prepare({"one": folders["one"]}, recipe, tmp_path)
    assert named.sets is None
    assert train(named, "x").name == train(prepare(folders["one"], recipe, tmp_path), "x").name
