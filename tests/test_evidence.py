from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rsfiqa.encoders.build import build_encoder
from rsfiqa.encoders.grid import GridEncoder, to_tensor
from rsfiqa.learning.distortions import distort
from rsfiqa.partition import Partition
from rsfiqa.reading.evidence import PARTS, PIXEL_STATISTICS, region_evidence
from rsfiqa.reading.pixel_evidence import PIXEL_EVIDENCE, pixel_evidence
from rsfiqa.regions.grid import GridSegmenter


@pytest.fixture(scope="module")
def encoder(tiny_encoder_specs: Any) -> GridEncoder:
    return build_encoder(tiny_encoder_specs).eval()


@settings(max_examples=40)
@given(
    pixels=hnp.arrays(np.uint8, (32, 40, 3)),
    labels=hnp.arrays(np.int64, (32, 40), elements=st.integers(0, 4)),
)
def test_any_pixels_give_finite_evidence_in_range(pixels: Any, labels: Any) -> None:
    found = pixel_evidence(pixels, labels, 5)
    assert found.shape == (6, PIXEL_EVIDENCE)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 5


def test_pixels_of_one_region_do_not_move_anothers_colour(cat: Any) -> None:
    labels = np.zeros(cat.shape[:2], np.int64)
    labels[:, 200:] = 1
    changed = cat.copy()
    changed[:, 240:] = 255 - changed[:, 240:]
    before, after = (pixel_evidence(p, labels, 2) for p in (cat, changed))
    np.testing.assert_array_equal(before[0], after[0])
    assert np.abs(before[1] - after[1]).max() > 0.1


def test_the_last_row_is_the_whole_picture(cat: Any) -> None:
    labels = np.arange(cat.shape[0] * cat.shape[1]).reshape(cat.shape[:2]) % 7
    alone = pixel_evidence(cat, np.zeros_like(labels), 1)
    np.testing.assert_allclose(pixel_evidence(cat, labels, 7)[-1], alone[0], atol=1e-5)


@pytest.mark.parametrize("family", ["gaussian_noise", "gaussian_blur", "jpeg", "underexpose"])
def test_pixel_evidence_tells_spoiled_from_clean(cat: Any, family: str) -> None:
    labels = np.zeros(cat.shape[:2], np.int64)
    spoiled = distort(cat, family, 2)
    clean = pixel_evidence(cat, labels, 1)[0]
    assert np.abs(pixel_evidence(spoiled, labels, 1)[0] - clean).max() > 0.1


def test_evidence_has_a_row_a_region(cat: Any, encoder: GridEncoder) -> None:
    partition = GridSegmenter(3).segment(cat, None)
    with torch.inference_mode():
        grid = encoder(to_tensor(cat))
    found = region_evidence(cat, partition, grid)
    channels, count = grid.positions.shape[1], len(partition)
    assert found.features.shape == (count, 2 * channels)
    assert found.parts.shape[:2] == (count, PARTS)
    assert found.pixels.shape == (count, PIXEL_STATISTICS)
    assert found.geometry.shape[0] == count
    for values in vars(found).values():
        assert torch.isfinite(values).all()
    np.testing.assert_allclose(found.geometry[:, 0].exp().sum(), 1, atol=1e-5)


def test_a_region_of_one_pixel_has_evidence(cat: Any, encoder: GridEncoder) -> None:
    labels = np.zeros(cat.shape[:2], np.int32)
    labels[7, 9] = 1
    with torch.inference_mode():
        grid = encoder(to_tensor(cat))
    found = region_evidence(cat, Partition(labels), grid)
    for values in vars(found).values():
        assert torch.isfinite(values).all()


def test_whole_picture_regions_pool_what_the_context_pools(cat: Any, encoder: GridEncoder) -> None:
    with torch.inference_mode():
        grid = encoder(to_tensor(cat))
    found = region_evidence(cat, Partition(np.zeros(cat.shape[:2], np.int32)), grid)
    np.testing.assert_allclose(found.pixels[0], found.context, atol=2e-3)
    flat = grid.positions[0].flatten(1)
    np.testing.assert_allclose(found.features[0][: len(flat)], flat.mean(1), rtol=0.05, atol=0.05)
