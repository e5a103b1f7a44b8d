"""Downscaling to a budget of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsfiqa.errors import ConfigError
from rsfiqa.images import resize_to_budget
from rsfiqa.images.resize import fit_within


def test_a_picture_within_the_budget_is_untouched() -> None:
    picture = np.zeros((40, 50, 3), np.uint8)

    assert resize_to_budget(picture, 2000) is picture


@given(height=st.integers(1, 300), width=st.integers(1, 300), budget=st.integers(1, 100_000))
def test_the_budget_holds_and_the_aspect_is_kept(height: int, width: int, budget: int) -> None:
    small = resize_to_budget(np.zeros((height, width, 3), np.uint8), budget)
    h, w = small.shape[:2]

    assert small.dtype == np.uint8
    assert 1 <= h * w <= max(budget, 1)
    assert h <= height
    assert w <= width
    if budget >= 32 * 32:
        assert min(h, w) >= min(32, height, width)
    if min(h, w) > 32:
        # Each side is within a pixel of what the aspect ratio asks for.
        assert abs(h * width - w * height) <= max(height, width)


def test_it_is_antialiased() -> None:
    checks = np.indices((200, 200)).sum(axis=0) % 2 * 255
    small = resize_to_budget(np.dstack([checks] * 3).astype(np.uint8), 50 * 50)

    assert small.shape == (50, 50, 3)
    assert np.abs(small[5:-5, 5:-5].astype(int) - 128).max() <= 2


def test_a_thin_picture_keeps_32_pixels() -> None:
    assert resize_to_budget(np.zeros((40, 4000, 3), np.uint8), 64_000).shape == (32, 2000, 3)


def test_a_budget_below_1() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        resize_to_budget(np.zeros((40, 40, 3), np.uint8), 0)


@given(height=st.integers(1, 300), width=st.integers(1, 300), side=st.integers(1, 120))
def test_pictures_fit_within_a_side_in_their_own_shape(height: int, width: int, side: int) -> None:
    picture = np.full((height, width, 3), 77, np.uint8)
    small = fit_within(picture, side)
    h, w = small.shape[:2]
    assert max(h, w) == min(side, max(height, width))
    assert min(h, w) >= 1
    assert (small == 77).all()
    if max(height, width) <= side:
        assert small is picture
    else:  # the shorter side to the nearest pixel
        assert abs(min(h, w) - min(height, width) * side / max(height, width)) <= 0.5 or (
            min(h, w) == 1
        )
