"""What cosine transforms of small blocks say of regions."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dctn
from skimage import data

from rsfiqa.reading.spectral_evidence import SPECTRAL_EVIDENCE, spectral_evidence

Pixels = npt.NDArray[np.uint8]

LIGHT_MEAN = slice(0, 64)
ZEROS_ON, ZEROS_OFF = slice(128, 192), slice(192, 256)


def whole(pixels: Pixels) -> torch.Tensor:
    return spectral_evidence(pixels, np.zeros(pixels.shape[:2], np.int32), 1)[-1]


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    regions=st.integers(1, 5),
    seed=st.integers(),
)
@settings(max_examples=30, deadline=None)
def test_any_picture_gives_finite_numbers(height: int, width: int, regions: int, seed: int) -> None:
    rng = np.random.default_rng(abs(seed))
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    labels = rng.integers(0, regions, (height, width)).astype(np.int32)
    found = spectral_evidence(pixels, labels, regions)
    assert found.shape == (regions + 1, SPECTRAL_EVIDENCE)
    assert torch.isfinite(found).all()


def test_coefficients_are_those_of_the_orthonormal_transform() -> None:
    """Against scipy's `dctn`: a picture of equal blocks has one coefficient block everywhere."""
    block = np.random.default_rng(0).integers(0, 256, (4, 4), dtype=np.uint8)
    pixels = np.tile(block, (8, 8))[..., None].repeat(3, 2)
    wanted = dctn(np.tile(block, (2, 2)).astype(float), norm="ortho")
    np.testing.assert_allclose(
        whole(pixels)[LIGHT_MEAN], np.log(np.abs(wanted) + 0.5).ravel(), atol=2e-3
    )


def test_regions_are_described_by_their_own_blocks() -> None:
    pixels = data.astronaut()
    labels = np.zeros(pixels.shape[:2], np.int32)
    labels[:, 256:] = 1
    before = spectral_evidence(pixels, labels, 2)
    noisy = pixels.copy()
    noise = np.random.default_rng(0).normal(0, 40, (512, 240, 3))
    noisy[:, 272:] = np.clip(noisy[:, 272:] + noise, 0, 255).astype(np.uint8)
    after = spectral_evidence(noisy, labels, 2)
    torch.testing.assert_close(before[0], after[0])
    assert (after[1, LIGHT_MEAN] - before[1, LIGHT_MEAN]).mean() > 1


@pytest.mark.parametrize("quality", [10, 30, 60])
def test_compression_leaves_zeros_on_its_grid_only(quality: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(data.astronaut()).save(buffer, "JPEG", quality=quality)
    compressed = np.asarray(Image.open(buffer).convert("RGB"))
    clean, spoiled = whole(data.astronaut()), whole(compressed)
    assert spoiled[ZEROS_ON].mean() > clean[ZEROS_ON].mean() + 0.1
    assert spoiled[ZEROS_OFF].mean() < clean[ZEROS_OFF].mean() - 0.05
