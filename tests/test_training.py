"""Losses by hand, batches, and a scorer that learns a rule it can only learn from regions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rsfiqa.errors import ConfigError
from rsfiqa.extraction import PictureFeatures
from rsfiqa.learning.batches import batches, stack
from rsfiqa.learning.losses import locality_loss, plcc_loss, quality_loss
from rsfiqa.learning.metrics import correlations
from rsfiqa.learning.training import (
    EpochReport,
    Spoiled,
    TrainingConfig,
    predict,
    train_scorer,
)
from rsfiqa.scoring.model import ScorerConfig

CHANNELS, CONTEXT = 4, 6
MODEL = ScorerConfig(
    channels=CHANNELS,
    context_dim=CONTEXT,
    dim=8,
    heads=2,
    hidden=32,
    dropout=0.0,
    description_dim=4,
)
QUICK = TrainingConfig(
    epochs=15, batch_size=16, learning_rate=1e-2, weight_decay=1e-3, locality_weight=0, average=0.9
)


# Pictures whose quality is a rule: each region has a fault between 0 and 1, which its positions
# show in channel 0 and the picture's context in entry 0; the score falls with the mean fault.


def picture(faults: Tensor, rows: int = 4, columns: int = 5, seed: int = 0) -> PictureFeatures:
    """Features of a picture with one region a fault, in vertical bands."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.arange(columns) * len(faults) // columns).expand(rows, columns)
    positions = 0.1 * torch.randn(CHANNELS, rows, columns, generator=generator)
    positions[0] += faults[labels] * 2 - 1
    context = 0.1 * torch.randn(CONTEXT, generator=generator)
    area = torch.bincount(labels.flatten(), minlength=len(faults)) / labels.numel()
    context[0] += (faults * area).sum() * 2 - 1
    return PictureFeatures(positions, context, labels.clone(), area)


def score_of(features: PictureFeatures, faults: Tensor) -> float:
    return float(90 - 70 * (faults * features.area).sum())


def data_set(
    count: int, seed: int, grids: tuple[tuple[int, int], ...] = ((4, 5),)
) -> tuple[list[PictureFeatures], list[float], list[Tensor]]:
    """Pictures, their scores and their regions' faults."""
    rng = np.random.default_rng(seed)
    pictures, scores, faults = [], [], []
    for i in range(count):
        fault = torch.from_numpy(rng.random(rng.integers(1, 4))).float()
        features = picture(fault, *grids[i % len(grids)], seed=seed * 1000 + i)
        pictures.append(features)
        faults.append(fault)
        scores.append(score_of(features, fault))
    return pictures, scores, faults


def srcc(predicted: list[float], wanted: list[float]) -> float:
    found = correlations(predicted, wanted).srcc
    assert found is not None
    return found


# Losses


@pytest.mark.parametrize(
    ("predictions", "targets", "expected"),
    [
        ([1.0, 2.0, 3.0], [10.0, 20.0, 30.0], 0.0),
        ([1.0, 2.0, 3.0], [30.0, 20.0, 10.0], 1.0),
        ([1.0, 2.0, 1.0, 2.0], [5.0, 5.0, 7.0, 7.0], 0.5),
        # Deviations (-1, -1, 2) and (-2, 1, 1): r = 3 / 6.
        ([0.0, 0.0, 3.0], [0.0, 3.0, 3.0], (1 - 0.5) / 2),
    ],
)
def test_plcc_loss_by_hand(predictions: list[float], targets: list[float], expected: float) -> None:
    loss = plcc_loss(torch.tensor(predictions), torch.tensor(targets))
    assert float(loss) == pytest.approx(expected, abs=1e-5)


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 100, width=32), min_size=2, max_size=12),
    st.floats(0.5, 2),
    st.floats(-10, 10),
)
def test_plcc_loss_lies_in_0_to_1_and_ignores_the_scale(
    values: list[float], slope: float, offset: float
) -> None:
    predictions = torch.tensor(values)
    targets = torch.arange(len(values)).float() * 10
    loss = float(plcc_loss(predictions, targets))
    assert -1e-5 <= loss <= 1 + 1e-5
    if float(predictions.std()) > 0.1:
        scaled = float(plcc_loss(slope * predictions + offset, targets))
        assert scaled == pytest.approx(loss, abs=1e-3)


