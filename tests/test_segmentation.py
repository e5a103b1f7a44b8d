"""Step 1 with the real encoder: what a user gets from `rsfiqa segment` out of the box."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest

from rsfiqa import RSFIQA
from rsfiqa.learning.distortions import distort
from rsfiqa.learning.partition_metrics import covering
from rsfiqa.regions.embedded import EmbeddedSegmenter
from rsfiqa.regions.grid import GridSegmenter
from rsfiqa.samples import sample_picture
from rsfiqa.segmentation import PictureSegmenter


@pytest.fixture(scope="module")
def segmenter(real_asset: Callable[[str], Path]) -> PictureSegmenter:
    real_asset("dinov2-small")
    return PictureSegmenter(EmbeddedSegmenter())


def test_regions_are_those_of_an_assessment(
    segmenter: PictureSegmenter, real_asset: Callable[[str], Path]
) -> None:
    real_asset("efficientnet-lite0")
    pixels = sample_picture("coffee")
    assert segmenter.segment(pixels) == RSFIQA.from_pretrained().assess(pixels).partition


def test_the_number_of_regions_follows_the_picture(segmenter: PictureSegmenter) -> None:
    flower, astronaut = (segmenter.segment(sample_picture(n)) for n in ("flower", "astronaut"))
    assert 1 < len(flower) < len(astronaut) <= 24


def test_a_flower_is_told_from_its_background(segmenter: PictureSegmenter) -> None:
    labels = segmenter.segment(sample_picture("flower")).labels
    height, width = labels.shape
    assert labels[height // 2, width * 2 // 5] != labels[height // 8, width // 8]
    assert labels[height // 8, width // 8] == labels[height // 8, width * 7 // 8]


def test_spoiling_a_picture_leaves_most_of_its_regions(segmenter: PictureSegmenter) -> None:
    pixels = sample_picture("china")
    clean = segmenter.segment(pixels)
    kept = [
        covering(clean, segmenter.segment(distort(pixels, family, 2)))
        for family in ("gaussian_noise", "gaussian_blur", "jpeg", "underexpose")
    ]
    assert fmean(kept) > 0.7


def test_a_segmenter_without_features_loads_no_encoder() -> None:
    alone = PictureSegmenter(GridSegmenter(2))
    assert alone.encoder is None
    assert len(alone.segment(sample_picture("astronaut"))) == 4
