"""Correlations, the logistic fit and the bootstrap."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.logistic import fit_logistic
from rsfiqa.learning.metrics import (
    Correlations,
    bootstrap_interval,
    correlations,
    paired_bootstrap,
    per_group,
)
from rsfiqa.learning.resampling import percentile_interval, resampled, resampled_means
from strict_warnings import no_warnings

pytestmark = no_warnings

# Whole numbers, so that monotone maps of them neither merge nor reorder values.
_PAIRS = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=3, max_size=40)
_ANY_PAIRS = st.lists(
    st.tuples(*[st.floats(allow_nan=False, allow_infinity=False, width=32)] * 2), max_size=30
)
_BOUNDED = ("srcc", "plcc", "plcc_logistic", "krcc")


def _noisy(n: int = 500, noise: float = 10.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.uniform(0, 100, n)
    return targets + rng.normal(0, noise, n), targets


def test_hand_computed_values() -> None:
    found = correlations([1, 2, 3, 4, 5], [2, 1, 4, 3, 5])
    # Rank differences 1, 1, 1, 1, 0: 1 - 6 * 4 / (5 * 24); 8 of 10 pairs agree.
    assert found.srcc == pytest.approx(0.8)
    assert found.plcc == pytest.approx(0.8)
    assert found.krcc == pytest.approx(0.6)
    assert found.rmse == pytest.approx(math.sqrt(4 / 5))
    assert found.n == 5
    assert found.note == ""


def test_ties_are_given_their_mean_rank() -> None:
    found = correlations([1, 1, 2, 3], [1, 2, 3, 4])
    # Ranks 1.5, 1.5, 3, 4: covariance 4.5 over sqrt(4.5 * 5).
    assert found.srcc == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    # tau-b: 5 concordant pairs, one tied in the predictions.
    assert found.krcc == pytest.approx(5 / math.sqrt(5 * 6))


@pytest.mark.parametrize("decimals", [6, -1], ids=["no ties", "ties"])
def test_scipy_says_the_same(decimals: int) -> None:
    predictions, targets = (np.round(values, decimals) for values in _noisy())
    found = correlations(predictions, targets)
    assert found.srcc == pytest.approx(stats.spearmanr(predictions, targets).statistic)
    assert found.plcc == pytest.approx(stats.pearsonr(predictions, targets).statistic)
    assert found.krcc == pytest.approx(stats.kendalltau(predictions, targets).statistic)
    assert found.rmse == pytest.approx(np.linalg.norm(predictions - targets) / math.sqrt(500))


def test_values_that_differ_by_next_to_nothing_are_constant() -> None:
    assert "constant" in correlations([5e-324, 0, 0], [1, 2, 3]).note


@given(st.integers(0, 2**32 - 1))
def test_any_accepted_magnitude_gives_finite_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1, 1], (2, 12))
    found = correlations(*(signs * 10.0 ** rng.uniform(-320, 150, (2, 12))))
    assert json.dumps(found.to_dict(), allow_nan=False)
    for name in _BOUNDED:
        value = getattr(found, name)
        assert value is None or -1.000001 <= value <= 1.000001


def test_perfect_agreement() -> None:
    scores = np.linspace(0, 100, 30)
    found = correlations(scores, scores)
    for name in _BOUNDED:
        assert getattr(found, name) == pytest.approx(1)
    assert found.rmse == 0
    assert found.rmse_logistic == pytest.approx(0, abs=0.1)


def test_logistic_mends_a_bent_scale_and_raw_plcc_does_not() -> None:
    predictions = np.linspace(-6, 6, 200)
    targets = 5 + 90 / (1 + np.exp(-predictions / 0.6))
    found = correlations(predictions, targets, same_scale=False)
    assert found.plcc is not None
    assert found.plcc < 0.95
    assert found.plcc_logistic == pytest.approx(1, abs=1e-6)
    assert found.rmse_logistic == pytest.approx(0, abs=1e-3)
    assert found.rmse is None


def test_logistic_recovers_its_parameters_from_a_falling_curve() -> None:
    x = np.linspace(-40, 40, 300)
    fit = fit_logistic(x, 80 - 60 / (1 + np.exp(-(x - 7) / 4)))
    assert (fit.upper, fit.lower, fit.middle, fit.scale) == pytest.approx((20, 80, 7, 4), rel=1e-3)
    assert fit.line is None
    assert fit.note == ""


def test_falling_predictions_show_in_srcc() -> None:
    predictions, targets = _noisy()
    found = correlations(-predictions, targets)
    assert found.srcc is not None
    assert found.srcc < -0.9
    assert found.plcc_logistic is not None
    assert found.plcc_logistic > 0.9


def test_four_pairs_get_a_line_and_a_note() -> None:
    found = correlations([1, 2, 3, 4], [1, 3, 2, 4])
    assert "straight line" in found.note
    assert found.plcc_logistic == pytest.approx(found.plcc)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_pairs_have_no_statistics(n: int) -> None:
    found = correlations(list(range(n)), list(range(n)))
    assert found == Correlations(*(None,) * 6, n=n, note=found.note)
    assert "too few" in found.note


@pytest.mark.parametrize("constant", [0.0, 0.1, 63.2, 1e100])
def test_constant_values_have_no_correlation(constant: float) -> None:
    flat, varied = [constant] * 7, [1.0, 2, 3, 4, 5, 6, 7]
    for found, name in (
        (correlations(flat, varied), "predictions"),
        (correlations(varied, flat), "targets"),
    ):
        assert [getattr(found, name) for name in _BOUNDED] == [None] * 4
        assert found.rmse_logistic is None
        assert name in found.note
    assert bootstrap_interval(flat, varied) is None
    assert paired_bootstrap(varied, flat, varied) is None


def test_constant_predictions_still_have_a_raw_error() -> None:
    assert correlations([5, 5, 5], [4, 5, 6]).rmse == pytest.approx(math.sqrt(2 / 3))


@pytest.mark.parametrize(
    ("predictions", "targets", "says"),
    [
        ([1, math.nan, math.inf], [1, 2, 3], "2 of 3 predictions"),
        ([1, 2, 3], [1, -math.inf, 3], "1 of 3 targets"),
        ([1, 2, 3], [1, 2], "3 predictions came with 2 targets"),
        ([[1, 2], [3, 4]], [1, 2], "shape"),
        ([1, None, "x"], [1, 2, 3], "numbers"),
        ([1, 2, 3], [1, 2, -1e200], "1 of 3 targets are beyond"),
    ],
)
def test_bad_input_is_refused(predictions: list, targets: list, says: str) -> None:
    for measure in (correlations, bootstrap_interval):
        with pytest.raises(DataError, match=says):
            measure(predictions, targets)


@given(_PAIRS)
def test_rank_correlations_ignore_monotone_maps(pairs: list[tuple[int, int]]) -> None:
    predictions, targets = np.array(pairs, dtype=float).T
    plain = correlations(predictions, targets)
    mapped = correlations(predictions**3 + 5 * predictions, np.exp(targets / 10))
    turned = correlations(-predictions, targets)
    for name in ("srcc", "krcc"):
        value = getattr(plain, name)
        if value is None:
            assert getattr(mapped, name) is getattr(turned, name) is None
        else:
            assert getattr(mapped, name) == pytest.approx(value)
            assert getattr(turned, name) == pytest.approx(-value)


@given(_PAIRS, st.randoms(use_true_random=False))
def test_symmetric_and_independent_of_order(pairs: list[tuple[int, int]], random) -> None:
    predictions, targets = np.array(pairs, dtype=float).T
    swapped = correlations(targets, predictions)
    random.shuffle(pairs)
    shuffled = correlations(*np.array(pairs, dtype=float).T)
    plain = correlations(predictions, targets)
    for name in ("srcc", "plcc", "krcc", "rmse"):
        value = getattr(plain, name)
        assert getattr(swapped, name) == (value if value is None else pytest.approx(value))
        assert getattr(shuffled, name) == (value if value is None else pytest.approx(value))


@given(_PAIRS, st.floats(0.01, 100), st.floats(-100, 100))
def test_plcc_ignores_linear_maps(
    pairs: list[tuple[int, int]], slope: float, offset: float
) -> None:
    predictions, targets = np.array(pairs, dtype=float).T
    value = correlations(predictions, targets).plcc
    mapped = correlations(slope * predictions + offset, targets).plcc
    assert mapped == (value if value is None else pytest.approx(value, abs=1e-7))


@given(_ANY_PAIRS)
@settings(max_examples=200)
def test_any_finite_input_gives_numbers_in_range_or_a_reason(
    pairs: list[tuple[float, float]],
) -> None:
    found = correlations([p for p, _ in pairs], [t for _, t in pairs])
    assert found.n == len(pairs)
    for name in _BOUNDED:
        value = getattr(found, name)
        assert found.note if value is None else -1.000001 <= value <= 1.000001
    if found.plcc is not None and found.plcc_logistic is not None:
        # The line is among the curves' limits, so the fit cannot do worse than it.
        assert found.plcc_logistic >= abs(found.plcc) - 1e-3
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == found.to_dict()


def test_fast_enough_for_every_epoch() -> None:
    predictions, targets = _noisy()
    correlations(predictions, targets)
    times = []
    for _ in range(5):
        start = time.thread_time()  # of this thread's own work, whatever else the machine has to do
        correlations(predictions, targets)
        times.append(time.thread_time() - start)
    assert min(times) < 0.1


def test_per_group_is_the_same_as_each_group_alone() -> None:
    predictions, targets = _noisy(60)
    groups = ["b", "a", "c"] * 20
    found = per_group(predictions, targets, groups)
    assert list(found) == ["a", "b", "c"]
    assert found["a"] == correlations(predictions[1::3], targets[1::3])


def test_per_group_needs_a_group_each() -> None:
    with pytest.raises(DataError, match="3 predictions came with 2 groups"):
        per_group([1, 2, 3], [1, 2, 3], ["a", "b"])


@pytest.mark.parametrize("metric", ["srcc", "plcc", "krcc", "rmse"])
def test_interval_holds_the_estimate_and_is_repeatable(metric: str) -> None:
    predictions, targets = _noisy(80)
    interval = bootstrap_interval(predictions, targets, metric, resamples=300)
    assert interval is not None
    low, high = interval
    assert low < getattr(correlations(predictions, targets), metric) < high
    assert bootstrap_interval(predictions, targets, metric, resamples=300) == interval
    assert bootstrap_interval(predictions, targets, metric, resamples=300, seed=1) != interval


def test_interval_narrows_with_more_pictures_and_a_lower_level() -> None:
    def width(n: int, level: float = 0.95) -> float:
        interval = bootstrap_interval(*_noisy(n), level=level)
        assert interval is not None
        return interval[1] - interval[0]

    assert width(1000) < width(100)
    assert width(100, level=0.5) < width(100)


def test_interval_covers_as_often_as_it_says() -> None:
    # Correlation 0.8 between normal variables, 120 samples of 80: about 95 % of intervals hold it.
    rng = np.random.default_rng(3)
    hits = 0
    for seed in range(120):
        first, noise = rng.normal(size=(2, 80))
        interval = bootstrap_interval(first, 0.8 * first + 0.6 * noise, "plcc", 300, seed)
        assert interval is not None
        hits += interval[0] <= 0.8 <= interval[1]
    assert 0.88 <= hits / 120 <= 1


@pytest.mark.parametrize("metric", ["srcc", "plcc", "krcc"])
def test_resamples_without_a_correlation_are_left_out(metric: str) -> None:
    # Of three pictures, one resample in nine repeats a single one, 0.1 + 0.2 style roundings and all.
    interval = bootstrap_interval([0.1, 0.2, 0.7], [0.3, 0.6, 0.9], metric, resamples=200)
    assert interval == pytest.approx((1, 1), abs=0.1)


def test_paired_bootstrap_tells_a_better_model() -> None:
    rng = np.random.default_rng(0)
    good, targets = _noisy(200)
    worse = good + rng.normal(0, 15, 200)
    found = paired_bootstrap(good, worse, targets, resamples=300)
    assert found is not None
    assert 0 < found.low < found.difference < found.high
    assert found.above_zero == 1
    assert found.resamples == 300
    turned = paired_bootstrap(worse, good, targets, resamples=300)
    assert turned is not None
    assert turned.difference == -found.difference
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_paired_bootstrap_of_a_model_with_itself_is_nothing() -> None:
    good, targets = _noisy(50)
    found = paired_bootstrap(good, good, targets, resamples=50)
    assert found is not None
    assert (found.difference, found.low, found.high, found.above_zero) == (0, 0, 0, 0)
    assert json.dumps(found.to_dict())


@pytest.mark.parametrize(
    ("settings_", "says"),
    [
        ({"metric": "mse"}, "srcc, plcc, krcc, rmse"),
        ({"resamples": 0}, "resamples"),
        ({"level": 1.0}, "level"),
        ({"level": 95}, "level"),
    ],
)
def test_bootstrap_settings_are_checked(settings_: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        bootstrap_interval([1, 2, 3], [1, 2, 3], **settings_)


@pytest.mark.parametrize("metric", ["srcc", "plcc", "krcc", "rmse"])
def test_draws_are_alike_for_all_and_memory_is_bounded(
    metric: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = np.arange(30.0)
    scores = [np.random.default_rng(k).permutation(30).astype(float) for k in range(2)]
    both = resampled_means(scores, targets, metric, resamples=50)
    each = [resampled_means([one], targets, metric, resamples=50) for one in scores]
    np.testing.assert_allclose(both, np.mean(each, axis=0))
    np.testing.assert_array_equal(each, resampled(scores, targets, metric, 50, seed=0))
    monkeypatch.setattr("rsfiqa.learning.resampling._CHUNK", 100)
    np.testing.assert_allclose(resampled_means(scores, targets, metric, resamples=50), both)


def test_an_interval_of_nothing_finite_is_none() -> None:
    assert percentile_interval(np.array([]), 0.9) is None
    assert percentile_interval(np.array([np.nan, np.inf]), 0.9) is None
    assert percentile_interval(np.array([np.nan, 2.0]), 0.9) == (2.0, 2.0)