def test_quality_loss_adds_the_squared_error_on_0_to_1() -> None:
    predictions, targets = torch.tensor([10.0, 30.0, 50.0]), torch.tensor([20.0, 40.0, 60.0])
    assert float(quality_loss(predictions, targets)) == pytest.approx(4 * 0.1**2, abs=1e-5)
    assert float(quality_loss(predictions, targets, mse_weight=0)) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("values", [[50.0, 50.0, 50.0], [50.0]])
@pytest.mark.parametrize("targets", [[10.0, 20.0, 90.0], [40.0, 40.0, 40.0]])
def test_gradients_are_finite_without_any_variation(
    values: list[float], targets: list[float]
) -> None:
    predictions = torch.tensor(values, requires_grad=True)
    loss = quality_loss(predictions, torch.tensor(targets[: len(values)]))
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    assert predictions.grad is not None
    assert predictions.grad.isfinite().all()


def test_a_batch_of_one_says_nothing_of_correlation() -> None:
    predictions = torch.tensor([30.0], requires_grad=True)
    loss = plcc_loss(predictions, torch.tensor([80.0]))
    loss.backward()
    assert float(loss.detach()) == 0.5
    assert predictions.grad is not None
    assert float(predictions.grad) == 0


def locality(clean: list[float], spoiled: list[float], margin: float, **more: list[float]) -> float:
    """Of one picture whose region 0 is spoiled."""
    area = more.get("area", [1 / len(clean)] * len(clean))
    loss = locality_loss(
        torch.tensor([clean]),
        torch.tensor([spoiled]),
        torch.tensor([0]),
        torch.tensor([area]),
        torch.tensor([margin]),
    )
    return float(loss)


def test_locality_loss_by_hand() -> None:
    assert locality([60.0, 60.0], [50.0, 60.0], margin=10) == pytest.approx(0)
    assert locality([60.0, 60.0], [20.0, 60.0], margin=10) == pytest.approx(0), "more is no fault"
    assert locality([60.0, 60.0], [60.0, 60.0], margin=10) == pytest.approx(1)
    assert locality([60.0, 60.0], [65.0, 60.0], margin=10) == pytest.approx(1.5)
    # The other region moved 8 points beyond its tolerance of 2, in units of 10 points.
    assert locality([60.0, 60.0], [50.0, 50.0], margin=10) == pytest.approx(0.8)
    assert locality([60.0, 60.0], [50.0, 70.0], margin=10) == pytest.approx(0.8)
    assert locality([60.0, 60.0], [50.0, 62.0], margin=10) == pytest.approx(0), "within tolerance"


def test_locality_loss_does_not_look_at_regions_that_are_not_there() -> None:
    area = [0.4, 0.6, 0.0]
    moved = locality([60.0, 60.0, 0.0], [50.0, 60.0, 90.0], margin=10, area=area)
    assert moved == pytest.approx(0)


def test_locality_loss_of_a_picture_with_one_region_is_its_fall_alone() -> None:
    assert locality([60.0], [58.0], margin=10) == pytest.approx(0.8)
    assert locality([60.0, 0.0], [58.0, 50.0], margin=10, area=[1.0, 0.0]) == pytest.approx(0.8)


def test_locality_loss_has_finite_gradients_where_nothing_changed() -> None:
    clean = torch.full((2, 3), 50.0, requires_grad=True)
    spoiled = torch.full((2, 3), 50.0, requires_grad=True)
    area = torch.full((2, 3), 1 / 3)
    locality_loss(clean, spoiled, torch.tensor([0, 2]), area, torch.tensor([5.0, 10.0])).backward()
    assert clean.grad is not None
    assert spoiled.grad is not None
    assert clean.grad.isfinite().all()
    assert spoiled.grad[0, 0] > 0, "its score must fall"
    assert clean.grad[0, 0] < 0


