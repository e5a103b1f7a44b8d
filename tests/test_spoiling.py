"""Plans of spoiling and the pictures made by them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from photographs import quarters
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.distortions import FAMILIES, distort
from rsfiqa.learning.instructions import Fault
from rsfiqa.learning.spoiling import (
    KINDS,
    PlannedFault,
    SpoilingPlan,
    large_regions,
    plan_copies,
    spoil_picture,
)
from rsfiqa.partition import Partition

pytest.importorskip("piq")

ORDER = ["blur", "color", "noise", "artifact"]


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return data.coffee()[60:220, 100:310].copy()


@pytest.fixture(scope="module")
def partition(photograph: np.ndarray) -> Partition:
    return quarters(photograph)


def _plans(partition: Partition, copies: int, seed: int) -> tuple[SpoilingPlan, ...]:
    return plan_copies(partition, copies, np.random.default_rng(seed))


def _one(region: int, family: str, strength: float, seed: int = 0) -> SpoilingPlan:
    dimension = next(d for d, names in FAMILIES.items() if family in names)
    fault = PlannedFault(Fault(dimension, family, strength), seed)
    return SpoilingPlan("some", {region: (fault,)})


def test_small_regions_are_left_out(partition: Partition) -> None:
    assert large_regions(partition) == [0, 1, 2, 3]
    assert len(partition) == 5


@given(seed=st.integers(0, 2**32), copies=st.integers(1, 9))
@settings(max_examples=40)
def test_plans_follow_from_the_seed_and_keep_the_rules(seed: int, copies: int) -> None:
    partition = quarters(np.zeros((100, 120, 3)))
    plans = _plans(partition, copies, seed)
    assert plans == _plans(partition, copies, seed)
    assert len(plans) == copies
    for plan in plans:
        assert set(plan.faults) | set(plan.decoys) <= {0, 1, 2, 3}
        assert not set(plan.faults) & set(plan.decoys)
        expected = {"none": {0}, "some": {1, 2, 3}, "all": {4}, "global": {4}}[plan.kind]
        assert len(plan.faults) in expected
        if plan.kind == "global":
            assert len(set(plan.faults.values())) == 1
        for chain in plan.faults.values():
            dimensions = [planned.fault.dimension for planned in chain]
            assert 1 <= len(chain) <= 2
            assert len(set(dimensions)) == len(dimensions)
            assert dimensions == sorted(dimensions, key=ORDER.index)
            for planned in chain:
                assert 1 <= planned.fault.strength <= 4
                assert planned.fault.family in FAMILIES[planned.fault.dimension]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40)
def test_four_copies_show_every_region_clean_and_spoiled(seed: int) -> None:
    plans = _plans(quarters(np.zeros((100, 120, 3))), 4, seed)
    for region in range(4):
        assert 0 < sum(region in plan.faults for plan in plans) < 4


def test_kinds_dimensions_and_chains_have_their_shares() -> None:
    partition = quarters(np.zeros((100, 120, 3)))
    plans = [plan for seed in range(150) for plan in _plans(partition, 4, seed)]
    kinds = Counter(plan.kind for plan in plans)
    for kind, share in KINDS.items():
        assert kinds[kind] / len(plans) == pytest.approx(share, abs=0.06)
    chains = [chain for plan in plans if plan.kind != "global" for chain in plan.faults.values()]
    assert 0.1 < np.mean([len(chain) == 2 for chain in chains]) < 0.3
    named = Counter(planned.fault.dimension for chain in chains for planned in chain)
    assert min(named.values()) > 0.7 * max(named.values())
    families = {planned.fault.family for chain in chains for planned in chain}
    assert families == {name for names in FAMILIES.values() for name in names}
    various = [len(set(p.faults.values())) > 1 for p in plans if p.kind == "all"]
    assert np.mean(various) > 0.7
    assert any(plan.decoys for plan in plans)


def test_no_copies_are_refused(partition: Partition) -> None:
    with pytest.raises(ConfigError, match="copy"):
        _plans(partition, 0, 0)


@pytest.mark.parametrize("seed", range(6))
def test_regions_without_a_fault_stay_to_the_bit(
    photograph: np.ndarray, partition: Partition, seed: int
) -> None:
    before = photograph.copy()
    for plan in _plans(partition, 4, seed):
        spoiled, found = spoil_picture(photograph, partition, plan)
        again, found_again = spoil_picture(photograph, partition, plan)
        np.testing.assert_array_equal(spoiled, again)
        assert [found[k].faults for k in found] == [found_again[k].faults for k in found_again]
        if plan.kind == "global":
            continue
        for region in range(len(partition)):
            mask = partition.mask(region)
            if region in plan.decoys:
                change = spoiled[mask].astype(int) - photograph[mask]
                assert np.abs(change).max() <= 0.03 * 255 + 1
                assert not found[region].faults
            elif region not in found or not found[region].faults:
                np.testing.assert_array_equal(spoiled[mask], photograph[mask])
            else:
                assert (spoiled[mask] != photograph[mask]).any()
                assert found[region].similarity < 1
    np.testing.assert_array_equal(photograph, before)


def test_a_chain_is_applied_in_order_and_fades_inside_the_border(
    photograph: np.ndarray, partition: Partition
) -> None:
    chain = (
        PlannedFault(Fault("color", "underexpose", 3.0), 1),
        PlannedFault(Fault("artifact", "pixelate", 2.0), 2),
    )
    spoiled, found = spoil_picture(photograph, partition, SpoilingPlan("some", {3: chain}))
    whole = distort(distort(photograph, "underexpose", 3.0, 1), "pixelate", 2.0, 2)
    assert found[3].faults == tuple(planned.fault for planned in chain)
    np.testing.assert_array_equal(spoiled[90:, 120:], whole[90:, 120:])  # well inside
    change = np.abs(spoiled[:, 150:].astype(float) - photograph[:, 150:]).mean((1, 2))
    assert change[79] == 0 < change[80] < 0.7 * change[86]


def test_a_fault_that_nobody_can_see_is_none() -> None:
    flat = np.full((100, 120, 3), 130, np.uint8)
    partition = quarters(flat)
    for plan in (_one(1, "gaussian_blur", 4), _one(1, "jpeg", 1), _one(1, "desaturate", 3)):
        spoiled, found = spoil_picture(flat, partition, plan)
        assert found[1].faults == ()
        assert found[1].similarity == 1
        np.testing.assert_array_equal(spoiled, flat)
    chain = (
        PlannedFault(Fault("blur", "defocus", 3.0), 1),
        PlannedFault(Fault("noise", "gaussian_noise", 3.0), 1),
    )
    _, found = spoil_picture(flat, partition, SpoilingPlan("some", {1: chain}))
    assert [fault.family for fault in found[1].faults] == ["gaussian_noise"]


def test_a_global_fault_has_no_seams_and_is_only_where_it_shows() -> None:
    pixels = np.full((100, 120, 3), 130, np.uint8)
    pixels[50:] = np.random.default_rng(0).integers(0, 256, (50, 120, 3))
    chain = (PlannedFault(Fault("blur", "gaussian_blur", 3.0), 5),)
    plan = SpoilingPlan("global", dict.fromkeys(range(4), chain))
    spoiled, found = spoil_picture(pixels, quarters(pixels), plan)
    np.testing.assert_array_equal(spoiled, distort(pixels, "gaussian_blur", 3.0, 5))
    assert [bool(found[k].faults) for k in range(4)] == [False, False, True, True]


def test_similarity_is_of_the_region_and_falls_with_strength(
    photograph: np.ndarray, partition: Partition
) -> None:
    found = [
        spoil_picture(photograph, partition, _one(2, "gaussian_blur", s))[1][2].similarity
        for s in (1, 2, 3, 4)
    ]
    assert found == sorted(found, reverse=True)
    assert 0 < found[3] < 0.8 < found[0] < 1


def test_a_partition_of_another_size_is_refused(photograph: np.ndarray) -> None:
    with pytest.raises(DataError, match="does not fit"):
        spoil_picture(photograph, quarters(photograph[1:]), SpoilingPlan("none"))
