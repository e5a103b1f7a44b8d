"""`rsfiqa demo`, with a stand-in for the assessor that sees any change, or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from fake_assessments import assessment, grid_labels
from rsfiqa.cli import app, common
from rsfiqa.demonstration import GOOD_AREA, choose_region, demonstrate
from rsfiqa.partition import Partition
from rsfiqa.samples import sample_picture
from rsfiqa.types import Assessment

Pixels = npt.NDArray[np.uint8]


class FakeAssessor:
    """A region's score falls by how much its pixels differ from the clean photograph's."""

    def __init__(self, *, sees: bool = True) -> None:
        self._sees = sees
        self._clean: Pixels | None = None
        self.names: list[str | None] = []

    def assess(
        self, picture: Pixels, *, name: str | None = None, partition: Partition | None = None
    ) -> Assessment:
        self.names.append(name)
        if partition is None:
            self._clean = picture
            partition = Partition(grid_labels(*picture.shape[:2], 2, 3))
        difference = np.abs(picture.astype(float) - self._clean).mean(axis=2)
        labels = partition.labels.ravel()
        changes = np.bincount(labels, difference.ravel()) / np.bincount(labels)
        scores = 80 - (changes if self._sees else 0 * changes)
        return assessment(
            partition.labels, list(scores), picture=picture, image=name or "", sha256="aa"
        )


@pytest.fixture
def assessor(monkeypatch: pytest.MonkeyPatch) -> FakeAssessor:
    fake = FakeAssessor()
    monkeypatch.setattr(common, "make_assessor", lambda **_: fake)
    monkeypatch.setattr("rsfiqa.samples.sample_names", lambda: ("chelsea", "camera"))
    monkeypatch.setenv("COLUMNS", "120")
    return fake


def test_the_demo_prints_a_table_and_leaves_pictures_and_a_report(
    assessor: FakeAssessor, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "demo"
    ended = CliRunner().invoke(app, ["demo", "--out", str(out)])
    assert ended.exit_code == 0, ended.output
    assert "80.0 →" in ended.stdout
    assert "fell most in 2 of 2 photographs" in ended.stdout
    assert (out / "report.html").as_uri() in ended.stdout
    kinds = ("attention", "quality", "regions")
    stems = ("camera", "camera-jpeg", "chelsea", "chelsea-gaussian_noise")
    overlays = {f"{stem}.{kind}.png" for stem in stems for kind in kinds}
    spoiled = {"camera-jpeg.png", "chelsea-gaussian_noise.png"}
    assert {p.name for p in out.iterdir()} == overlays | spoiled | {"report.html"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert all(name is not None and name in page for name in assessor.names)


def test_only_the_chosen_region_is_spoiled_and_both_share_a_partition() -> None:
    (pair,) = demonstrate(FakeAssessor(), ["coffee"])
    mask = pair.before.partition.mask(pair.region)
    clean = sample_picture("coffee")
    assert pair.before.partition == pair.after.partition
    assert (pair.pixels[~mask] == clean[~mask]).all()
    assert (pair.pixels[mask] != clean[mask]).any()
    assert pair.falls[pair.region] > 0
    assert pair.fell_most


def test_an_assessor_that_sees_nothing_is_not_said_to_have_seen_it() -> None:
    (pair,) = demonstrate(FakeAssessor(sees=False), ["coffee"])
    assert pair.falls == (0.0,) * 6
    assert not pair.fell_most


def test_the_region_has_a_good_size_and_detail() -> None:
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:, ::2] = 255
    labels = np.zeros((100, 100), int)
    labels[:3] = 1  # detailed, but tiny
    labels[3:23], labels[23:43] = 2, 3
    pixels[3:23] = 7  # of a good size, but empty
    assert choose_region(pixels, Partition(labels)) == 3
    assert GOOD_AREA[0] <= Partition(labels).regions[3].area <= GOOD_AREA[1]


@pytest.mark.parametrize("areas", [[100], [50, 50], [97, 3]])
def test_without_a_region_of_good_size_the_nearest_is_taken(areas: list[int]) -> None:
    labels = np.repeat(np.arange(len(areas)), areas)[:, None].repeat(100, axis=1)
    region = choose_region(np.zeros((100, 100, 3), np.uint8), Partition(labels))
    assert region == (1 if areas == [97, 3] else 0)


def test_an_unwritable_folder_is_found_before_any_work(
    assessor: FakeAssessor, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    ended = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "file" / "demo")])
    assert ended.exit_code == 1
    assert "cannot be written" in ended.stderr
    assert assessor.names == []
