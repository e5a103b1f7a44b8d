"""Regions that the user gives: which file belongs to which picture, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from rsfiqa import RSFIQA
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.partition import Partition
from rsfiqa.regions.formats import FORMATS, PartitionFormat, save_partition
from rsfiqa.regions.given import GivenRegions
from rsfiqa.regions.rule import PartitionRule


def halves(height: int = 40, width: int = 60, at: int = 20) -> Partition:
    labels = np.zeros((height, width), np.uint8)
    labels[:, at:] = 1
    return Partition(labels)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    return tmp_path / "masks"


@pytest.mark.parametrize("format_", FORMATS)
def test_whatever_was_exported_is_found_and_used_as_it_is(
    masks: Path, format_: PartitionFormat
) -> None:
    tiny = np.zeros((40, 60), np.uint8)
    tiny[0, 0], tiny[:, 30:] = 1, 2  # no rule would keep the first of these
    save_partition(Partition(tiny), masks / "photo", format_)
    regions = GivenRegions(masks)
    assert regions.partition_for("album/photo.jpg", 40, 60) == Partition(tiny)
    assert regions.find("photo.jpg").suffix == (
        ".json" if format_ == "panoptic" else f".{format_.replace('rle', 'json')}"
    )


def test_no_regions_for_a_picture(masks: Path) -> None:
    save_partition(halves(), masks / "photo", "npy")
    with pytest.raises(DataError, match=r"other\.jpg has no regions in .*other\.png"):
        GivenRegions(masks).partition_for("other.jpg", 40, 60)
    with pytest.raises(DataError, match="has no regions"):
        GivenRegions(masks).identity("other.jpg")


def test_several_files_for_a_picture(masks: Path) -> None:
    save_partition(halves(), masks / "photo", "npy")
    save_partition(halves(), masks / "photo", "png")
    with pytest.raises(DataError, match=r"several files of regions \(.*photo\.npy, .*photo\.png"):
        GivenRegions(masks).find("photo.jpg")
    (masks / "photo.npy").unlink()
    save_partition(halves(), masks / "photo", "rle")
    with pytest.raises(DataError, match="several files"):
        GivenRegions(masks).find("photo.jpg")


def test_pictures_that_differ_in_their_suffix_only(masks: Path) -> None:
    save_partition(halves(at=10), masks / "photo.jpg", "npy")
    save_partition(halves(at=30), masks / "photo.png", "npy")
    regions = GivenRegions(masks)
    assert regions.partition_for("photo.jpg", 40, 60) == halves(at=10)
    assert regions.partition_for("photo.png", 40, 60) == halves(at=30)


def test_sub_folders_count_for_pictures_in_folders_of_that_name(masks: Path) -> None:
    save_partition(halves(at=10), masks / "photo", "npy")
    save_partition(halves(at=30), masks / "a" / "photo", "npy")
    save_partition(halves(at=50), masks / "b" / "only", "npy")
    regions = GivenRegions(masks)
    assert regions.partition_for("x/a/photo.jpg", 40, 60) == halves(at=30)
    assert regions.partition_for("x/b/photo.jpg", 40, 60) == halves(at=10)
    with pytest.raises(DataError, match="has no regions"):
        regions.find("x/a/only.jpg")


def test_a_picture_is_not_its_own_label_map(tmp_path: Path) -> None:
    picture = tmp_path / "photo.png"
    Image.new("L", (60, 40)).save(picture)
    with pytest.raises(DataError, match="has no regions"):
        GivenRegions(tmp_path).find(picture)
    save_partition(halves(), tmp_path / "photo", "npy")
    assert GivenRegions(tmp_path).find(picture).name == "photo.npy"


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(40, 300), st.integers(40, 300), st.floats(0.2, 3))
def test_regions_made_on_a_resized_copy_fit(
    tmp_path: Path, height: int, width: int, scale: float
) -> None:
    small = (max(1, round(height * scale)), max(1, round(width * scale)))
    np.save(tmp_path / "p.npy", np.arange(2).repeat([1, small[1] - 1])[None].repeat(small[0], 0))
    partition = GivenRegions(tmp_path).partition_for("p.jpg", height, width)
    assert (partition.height, partition.width) == (height, width)


@pytest.mark.parametrize("size", [(60, 40), (40, 50), (80, 100), (20, 33), (1, 60)])
def test_regions_of_another_shape_do_not(masks: Path, size: tuple[int, int]) -> None:
    save_partition(halves(*size), masks / "p", "npy")
    with pytest.raises(DataError, match=rf"is {size[1]}×{size[0]}, but its picture .* 60×40"):
        GivenRegions(masks).partition_for("p.jpg", 40, 60)


def test_overlapping_masks_go_through_the_rule(masks: Path) -> None:
    masks.mkdir()
    arrays = np.zeros((3, 40, 60), bool)
    arrays[0, :, :40], arrays[1, :20, :20], arrays[2, 0, 0] = True, True, True
    np.save(masks / "p.npy", arrays)
    partition = GivenRegions(masks).partition_for("p.jpg", 40, 60)
    assert sorted(round(r.area * 6, 6) for r in partition.regions) == [1, 2, 3]
    coarse = GivenRegions(masks, rule=PartitionRule(max_regions=2))
    assert len(coarse.partition_for("p.jpg", 40, 60)) == 2
    assert coarse.identity("p.jpg") != GivenRegions(masks).identity("p.jpg")


def test_a_folder_of_masks(masks: Path) -> None:
    (masks / "photo").mkdir(parents=True)
    for k, columns in enumerate([slice(0, 30), slice(20, 60)]):
        mask = np.zeros((40, 60), np.uint8)
        mask[:, columns] = 255
        Image.fromarray(mask).save(masks / "photo" / f"{k}.png")
    partition = GivenRegions(masks).partition_for("photo.jpg", 40, 60)
    assert len(partition) == 2


def test_a_photograph_is_no_label_map(masks: Path) -> None:
    masks.mkdir()
    noise = np.random.default_rng(0).integers(0, 65_535, (40, 60), dtype=np.uint16)
    Image.fromarray(noise).save(masks / "p.png")
    with pytest.raises(DataError, match="over the limit of 1,000"):
        GivenRegions(masks).partition_for("p.jpg", 40, 60)


def test_the_identity_follows_the_contents(masks: Path) -> None:
    png, _ = save_partition(halves(at=10), masks / "p", "panoptic")
    regions = GivenRegions(masks)
    first = regions.identity("p.jpg")
    assert first == GivenRegions(masks).identity("elsewhere/p.png")
    assert first.startswith("given/")
    png.write_bytes(png.read_bytes() + b" ")
    assert regions.identity("p.jpg") != first


def test_folders_that_hold_no_regions(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no regions"):
        GivenRegions(tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        GivenRegions(tmp_path / "missing")


# In an assessment


@pytest.fixture
def crop(cat: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return cat[:96, :128]


def test_an_assessment_uses_them_and_says_so(
    masks: Path, tiny_model_folder: Path, crop: npt.NDArray[np.uint8]
) -> None:
    partition = halves(96, 128, 40)
    save_partition(partition, masks / "cat", "png")
    model = RSFIQA.from_pretrained(tiny_model_folder, regions=masks, device="cpu", reader="none")
    result = model.assess(crop, name="cat")
    assert result.partition == partition
    assert result.model.segmenter == GivenRegions(masks).identity("cat")
    assert model.info.segmenter == "given"
    (missing,) = model.assess_batch([crop], names=["dog"], on_error="return")
    assert isinstance(missing, DataError)
    plain = RSFIQA.from_pretrained(
        tiny_model_folder, segmenter="grid:2", device="cpu", reader="none"
    )
    same = plain.assess(crop, partition=partition)
    assert same.score == result.score
    assert same.model.segmenter == "given"
    by_grid = plain.assess(crop)
    assert by_grid.model.segmenter == "grid-1/2"
    assert len(by_grid.regions) == 4


def test_regions_and_a_segmenter_exclude_each_other(masks: Path, tiny_model_folder: Path) -> None:
    save_partition(halves(), masks / "p", "npy")
    options: dict[str, Any] = {"regions": masks, "segmenter": "grid"}
    with pytest.raises(ConfigError, match="a segmenter or regions, not both"):
        RSFIQA.from_pretrained(tiny_model_folder, **options)
