"""The partition rule: any masks, in any order and form, become one true partition."""

from __future__ import annotations

import random
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco
from scipy import ndimage
from skimage import data, measure

from rsfiqa import runs
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.partition import Partition
from rsfiqa.regions.masks import ScoredMask
from rsfiqa.regions.rule import PartitionRule

Mask = npt.NDArray[np.bool_]

EVERYTHING = PartitionRule(
    min_area=0, max_regions=10_000, duplicate_iou=1.0, min_visible=0, min_piece=0, strip=0
)
"""Settings under which nothing is too small, too much or too alike."""

rules = st.builds(
    PartitionRule,
    min_area=st.sampled_from([0.0, 0.01, 0.05, 0.2, 1.0]),
    max_regions=st.integers(1, 12),
    duplicate_iou=st.sampled_from([0.3, 0.8, 1.0]),
    min_visible=st.sampled_from([0.0, 0.3, 1.0]),
    min_piece=st.sampled_from([0.0, 0.25, 1.0]),
    strip=st.sampled_from([0.0, 0.15, 0.3]),
)


def _box(height: int, width: int, corners: tuple[int, int, int, int]) -> Mask:
    top, bottom, left, right = corners
    mask = np.zeros((height, width), dtype=bool)
    mask[top : top + bottom, left : left + right] = True
    return mask


@st.composite
def scenes(draw: st.DrawFn, max_masks: int = 8) -> tuple[list[ScoredMask], int, int]:
    """Boxes and noise of any size, a picture's height and width."""
    height, width = draw(st.tuples(st.integers(1, 18), st.integers(1, 18)))
    side = st.integers(0, 18)
    boxes = st.builds(_box, st.just(height), st.just(width), st.tuples(side, side, side, side))
    noise = hnp.arrays(np.bool_, (height, width))
    other_size = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))
    scores = st.sampled_from([0.5, 0.9, 1.0])
    masks = st.builds(ScoredMask, boxes | noise | other_size, scores)
    return draw(st.lists(masks, max_size=max_masks)), height, width


