"""Overlays: every size, every number of regions, readable by people with any colour vision."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from fake_assessments import assessment, grid_labels, reading
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.images.resize import fit_within
from rsfiqa.report import draw_overlay
from rsfiqa.report.key import wrap
from rsfiqa.report.layers import place_labels, relative_attention
from rsfiqa.report.outlines import trace_outlines
from rsfiqa.report.palette import HEAT, QUALITY, ink_on, rgb_to_oklab
from rsfiqa.types import Assessment, Reading

# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision
# deficiency", 2009: severity 1.0, on linear RGB.
DEFICIENCIES = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def fake(height: int, width: int, rows: int, columns: int, **more: Any) -> Assessment:
    picture = np.asarray(Image.fromarray(data.astronaut()).resize((width, height)))
    count = rows * columns
    return assessment(
        grid_labels(height, width, rows, columns),
        np.linspace(5, 95, count),
        np.random.default_rng(0).random(count) + 0.1,
        picture=picture,
        **more,
    )


@pytest.mark.parametrize("kind", ["regions", "attention", "quality"])
@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [
        (32, 32, 1, 1),
        (32, 32, 8, 8),
        (60, 900, 1, 7),
        (900, 33, 6, 1),
        (300, 400, 5, 8),
        (1200, 2048, 3, 4),
    ],
)
def test_every_size_and_number_of_regions(
    kind: Any, height: int, width: int, rows: int, columns: int
) -> None:
    image = draw_overlay(fake(height, width, rows, columns), kind)
    assert image.mode == "RGB"
    assert max(image.size) >= 1024
    # The picture keeps its shape: the frame around it adds a title and a legend, no more.
    assert image.width <= 2048 + 200
    assert image.height <= 2048 + 400


def test_a_small_preview_of_a_large_picture() -> None:
    result = fake(700, 1000, 3, 3)
    preview = np.asarray(Image.fromarray(result.preview).resize((501, 350)))
    image = draw_overlay(replace(result, preview=preview))
    assert image.width >= 1024


@pytest.mark.parametrize("kind", ["regions", "attention", "quality"])
@pytest.mark.parametrize("size", [(40, 4000), (4000, 40), (32, 2100), (32, 70_000)])
def test_long_and_thin_pictures_are_drawn(kind: Any, size: tuple[int, int]) -> None:
    pixels = np.full((*size, 3), 90, np.uint8)
    result = assessment(grid_labels(*size, 2, 2), [20, 40, 60, 80])
    preview = fit_within(pixels, Assessment.PREVIEW_SIDE)
    image = draw_overlay(replace(result, preview=preview), kind)
    assert max(image.size) >= 1024


@pytest.mark.parametrize("size", [(100, 300), (20, 2000), (3000, 100)])
def test_another_picture_is_refused(size: tuple[int, int]) -> None:
    result = assessment(grid_labels(*size, 1, 2), [20, 40], picture=np.zeros((*size, 3), np.uint8))
    other = np.zeros((size[0] // 2, size[1], 3), np.uint8)
    with pytest.raises(DataError, match="another shape"):
        draw_overlay(result, picture=other)


def test_the_legend_carries_the_scale() -> None:
    result = fake(400, 1024, 2, 3)
    quality = np.asarray(draw_overlay(result, "quality"))
    attention = np.asarray(draw_overlay(result, "attention"))
    for image, scale in ((quality, QUALITY), (attention, HEAT)):
        below = image[-120:].reshape(-1, 3).astype(int)
        for color in (scale.colors(0.02), scale.colors(0.5), scale.colors(0.98)):
            assert np.abs(below - color).sum(axis=1).min() <= 6


def test_regions_are_tinted_by_their_scores() -> None:
    picture = np.full((600, 1200, 3), 128, dtype=np.uint8)
    result = assessment(grid_labels(600, 1200, 1, 2), [5, 95], picture=picture)
    image = np.asarray(draw_overlay(result, "quality")).astype(int)
    left, right = image[200, 200], image[200, image.shape[1] - 200]
    assert left[0] > left[2] + 40
    assert right[2] > right[0] + 40


def test_overlays_do_not_change_the_assessment_and_repeat() -> None:
    result = fake(300, 400, 2, 2)
    before = np.array(result.preview)
    images = [draw_overlay(result).tobytes() for _ in range(2)]
    assert images[0] == images[1]
    np.testing.assert_array_equal(result.preview, before)


def test_a_picture_may_be_given_when_the_assessment_has_none() -> None:
    result = fake(300, 400, 2, 2)
    bare = replace(result, preview=None)
    with pytest.raises(DataError, match="picture="):
        draw_overlay(bare)
    given = Image.fromarray(result.preview)
    assert draw_overlay(bare, picture=given).tobytes() == draw_overlay(result).tobytes()
    with pytest.raises(DataError, match="another shape"):
        draw_overlay(bare, picture=given.rotate(90, expand=True))


def test_attention_is_shown_by_region_when_the_map_is_gone() -> None:
    result = replace(fake(100, 100, 1, 2), attention=None, attention_labels=None)
    relative = relative_attention(result, result.partition.labels)
    weights = [r.weight for r in result.regions]
    np.testing.assert_allclose(relative[0, [0, -1]], [2 * w for w in weights], rtol=1e-5)
    draw_overlay(result, "attention")


def test_what_was_read_stands_below_the_regions() -> None:
    plain = fake(300, 400, 3, 4)
    long = "a very " + "long " * 20 + "thing"
    said = {k: reading(long, noise=2.0) for k in range(12)} | {0: reading("狗 <b>"), 1: Reading()}
    read = fake(300, 400, 3, 4, readings=said)
    width, height = draw_overlay(plain).size
    shown = draw_overlay(read)
    assert shown.width == width
    assert height + 100 < shown.height < height + 1000
    below = np.asarray(shown.convert("L"))[height:]
    assert below.min() < 60, "there is text"
    assert draw_overlay(read, "quality").size == draw_overlay(plain, "quality").size


@given(st.text(max_size=300), st.integers(1, 40))
def test_wrapped_text_is_the_start_of_the_text(text: str, width: int) -> None:
    lines = wrap(text, width, len)
    assert 1 <= len(lines) <= 3
    assert text.startswith(" ".join(lines).removesuffix(" …"))
    assert all(
        len(line.removesuffix(" …")) <= width or " " not in line.removesuffix(" …")
        for line in lines
    )


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="regions, attention, quality"):
        draw_overlay(fake(32, 32, 1, 1), "heat")  # type: ignore[arg-type]


def seen_with(deficiency: list[list[float]], colors: npt.NDArray[np.uint8]) -> Any:
    encoded = colors / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = (linear @ np.array(deficiency).T).clip(0, 1)
    return 255 * np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_levels_stay_apart_for_colour_blind_people(deficiency: str) -> None:
    levels = QUALITY.colors([0.1, 0.3, 0.5, 0.7, 0.9])
    lab = rgb_to_oklab(seen_with(DEFICIENCIES[deficiency], levels))
    assert min(np.linalg.norm(a - b) for a, b in combinations(lab, 2)) > 0.1


def test_attention_reads_in_grey() -> None:
    lightness = rgb_to_oklab(HEAT.table)[:, 0]
    assert (np.diff(lightness) > -0.004).all()
    assert lightness[-1] - lightness[0] > 0.7


def test_text_contrasts_with_every_score_colour() -> None:
    def luminance(color: Any) -> float:
        encoded = np.asarray(color) / 255
        linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for color in QUALITY.table:
        light, dark = sorted((luminance(color), luminance(ink_on(color))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.0


@st.composite
def label_maps(draw: st.DrawFn) -> npt.NDArray[np.int64]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    small = rng.integers(
        0, draw(st.integers(1, 6)), draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    )
    labels = np.kron(small, np.ones((draw(st.integers(1, 5)),) * 2, dtype=int))
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)


def area(ring: npt.NDArray[np.float64]) -> float:
    x, y = ring.T
    return float(x @ np.roll(y, -1) - np.roll(x, -1) @ y) / 2


@given(label_maps())
@settings(deadline=None)
def test_exact_outlines_hold_exactly_their_regions(labels: npt.NDArray[np.int64]) -> None:
    outlines = trace_outlines(labels, tolerance=0)
    areas = [sum(map(area, outlines.rings[k])) for k in range(labels.max() + 1)]
    np.testing.assert_allclose(areas, np.bincount(labels.ravel()))


@given(label_maps())
@example(np.array([[1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 0]]))  # a corner was cut off
@settings(deadline=None)
def test_simplified_outlines_leave_no_gap(labels: npt.NDArray[np.int64]) -> None:
    outlines = trace_outlines(labels)
    assert set(outlines.rings) == set(range(labels.max() + 1))
    total = sum(area(ring) for rings in outlines.rings.values() for ring in rings)
    assert total == pytest.approx(labels.size)


@given(label_maps())
@settings(deadline=None)
def test_labels_stand_inside_their_regions(labels: npt.NDArray[np.int64]) -> None:
    places = place_labels(labels, dict.fromkeys(range(labels.max() + 1), (3.0, 1.0)))
    assert set(places) == set(range(labels.max() + 1))
    for k, place in places.items():
        assert labels[int(place.y), int(place.x)] == k
