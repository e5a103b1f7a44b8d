"""Covering, Rand index, variation of information and boundary F: definitions, bounds, laws."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rsfiqa.errors import DataError
from rsfiqa.learning.boundary_metrics import (
    BoundaryCounts,
    boundary_map,
    count_boundary_matches,
    match_boundaries,
)
from rsfiqa.learning.partition_metrics import (
    Overlap,
    covering,
    rand_index,
    variation_of_information,
)
from rsfiqa.partition import Partition

Labels = npt.NDArray[np.int64]
SIZES = st.tuples(st.integers(1, 7), st.integers(1, 7))


def label_maps(count: int) -> st.SearchStrategy[tuple[Partition, ...]]:
    """Several partitions of one size."""

    def of_size(size: tuple[int, int]) -> st.SearchStrategy[tuple[Partition, ...]]:
        labels = arrays.arrays(np.int64, size, elements=st.integers(0, 5))
        return st.tuples(*[labels.map(Partition.from_labels)] * count)

    return SIZES.flatmap(of_size)


def boundary_maps(count: int) -> st.SearchStrategy[tuple[npt.NDArray[np.bool_], ...]]:
    return SIZES.flatmap(lambda size: st.tuples(*[arrays.arrays(np.bool_, size)] * count))


# Golden values, by hand

LEFT = Partition([[0, 0, 1, 1], [0, 0, 1, 1]])
TOP = Partition([[0, 0, 0, 0], [1, 1, 1, 1]])
WHOLE = Partition([[0, 0, 0, 0], [0, 0, 0, 0]])
CORNER = Partition([[0, 0, 0, 1], [0, 0, 0, 0]])


def test_halves_across_halves() -> None:
    # Each quarter is shared: 2 pixels of a union of 6.
    assert covering(of=LEFT, by=TOP) == pytest.approx(1 / 3)
    # Of 28 pairs LEFT joins 12, TOP joins 12, both join 4: they differ on 16.
    assert rand_index(LEFT, TOP) == pytest.approx(12 / 28)
    assert variation_of_information(LEFT, TOP) == pytest.approx(2)


def test_a_corner_in_a_whole() -> None:
    # The corner has 1 of 8, the rest 7 of 8, weighted by 1 and 7 of 8 pixels.
    assert covering(of=CORNER, by=WHOLE) == pytest.approx((1 * 1 / 8 + 7 * 7 / 8) / 8)
    assert covering(of=WHOLE, by=CORNER) == pytest.approx(7 / 8)
    assert rand_index(CORNER, WHOLE) == pytest.approx(21 / 28)
    entropy = -(1 / 8 * np.log2(1 / 8) + 7 / 8 * np.log2(7 / 8))
    assert variation_of_information(CORNER, WHOLE) == pytest.approx(entropy)


def test_one_pixel() -> None:
    pixel = Partition([[0]])
    assert rand_index(pixel, pixel) == 1
    assert covering(pixel, pixel) == 1
    assert variation_of_information(pixel, pixel) == 0


# Laws


@given(label_maps(1))
def test_a_partition_agrees_with_itself(maps: tuple[Partition]) -> None:
    (only,) = maps
    assert covering(only, only) == pytest.approx(1)
    assert rand_index(only, only) == 1
    assert variation_of_information(only, only) == 0


@given(label_maps(2))
def test_bounds_and_symmetry(maps: tuple[Partition, Partition]) -> None:
    first, second = maps
    pixels = first.labels.size
    assert 0 < covering(first, second) <= 1 + 1e-12
    assert 0 <= rand_index(first, second) <= 1
    assert 0 <= variation_of_information(first, second) <= np.log2(pixels) + 1e-9
    assert rand_index(first, second) == rand_index(second, first)
    assert variation_of_information(first, second) == pytest.approx(
        variation_of_information(second, first)
    )
    assert Overlap.between(first, second).reversed().covering == pytest.approx(
        covering(second, first)
    )


@given(label_maps(2))
def test_only_equal_partitions_agree_wholly(maps: tuple[Partition, Partition]) -> None:
    first, second = maps
    pairs = len({*zip(first.labels.ravel(), second.labels.ravel(), strict=True)})
    equal = pairs == len(first) == len(second)
    assert (variation_of_information(first, second) == 0) == equal
    assert (rand_index(first, second) == 1) == equal
    assert (covering(first, second) > 1 - 1e-9) == equal


@given(label_maps(3))
def test_variation_of_information_obeys_the_triangle(
    maps: tuple[Partition, Partition, Partition],
) -> None:
    a, b, c = maps
    direct = variation_of_information(a, c)
    assert direct <= variation_of_information(a, b) + variation_of_information(b, c) + 1e-9


@given(label_maps(2), st.randoms(use_true_random=False))
def test_numbering_does_not_matter(maps: tuple[Partition, Partition], random: object) -> None:
    first, second = maps
    order = list(range(len(second)))
    random.shuffle(order)  # type: ignore[attr-defined]
    renumbered = Partition(np.array(order)[second.labels])
    assert covering(first, renumbered) == pytest.approx(covering(first, second))
    assert covering(renumbered, first) == pytest.approx(covering(second, first))
    assert rand_index(first, renumbered) == rand_index(first, second)
    assert variation_of_information(first, renumbered) == pytest.approx(
        variation_of_information(first, second)
    )
    assert (boundary_map(renumbered) == boundary_map(second)).all()


@given(label_maps(2))
def test_the_libraries_say_the_same(maps: tuple[Partition, Partition]) -> None:
    from skimage import metrics
    from sklearn.metrics import rand_score

    first, second = (p.labels.astype(int) for p in maps)
    split, merged = metrics.variation_of_information(first, second)
    assert variation_of_information(*maps) == pytest.approx(split + merged, abs=1e-9)
    if first.size > 1:
        assert rand_index(*maps) == pytest.approx(rand_score(first.ravel(), second.ravel()))


def test_more_regions_than_pixels_would_allow_for_a_table() -> None:
    labels = np.arange(40_000).reshape(200, 200)
    fine = Partition(labels)
    pairs = Partition(labels // 2)
    assert covering(of=pairs, by=fine) == pytest.approx(1 / 2)
    assert variation_of_information(fine, pairs) == pytest.approx(1)


def test_partitions_of_other_sizes_are_refused() -> None:
    other = Partition([[0, 1]])
    for measure in (covering, rand_index, variation_of_information):
        with pytest.raises(DataError, match="4×2 and 2×1"):
            measure(LEFT, other)


# Boundaries


def vertical(column: int, height: int = 60, width: int = 80) -> Partition:
    """Two regions that meet after a column."""
    labels = np.zeros((height, width), int)
    labels[:, column + 1 :] = 1
    return Partition(labels)


def test_a_straight_border_is_a_line_one_pixel_thin() -> None:
    line = boundary_map(vertical(10))
    assert line[:, 10].all()
    assert line.sum() == 60


def test_one_region_has_no_border() -> None:
    counts = count_boundary_matches(boundary_map(WHOLE), [boundary_map(WHOLE)])
    assert counts == BoundaryCounts()
    assert counts.f == counts.precision == counts.recall == 0


def test_a_border_within_the_tolerance_is_right_and_beyond_it_is_wrong() -> None:
    # The diagonal is 100 pixels: 3 % are 3 pixels.
    line = boundary_map(vertical(30))
    for shift, f in ((3, 1.0), (4, 0.0)):
        moved = boundary_map(vertical(30 + shift))
        assert count_boundary_matches(moved, [line], tolerance=0.03).f == pytest.approx(f)


def test_precision_asks_for_any_annotator_and_recall_for_all() -> None:
    machine = boundary_map(vertical(30))
    counts = count_boundary_matches(machine, [machine, boundary_map(vertical(60)), machine])
    assert counts == BoundaryCounts(60, 60, 120, 180)
    assert counts.precision == 1
    assert counts.recall == pytest.approx(2 / 3)
    assert counts.f == pytest.approx(0.8)
    twice = counts + counts
    assert twice.f == pytest.approx(counts.f)
    assert twice.human == 360


def test_a_pixel_is_paired_once() -> None:
    thick, thin = np.zeros((5, 9), bool), np.zeros((5, 9), bool)
    thick[:, 3:6] = True
    thin[:, 4] = True
    of_thick, of_thin = match_boundaries(thick, thin, reach=1.0)
    assert of_thick.sum() == of_thin.sum() == 5


@given(boundary_maps(2), st.floats(0, 3))
def test_a_matching_is_as_large_as_can_be(
    maps: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]], reach: float
) -> None:
    first, second = maps
    of_first, of_second = match_boundaries(first, second, reach)
    assert not (of_first & ~first).any()
    assert not (of_second & ~second).any()
    assert of_first.sum() == of_second.sum() == largest_matching(first, second, reach)


def largest_matching(
    first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_], reach: float
) -> int:
    """By another way: an assignment that pays for every near pair."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    here, there = np.argwhere(first), np.argwhere(second)
    if not len(here) or not len(there):
        return 0
    near = cdist(here, there) <= reach
    return int(near[linear_sum_assignment(near, maximize=True)].sum())


@given(boundary_maps(1))
def test_every_pixel_of_a_map_finds_itself(maps: tuple[npt.NDArray[np.bool_]]) -> None:
    (only,) = maps
    counts = count_boundary_matches(only, [only], tolerance=0)
    assert counts.matched_machine == counts.matched_human == only.sum()


def test_long_curves_that_cross_are_matched() -> None:
    y, x = np.mgrid[:240, :320]
    curves = [
        boundary_map(Partition.from_labels(((x + 6 * np.sin(y / 9 + k)) // 40).astype(int)))
        for k in (0.0, 0.7)
    ]
    of_first, of_second = match_boundaries(*curves, reach=3.0)
    assert 0.5 * curves[0].sum() < of_first.sum() == of_second.sum() <= curves[0].sum()


def test_maps_of_other_sizes_are_refused() -> None:
    for first, second in permutations((np.ones((2, 3), bool), np.ones((3, 2), bool))):
        with pytest.raises(DataError, match="one size"):
            match_boundaries(first, second, 1.0)
