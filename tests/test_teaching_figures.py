"""The figures that a pupil is told after teaching, on computed and on labelled regions."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsfiqa.learning.fault_labels import LABELLED
from rsfiqa.learning.instructions import Fault, RegionInstruction
from rsfiqa.learning.levels import seen_ratings, wanted_ratings
from rsfiqa.learning.reader_card import figure_rows
from rsfiqa.learning.teaching_figures import taught_figures
from rsfiqa.types import DIMENSIONS

BLURRED = Fault("blur", "gaussian_blur", 4.0)
CLEAN = RegionInstruction(0, wanted_ratings([]))
SPOILED = RegionInstruction(1, wanted_ratings([BLURRED], 0.2), faults=(BLURRED,))


def labelled(blur: float) -> RegionInstruction:
    seen = {d: blur if d == "blur" else 0.0 for d in LABELLED}
    return RegionInstruction(0, seen_ratings(seen, {}), seen=seen)


def truth(regions: list[RegionInstruction]) -> np.ndarray:
    """What a pupil says that has learnt all there is."""
    return np.array([[r.ratings[d].probabilities for d in DIMENSIONS] for r in regions])


def test_nothing_to_judge_on_has_no_figures() -> None:
    assert taught_figures(np.empty((0, 5, 5)), [], []) == {}


def test_a_perfect_pupil_on_computed_regions() -> None:
    regions = [CLEAN, SPOILED] * 2
    figures = taught_figures(truth(regions), regions, [0, 0, 1, 1])
    assert (figures["regions"], figures["clean"]) == (4, 2)
    assert figures["naming"] == figures["auc"] == 1
    assert figures["calibration_error"] == pytest.approx(0, abs=1e-6)
    assert "labelled" not in figures
    reversed_figures = taught_figures(truth(regions)[::-1], regions, [0, 0, 1, 1])
    assert reversed_figures["auc"] == 0
    assert reversed_figures["calibration_error"] > 0.1


def test_labelled_regions_are_counted_apart() -> None:
    regions = [CLEAN, labelled(4), SPOILED, labelled(0), labelled(2)]
    figures = taught_figures(truth(regions).astype(np.float32), regions, [0, 3, 0, 4, 5])
    assert figures["regions"] == 2
    found = figures["labelled"]
    assert (found["regions"], found["photographs"]) == (3, 3)
    assert found["dimensions"]["blur"]["auc"] == 1
    assert found["dimensions"]["blur"]["srcc"] == pytest.approx(1)
    assert found["overall_srcc"] == pytest.approx(1)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert list(figure_rows(figures))


def test_regions_of_one_photograph_are_one() -> None:
    regions = [labelled(4), labelled(0), labelled(2), labelled(2)]
    found = taught_figures(truth(regions), regions, [7, 7, 9, 9])["labelled"]
    assert (found["regions"], found["photographs"]) == (4, 2)
    # Both are of severity 2 in the mean: nothing to tell apart.
    assert found["dimensions"]["blur"]["photograph_srcc"] is None


def test_labelled_regions_alone_leave_the_others_figures_open() -> None:
    regions = [labelled(4), labelled(0)]
    figures = taught_figures(truth(regions), regions, [0, 1])
    assert figures["regions"] == figures["clean"] == 0
    assert figures["naming"] is figures["auc"] is figures["overall_srcc"] is None
    assert figures["labelled"]["auc"] == 1
    assert "calibration_error" in figures


@settings(max_examples=25)
@given(
    kinds=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    seed=st.integers(0, 1000),
)
def test_figures_do_not_depend_on_the_order(kinds: list[int], seed: int) -> None:
    regions = [[CLEAN, SPOILED, labelled(0), labelled(1), labelled(4)][kind] for kind in kinds]
    rng = np.random.default_rng(seed)
    said = rng.dirichlet(np.ones(5), (len(regions), len(DIMENSIONS)))
    order = rng.permutation(len(regions))
    before = taught_figures(said, regions, range(len(regions)))
    after = taught_figures(said[order], [regions[i] for i in order], order.tolist())
    _assert_close(before, after)


def _assert_close(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key, value in one.items():
            _assert_close(value, other[key])
    else:
        assert one == pytest.approx(other)
