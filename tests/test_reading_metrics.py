"""Figures of ratings against what was done to regions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsfiqa.learning.instructions import Fault
from rsfiqa.learning.reading_metrics import (
    SPOILABLE,
    FaultTable,
    reading_figures,
    reliability,
    roc_area,
)
from rsfiqa.types import DIMENSIONS

FAMILY = {
    "color": "haze",
    "noise": "shot_noise",
    "artifact": "webp",
    "blur": "defocus",
}


def fault(dimension: str, strength: float) -> Fault:
    return Fault(dimension, FAMILY[dimension], strength)  # type: ignore[arg-type]


def rows(*values: tuple[float, ...]) -> np.ndarray:
    return np.array(values, dtype=float)


def truthful(faults: list[list[Fault]]) -> np.ndarray:
    """Ratings that fall with strength, overall with the strongest."""
    values = np.full((len(faults), 5), 5.0)
    for k, several in enumerate(faults):
        for one in several:
            values[k, DIMENSIONS.index(one.dimension)] -= one.strength
            values[k, 4] = min(values[k, 4], 5 - one.strength)
    return values


def test_who_tells_the_truth_has_all_figures_at_one() -> None:
    faults = [[fault(d, s)] for d in SPOILABLE for s in (1.0, 2.0, 3.0, 4.0)] + [[]] * 5
    found = reading_figures(truthful(faults), faults)
    assert (found.regions, found.clean) == (21, 5)
    assert found.naming == 1
    assert found.naming_by_dimension == dict.fromkeys(SPOILABLE, 1.0)
    assert found.naming_by_family == dict.fromkeys(sorted(FAMILY.values()), 1.0)
    assert found.overall_srcc == pytest.approx(1)
    assert found.overall_srcc_with_clean == pytest.approx(1)
    assert found.auc == 1
    assert found.dimension_auc == dict.fromkeys(SPOILABLE, 1.0)


def test_only_single_faults_from_strength_two_are_to_be_named() -> None:
    faults = [
        [fault("blur", 1.9)],
        [fault("blur", 4.0), fault("noise", 4.0)],
        [fault("blur", 2.0)],
        [fault("noise", 3.0)],
        [],
    ]
    values = rows(*[(5, 1, 5, 4, 3)] * 5)  # noise, whatever the region
    found = reading_figures(values, faults)
    assert found.naming == 0.5
    assert found.naming_by_dimension == {"noise": 1.0, "blur": 0.0}
    assert found.naming_by_family == {"defocus": 0.0, "shot_noise": 1.0}


def test_clean_regions_count_for_one_of_the_correlations_only() -> None:
    faults = [[fault("blur", s)] for s in (1.0, 2.0, 3.0)] + [[], []]
    values = np.full((5, 5), 3.0)
    values[:, 4] = (3, 2, 1, 1, 1)  # clean regions are rated worst
    found = reading_figures(values, faults)
    assert found.overall_srcc == pytest.approx(1)
    assert found.overall_srcc_with_clean is not None
    assert found.overall_srcc_with_clean < 0.2
    assert found.auc == pytest.approx(1 / 6)


def test_what_cannot_be_said_is_none() -> None:
    for faults in ([], [[]], [[fault("blur", 1.0)]]):
        found = reading_figures(np.full((len(faults), 5), 3.0), faults)
        assert found.naming is found.auc is found.overall_srcc is None
        assert found.overall_srcc_with_clean is None
        assert found.dimension_auc == found.naming_by_family == {}


_faults = st.lists(
    st.builds(fault, st.sampled_from(SPOILABLE), st.floats(1, 4)), max_size=2, unique_by=str
)


@given(st.lists(st.tuples(_faults, st.tuples(*[st.floats(1, 5)] * 5)), min_size=1, max_size=20))
def test_the_order_of_regions_does_not_matter(regions: list) -> None:
    faults, values = [f for f, _ in regions], rows(*(v for _, v in regions))
    found = reading_figures(values, faults)
    backwards = reading_figures(values[::-1], faults[::-1])
    assert found.naming_by_dimension == pytest.approx(backwards.naming_by_dimension)
    assert found.dimension_auc == pytest.approx(backwards.dimension_auc)
    assert (found.auc is None) == (not 0 < found.clean < found.regions)
    table = FaultTable.of(faults)
    assert reading_figures(values, table) == found
    assert reading_figures(values[:0], table.at(np.arange(0))).regions == 0


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
)
def test_the_area_is_the_share_of_pairs_in_order(good: list[int], bad: list[int]) -> None:
    pairs = [float(g > b) + 0.5 * (g == b) for g in good for b in bad]
    area = roc_area(np.array(good, float), np.array(bad, float))
    assert area == pytest.approx(np.mean(pairs))
    assert roc_area(np.array(bad, float), np.array(good, float)) == pytest.approx(1 - area)


def test_reliability_of_what_is_true_and_what_is_not() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.dirichlet(np.ones(5), (40, 5))
    assert reliability(wanted, wanted).error == pytest.approx(0)
    found = reliability(np.ones((2, 5)), np.zeros((2, 5)))
    assert (found.said, found.wanted, found.counts) == ((1.0,), (0.0,), (10,))
    assert found.error == 1
    assert sum(reliability(wanted, wanted, bins=4).counts) == wanted.size