# Batches


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.sampled_from([(2, 2), (2, 3), (3, 2)]), max_size=25),
    st.integers(1, 8),
    st.booleans(),
)
def test_batches_hold_every_picture_once_and_one_grid_size_each(
    grids: list[tuple[int, int]], size: int, shuffled: bool
) -> None:
    pictures = [picture(torch.rand(1 + i % 2), *grid, seed=i) for i, grid in enumerate(grids)]
    rng = np.random.default_rng(0) if shuffled else None
    seen: list[int] = []
    for batch in batches(pictures, size, rng):
        indices = batch.indices.tolist()
        assert 1 <= len(indices) <= size
        assert {tuple(pictures[i].labels.shape) for i in indices} == {tuple(batch.labels.shape[1:])}
        for row, i in enumerate(indices):
            assert torch.equal(batch.positions[row], pictures[i].positions)
            assert torch.equal(batch.context[row], pictures[i].context)
        seen += indices
    assert sorted(seen) == list(range(len(pictures)))


def test_batches_come_in_order_without_a_generator_and_in_another_with_one() -> None:
    pictures, _, _ = data_set(40, seed=0)
    plain = [i for batch in batches(pictures, 8) for i in batch.indices.tolist()]
    assert plain == list(range(40))
    rng = np.random.default_rng(0)
    first, second = (
        [i for batch in batches(pictures, 8, rng) for i in batch.indices.tolist()] for _ in range(2)
    )
    assert first != plain
    assert first != second, "every epoch has an order of its own"


def test_a_stack_pads_regions_with_area_zero_and_takes_features_as_the_cache_keeps_them() -> None:
    one, three = picture(torch.tensor([0.5])), picture(torch.tensor([0.1, 0.5, 0.9]))
    kept = replace(three, positions=three.positions.half(), labels=three.labels.to(torch.int16))
    batch = stack([one, kept], [1, 0])
    assert batch.area.tolist() == [three.area.tolist(), [1.0, 0.0, 0.0]]
    assert batch.positions.dtype == torch.float32
    assert batch.labels.dtype == torch.int64
    assert batch.indices.tolist() == [1, 0]


# Training


@pytest.fixture(scope="module")
def known_rule() -> tuple[list[PictureFeatures], list[float], list[PictureFeatures], list[float]]:
    training, scores, _ = data_set(96, seed=1)
    held, held_scores, _ = data_set(40, seed=2)
    return training, scores, held, held_scores


@pytest.mark.parametrize("aggregation", ["rsa", "pooling"])
def test_a_scorer_learns_a_rule_that_held_out_pictures_follow(known_rule, aggregation) -> None:  # type: ignore[no-untyped-def]
    training, scores, _, _ = known_rule
    told: list[EpochReport] = []
    model = replace(MODEL, aggregation=aggregation)
    result = train_scorer(
        model, QUICK, training[:72], scores[:72], training[72:], scores[72:], (), told.append
    )
    unseen, wanted, _ = data_set(40, seed=3)
    assert srcc(predict(result.scorer, unseen), wanted) > 0.9
    assert [report.epoch for report in told] == list(range(1, QUICK.epochs + 1))
    assert result.history == told
    assert result.best.srcc == max(report.srcc or -1 for report in told)
    assert not result.scorer.training


def test_what_is_kept_is_the_epoch_that_is_best_on_the_validation_split(known_rule) -> None:  # type: ignore[no-untyped-def]
    result = train_scorer(MODEL, replace(QUICK, epochs=6), *known_rule)
    held, wanted = known_rule[2:]
    assert srcc(predict(result.scorer, held), wanted) == pytest.approx(result.best.srcc, abs=1e-6)


