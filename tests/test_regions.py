"""Step 1: label maps as graphs, partitions on a grid, and the embedded segmenter."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rsfiqa.partition import Partition
from rsfiqa.regions.agglomeration import agglomerate
from rsfiqa.regions.embedded import EmbeddedSegmenter
from rsfiqa.regions.graph import adjacency
from rsfiqa.regions.grid_labels import grid_labels

Labels = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]


def partitions(most: int = 6, side: int = 14) -> st.SearchStrategy[Partition]:
    return hnp.arrays(
        np.int64,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=side),
        elements=st.integers(0, most - 1),
    ).map(Partition.from_labels)


# Graphs


@given(partitions())
def test_borders_are_counted_edge_by_edge(partition: Partition) -> None:
    labels = partition.labels.astype(int)
    expected = np.zeros((len(partition), len(partition)))
    for y in range(partition.height):
        for x in range(partition.width):
            for v, u in ((y, x + 1), (y + 1, x)):
                if v < partition.height and u < partition.width and labels[y, x] != labels[v, u]:
                    expected[labels[y, x], labels[v, u]] += 1
                    expected[labels[v, u], labels[y, x]] += 1
    borders = adjacency(partition.labels).toarray()
    np.testing.assert_array_equal(borders, expected)
    np.testing.assert_array_equal(borders, borders.T)


# Agglomeration


def merged(labels: Labels, features: npt.NDArray[np.float64], **settings: Any) -> Labels:
    """The map after its regions were merged by `features`, one row a region."""
    areas = np.bincount(labels.ravel())
    return agglomerate(features, adjacency(labels), areas, **settings)[labels]


def is_joined(coarse: Labels, fine: Labels) -> bool:
    """Whether every region of `fine` lies in one region of `coarse`."""
    return all(len(np.unique(coarse[fine == k])) == 1 for k in np.unique(fine))


@given(
    partitions(9),
    st.integers(0, 99),
    st.floats(0, 3),
    st.floats(0, 1.5),
    st.integers(1, 9),
    st.floats(0, 1),
    st.floats(0, 0.5),
)
def test_merging_ends_in_a_partition_within_bounds(
    partition: Partition,
    seed: int,
    distance: float,
    min_area: float,
    max_regions: int,
    border_share: float,
    area_exponent: float,
) -> None:
    labels = partition.labels.astype(np.int64)
    features = np.random.default_rng(seed).normal(size=(len(partition), 3))
    result = Partition(
        merged(
            labels,
            features,
            distance=distance,
            min_area=min_area,
            max_regions=max_regions,
            border_share=border_share,
            area_exponent=area_exponent,
        )
    )
    assert len(result) <= max_regions
    assert len(result) == 1 or min(region.area for region in result.regions) >= min_area - 1e-9
    assert is_joined(result.labels.astype(np.int64), labels)


@given(partitions(9), st.integers(0, 99), st.floats(0.1, 2), st.floats(0.1, 2))
def test_a_larger_distance_only_joins_more(
    partition: Partition, seed: int, one: float, other: float
) -> None:
    labels = partition.labels.astype(np.int64)
    features = np.random.default_rng(seed).normal(size=(len(partition), 2))
    near, far = (merged(labels, features, distance=d) for d in sorted((one, other)))
    assert is_joined(far, near)


@given(partitions(7), st.integers(0, 99), st.floats(0, 2), st.randoms())
def test_the_numbering_of_regions_does_not_matter(
    partition: Partition, seed: int, distance: float, random: Any
) -> None:
    labels = partition.labels.astype(np.int64)
    features = np.random.default_rng(seed).normal(size=(len(partition), 2))
    order = list(range(len(partition)))
    random.shuffle(order)
    renumbered = np.argsort(order)[labels]
    first = merged(labels, features, distance=distance)
    second = merged(renumbered, features[order], distance=distance)
    assert is_joined(first, second)
    assert is_joined(second, first)


def test_nothing_is_merged_at_distance_zero() -> None:
    labels = np.arange(6).reshape(2, 3)
    assert merged(labels, np.zeros((6, 1)), distance=0).tolist() == labels.tolist()


def test_regions_that_do_not_touch_are_not_merged() -> None:
    labels = np.array([[0, 1, 2]])
    features = np.array([[0.0], [9.0], [0.0]])
    assert merged(labels, features, distance=5).tolist() == [[0, 1, 2]]


def test_a_slow_change_is_crossed_where_a_sudden_one_is_not() -> None:
    labels = np.arange(8)[None]
    slow = np.linspace(0, 1, 8)[:, None]
    sudden = np.repeat([[0.0], [1.0]], 4, axis=0)
    assert merged(labels, slow, distance=0.4, border_share=0.9).max() == 0
    assert merged(labels, sudden, distance=0.4, border_share=0.9).tolist() == [
        [0, 0, 0, 0, 1, 1, 1, 1]
    ]


def test_a_small_region_joins_the_neighbour_most_like_it_not_the_one_it_touches_most() -> None:
    labels = np.array([[0, 0, 0, 1, 1], [0, 0, 2, 1, 1], [0, 0, 1, 1, 1]])
    features = np.array([[1.0], [9.0], [2.0]])
    assert merged(labels, features, distance=0, min_area=0.1).tolist() == [
        [0, 0, 0, 1, 1],
        [0, 0, 0, 1, 1],
        [0, 0, 1, 1, 1],
    ]


# Partitions on a grid


@given(partitions(), st.integers(1, 10), st.integers(1, 10))
def test_cells_belong_to_regions_that_lie_in_them(
    partition: Partition, rows: int, columns: int
) -> None:
    grid = grid_labels(partition, rows, columns)
    assert grid.shape == (rows, columns)
    assert grid.dtype == np.int64
    blown_up = partition.labels.repeat(-(-rows // partition.height), 0)
    blown_up = blown_up.repeat(-(-columns // partition.width), 1)
    for (row, column), owner in np.ndenumerate(grid):
        assert owner in cell_of(blown_up, rows, columns, row, column)


def cell_of(labels: npt.NDArray[Any], rows: int, columns: int, row: int, column: int) -> Any:
    """The pixels whose corner lies in a cell."""
    y = np.flatnonzero(np.arange(labels.shape[0]) * rows // labels.shape[0] == row)
    x = np.flatnonzero(np.arange(labels.shape[1]) * columns // labels.shape[1] == column)
    return labels[np.ix_(y, x)]


@given(partitions(12), st.integers(1, 6), st.integers(1, 6))
def test_a_region_goes_without_a_cell_only_where_it_would_take_anothers_last(
    partition: Partition, rows: int, columns: int
) -> None:
    grid = grid_labels(partition, rows, columns)
    blown_up = partition.labels.repeat(-(-rows // partition.height), 0)
    blown_up = blown_up.repeat(-(-columns // partition.width), 1)
    cells = np.bincount(grid.ravel(), minlength=len(partition))
    for k in np.flatnonzero(cells == 0):
        for (row, column), owner in np.ndenumerate(grid):
            if k in cell_of(blown_up, rows, columns, row, column):
                assert cells[owner] == 1


def test_thin_regions_keep_a_cell() -> None:
    labels = np.zeros((160, 160), dtype=int)
    labels[83, :] = 1
    labels[:, 31] = 2
    labels[5, 5] = 3
    grid = grid_labels(Partition(labels), 10, 10)
    assert set(np.unique(grid)) == {0, 1, 2, 3}
    assert grid[0, 0] == 3
    assert (grid == 0).sum() == 97


def test_no_region_gives_its_last_cell_away() -> None:
    labels = np.array([[0, 0, 1, 0, 2, 0]])
    assert grid_labels(Partition(labels), 1, 2).tolist() == [[1, 0]]


def test_the_largest_share_takes_a_cell_and_ties_go_to_the_lower_id() -> None:
    labels = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [2, 2, 1, 1], [1, 1, 2, 2]])
    # Below, 1 and 2 share both cells evenly: 1 comes first, but 2 must have one of them.
    assert grid_labels(Partition(labels), 2, 2).tolist() == [[1, 0], [2, 1]]


def test_more_regions_than_cells_leaves_the_grid_filled() -> None:
    grid = grid_labels(Partition(np.arange(100).reshape(10, 10)), 2, 2)
    assert len(np.unique(grid)) == 4


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 1), (2, 2)])
def test_maps_smaller_than_the_grid_are_spread_over_it(shape: tuple[int, int]) -> None:
    partition = Partition(np.arange(np.prod(shape)).reshape(shape))
    grid = grid_labels(partition, 8, 8)
    rows = np.arange(8) * shape[0] // 8
    columns = np.arange(8) * shape[1] // 8
    if 8 % shape[0] == 0 and 8 % shape[1] == 0:
        np.testing.assert_array_equal(grid, partition.labels[np.ix_(rows, columns)])
    assert set(np.unique(grid)) == set(range(len(partition)))


def test_a_huge_map_is_thinned_without_moving_its_regions() -> None:
    quarter = np.array([[0, 1], [2, 3]], dtype=np.uint8)
    huge = Partition(quarter.repeat(2050, 0).repeat(4000, 1))
    np.testing.assert_array_equal(grid_labels(huge, 8, 8), quarter.repeat(4, 0).repeat(4, 1))


def test_a_map_long_on_one_side_only() -> None:
    labels = np.zeros((9, 30_000), dtype=int)
    labels[:, 15_000:] = 1
    grid = grid_labels(Partition(labels), 8, 128)
    np.testing.assert_array_equal(grid, np.repeat([0, 1], 64)[None].repeat(8, 0))


# The embedded segmenter


def semantic_of(seed: int, rows: int = 8, columns: int = 8, channels: int = 6) -> Any:
    features = np.random.default_rng(seed).normal(size=(channels, rows, columns))
    return features.astype(np.float32)


def ramp(height: int, width: int) -> Pixels:
    row = np.linspace(0, 255, width).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


PICTURES = {
    "noise": np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8),
    "flat": np.full((64, 64, 3), 127, dtype=np.uint8),
    "black": np.zeros((64, 80, 3), dtype=np.uint8),
    "gradient": ramp(60, 100),
    "smallest": np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8),
    "wide": np.random.default_rng(2).integers(0, 256, (32, 900, 3), dtype=np.uint8),
    "tall": ramp(900, 32),
    "checkerboard": np.kron(np.indices((40, 40)).sum(0) % 2, np.ones((2, 2)))[..., None]
    .repeat(3, 2)
    .astype(np.uint8)
    * 255,
    "one pixel": np.full((1, 1, 3), 9, dtype=np.uint8),
    "a line": ramp(1, 50),
}


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_gives_a_partition_of_its_size_within_bounds(name: str) -> None:
    pixels = PICTURES[name]
    before = pixels.copy()
    segmenter = EmbeddedSegmenter()
    partition = segmenter.segment(pixels, semantic_of(7))
    assert (partition.height, partition.width) == pixels.shape[:2]
    assert 1 <= len(partition) <= segmenter.max_regions
    if len(partition) > 1:
        assert min(region.area for region in partition.regions) >= segmenter.min_area
    assert partition == segmenter.segment(pixels, semantic_of(7))
    np.testing.assert_array_equal(pixels, before)


@settings(max_examples=15)
@given(
    st.integers(8, 60),
    st.integers(8, 60),
    st.integers(0, 999),
    st.sampled_from([0.0, 0.02, 0.3]),
    st.integers(1, 9),
    st.sampled_from([0.0, 0.3, 5.0]),
)
def test_settings_bound_the_regions(
    height: int, width: int, seed: int, min_area: float, max_regions: int, distance: float
) -> None:
    segmenter = EmbeddedSegmenter(
        superpixels=30, distance=distance, min_area=min_area, max_regions=max_regions
    )
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    partition = segmenter.segment(pixels, semantic_of(seed, 3, 5))
    assert (partition.height, partition.width) == (height, width)
    assert len(partition) <= max_regions
    if len(partition) > 1:
        assert min(region.area for region in partition.regions) >= min_area


def test_a_photograph_has_regions_of_some_size(cat: Pixels) -> None:
    segmenter = EmbeddedSegmenter()
    semantic = semantic_of(3, 19, 28, 16)
    partition = segmenter.segment(cat, semantic)
    assert 1 < len(partition) <= segmenter.max_regions
    assert min(region.area for region in partition.regions) >= segmenter.min_area
    assert partition == segmenter.segment(cat.copy(), semantic.copy())


def test_regions_follow_what_the_picture_shows() -> None:
    pixels = np.zeros((96, 128, 3), dtype=np.uint8)
    pixels[:, 64:] = (255, 240, 30)
    alike = np.ones((4, 6, 8), dtype=np.float32)
    partition = EmbeddedSegmenter().segment(pixels, alike)
    assert len(partition) == 2
    assert {region.bbox for region in partition.regions} == {(0, 0, 64, 96), (64, 0, 64, 96)}


def test_regions_follow_semantics_where_colour_says_nothing() -> None:
    pixels = np.full((96, 128, 3), 90, dtype=np.uint8)
    semantic = np.zeros((4, 6, 8), dtype=np.float32)
    semantic[0, :, :4] = semantic[1, :, 4:] = 1
    labels = EmbeddedSegmenter().segment(pixels, semantic).labels
    # Where the two meet, interpolated features are like neither.
    assert len(np.unique(labels[:, :48])) == 1
    assert len(np.unique(labels[:, 80:])) == 1
    assert labels[0, 0] != labels[0, -1]


def test_a_picture_larger_than_the_working_size_comes_back_at_its_own(cat: Pixels) -> None:
    segmenter = EmbeddedSegmenter(working_pixels=64 * 64)
    partition = segmenter.segment(cat, semantic_of(3, 6, 9))
    assert (partition.height, partition.width) == cat.shape[:2]
    # Sides are rounded on the way, which moves areas by a little.
    assert min(region.area for region in partition.regions) > 0.9 * segmenter.min_area


def test_the_name_tells_settings_that_change_regions() -> None:
    settings_of = [
        EmbeddedSegmenter(),
        EmbeddedSegmenter(superpixels=200),
        EmbeddedSegmenter(distance=0.5),
        EmbeddedSegmenter(color_weight=0.1),
        EmbeddedSegmenter(min_area=0.1),
        EmbeddedSegmenter(max_regions=3),
    ]
    assert len({segmenter.name for segmenter in settings_of}) == len(settings_of)
    assert EmbeddedSegmenter().name == EmbeddedSegmenter().name
