"""Harmless changes of clean photographs, and the measure of harm."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from rsfiqa.errors import DataError, MissingExtraError
from rsfiqa.learning.augmentation import augment
from rsfiqa.learning.full_reference import require_measure, similarity


@given(
    seed=st.integers(0, 2**32),
    height=st.integers(1, 700),
    width=st.integers(1, 700),
    largest=st.sampled_from([64, 320, 640]),
)
@settings(max_examples=40)
def test_any_photograph_gives_a_smaller_one(
    seed: int, height: int, width: int, largest: int
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    before = pixels.copy()
    changed, again = (augment(pixels, np.random.default_rng(seed), largest) for _ in range(2))
    np.testing.assert_array_equal(changed, again)
    np.testing.assert_array_equal(pixels, before)
    assert changed.dtype == np.uint8
    assert changed.flags.c_contiguous
    assert max(changed.shape[:2]) <= largest
    assert changed.shape[0] <= height
    assert changed.shape[1] <= width


def test_it_stays_a_photograph_of_the_same_things() -> None:
    astronaut = data.astronaut()
    sizes, means = set(), []
    for seed in range(12):
        changed = augment(astronaut, np.random.default_rng(seed))
        sizes.add(changed.shape)
        means.append(changed.mean())
        assert max(changed.shape[:2]) >= 320
    assert len(sizes) == 12
    assert np.abs(np.array(means) - astronaut.mean()).max() < 25


class TestSimilarity:
    @pytest.fixture(autouse=True)
    def _measure(self) -> None:
        pytest.importorskip("piq")

    def test_equal_pictures_are_equal(self) -> None:
        cat = data.chelsea()
        assert similarity(cat, cat) == pytest.approx(1, abs=1e-3)
        black = np.zeros((50, 50, 3), np.uint8)
        assert similarity(black, black) == 1

    @pytest.mark.parametrize("shape", [(1, 1), (5, 300), (40, 40), (290, 30)])
    def test_any_size(self, shape: tuple[int, int]) -> None:
        part = data.chelsea()[: shape[0], : shape[1]]
        noise = np.random.default_rng(0).integers(0, 256, part.shape, dtype=np.uint8)
        assert 0 <= similarity(part, noise) < 0.9

    def test_other_sizes_are_refused(self) -> None:
        cat = data.chelsea()
        for other in (cat[:10], cat[:0]):
            with pytest.raises(DataError, match="one size"):
                similarity(cat if len(other) else other, other)


def test_without_piq_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "piq", None)
    with pytest.raises(MissingExtraError, match=r"rsfiqa\[teach\]"):
        require_measure()