def weights(config: TrainingConfig, *data) -> dict[str, Tensor]:  # type: ignore[no-untyped-def]
    return train_scorer(replace(MODEL, dropout=0.3), config, *data).scorer.state_dict()


def test_a_seed_decides_every_weight(known_rule) -> None:  # type: ignore[no-untyped-def]
    config = replace(QUICK, epochs=2)
    first = weights(config, *known_rule)
    torch.rand(7)
    np.random.default_rng().random()
    again = weights(config, *known_rule)
    other = weights(replace(config, seed=1), *known_rule)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_pictures_of_several_sizes_train_together() -> None:
    grids = ((4, 5), (3, 3), (8, 2))
    training, scores, _ = data_set(90, seed=4, grids=grids)
    held, held_scores, _ = data_set(30, seed=5, grids=grids)
    result = train_scorer(MODEL, QUICK, training, scores, held, held_scores)
    assert srcc(predict(result.scorer, held), held_scores) > 0.8


def test_features_as_the_cache_keeps_them_train_as_well(known_rule) -> None:  # type: ignore[no-untyped-def]
    training, scores, held, held_scores = known_rule
    kept = [
        replace(p, positions=p.positions.half(), labels=p.labels.to(torch.int16)) for p in training
    ]
    result = train_scorer(MODEL, replace(QUICK, epochs=3), kept, scores, held, held_scores)
    assert all(math.isfinite(report.loss) for report in result.history)


def test_predictions_do_not_depend_on_company_or_order(known_rule) -> None:  # type: ignore[no-untyped-def]
    result = train_scorer(MODEL, replace(QUICK, epochs=1), *known_rule)
    pictures, _, _ = data_set(12, seed=6, grids=((4, 5), (3, 3)))
    together = predict(result.scorer, pictures)
    alone = [predict(result.scorer, [p])[0] for p in pictures]
    assert together == pytest.approx(alone, abs=1e-4)
    assert predict(result.scorer, pictures[::-1]) == pytest.approx(together[::-1], abs=1e-4)
    assert predict(result.scorer, pictures, size=5) == pytest.approx(together, abs=1e-4)


def spoiled_copies(
    pictures: list[PictureFeatures], faults: list[Tensor], seed: int
) -> list[Spoiled]:
    """One copy of each picture, one region of which gets a further fault."""
    rng = np.random.default_rng(seed)
    copies = []
    for i, (clean, fault) in enumerate(zip(pictures, faults, strict=True)):
        region = int(rng.integers(len(fault)))
        strength = int(rng.integers(1, 5))
        positions = clean.positions.clone()
        positions[0][clean.labels == region] += 0.4 * strength
        context = clean.context.clone()
        context[0] += 0.4 * strength * clean.area[region]
        copies.append(
            Spoiled(replace(clean, positions=positions, context=context), i, region, strength)
        )
    return copies


def falls_most(scorer, pictures: list[PictureFeatures], copies: list[Spoiled]) -> float:  # type: ignore[no-untyped-def]
    """How often the spoiled region of a picture with several falls further than the others."""
    hits = []
    for copy in copies:
        clean = pictures[copy.source]
        if len(clean.area) < 2:
            continue
        before, after = (stack([p], [0]) for p in (clean, copy.features))
        with torch.inference_mode():
            scores = [
                scorer(b.positions, b.context, b.labels, b.area).region_scores[0]
                for b in (before, after)
            ]
        fall = scores[0] - scores[1]
        hits.append(float(int(fall.argmax()) == copy.region and float(fall[copy.region]) > 0))
    return sum(hits) / len(hits)


def told_by_context_alone(pictures: list[PictureFeatures]) -> list[PictureFeatures]:
    """The same pictures, whose positions show nothing of their faults."""
    return [
        replace(p, positions=torch.cat([torch.zeros_like(p.positions[:1]), p.positions[1:]]))
        for p in pictures
    ]


