"""Invariant 1, first half: a partition covers every pixel exactly once, with contiguous ids."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from rsfiqa.errors import DataError, RsfiqaError
from rsfiqa.partition import Partition

Labels = npt.NDArray[np.int64]

label_maps = hnp.arrays(
    np.int64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
    elements=st.integers(-5, 9),
)
"""Any integers: `Partition.from_labels` makes partitions of them."""

many_regions = st.builds(
    lambda height, width, seed: np.random.default_rng(seed).integers(0, 2000, (height, width)),
    st.integers(20, 40),
    st.integers(20, 40),
    st.integers(0, 2**16),
)
"""Noise with more than 256 regions, which one byte does not hold."""


# Covering


@given(label_maps)
def test_every_pixel_belongs_to_exactly_one_region(labels: Labels) -> None:
    partition = Partition.from_labels(labels)
    masks = np.stack([partition.mask(k) for k in range(len(partition))])
    assert (masks.sum(0) == 1).all()
    assert masks.any((1, 2)).all()
    assert partition.labels.shape == labels.shape == (partition.height, partition.width)


@given(label_maps)
def test_renumbering_keeps_pixels_together_and_ids_in_order(labels: Labels) -> None:
    partition = Partition.from_labels(labels)
    assert len(partition) == len(np.unique(labels))
    for k, value in enumerate(np.unique(labels)):
        np.testing.assert_array_equal(partition.mask(k), labels == value)
    assert Partition.from_labels(partition.labels) == partition


@given(label_maps)
def test_areas_sum_to_one_and_boxes_are_tight(labels: Labels) -> None:
    partition = Partition.from_labels(labels)
    assert [region.id for region in partition.regions] == list(range(len(partition)))
    assert sum(region.area for region in partition.regions) == pytest.approx(1.0, abs=1e-12)
    for region in partition.regions:
        mask = partition.mask(region.id)
        assert region.area == pytest.approx(mask.mean())
        rows, columns = np.nonzero(mask)
        width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
        assert region.bbox == (columns.min(), rows.min(), width, height)


def test_a_map_taller_than_the_bands_it_is_measured_in() -> None:
    labels = np.zeros((1500, 3), dtype=np.int32)
    labels[400:1300, 1] = 1
    labels[1499, 2] = 2
    partition = Partition(labels)
    assert [region.bbox for region in partition.regions] == [
        (0, 0, 3, 1500),
        (1, 400, 1, 900),
        (2, 1499, 1, 1),
    ]
    assert partition.regions[1].area == 900 / 4500


def test_a_picture_of_one_pixel() -> None:
    partition = Partition([[0]])
    assert len(partition) == 1
    assert (partition.height, partition.width) == (1, 1)
    assert partition.regions[0].area == 1.0
    assert partition.regions[0].bbox == (0, 0, 1, 1)
    assert Partition.from_rle(partition.to_rle()) == partition


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_every_integer_type_gives_the_same_partition(dtype: type[np.integer]) -> None:
    labels = np.array([[0, 0, 1], [2, 2, 1]])
    partition = Partition(labels.astype(dtype))
    assert partition == Partition(labels)
    assert hash(partition) == hash(Partition(labels))
    assert partition.labels.dtype == np.uint8
    assert partition.regions == Partition(labels).regions


def test_label_maps_take_the_smallest_type_that_holds_their_ids() -> None:
    assert Partition(np.arange(256).reshape(16, 16)).labels.dtype == np.uint8
    assert Partition(np.arange(289).reshape(17, 17)).labels.dtype == np.uint16


# Refusals


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        ([[0, 2, 2]], "id 1 of 0..2 is empty"),
        ([[1, 1, 2]], "id 0 of 0..2 is empty"),
        ([[0, 9]], "without gaps"),
        ([[-1, 0]], "from -1 to 0"),
        ([[0.0, 1.0]], "float64"),
        ([[True, False]], "bool"),
        ([["0", "1"]], "label map"),
        ([], "non-empty"),
        (np.empty((0, 4), dtype=int), "non-empty"),
        ([0, 1], r"shape \(2,\)"),
        ([[[0, 1]]], r"shape \(1, 1, 2\)"),
        (3, r"shape \(\)"),
    ],
)
def test_what_is_no_partition_is_refused_in_a_sentence(labels: npt.ArrayLike, word: str) -> None:
    with pytest.raises(DataError, match=word) as refused:
        Partition(labels)
    assert isinstance(refused.value, RsfiqaError)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(
    "labels", [[[0.5]], [[True]], [], np.zeros((2, 2, 2), int), np.empty((3, 0), dtype=int)]
)
def test_what_cannot_be_renumbered_is_refused(labels: npt.ArrayLike) -> None:
    with pytest.raises(DataError):
        Partition.from_labels(labels)


@pytest.mark.parametrize("region_id", [-1, 2, 100])
def test_the_mask_of_a_region_that_does_not_exist(region_id: int) -> None:
    with pytest.raises(IndexError, match="from 0 to 1"):
        Partition([[0, 1]]).mask(region_id)


# Identity


def test_labels_are_read_only_and_apart_from_what_was_given() -> None:
    given_map = np.array([[0, 0], [1, 1]], dtype=np.uint8)
    partition = Partition(given_map)
    given_map[:] = 0
    assert partition.labels.tolist() == [[0, 0], [1, 1]]
    with pytest.raises(ValueError, match="read-only"):
        partition.labels[0, 0] = 1


def test_equality_is_of_labels_and_shape() -> None:
    partition = Partition([[0, 1], [0, 1]])
    assert partition == Partition(np.array([[0, 1], [0, 1]], dtype=np.uint16))
    assert partition != Partition([[1, 0], [1, 0]])
    assert partition != Partition([[0, 1, 0, 1]])
    assert partition != [[0, 1], [0, 1]]
    assert repr(partition) == "Partition(2×2, 2 regions)"


# Run lengths


def assert_round_trip(partition: Partition) -> None:
    masks = partition.to_rle()
    assert len(masks) == len(partition)
    assert Partition.from_rle(masks) == partition
    for k in {0, len(partition) // 2, len(partition) - 1}:
        assert masks[k]["size"] == [partition.height, partition.width]
        encoded = {"size": masks[k]["size"], "counts": masks[k]["counts"].encode("ascii")}
        np.testing.assert_array_equal(coco.decode(encoded).astype(bool), partition.mask(k))
        x, y, width, height = coco.toBbox(encoded)
        assert partition.regions[k].bbox == (x, y, width, height)


@given(label_maps)
def test_run_lengths_round_trip_and_pycocotools_agrees(labels: Labels) -> None:
    assert_round_trip(Partition.from_labels(labels))


@settings(max_examples=5)
@given(many_regions)
def test_run_lengths_round_trip_with_hundreds_of_regions(labels: Labels) -> None:
    partition = Partition.from_labels(labels)
    assert len(partition) > 256
    assert_round_trip(partition)


@given(label_maps)
def test_run_lengths_are_the_ones_pycocotools_writes(labels: Labels) -> None:
    partition = Partition.from_labels(labels)
    for k, mask in enumerate(partition.to_rle()):
        theirs = coco.encode(np.asfortranarray(partition.mask(k).astype(np.uint8)))
        assert mask["counts"] == theirs["counts"].decode("ascii")


def test_masks_of_bytes_are_read_too() -> None:
    mask = coco.encode(np.ones((2, 3), dtype=np.uint8, order="F"))
    assert Partition.from_rle([mask]) == Partition(np.zeros((2, 3), dtype=int))


FULL, LEFT, RIGHT, EMPTY = "06", "042", "42", "6"
"""Masks of a picture of 2×3 pixels: all of it, its left four, its right two, none."""


def mask(counts: object, size: object = (2, 3)) -> dict[str, object]:
    return {"size": size, "counts": counts}


@pytest.mark.parametrize(
    ("masks", "word"),
    [
        ([], "at least one mask"),
        ([mask(FULL), mask(RIGHT)], "overlap; mask 1"),
        ([mask(LEFT), mask(LEFT)], "overlap"),
        ([mask(LEFT)], "cover every pixel"),
        ([mask(RIGHT)], "cover every pixel"),
        ([mask(FULL), mask(FULL, (3, 2))], "share one size"),
        ([mask(FULL), mask(EMPTY)], "mask 1 is empty"),
        ([mask(EMPTY), mask(FULL)], "mask 0 is empty"),
        ([mask("")], "empty"),
        ([mask("03")], "end before|cover every pixel"),
        ([mask("0999")], "do not fit"),
        ([mask("~~~~~~")], "do not fit"),
        ([mask("ä")], "do not fit"),
        ([mask([0, 6])], "run lengths"),
        ([mask(None)], "run lengths"),
        ([{"size": [2, 3]}], "run lengths"),
        ([{"counts": FULL}], "size"),
        ([mask(FULL, (2, 3, 1))], "size"),
        ([mask(FULL, "ab")], "size"),
        ([mask(FULL, (-2, 3))], "at least one pixel"),
        ([mask("", (0, 3))], "at least one pixel"),
    ],
)
def test_masks_that_are_no_partition(masks: list[dict[str, object]], word: str) -> None:
    with pytest.raises(DataError, match=word):
        Partition.from_rle(masks)


def test_a_photograph_of_twelve_megapixels_comes_back_from_its_masks() -> None:
    """As many regions as a photograph has at most, with ragged borders, each as pycocotools has it."""
    height, width = 3000, 4000
    rows, columns = np.ogrid[:height, :width]
    ragged = rows + 9 * (columns % 23 < 7)
    labels = (ragged // 380).astype(np.uint8) * 8 + (columns // 500).astype(np.uint8)
    partition = Partition(labels)
    assert len(partition) == 64
    masks = partition.to_rle()
    back = Partition.from_rle(masks)
    assert back == partition
    assert back.regions == partition.regions
    assert back.labels.dtype == np.uint8
    assert back.labels.flags["C_CONTIGUOUS"]
    decoded = coco.decode({"size": [height, width], "counts": masks[11]["counts"].encode()})
    np.testing.assert_array_equal(back.mask(11), decoded.astype(bool))


@given(label_maps, st.data())
def test_masks_apart_from_a_partition_are_refused(labels: Labels, data: st.DataObject) -> None:
    """One mask left out leaves a hole; one given twice overlaps itself, wherever it stands."""
    masks = Partition.from_labels(labels).to_rle()
    k = data.draw(st.integers(0, len(masks) - 1))
    with pytest.raises(DataError, match=r"cover every pixel|at least one mask"):
        Partition.from_rle(masks[:k] + masks[k + 1 :])
    place = data.draw(st.integers(0, len(masks)))
    with pytest.raises(DataError, match=r"must not overlap; mask \d+ does"):
        Partition.from_rle([*masks[:place], masks[k], *masks[place:]])


@given(st.text(alphabet=[chr(c) for c in range(48, 112)], max_size=12))
def test_damaged_run_lengths_never_give_another_error(counts: str) -> None:
    try:
        partition = Partition.from_rle([mask(counts)])
    except DataError:
        return
    assert partition == Partition(np.zeros((2, 3), dtype=int))


# Other sizes


@given(label_maps, st.integers(1, 30), st.integers(1, 30))
def test_any_size_gives_a_partition_of_that_size(labels: Labels, height: int, width: int) -> None:
    partition = Partition.from_labels(labels)
    resized = partition.resize(height, width)
    assert resized.labels.shape == (height, width)
    assert 1 <= len(resized) <= len(partition)


@given(label_maps, st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 5]))
def test_resizing_takes_each_pixel_from_the_nearest(labels: Labels, down: int, across: int) -> None:
    partition = Partition.from_labels(labels)
    blown_up = partition.labels.repeat(down, 0).repeat(across, 1)
    larger = partition.resize(*blown_up.shape)
    assert larger == Partition(blown_up)
    assert larger.resize(*partition.labels.shape) == partition


@settings(max_examples=5)
@given(many_regions)
def test_resizing_hundreds_of_regions(labels: Labels) -> None:
    partition = Partition.from_labels(labels)
    larger = partition.resize(2 * partition.height, 2 * partition.width)
    np.testing.assert_array_equal(larger.labels, partition.labels.repeat(2, 0).repeat(2, 1))


def test_ids_that_vanish_are_closed_up() -> None:
    labels = np.repeat([[0, 1, 2, 3]], 4, axis=0).repeat([3, 1, 3, 3], axis=1)
    smaller = Partition(labels).resize(2, 3)
    assert len(smaller) == 3
    assert smaller.labels.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_the_same_size_is_the_same_partition() -> None:
    partition = Partition([[0, 1]])
    assert partition.resize(1, 2) is partition


@pytest.mark.parametrize("size", [(0, 3), (3, 0), (-1, 3)])
def test_no_size_below_one_pixel(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="at least one pixel"):
        Partition([[0, 1]]).resize(*size)
