"""The reader in the package, with real weights, on photographs that scikit-image carries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from rsfiqa import RSFIQA
from rsfiqa.learning.distortions import spoil_region
from rsfiqa.partition import Partition
from rsfiqa.reading.embedded import EmbeddedReader
from rsfiqa.reading.embedded_checkpoint import ADAPTER, PROJECTOR, default_folder
from rsfiqa.samples import sample_picture
from rsfiqa.types import Assessment, Dimension, Reading

ASSETS = ("dinov2-small", "efficientnet-lite0", "smollm2-135m-instruct")


@pytest.fixture(scope="module")
def assessor(real_asset: Callable[[str], Path]) -> RSFIQA:
    for name in ASSETS:
        real_asset(name)
    return RSFIQA.from_pretrained()


@pytest.fixture(scope="module")
def coffee(assessor: RSFIQA) -> Assessment:
    return assessor.assess(sample_picture("coffee"))


def read_spoiled(
    assessor: RSFIQA, partition: Partition, region: int, family: str
) -> Sequence[Reading]:
    pixels = sample_picture("coffee")
    spoiled = spoil_region(pixels, partition.mask(region), family, 3)
    result = assessor.assess(spoiled, partition=partition)
    return [found.reading for found in result.regions]


def test_the_weights_are_small_and_have_a_card() -> None:
    folder = default_folder()
    assert (folder / PROJECTOR).stat().st_size < 12e6
    assert (folder / ADAPTER).stat().st_size < 12e6
    assert "rsfiqa teach tune" in (folder / "README.md").read_text(encoding="utf-8")


def test_the_default_assessment_is_read(assessor: RSFIQA, coffee: Assessment) -> None:
    assert isinstance(assessor.reader, EmbeddedReader)
    assert coffee.model.reader.startswith("embedded-")
    assert {region.reading.status for region in coffee.regions} == {"ok"}
    assert all(region.reading.description for region in coffee.regions)
    assert coffee.ratings is not None


def test_what_it_shows_is_said(coffee: Assessment) -> None:
    largest = max(coffee.regions, key=lambda region: region.area)
    words = " ".join(region.reading.description or "" for region in coffee.regions)
    assert largest.reading.description
    assert any(word in words for word in ("table", "cup", "food", "bowl", "wooden", "coffee"))


@pytest.mark.parametrize(
    ("family", "dimension"),
    [
        ("gaussian_noise", "noise"),
        ("gaussian_blur", "blur"),
        ("jpeg", "artifact"),
        ("underexpose", "color"),
    ],
)
def test_the_fault_that_was_made_is_the_one_that_is_named(
    assessor: RSFIQA, coffee: Assessment, family: str, dimension: Dimension
) -> None:
    # The table around the cup is plain; the cup has edges and texture, where any fault shows.
    region = sorted(coffee.regions, key=lambda found: -found.area)[1].id
    readings = read_spoiled(assessor, coffee.partition, region, family)
    values = readings[region].values
    assert values is not None
    assert min(("color", "noise", "artifact", "blur"), key=lambda name: values[name]) == dimension
    before = coffee.regions[region].reading.values
    assert before is not None
    fall = before["overall"] - values["overall"]
    assert fall > 0.5
    others = [
        abs(found.values["overall"] - clean.reading.values["overall"])
        for found, clean in zip(readings, coffee.regions, strict=True)
        if clean.id != region and found.values is not None and clean.reading.values is not None
    ]
    assert float(np.median(others)) < fall / 2


def test_the_same_picture_is_read_the_same(assessor: RSFIQA, coffee: Assessment) -> None:
    again = assessor.assess(sample_picture("coffee"))
    assert again.to_dict()["regions"] == coffee.to_dict()["regions"]
