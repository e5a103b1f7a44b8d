"""What a model is shown of a region, and told about it."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.partition import Partition
from rsfiqa.reading.views import MIN_SIDE, crop_box, region_view, view_instruction

Pixels = npt.NDArray[np.uint8]
MAGENTA = (255, 0, 255)


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Pixels, Partition]:
    """A picture of any shape in blocks of up to four regions."""
    height, width = draw(st.integers(1, 160)), draw(st.integers(1, 160))
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    blocks = draw(st_numpy.arrays(np.int64, (rows, columns), elements=st.integers(0, 3)))
    y = np.arange(height) * rows // height
    x = np.arange(width) * columns // width
    pixels = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    return pixels, Partition.from_labels(blocks[y][:, x])


@given(pictures())
def test_a_region_keeps_every_pixel_at_native_resolution(picture: tuple[Pixels, Partition]) -> None:
    pixels, partition = picture
    for region in range(len(partition)):
        view = np.asarray(region_view(pixels, partition, region))
        x, y, width, height = crop_box(partition, region)
        mask = partition.mask(region)
        assert np.count_nonzero(mask[y : y + height, x : x + width]) == np.count_nonzero(mask)
        inside = mask[y : y + height, x : x + width]
        shown = view[:height, :width]
        assert np.array_equal(shown[inside], pixels[y : y + height, x : x + width][inside])


@given(pictures(), st.integers(MIN_SIDE**2, 30_000), st.sampled_from(["crop", "picture"]))
@settings(max_examples=50)
def test_a_view_keeps_its_budget_and_its_shortest_side(
    picture: tuple[Pixels, Partition], budget: int, kind: str
) -> None:
    pixels, partition = picture
    for region in range(len(partition)):
        view = region_view(pixels, partition, region, view=kind, max_pixels=budget)  # type: ignore[arg-type]
        again = region_view(pixels, partition, region, view=kind, max_pixels=budget)  # type: ignore[arg-type]
        assert view.mode == "RGB"
        assert view.width * view.height <= budget
        assert min(view.size) >= MIN_SIDE
        assert np.array_equal(np.asarray(view), np.asarray(again))


@pytest.mark.parametrize(("height", "width"), [(40, 9000), (9000, 40), (3000, 2000)])
def test_long_and_large_pictures_stay_within_the_budget(height: int, width: int) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    partition = Partition(np.zeros((height, width), int))
    view = region_view(pixels, partition, 0, max_pixels=20_000)
    assert view.width * view.height <= 20_000
    assert min(view.size) >= MIN_SIDE
    if min(height, width) > 1000:
        assert view.width / view.height == pytest.approx(width / height, rel=0.02)


def test_context_is_faded_and_outlined(cat: Pixels) -> None:
    labels = np.zeros(cat.shape[:2], int)
    labels[100:180, 150:250] = 1
    partition = Partition(labels)
    view = np.asarray(region_view(cat, partition, 1))
    x, y, width, height = crop_box(partition, 1)
    assert (width, height) == (124, 104)
    crop, inside = cat[y : y + height, x : x + width], labels[y : y + height, x : x + width] == 1
    outline = np.all(view == MAGENTA, axis=2)
    assert outline.sum() == 104 * 84 - 100 * 80
    context = ~inside & ~outline
    assert np.abs(view[context].astype(int) - 128).max() <= 0.3 * 128 + 1
    # It is still the same picture, only paler.
    correlation = np.corrcoef(view[context].ravel(), crop[context].ravel())[0, 1]
    assert correlation > 0.99


def test_the_only_region_is_shown_as_it_is(cat: Pixels) -> None:
    partition = Partition(np.zeros(cat.shape[:2], int))
    assert np.array_equal(np.asarray(region_view(cat, partition, 0)), cat)
    assert "whole picture" in view_instruction(partition, 0)


def test_a_small_picture_is_filled_up_with_grey() -> None:
    pixels = np.full((20, 30, 3), 200, np.uint8)
    partition = Partition(np.zeros((20, 30), int))
    view = np.asarray(region_view(pixels, partition, 0))
    assert view.shape == (56, 56, 3)
    assert np.array_equal(view[:20, :30], pixels)
    assert np.all(view[30:, 40:] == 128)
    assert "faded towards grey" in view_instruction(partition, 0)


def test_a_thin_region_survives_shrinking() -> None:
    pixels = np.full((1000, 1000, 3), 128, np.uint8)
    labels = np.zeros((1000, 1000), int)
    labels[np.arange(1000), np.arange(1000)] = 1
    pixels[labels == 1] = 255
    view = np.asarray(region_view(pixels, Partition(labels), 1, max_pixels=62_500))
    on_the_line = view[np.arange(250), np.arange(250)]
    assert on_the_line.mean() > 129
    assert not np.any(np.all(on_the_line == MAGENTA, axis=1))


@given(pictures(), st.integers(MIN_SIDE**2, 10_000))
@settings(max_examples=50)
def test_the_named_box_lies_in_the_view(picture: tuple[Pixels, Partition], budget: int) -> None:
    pixels, partition = picture
    for region in range(len(partition)):
        view = region_view(pixels, partition, region, view="picture", max_pixels=budget)
        said = view_instruction(partition, region, view="picture", max_pixels=budget)
        width, height, x1, y1, x2, y2, filled = map(int, re.findall(r"\d+", said))
        assert (width, height) == view.size
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
        assert 1 <= filled <= 100


def test_all_regions_share_the_whole_picture(cat: Pixels) -> None:
    labels = np.zeros(cat.shape[:2], int)
    labels[:, 200:] = 1
    partition = Partition(labels)
    views = [region_view(cat, partition, region, view="picture") for region in (0, 1)]
    assert all(np.array_equal(np.asarray(view), cat) for view in views)
    assert "(200, 0) to (451, 300) and fills 100 %" in view_instruction(
        partition, 1, view="picture"
    )


def test_what_is_not_accepted_is_said(cat: Pixels) -> None:
    partition = Partition(np.zeros(cat.shape[:2], int))
    with pytest.raises(ConfigError, match="crop or picture; got 'peek'"):
        region_view(cat, partition, 0, view="peek")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="at least 3136 pixels"):
        view_instruction(partition, 0, max_pixels=3000)
    with pytest.raises(DataError, match="of the partition's size"):
        region_view(cat[:100], partition, 0)
    with pytest.raises(DataError, match="float64"):
        region_view(cat / 255, partition, 0)  # type: ignore[arg-type]
    for view in ("crop", "picture"):
        with pytest.raises(IndexError, match="from 0 to 0; got 1"):
            region_view(cat, partition, 1, view=view)  # type: ignore[arg-type]
        with pytest.raises(IndexError):
            view_instruction(partition, -1, view=view)  # type: ignore[arg-type]