def _picture(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _masks(partition: Partition) -> list[Mask]:
    return [partition.mask(k) for k in range(len(partition))]


def _rle(mask: Mask) -> dict[str, Any]:
    encoded: dict[str, Any] = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return encoded


def _half(height: int = 20, width: int = 20) -> Mask:
    return _box(height, width, (0, height, 0, width // 2))


# Invariants


@given(scenes(), rules, st.booleans())
def test_a_partition_within_the_bounds(
    scene: tuple[list[ScoredMask], int, int], rule: PartitionRule, seen: bool
) -> None:
    masks, height, width = scene
    pixels = _picture(height, width) if seen else None
    partition = rule.apply(masks, height, width, pixels=pixels)
    assert partition.labels.shape == (height, width)
    assert np.unique(partition.labels).tolist() == list(range(len(partition)))
    assert len(partition) <= rule.max_regions
    if len(partition) > 1:
        assert min(region.area for region in partition.regions) >= rule.min_area - 1e-12
        least_piece = rule.min_piece * rule.min_area * height * width
        for mask in _masks(partition):
            pieces, _ = ndimage.label(mask)
            assert np.bincount(pieces.ravel())[1:].min() >= least_piece - 1e-9


@given(scenes(), rules, st.booleans())
def test_its_own_masks_give_the_same_partition(
    scene: tuple[list[ScoredMask], int, int], rule: PartitionRule, seen: bool
) -> None:
    masks, height, width = scene
    pixels = _picture(height, width) if seen else None
    partition = rule.apply(masks, height, width, pixels=pixels)
    assert rule.apply(_masks(partition), height, width, pixels=pixels) == partition
    assert rule.apply(partition.to_rle(), height, width) == partition


@given(scenes(), rules, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(
    scene: tuple[list[ScoredMask], int, int], rule: PartitionRule, shuffler: random.Random
) -> None:
    masks, height, width = scene
    pixels = _picture(height, width)
    shuffled = shuffler.sample(masks, len(masks))
    assert rule.apply(shuffled, height, width, pixels=pixels) == rule.apply(
        masks, height, width, pixels=pixels
    )


@given(scenes(), rules)
def test_duplicates_and_worse_scored_copies_change_nothing(
    scene: tuple[list[ScoredMask], int, int], rule: PartitionRule
) -> None:
    masks, height, width = scene
    copies = [ScoredMask(mask.mask, mask.score - 1) for mask in masks]
    assert rule.apply([*copies, *masks, *masks], height, width) == rule.apply(masks, height, width)


@given(scenes(), rules)
def test_every_form_of_a_mask_means_the_same(
    scene: tuple[list[ScoredMask], int, int], rule: PartitionRule
) -> None:
    masks, height, width = scene
    expected = rule.apply(masks, height, width)
    compressed = [ScoredMask(_rle(np.asarray(mask.mask)), mask.score) for mask in masks]
    assert rule.apply(compressed, height, width) == expected
    text = [
        ScoredMask({**mask.mask, "counts": mask.mask["counts"].decode()}, mask.score)  # type: ignore[dict-item]
        for mask in compressed
    ]
    assert rule.apply(iter(text), height, width) == expected
    plain = []
    for mask in masks:
        array = np.asarray(mask.mask)
        counts = runs.to_counts(runs.from_array(array), array.size).tolist()
        plain.append(ScoredMask({"size": array.shape, "counts": counts}, mask.score))
    assert rule.apply(plain, height, width) == expected


@given(scenes(max_masks=6))
def test_the_smallest_mask_over_a_pixel_owns_it(scene: tuple[list[ScoredMask], int, int]) -> None:
    masks, height, width = scene
    arrays = [
        np.asarray(one.mask) for one in masks if np.asarray(one.mask).shape == (height, width)
    ]
    # Of one size each: which of two equals owns a pixel is another rule.
    arrays = [*{int(array.sum()): array for array in arrays}.values()]
    areas = [int(array.sum()) for array in arrays]
    owner = np.full((height, width), -1)
    for k in sorted(range(len(arrays)), key=lambda k: -areas[k]):
        owner[arrays[k]] = k
    holes = measure.label(owner == -1, connectivity=1)
    expected = np.where(owner == -1, len(arrays) + holes, owner)
    partition = EVERYTHING.apply(arrays, height, width)
    _same_cut(partition.labels, expected)


@given(scenes())
def test_ids_follow_the_first_pixels_in_reading_order(
    scene: tuple[list[ScoredMask], int, int],
) -> None:
    partition = EVERYTHING.apply(*scene)
    _, first = np.unique(partition.labels, return_index=True)
    assert (np.diff(first) > 0).all()


def _same_cut(labels: npt.NDArray[Any], other: npt.NDArray[Any]) -> None:
    pairs = {(a, b) for a, b in zip(labels.ravel().tolist(), other.ravel().tolist(), strict=True)}
    assert len(pairs) == len(np.unique(labels)) == len(np.unique(other))


# Masks as runs


@given(
    hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)),
    st.integers(1, 25),
    st.integers(1, 25),
)
def test_another_resolution_takes_the_pixel_under_the_centre(
    mask: Mask, height: int, width: int
) -> None:
    rows = (2 * np.arange(height) + 1) * mask.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * mask.shape[1] // (2 * width)
    resized = runs.resized(runs.from_array(mask), (mask.shape[0], mask.shape[1]), (height, width))
    np.testing.assert_array_equal(resized, runs.from_array(mask[rows][:, columns]))


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_runs_agree_with_pycocotools(mask: Mask) -> None:
    encoded = _rle(mask)
    edges = runs.from_array(mask)
    np.testing.assert_array_equal(runs.from_counts(runs.decompress(encoded["counts"])), edges)
    assert runs.area_of(edges) == mask.sum()


def test_long_runs_are_read_as_pycocotools_wrote_them() -> None:
    counts = [0, 9_000_000, 1, 40, 3_000_000, 2, 999_957]
    encoded = coco.frPyObjects({"size": [1000, 13000], "counts": counts}, 1000, 13000)
    assert runs.decompress(encoded["counts"]).tolist() == counts


# The steps of the rule


def test_no_mask_gives_one_region() -> None:
    assert len(PartitionRule().apply([], 7, 5)) == 1
    assert len(PartitionRule().apply([], 1, 1)) == 1


def test_one_full_mask_gives_one_region() -> None:
    assert len(PartitionRule().apply([np.ones((7, 5), dtype=bool)], 7, 5)) == 1


def test_empty_masks_are_ignored() -> None:
    half, empty = _half(), np.zeros((20, 20), dtype=bool)
    assert EVERYTHING.apply([empty, half], 20, 20) == EVERYTHING.apply([half], 20, 20)


def test_parts_survive_on_top_of_what_they_are_part_of() -> None:
    whole, part = _box(20, 20, (2, 16, 2, 16)), _box(20, 20, (6, 5, 6, 5))
    labels = PartitionRule().apply([ScoredMask(part, 0.1), ScoredMask(whole, 0.9)], 20, 20).labels
    np.testing.assert_array_equal(labels, whole.astype(int) + part)


def test_of_near_duplicates_the_better_scored_stays() -> None:
    loose, tight = _box(20, 20, (0, 20, 0, 10)), _box(20, 20, (1, 18, 0, 10))
    rule = PartitionRule(duplicate_iou=0.9)
    for better in (loose, tight):
        masks = [ScoredMask(mask, 0.9 if mask is better else 0.8) for mask in (loose, tight)]
        labels = rule.apply(masks, 20, 20).labels
        np.testing.assert_array_equal(labels == labels[10, 0], better)


def test_of_equally_scored_duplicates_the_larger_stays() -> None:
    loose, tight = _box(20, 20, (0, 20, 0, 10)), _box(20, 20, (1, 18, 0, 10))
    labels = PartitionRule(duplicate_iou=0.9).apply([tight, loose], 20, 20).labels
    np.testing.assert_array_equal(labels == 0, loose)


def test_a_dropped_duplicate_drops_no_other() -> None:
    """Three in a chain, the middle one worst: both ends stay."""
    chain = [_box(20, 20, (0, 20, left, 8)) for left in (0, 2, 4)]
    masks = [ScoredMask(mask, score) for mask, score in zip(chain, (0.9, 0.8, 0.7), strict=True)]
    rule = PartitionRule(duplicate_iou=0.6, min_visible=0)
    assert rule.apply(masks, 20, 20) == rule.apply([masks[0], masks[2]], 20, 20)


def test_a_mask_hardly_seen_is_left_out_and_what_lies_behind_shows() -> None:
    behind = _box(20, 20, (0, 20, 0, 16))
    fragment = _box(20, 20, (4, 10, 4, 10))
    front = _box(20, 20, (4, 10, 4, 9))
    rule = PartitionRule(min_visible=0.2, duplicate_iou=1.0)
    labels = rule.apply([behind, fragment, front], 20, 20).labels
    assert labels[5, 13] == labels[0, 0] != labels[5, 5]


def test_a_region_behind_a_pole_stays_one() -> None:
    wall, pole = np.ones((20, 20), dtype=bool), _box(20, 20, (0, 20, 8, 4))
    partition = PartitionRule().apply([wall, pole], 20, 20)
    assert len(partition) == 2
    assert partition.labels[0, 0] == partition.labels[0, 19]


def test_a_small_piece_goes_to_the_neighbour_with_the_longest_border() -> None:
    """A speck of the left mask within the right one, touching a third at a corner's length."""
    left, right = _half(), ~_half()
    left[5:7, 15:17] = True
    right[5:7, 15:17] = False
    labels = PartitionRule(min_area=0.05, min_piece=0.5).apply([left, right], 20, 20).labels
    np.testing.assert_array_equal(labels == 0, _half())


def test_too_many_regions_are_merged_from_the_smallest_into_the_longest_border() -> None:
    stripes = np.zeros((10, 12), dtype=int)
    stripes[:, 3:] = 1
    stripes[:7, 9:] = 2
    stripes[7:, 9:] = 3
    partition = EVERYTHING.apply([stripes == k for k in range(4)], 10, 12)
    assert len(partition) == 4
    three = PartitionRule(min_area=0, max_regions=3, strip=0)
    labels = three.apply([stripes == k for k in range(4)], 10, 12).labels
    # 3 pixels of border with the upper and 3 with the left: the one that is read first takes it.
    np.testing.assert_array_equal(labels, np.where(stripes == 3, 1, stripes))


def test_each_piece_of_a_dissolved_region_joins_its_own_neighbour() -> None:
    labels = np.zeros((10, 20), dtype=int)
    labels[:, 10:] = 1
    labels[2:4, 2:4] = labels[2:4, 15:17] = 2
    rule = PartitionRule(min_area=0, max_regions=2, strip=0)
    merged = rule.apply([labels == k for k in range(3)], 10, 20).labels
    np.testing.assert_array_equal(merged, _half(10, 20) == 0)


# Uncovered pixels


def test_large_uncovered_areas_become_regions_one_a_component() -> None:
    middle = _box(20, 21, (0, 20, 7, 7))
    partition = PartitionRule().apply([middle], 20, 21)
    assert [region.bbox for region in partition.regions] == [
        (0, 0, 7, 20),
        (7, 0, 7, 20),
        (14, 0, 7, 20),
    ]


def _hole_between_red_and_blue() -> tuple[list[Mask], Mask, npt.NDArray[np.uint8]]:
    """A reddish hole that has the longer border with the blue side."""
    left, right = _half(), ~_half()
    hole = _box(20, 20, (8, 3, 9, 4))
    pixels = np.zeros((20, 20, 3), dtype=np.uint8)
    pixels[left] = (200, 0, 0)
    pixels[right] = (0, 0, 200)
    pixels[hole] = (170, 20, 20)
    return [left & ~hole, right & ~hole], hole, pixels


def test_a_small_hole_joins_the_neighbour_of_the_most_similar_colour() -> None:
    masks, hole, pixels = _hole_between_red_and_blue()
    labels = PartitionRule(min_area=0.1).apply(masks, 20, 20, pixels=pixels).labels
    assert (labels[hole] == labels[0, 0]).all()


def test_a_small_hole_joins_the_longest_border_without_a_picture() -> None:
    masks, hole, _ = _hole_between_red_and_blue()
    labels = PartitionRule(min_area=0.1).apply(masks, 20, 20).labels
    assert (labels[hole] == labels[0, 19]).all()


def test_seams_between_masks_are_shared_out_and_areas_behind_them_stay() -> None:
    """Tiles with seams of four pixels between them and two around them; one tile is left free."""
    tiles = [_box(200, 200, (top, 96, left, 96)) for top in (2, 102) for left in (2, 102)]
    partition = PartitionRule(strip=0.03).apply(tiles[:3], 200, 200)
    assert len(partition) == 4
    quarters = [partition.labels[y, x] for y in (50, 150) for x in (50, 150)]
    assert sorted(quarters) == [0, 1, 2, 3]
    for region in partition.regions:
        assert region.area == pytest.approx(0.25, abs=0.02)
    joined = PartitionRule(strip=0).apply(tiles, 200, 200)
    assert len(joined) == 5, "without the strip rule the seams are a region"


@pytest.mark.parametrize("side", [4, 5])
def test_a_square_of_the_strip_s_width_is_an_area(side: int) -> None:
    rule = PartitionRule(strip=side / 100, min_area=0.0001)
    for size, regions in ((side, 2), (side - 1, 1)):
        hole = _box(100, 100, (40, size, 50, size))
        assert len(rule.apply([~hole], 100, 100)) == regions


# Many, large, real


def test_thousands_of_tiny_masks() -> None:
    side = 160
    blocks = np.arange(side // 2).repeat(2)
    tiles = blocks[:, None] * (side // 2) + blocks
    partition = Partition.from_labels(tiles)
    assert len(partition) == 6400
    masks = partition.to_rle()
    assert len(PartitionRule().apply(masks, side, side)) == 1, "each is below the minimum area"
    some = PartitionRule(min_area=0.0001, max_regions=50, strip=0).apply(masks, side, side)
    assert len(some) == 50


def test_noise_leaves_no_small_piece() -> None:
    generator = np.random.default_rng(0)
    masks = [generator.random((150, 200)) < 0.4 for _ in range(6)]
    masks.append(_box(150, 200, (0, 150, 0, 60)) & (generator.random((150, 200)) < 0.95))
    partition = PartitionRule().apply(masks, 150, 200)
    for mask in _masks(partition):
        pieces, _ = ndimage.label(mask)
        assert np.bincount(pieces.ravel())[1:].min() >= 0.0005 * mask.size


def test_a_real_picture_from_coarse_masks() -> None:
    pixels = data.astronaut()
    coarse = measure.label(pixels[::8, ::8].mean(2) // 50, connectivity=1)
    masks = [ScoredMask(coarse == k, float(k)) for k in np.unique(coarse)]
    rule = PartitionRule()
    partition = rule.apply(masks, 512, 512, pixels=pixels)
    assert 4 < len(partition) <= 64
    assert min(region.area for region in partition.regions) >= rule.min_area
    assert rule.apply(partition.to_rle(), 512, 512, pixels=pixels) == partition


def test_masks_are_taken_one_at_a_time() -> None:
    def masks() -> Iterator[Mask]:
        last: weakref.ref[Mask] | None = None
        for left in (0, 7, 14):
            assert last is None or last() is None, "the mask before is still held"
            mask = _box(20, 20, (0, 20, left, 6))
            last = weakref.ref(mask)
            holder = [mask]
            del mask
            yield holder.pop()

    assert len(PartitionRule().apply(masks(), 20, 20)) >= 3


# Names and refusals


def test_the_name_tells_all_settings_apart() -> None:
    changed = [
        PartitionRule(),
        PartitionRule(min_area=0.0020000001),
        PartitionRule(max_regions=65),
        PartitionRule(duplicate_iou=0.9),
        PartitionRule(min_visible=0.2),
        PartitionRule(min_piece=0.5),
        PartitionRule(strip=0.02),
    ]
    assert len({rule.name for rule in changed}) == len(changed)
    assert PartitionRule(min_area=0).name == PartitionRule(min_area=0.0).name


@pytest.mark.parametrize(
    "setting",
    [
        {"min_area": -0.1},
        {"min_area": float("nan")},
        {"min_piece": 1.5},
        {"min_visible": 2},
        {"strip": -1},
        {"duplicate_iou": 0},
        {"max_regions": 0},
        {"max_regions": 2.5},
        {"max_regions": float("nan")},
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        PartitionRule(**setting)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), None, "high"])
def test_scores_that_are_no_finite_number_are_refused(score: Any) -> None:
    with pytest.raises(DataError, match="score"):
        PartitionRule().apply([ScoredMask(_half(), score)], 20, 20)


@pytest.mark.parametrize(
    "mask",
    [
        {},
        {"size": [2, 2]},
        {"counts": [4]},
        {"size": [2, 2], "counts": []},
        {"size": [2, 2], "counts": [1, 2]},
        {"size": [2, 2], "counts": [1, 4]},
        {"size": [2, 2], "counts": [5, -1]},
        {"size": [2, 2], "counts": [2.0, 2.0]},
        {"size": [2, 2], "counts": [[0, 1], [1, 1]]},
        {"size": [2, 2], "counts": [[0], [1, 1]]},
        {"size": [2, 2], "counts": [2**62, 2**62, 2**62, 2**62, 4]},
        {"size": [2, 2], "counts": [2**80]},
        {"size": [2, 2], "counts": ""},
        {"size": [2, 2], "counts": b"1"},
        {"size": [2, 2], "counts": "11"},
        {"size": [2, 2], "counts": "1\x7f"},
        {"size": [2, 2], "counts": "1é"},
        {"size": [2, 2], "counts": "\ud800"},
        {"size": [2, 2], "counts": "o"},
        {"size": [2, 2], "counts": "oooooooooooooo0"},
        {"size": [2, 2], "counts": 4},
        {"size": [0, 2], "counts": [0]},
        {"size": [2], "counts": [2]},
        {"size": [2.5, 2], "counts": [4]},
        {"size": "22", "counts": [4]},
        {"size": [2**20, 2**20], "counts": [2**40]},
        np.ones((2, 2), dtype=np.uint8),
        np.ones((1, 2, 2), dtype=bool),
        np.ones((0, 2), dtype=bool),
        [[True, False]],
        None,
    ],
    ids=str,
)
def test_masks_that_are_none_are_refused(mask: Any) -> None:
    with pytest.raises(DataError):
        PartitionRule().apply([_half(2, 2), mask], 2, 2)


def test_a_picture_of_another_size_and_an_empty_one_are_refused() -> None:
    with pytest.raises(DataError, match="20, 20, 3"):
        PartitionRule().apply([], 20, 20, pixels=np.zeros((20, 21, 3), dtype=np.uint8))
    with pytest.raises(DataError, match="8-bit"):
        PartitionRule().apply([], 20, 20, pixels=np.zeros((20, 20, 3)))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="one pixel"):
        PartitionRule().apply([], 0, 20)
