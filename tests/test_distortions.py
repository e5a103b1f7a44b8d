"""Synthetic distortions: families, strengths and the border of a spoiled region."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy import ndimage
from skimage import data

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.distortions import (
    FAMILIES,
    STRENGTHS,
    dimension_of,
    distort,
    spoil_region,
)
from rsfiqa.learning.distortions.base import at_strength
from rsfiqa.types import DIMENSIONS

NAMES = [name for names in FAMILIES.values() for name in names]
NOISE = FAMILIES["noise"]


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return data.chelsea()[:256, :384].copy()


def _mse(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.mean((first.astype(float) - second) ** 2))


def test_every_family_is_named_once_under_a_dimension() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert set(FAMILIES) == set(DIMENSIONS) - {"overall"}
    assert all(FAMILIES.values())


def test_an_unknown_family_is_told_the_known_ones() -> None:
    with pytest.raises(ConfigError) as error:
        distort(np.zeros((8, 8, 3), np.uint8), "fog", 1)
    assert all(name in str(error.value) for name in NAMES)


@pytest.mark.parametrize("family", NAMES)
def test_spoils_more_at_each_strength(photograph: np.ndarray, family: str) -> None:
    errors = [_mse(distort(photograph, family, strength), photograph) for strength in STRENGTHS]
    assert errors[0] > 0
    assert errors == sorted(errors)
    assert len(set(errors)) == len(errors)


@pytest.mark.parametrize("family", NAMES)
def test_same_seed_same_picture_and_input_untouched(photograph: np.ndarray, family: str) -> None:
    before = photograph.copy()
    first = distort(photograph, family, 2, seed=5)
    assert first.dtype == np.uint8
    assert first.shape == photograph.shape
    np.testing.assert_array_equal(first, distort(photograph, family, 2, seed=5))
    np.testing.assert_array_equal(photograph, before)


@pytest.mark.parametrize("family", [*FAMILIES["noise"], "motion_blur", "color_cast"])
def test_another_seed_gives_another_picture(photograph: np.ndarray, family: str) -> None:
    assert (distort(photograph, family, 3, seed=0) != distort(photograph, family, 3, seed=1)).any()


@pytest.mark.parametrize("family", FAMILIES["blur"])
def test_blur_keeps_a_flat_picture_and_the_mean(photograph: np.ndarray, family: str) -> None:
    flat = np.full((64, 96, 3), 137, np.uint8)
    np.testing.assert_array_equal(distort(flat, family, 4), flat)
    assert distort(photograph, family, 4).mean() == pytest.approx(photograph.mean(), abs=2)


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (33, 2), (5, 300)])
def test_any_shape(family: str, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for strength in STRENGTHS:
        assert distort(pixels, family, strength).shape == pixels.shape


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("side", [64, 128, 256])
def test_small_pictures_are_spoiled_too(photograph: np.ndarray, family: str, side: int) -> None:
    small = np.asarray(Image.fromarray(photograph).resize((side, side), Image.Resampling.BOX))
    errors = [_mse(distort(small, family, strength), small) for strength in STRENGTHS]
    assert errors[0] > 1
    assert errors == sorted(errors)


@given(
    low=st.floats(1, 4),
    high=st.floats(1, 4),
    anchors=st.lists(st.floats(0.1, 100), min_size=4, max_size=4, unique=True).map(sorted),
    geometric=st.booleans(),
)
def test_a_parameter_grows_with_strength_through_its_anchors(
    low: float, high: float, anchors: list[float], geometric: bool
) -> None:
    low, high = sorted((low, high))
    first = at_strength(low, anchors, geometric=geometric)
    assert first <= at_strength(high, anchors, geometric=geometric) + 1e-9
    assert anchors[0] <= first <= anchors[3] + 1e-9
    assert [at_strength(s, anchors, geometric=geometric) for s in STRENGTHS] == anchors


@pytest.mark.parametrize("strength", STRENGTHS)
def test_whole_strengths_have_the_parameters_they_always_had(
    photograph: np.ndarray, strength: int
) -> None:
    """What shipped weights were trained on: to the bit, where it can be said in one line."""
    k = strength - 1
    normal = np.random.default_rng(7).normal(0, (8, 16, 30, 55)[k], photograph.shape)
    sigma = (1.0, 2.0, 3.5, 6.0)[k] * 384 / 512
    blurred = ndimage.gaussian_filter(photograph.astype(float), (sigma, sigma, 0), truncate=3)
    coded = io.BytesIO()
    Image.fromarray(photograph).save(coded, "JPEG", quality=(35, 18, 10, 5)[k])
    steps = (14, 9, 6, 3)[k]
    wanted = {
        "gaussian_noise": photograph + normal,
        "gaussian_blur": blurred,
        "jpeg": np.asarray(Image.open(coded)),
        "banding": np.rint(photograph / 255 * steps) / steps * 255,
        "low_contrast": 128 + (photograph - 128.0) * (0.7, 0.5, 0.32, 0.18)[k],
    }
    for family, expected in wanted.items():
        got = distort(photograph, family, strength, seed=7)
        np.testing.assert_array_equal(got, np.clip(np.rint(expected), 0, 255), family)


@pytest.mark.parametrize("family", NAMES)
def test_strengths_between_lie_between(photograph: np.ndarray, family: str) -> None:
    errors = [_mse(distort(photograph, family, s, seed=3), photograph) for s in (2, 2.5, 3)]
    assert errors == sorted(errors)
    assert errors[0] < errors[1] < errors[2]


def test_every_family_knows_its_dimension() -> None:
    assert {name: dimension_of(name) for name in NAMES} == {
        name: dimension for dimension, names in FAMILIES.items() for name in names
    }
    with pytest.raises(ConfigError, match="fog"):
        dimension_of("fog")


@pytest.mark.parametrize("family", ["sharpen", "ringing", "smeared_noise"])
def test_what_acts_on_detail_keeps_a_flat_picture(family: str) -> None:
    flat = np.full((64, 96, 3), 137, np.uint8)
    changed = distort(flat, family, 2).astype(float)
    assert abs(changed.mean() - 137) < 1
    if family not in NOISE:
        np.testing.assert_array_equal(changed, flat)


def test_sharpening_overshoots_and_ringing_echoes_along_an_edge() -> None:
    edge = np.full((64, 128, 3), 80, np.uint8)
    edge[:, 64:] = 160
    sharp, rings = (
        distort(edge, family, 3)[32, :, 0].astype(int) for family in ("sharpen", "ringing")
    )
    for row in (sharp, rings):
        assert row[64:].max() > 175
        assert row[:64].min() < 65
        assert row[20] == 80
    assert sharp[:60].tolist() == [80] * 60
    assert rings[:64].max() > 100  # a bright echo on the dark side


@pytest.mark.parametrize("family", ["oversaturate", "desaturate"])
def test_saturation_leaves_grey_and_brightness(photograph: np.ndarray, family: str) -> None:
    grey = np.repeat(photograph[:, :, :1], 3, axis=2)
    np.testing.assert_array_equal(distort(grey, family, 3), grey)
    weights = [0.299, 0.587, 0.114]
    muted = (photograph // 4 + 96).astype(np.uint8)  # far from clipping
    before, after = muted @ weights, distort(muted, family, 2) @ weights
    assert np.abs(after - before).max() < 1.5


def test_a_denoiser_leaves_less_fine_noise_than_there_was() -> None:
    flat = np.full((128, 128, 3), 120, np.uint8)
    smeared = distort(flat, "smeared_noise", 3).astype(float)
    noisy = distort(flat, "gaussian_noise", 3).astype(float)
    assert 2 < smeared.std() < noisy.std()
    steps = [
        np.abs(np.diff(picture, axis=1)).mean() / picture.std() for picture in (smeared, noisy)
    ]
    assert steps[0] < 0.7 * steps[1]


@pytest.mark.parametrize("strength", [0, 5, -1, 0.99, 4.01, float("nan"), float("inf"), True, "2"])
def test_unknown_strengths_are_refused(strength: float) -> None:
    with pytest.raises(ConfigError, match="strength"):
        distort(np.zeros((8, 8, 3), np.uint8), "jpeg", strength)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((8, 8)),
        np.zeros((8, 8, 3)),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8), np.uint8),
    ],
)
def test_only_uint8_rgb_is_taken(pixels: np.ndarray) -> None:
    with pytest.raises(DataError, match="uint8 RGB"):
        distort(pixels, "jpeg", 1)


@given(
    mask=hnp.arrays(bool, (24, 36)).filter(np.any),
    family=st.sampled_from(NAMES),
    strength=st.sampled_from(STRENGTHS) | st.floats(1, 4),
    seed=st.integers(0, 2**32 - 1),
    feather=st.sampled_from([0.0, 4.0, 40.0]),
)
@settings(max_examples=150, deadline=None)
def test_outside_the_mask_every_bit_stays(
    mask: np.ndarray, family: str, strength: float, seed: int, feather: float
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (24, 36, 3), dtype=np.uint8)
    spoiled = spoil_region(pixels, mask, family, strength, seed, feather)
    assert spoiled.dtype == np.uint8
    assert spoiled.shape == pixels.shape
    np.testing.assert_array_equal(spoiled[~mask], pixels[~mask])


@pytest.mark.parametrize("strength", [1.4, 3])
@pytest.mark.parametrize("family", [name for name in NAMES if name not in {*NOISE, "webp"}])
def test_a_hard_edge_gives_the_distorted_picture_inside(
    photograph: np.ndarray, family: str, strength: float
) -> None:
    """Though only the region's box with a margin is distorted: JPEG's blocks lie as they would."""
    mask = np.zeros(photograph.shape[:2], bool)
    mask[43:201, 61:250] = True
    spoiled = spoil_region(photograph, mask, family, strength, seed=2, feather=0)
    whole = distort(photograph, family, strength, seed=2)
    np.testing.assert_array_equal(spoiled[mask], whole[mask])


@pytest.mark.parametrize("family", [*NOISE, "webp"])
def test_noise_of_a_region_is_another_draw_of_the_same(photograph: np.ndarray, family: str) -> None:
    mask = np.zeros(photograph.shape[:2], bool)
    mask[43:201, 61:250] = True
    spoiled = spoil_region(photograph, mask, family, 3, seed=2, feather=0)
    whole = distort(photograph, family, 3, seed=2)
    assert _mse(spoiled[mask], photograph[mask]) == pytest.approx(
        _mse(whole[mask], photograph[mask]), rel=0.1
    )


def test_a_feathered_edge_fades_in_and_is_whole_inside(photograph: np.ndarray) -> None:
    mask = np.zeros(photograph.shape[:2], bool)
    mask[40:200, 60:250] = True
    spoiled = spoil_region(photograph, mask, "underexpose", 4)
    whole = distort(photograph, "underexpose", 4)
    np.testing.assert_array_equal(spoiled[50:190, 70:240], whole[50:190, 70:240])
    change = np.abs(spoiled[40:50, 70:240].astype(float) - photograph[40:50, 70:240]).mean((1, 2))
    assert change[0] < 0.6 * change[-1]


@pytest.mark.parametrize("width", [1, 3, 6])
def test_a_thin_region_is_spoiled_at_its_strength(photograph: np.ndarray, width: int) -> None:
    mask = np.zeros(photograph.shape[:2], bool)
    mask[20:230, 90 : 90 + width] = True
    spoiled = spoil_region(photograph, mask, "underexpose", 4)
    whole = distort(photograph, "underexpose", 4)
    assert _mse(spoiled[mask], photograph[mask]) > 0.4 * _mse(whole[mask], photograph[mask])
    middle = 90 + width // 2
    np.testing.assert_array_equal(spoiled[60:190, middle], whole[60:190, middle])


@pytest.mark.parametrize("feather", [0.0, 4.0])
def test_the_whole_picture_as_a_region_is_the_distorted_picture(
    photograph: np.ndarray, feather: float
) -> None:
    mask = np.ones(photograph.shape[:2], bool)
    spoiled = spoil_region(photograph, mask, "underexpose", 3, feather=feather)
    np.testing.assert_array_equal(spoiled, distort(photograph, "underexpose", 3))


def test_the_border_of_the_picture_is_no_seam(photograph: np.ndarray) -> None:
    mask = np.zeros(photograph.shape[:2], bool)
    mask[:, :100] = True
    spoiled = spoil_region(photograph, mask, "underexpose", 3)
    whole = distort(photograph, "underexpose", 3)
    np.testing.assert_array_equal(spoiled[:, :90], whole[:, :90])


@pytest.mark.parametrize(
    "mask", [np.zeros((16, 16), bool), np.ones((16, 15), bool), np.ones((16, 16, 1), bool)]
)
def test_masks_that_fit_nothing_are_refused(mask: np.ndarray) -> None:
    with pytest.raises(DataError, match="mask"):
        spoil_region(np.zeros((16, 16, 3), np.uint8), mask, "jpeg", 1)
