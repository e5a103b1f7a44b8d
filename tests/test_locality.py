"""`measure_locality`: what it reports of spoiled regions, and of a model that is blind to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from fake_assessments import assessment, grid_labels
from rsfiqa import RSFIQA
from rsfiqa.errors import DataError, ImageError
from rsfiqa.learning.distortions import FAMILIES
from rsfiqa.learning.locality import measure_locality
from rsfiqa.partition import Partition
from rsfiqa.samples import sample_picture
from rsfiqa.types import Assessment

Pixels = npt.NDArray[np.uint8]
FIGURES = {"copies", "falls_most", "fall", "others_change", "picture_fall"}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two small photographs."""
    folder = tmp_path_factory.mktemp("photographs")
    paths = []
    for name in ("chelsea", "coffee"):
        path = folder / f"{name}.png"
        Image.fromarray(sample_picture(name)[60:188, 90:250]).save(path)
        paths.append(path)
    return paths


@pytest.fixture(scope="module")
def assessor(tiny_model_folder: Path) -> RSFIQA:
    return RSFIQA.from_pretrained(tiny_model_folder, reader="none")


@pytest.fixture(scope="module")
def figures(assessor: RSFIQA, paths: list[Path]) -> dict[str, Any]:
    return measure_locality(assessor, paths)


class Stub:
    """Four regions; a spoiled one falls by 20, the others by `drift`, unless the model is blind."""

    def __init__(self, drift: float = 0.0, *, blind: bool = False, regions: int = 4) -> None:
        self.drift, self.blind, self.regions = drift, blind, regions
        self.clean: Pixels | None = None

    def assess(self, pixels: Pixels, *, partition: Partition | None = None) -> Assessment:
        height, width = pixels.shape[:2]
        rows = 2 if self.regions > 1 else 1
        labels = grid_labels(height, width, rows, self.regions // rows)
        scores = [70.0] * self.regions
        if partition is None:
            self.clean = pixels
        elif not self.blind:
            assert (partition.labels == labels).all(), "the clean picture's partition is given"
            changed = (pixels != self.clean).any(-1)
            hit = np.bincount(labels[changed], minlength=self.regions)
            assert (hit > 0).sum() <= 1, "one region is spoiled and no other is touched"
            scores = [70.0 - (20.0 if n else self.drift) for n in hit]
        return assessment(labels, scores, picture=pixels)


def test_every_figure_is_there_and_in_its_range(figures: dict[str, Any]) -> None:
    assert figures["pictures"] == 2
    assert figures["seed"] == 0
    rows = figures["rows"]
    strengths = [name for name in rows if name.startswith("strength ")]
    assert list(rows) == [*FAMILIES, *strengths, "all"]
    assert set(strengths) <= {f"strength {s}" for s in (1, 2, 3, 4)}
    for row in rows.values():
        assert set(row) == FIGURES
        assert 0 <= row["falls_most"] <= 1
        assert -100 <= row["fall"] <= 100
        assert 0 <= row["others_change"] <= 100
        assert -100 <= row["picture_fall"] <= 100
    assert all(rows[dimension]["copies"] == 2 for dimension in FAMILIES)
    assert sum(rows[name]["copies"] for name in strengths) == rows["all"]["copies"] == 8


def test_a_seed_repeats_the_figures(
    assessor: RSFIQA, paths: list[Path], figures: dict[str, Any]
) -> None:
    assert measure_locality(assessor, paths) == figures
    assert measure_locality(assessor, paths, seed=1)["rows"] != figures["rows"]


def test_a_model_that_sees_its_regions_falls_most_where_it_was_spoiled(paths: list[Path]) -> None:
    row = measure_locality(Stub(), paths)["rows"]["all"]  # type: ignore[arg-type]
    assert row["falls_most"] == 1
    assert row["fall"] == pytest.approx(20)
    assert row["others_change"] == 0
    assert row["picture_fall"] == pytest.approx(20 / 4)


def test_the_change_of_others_is_counted_whatever_its_sign(paths: list[Path]) -> None:
    row = measure_locality(Stub(drift=-3), paths)["rows"]["all"]  # type: ignore[arg-type]
    assert row["others_change"] == pytest.approx(3)
    assert row["falls_most"] == 1
    further = measure_locality(Stub(drift=30), paths)["rows"]["all"]  # type: ignore[arg-type]
    assert further["falls_most"] == 0


def test_a_blind_model_never_falls_most(paths: list[Path]) -> None:
    row = measure_locality(Stub(blind=True), paths)["rows"]["all"]  # type: ignore[arg-type]
    assert row["falls_most"] == 0, "no fall is not the furthest fall"
    assert row["fall"] == row["others_change"] == row["picture_fall"] == 0


def test_pictures_of_one_region_are_left_out(paths: list[Path]) -> None:
    told: list[int] = []
    with pytest.raises(DataError, match="at least two regions"):
        measure_locality(Stub(regions=1), paths, told=lambda: told.append(1))  # type: ignore[arg-type]
    assert len(told) == 2, "every picture is told, used or not"


def test_no_pictures_are_a_data_error(assessor: RSFIQA) -> None:
    with pytest.raises(DataError, match="at least two regions"):
        measure_locality(assessor, [])


def test_a_picture_that_cannot_be_read_is_named(assessor: RSFIQA, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"bad\.png"):
        measure_locality(assessor, [tmp_path / "bad.png"])
