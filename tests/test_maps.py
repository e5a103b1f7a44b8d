"""Attention at the picture's size: it stays in its regions and adds up to their weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsfiqa.errors import DataError
from rsfiqa.maps import upsample_attention
from rsfiqa.partition import Partition

Case = tuple[npt.NDArray[np.float32], npt.NDArray[Any], npt.NDArray[np.float64], Partition]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A partition, its argmax-like map on a coarser grid (some regions lost), and attention."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    rows, columns = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    seeds = rng.random((draw(st.integers(1, 15)), 2)) * [height, width]
    pixels = np.stack(np.mgrid[:height, :width], axis=-1)[:, :, None, :]
    partition = Partition.from_labels(((pixels - seeds) ** 2).sum(-1).argmin(-1))
    y = ((np.arange(rows) + 0.5) * height / rows).astype(int)
    x = ((np.arange(columns) + 0.5) * width / columns).astype(int)
    labels = partition.labels[y[:, None], x].astype(np.int64)
    attention = rng.random((rows, columns)).astype(np.float32) ** draw(st.integers(0, 20))
    attention[rng.random((rows, columns)) < draw(st.sampled_from([0.0, 0.5, 1.0]))] = 0
    weights = rng.random(len(partition)) + 1e-9
    return attention, labels, weights / weights.sum(), partition


@given(cases())
@settings(deadline=None)
def test_each_region_holds_exactly_its_weight(case: Case) -> None:
    attention, labels, weights, partition = case
    full = upsample_attention(attention, labels, weights, partition)
    assert full.dtype == np.float32
    assert full.shape == partition.labels.shape
    assert np.isfinite(full).all()
    assert full.min() >= 0
    sums = np.bincount(partition.labels.ravel(), weights=full.ravel().astype(np.float64))
    np.testing.assert_allclose(sums, weights, rtol=1e-4, atol=1e-9)
    assert full.sum(dtype=np.float64) == pytest.approx(1, abs=1e-4)


@given(cases(), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_a_region_is_unmoved_by_its_neighbours_attention(case: Case, seed: int) -> None:
    attention, labels, weights, partition = case
    mine = labels == labels[0, 0]
    other = np.random.default_rng(seed).random(attention.shape).astype(np.float32)
    changed = np.where(mine, attention, other)
    before = upsample_attention(attention, labels, weights, partition)
    after = upsample_attention(changed, labels, weights, partition)
    inside = partition.mask(int(labels[0, 0]))
    np.testing.assert_array_equal(before[inside], after[inside])


def test_attention_follows_the_grid_inside_a_region() -> None:
    attention = np.array([[1, 2, 3, 4]], dtype=np.float32) / 10
    partition = Partition(np.zeros((8, 80), dtype=int))
    full = upsample_attention(attention, np.zeros((1, 4), dtype=int), [1.0], partition)
    assert (np.diff(full[0]) >= 0).all()
    assert full[0, -1] / full[0, 0] == pytest.approx(4, rel=1e-3)


def test_a_region_without_a_grid_cell_is_spread_evenly() -> None:
    labels = np.zeros((20, 20), dtype=int)
    labels[9, 9:12] = 1
    attention = np.full((2, 2), 0.25, dtype=np.float32)
    full = upsample_attention(attention, np.zeros((2, 2), dtype=int), [0.4, 0.6], Partition(labels))
    np.testing.assert_allclose(full[9, 9:12], 0.2, rtol=1e-6)


def test_bands_of_a_tall_region_join_without_a_seam() -> None:
    attention = np.linspace(1, 2, 9, dtype=np.float32)[:, None]
    partition = Partition(np.zeros((1500, 3), dtype=int))
    full = upsample_attention(attention, np.zeros((9, 1), dtype=int), [1.0], partition)
    steps = np.diff(full[:, 1].astype(np.float64))
    assert steps.max() < 1.5 * np.median(steps)


@pytest.mark.parametrize(
    ("attention", "labels", "weights", "word"),
    [
        (np.ones((2, 2)), np.zeros((2, 3), int), [0.5, 0.5], "shape"),
        (np.ones((2, 2)), np.zeros((2, 2), int), [1.0], "weights"),
        (np.ones((2, 2)), np.full((2, 2), 2), [0.5, 0.5], "region ids"),
        (-np.ones((2, 2)), np.zeros((2, 2), int), [0.5, 0.5], "attention"),
        (np.full((2, 2), np.nan), np.zeros((2, 2), int), [0.5, 0.5], "attention"),
        (np.ones((2, 2)), np.zeros((2, 2), int), [1.5, -0.5], "weights"),
        (np.ones((2, 2)), np.zeros((2, 2), int), [0.5, 0.6], "sum"),
    ],
)
def test_what_does_not_fit_is_refused(
    attention: npt.NDArray[Any], labels: npt.NDArray[Any], weights: list[float], word: str
) -> None:
    partition = Partition(np.array([[0, 1], [0, 1]]))
    with pytest.raises(DataError, match=word):
        upsample_attention(attention.astype(np.float32), labels, weights, partition)