def test_spoiled_copies_teach_a_region_to_answer_for_itself() -> None:
    clean, scores, faults = data_set(80, seed=7)
    held, held_scores, held_faults = data_set(40, seed=8)
    training, held = told_by_context_alone(clean), told_by_context_alone(held)
    copies = spoiled_copies(training, faults, seed=0)
    unseen = spoiled_copies(held, held_faults, seed=1)
    local = replace(QUICK, locality_weight=1.0)
    taught = train_scorer(MODEL, local, training, scores, held, held_scores, copies)
    untaught = train_scorer(MODEL, QUICK, training, scores, held, held_scores, copies)
    assert falls_most(taught.scorer, held, unseen) > 0.9
    assert falls_most(untaught.scorer, held, unseen) < 0.7
    assert taught.history[-1].locality < taught.history[0].locality / 2
    assert srcc(predict(taught.scorer, held), held_scores) > 0.8
    assert untaught.history[-1].locality == 0, "a weight of 0 leaves spoiled copies out"


def test_spoiled_copies_of_several_grid_sizes_can_be_learned_from() -> None:
    grids = ((4, 5), (3, 3))
    training, scores, faults = data_set(20, seed=9, grids=grids)
    copies = spoiled_copies(training, faults, seed=0)
    config = replace(QUICK, epochs=2, locality_weight=0.5, spoiled_per_step=4)
    result = train_scorer(MODEL, config, training, scores, training, scores, copies)
    assert all(report.locality > 0 for report in result.history)


def test_the_twin_without_regions_has_no_use_for_spoiled_copies(known_rule) -> None:  # type: ignore[no-untyped-def]
    training, scores, faults = data_set(10, seed=10)
    copies = spoiled_copies(training, faults, seed=0)
    config = replace(QUICK, epochs=2, locality_weight=0.5)
    pooling = replace(MODEL, aggregation="pooling")
    result = train_scorer(pooling, config, training, scores, training, scores, copies)
    assert [report.locality for report in result.history] == [0, 0]


@pytest.mark.parametrize(("training", "validation"), [(0, 3), (1, 3), (2, 2), (2, 0)])
def test_too_few_pictures_are_refused(training: int, validation: int) -> None:
    pictures, scores, _ = data_set(5, seed=11)
    with pytest.raises(ConfigError, match=f"got {training} and {validation}"):
        train_scorer(
            MODEL,
            QUICK,
            pictures[:training],
            scores[:training],
            pictures[:validation],
            scores[:validation],
        )


@pytest.mark.parametrize("epochs", [0, -1])
def test_no_epochs_are_refused(epochs: int) -> None:
    pictures, scores, _ = data_set(5, seed=12)
    with pytest.raises(ConfigError, match=f"epochs must be 1 or more; got {epochs}"):
        train_scorer(MODEL, replace(QUICK, epochs=epochs), pictures, scores, pictures, scores)


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5, 6, 7])
def test_any_small_number_of_steps_trains(epochs: int) -> None:
    pictures, scores, _ = data_set(5, seed=13)
    config = replace(QUICK, epochs=epochs)
    result = train_scorer(MODEL, config, pictures, scores, pictures, scores)
    assert len(result.history) == epochs


@pytest.mark.parametrize(
    "spoil", [lambda scores: [50.0] * len(scores), lambda scores: scores], ids=["flat", "varied"]
)
def test_scores_that_say_nothing_train_without_a_fault(
    spoil: Callable[[list[float]], list[float]],
) -> None:
    pictures, scores, _ = data_set(6, seed=14)
    wanted = spoil(scores)
    result = train_scorer(
        MODEL, replace(QUICK, epochs=2), pictures, wanted, pictures, [50.0] * len(pictures)
    )
    assert result.best.srcc is None, "agreement with constant scores does not exist"
    assert all(math.isfinite(value) for value in predict(result.scorer, pictures))
