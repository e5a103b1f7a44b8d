"""Level distributions from strengths and similarity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsfiqa.errors import ConfigError
from rsfiqa.learning.distortions import FAMILIES
from rsfiqa.learning.instructions import Fault
from rsfiqa.learning.levels import (
    CLEAN_LEVEL,
    level_distribution,
    level_of_similarity,
    level_of_strengths,
    overall_level,
    wanted_ratings,
)
from rsfiqa.types import DIMENSIONS

FAULTS = st.sampled_from([(d, f) for d, names in FAMILIES.items() for f in names]).flatmap(
    lambda named: st.floats(1, 4).map(lambda strength: Fault(*named, strength))
)


@given(mean=st.floats(1, 5), sigma=st.floats(0.2, 2))
def test_the_mean_is_exact_and_the_shape_has_one_peak(mean: float, sigma: float) -> None:
    rating = level_distribution(mean, sigma)
    assert rating.value == pytest.approx(mean, abs=1e-6)
    peak = int(np.argmax(rating.probabilities))
    assert list(rating.probabilities[: peak + 1]) == sorted(rating.probabilities[: peak + 1])
    assert list(rating.probabilities[peak:]) == sorted(rating.probabilities[peak:], reverse=True)


def test_it_is_narrow() -> None:
    values = np.arange(5, 0, -1)
    p = np.array(level_distribution(3.0).probabilities)
    assert np.sqrt(p @ (values - 3) ** 2) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("mean", "sigma"), [(0.9, 0.5), (5.1, 0.5), (3, 0), (float("nan"), 0.5)])
def test_what_is_no_level_is_refused(mean: float, sigma: float) -> None:
    with pytest.raises(ConfigError, match="1 to 5"):
        level_distribution(mean, sigma)


def test_levels_of_strengths() -> None:
    assert level_of_strengths([]) == CLEAN_LEVEL
    assert level_of_strengths([1]) == pytest.approx(4.05)
    assert level_of_strengths([4]) == pytest.approx(1.2)
    assert level_of_strengths([2, 3]) == level_of_strengths([3, 2]) < level_of_strengths([3])


@given(st.lists(st.floats(1, 4), min_size=1, max_size=4), st.floats(1, 4))
def test_another_fault_is_never_better(strengths: list[float], more: float) -> None:
    assert 1 <= level_of_strengths([*strengths, more]) <= level_of_strengths(strengths) <= 5


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_similar_is_better(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 1 <= level_of_similarity(low) <= level_of_similarity(high) <= 5
    assert overall_level([2.0], low) <= overall_level([2.0], high) <= CLEAN_LEVEL


def test_a_clean_region_is_clean_whatever_was_measured() -> None:
    for similarity in (0.0, 1.0):
        ratings = wanted_ratings([], similarity)
        assert set(ratings) == set(DIMENSIONS)
        assert all(r.value == pytest.approx(CLEAN_LEVEL) for r in ratings.values())


@given(fault=FAULTS, similarity=st.floats(0, 1))
def test_a_fault_spoils_its_dimension_and_the_whole(fault: Fault, similarity: float) -> None:
    ratings = wanted_ratings([fault], similarity)
    values = {d: r.value for d, r in ratings.items()}
    assert values[fault.dimension] == pytest.approx(5 - 0.95 * fault.strength)
    assert values["overall"] < CLEAN_LEVEL
    others = set(DIMENSIONS) - {fault.dimension, "overall"}
    if fault.family == "smeared_noise":
        assert values["noise"] < values["blur"] < CLEAN_LEVEL
        others -= {"blur"}
    assert all(values[d] == pytest.approx(CLEAN_LEVEL) for d in others)


def test_what_hurts_less_at_one_strength_is_better_overall() -> None:
    fault = Fault("color", "desaturate", 3.0)
    assert (
        wanted_ratings([fault], 0.9)["overall"].value
        > wanted_ratings([fault], 0.4)["overall"].value + 0.5
    )
