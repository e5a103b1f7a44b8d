"""Partitions as files: exact round trips, what other tools read in them, and damaged files."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.partition import Partition
from rsfiqa.regions.formats import (
    FORMATS,
    MaskSet,
    PartitionFormat,
    load_partition,
    load_regions,
    partition_paths,
    save_partition,
)

CORNERS = Partition([[0, 0, 1, 1], [0, 2, 2, 1], [3, 2, 2, 1]])

partitions = hnp.arrays(
    np.int32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 400)
).map(Partition.from_labels)


@pytest.mark.parametrize("format_", FORMATS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(partition=partitions)
def test_every_format_gives_back_the_same_partition(
    tmp_path: Path, format_: PartitionFormat, partition: Partition
) -> None:
    paths = save_partition(partition, tmp_path / "photo", format_)
    assert paths == partition_paths(tmp_path / "photo", format_)
    for path in paths:
        assert load_partition(path) == partition
    for path in paths:
        path.unlink()
    assert list(tmp_path.iterdir()) == []  # nothing else was left there


def many_regions(count: int) -> Partition:
    side = int(np.ceil(count**0.5))
    return Partition.from_labels(np.minimum(np.arange(side * side), count - 1).reshape(side, side))


@pytest.mark.parametrize("format_", ["panoptic", "npy", "png"])
def test_more_ids_than_eight_or_sixteen_bits(tmp_path: Path, format_: PartitionFormat) -> None:
    partition = many_regions(65_536 if format_ == "png" else 70_000)
    assert load_partition(save_partition(partition, tmp_path / "p", format_)[0]) == partition


def test_a_label_png_refuses_more_regions_than_it_can_tell_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"65,536 regions at most; this partition has 70,000"):
        save_partition(many_regions(70_000), tmp_path / "p", "png")
    assert list(tmp_path.iterdir()) == []


def test_a_stem_with_a_dot_keeps_it(tmp_path: Path) -> None:
    (path,) = save_partition(CORNERS, tmp_path / "photo.v2", "npy")
    assert path.name == "photo.v2.npy"
    assert load_partition(path) == CORNERS


def test_an_unknown_format_and_suffix(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rle, panoptic, png, npy; got 'tiff'"):
        save_partition(CORNERS, tmp_path / "p", "tiff")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"must end in \.json, \.npy, \.png"):
        load_partition(tmp_path / "p.tiff")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for format_ in FORMATS:
        with pytest.raises(DataError, match="cannot be written"):
            save_partition(CORNERS, tmp_path / "file" / "p", format_)


# What other tools see


def test_pycocotools_reads_the_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pycocotools.coco import COCO

    (path,) = save_partition(CORNERS, tmp_path / "photo", "rle", image="photo.jpg")
    coco = COCO(str(path))
    capsys.readouterr()
    assert coco.loadImgs(1)[0]["file_name"] == "photo.jpg"
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[1], iscrowd=False))
    assert len(annotations) == len(CORNERS)
    for annotation in annotations:
        mask = CORNERS.mask(annotation["id"] - 1)
        assert np.array_equal(coco.annToMask(annotation).astype(bool), mask)
        assert annotation["area"] == mask.sum()
        assert tuple(annotation["bbox"]) == CORNERS.regions[annotation["id"] - 1].bbox


def test_a_panoptic_pair_is_laid_out_as_coco_says(tmp_path: Path) -> None:
    partition = many_regions(300)
    png, json_path = save_partition(partition, tmp_path / "photo", "panoptic", image="photo.jpg")
    document = json.loads(json_path.read_text())
    (annotation,) = document["annotations"]
    (category,) = document["categories"]
    assert document["images"][0] == {
        "id": 1, "file_name": "photo.jpg", "width": partition.width, "height": partition.height
    }  # fmt: skip
    assert (annotation["image_id"], annotation["file_name"]) == (1, png.name)
    assert category["isthing"] == 1
    colors = np.asarray(Image.open(png)).astype(int)
    ids = colors[..., 0] + 256 * colors[..., 1] + 256**2 * colors[..., 2]
    segments = annotation["segments_info"]
    assert {s["id"] for s in segments} == set(np.unique(ids))
    for segment in segments[::50]:
        inside = ids == segment["id"]
        assert segment["area"] == inside.sum()
        y, x = np.nonzero(inside)
        left, top, width, height = segment["bbox"]
        assert (left, top) == (x.min(), y.min())
        assert (width, height) == (np.ptp(x) + 1, np.ptp(y) + 1)
        assert (segment["iscrowd"], segment["category_id"]) == (0, category["id"])


def test_a_label_png_has_sixteen_bits_and_a_label_array_the_smallest_type(tmp_path: Path) -> None:
    (png,) = save_partition(CORNERS, tmp_path / "p", "png")
    image = Image.open(png)
    assert image.mode == "I;16"
    assert np.array_equal(np.asarray(image), CORNERS.labels)
    (npy,) = save_partition(CORNERS, tmp_path / "p", "npy")
    assert np.load(npy).dtype == np.uint8


# What other tools write


@pytest.mark.parametrize("mode", ["L", "P", "I;16", "1"])
def test_label_pngs_of_other_kinds_are_renumbered_in_order(tmp_path: Path, mode: str) -> None:
    values = np.array([[0, 0, 255], [0, 255, 255]], np.uint8)
    image = Image.fromarray(values)
    if mode == "P":
        image.putpalette([c for k in range(256) for c in (k, 255 - k, 7)])
    elif mode == "I;16":
        image = Image.fromarray(values.astype(np.uint16) * 200)
    elif mode == "1":
        image = image.convert("1")
    image.save(tmp_path / "p.png")
    assert Image.open(tmp_path / "p.png").mode == mode
    assert load_partition(tmp_path / "p.png").labels.tolist() == [[0, 0, 1], [0, 1, 1]]


def test_a_label_array_with_gaps_and_negative_ids(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.array([[-1, 7], [7, 900]]))
    assert load_partition(tmp_path / "p.npy").labels.tolist() == [[0, 1], [1, 2]]


def write_json(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_plain_run_lengths_polygons_and_lists_of_masks(tmp_path: Path) -> None:
    left = {"size": [2, 4], "counts": [0, 4, 4]}
    right = {"size": [2, 4], "counts": [4, 4]}
    polygon = [[2, 0, 4, 0, 4, 2, 2, 2]]
    image = {"id": 1, "file_name": "p.jpg", "width": 4, "height": 2}
    for document in (
        [{"segmentation": left, "predicted_iou": 0.9}, {"segmentation": right}],
        [left, right],
        {"images": [image], "annotations": [{"segmentation": left}, {"segmentation": polygon}]},
        {"regions": [{"mask": left, "score": 55.0}, {"mask": right, "score": 60.0}]},
    ):
        path = write_json(tmp_path / "p.json", document)
        assert load_partition(path).labels.tolist() == [[0, 0, 1, 1]] * 2
    regions = load_regions(write_json(path, [{"segmentation": left, "predicted_iou": 0.9}]))
    assert isinstance(regions, MaskSet)
    assert regions.scores == (0.9,)
    with pytest.raises(DataError, match="cover every pixel"):
        load_partition(path)


def test_polygons_that_enclose_nothing_are_left_out(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "p.jpg", "width": 4, "height": 2}
    square = [0, 0, 4, 0, 4, 2, 0, 2]
    for segmentation in ([square], [[1, 1, 2, 2], square], [square, [1, 1]]):
        document = {"images": [image], "annotations": [{"segmentation": segmentation}]}
        path = write_json(tmp_path / "p.json", document)
        assert load_partition(path).labels.tolist() == [[0] * 4] * 2


def test_masks_as_arrays_and_as_a_folder_of_pngs(tmp_path: Path) -> None:
    masks = np.stack([CORNERS.mask(k) for k in range(len(CORNERS))])
    np.save(tmp_path / "p.npy", masks)
    assert load_partition(tmp_path / "p.npy") == CORNERS
    (tmp_path / "p").mkdir()
    for k, mask in enumerate(masks):
        Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "p" / f"{k}.png")
    assert load_partition(tmp_path / "p") == CORNERS


def test_void_pixels_of_a_panoptic_map_are_covered_by_no_mask(tmp_path: Path) -> None:
    colors = np.zeros((2, 3, 3), np.uint8)
    colors[:, 1], colors[:, 2] = (9, 1, 0), (1, 0, 1)
    Image.fromarray(colors).save(tmp_path / "p.png")
    segments = [{"id": 9 + 256}, {"id": 1 + 256**2}]
    path = write_json(tmp_path / "p.json", {"annotations": [{"segments_info": segments}]})
    regions = load_regions(path)
    assert isinstance(regions, MaskSet)
    assert len(regions.masks) == 2
    with pytest.raises(DataError, match="cover every pixel"):
        load_partition(path)


# Damage


def npy_bytes(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def png_bytes(pixels: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Boom:
    """Fails the test when it is unpickled."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("something was unpickled",))


def polygons(segmentation: Any) -> bytes:
    """A COCO file with one mask."""
    image = {"id": 1, "file_name": "p.jpg", "width": 4, "height": 4}
    return json.dumps({"images": [image], "annotations": [{"segmentation": segmentation}]}).encode()


NOISE = np.random.default_rng(0).integers(0, 9, (90, 90), dtype=np.uint8)
ONE = {"size": [2, 2], "counts": [0, 4]}
BAD = {
    "empty.npy": b"",
    "text.npy": b"no array",
    "pickle.npy": pickle.dumps(Boom()),
    "objects.npy": npy_bytes(np.array([Boom()], dtype=object), allow_pickle=True),
    "cut.npy": npy_bytes(NOISE)[:-50],
    "float.npy": npy_bytes(NOISE.astype(float)),
    "flat.npy": npy_bytes(NOISE[0]),
    "none.npy": npy_bytes(NOISE[:0]),
    "empty.png": b"",
    "text.png": b"no picture",
    "cut.png": png_bytes(NOISE)[:600],
    "color.png": png_bytes(np.stack([NOISE] * 3, axis=2)),
    "empty.json": b"",
    "text.json": b"{no json",
    "number.json": b"3",
    "other.json": b'{"a": 1}',
    "none.json": b"[]",
    "deep.json": b"[" * 100_000,
    "two.json": json.dumps({"images": [{}, {}], "annotations": []}).encode(),
    "hole.json": json.dumps([{"size": [2, 2], "counts": [0, 2, 2]}]).encode(),
    "overlap.json": json.dumps([ONE, ONE]).encode(),
    "sizes.json": json.dumps([ONE, {"size": [1, 2], "counts": [0, 2]}]).encode(),
    "sum.json": json.dumps([{"size": [2, 2], "counts": [0, 5]}]).encode(),
    "counts.json": json.dumps([{"size": [2, 2], "counts": "\u00e9"}]).encode(),
    "rubbish.json": json.dumps([{"size": [2, 2], "counts": "zzzzzz"}]).encode(),
    "huge.json": json.dumps([{"size": [10**6, 10**6], "counts": [0, 10**12]}]).encode(),
    "size.json": json.dumps([{"size": "ab", "counts": [4]}]).encode(),
    "list.json": json.dumps([5]).encode(),
    "line.json": polygons([[1, 2]]),
    "box.json": polygons([[0, 0, 2, 2]]),
    "odd.json": polygons([[0, 0, 2, 0, 2, 2, 0]]),
    "far.json": polygons([[0, 0, 1e300, 0, 2, 2]]),
    "nan.json": polygons([[0, 0, float("nan"), 0, 2, 2]]),
    "no-polygon.json": polygons([]),
    "alone.json": json.dumps({"annotations": [{"segments_info": []}]}).encode(),
    "idless.json": json.dumps({"annotations": [{"segments_info": [{}]}]}).encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_damaged_files_give_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BAD[name])
    with pytest.raises(DataError, match=path.stem) as caught:
        load_partition(path)
    assert "\n" not in str(caught.value)


def test_missing_files_give_one_sentence(tmp_path: Path) -> None:
    for suffix in (".npy", ".png", ".json"):
        with pytest.raises(DataError, match="cannot be read"):
            load_partition(tmp_path / f"p{suffix}")


def test_an_archive_is_no_label_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", labels=NOISE)
    (tmp_path / "p.npz").rename(tmp_path / "p.npy")
    with pytest.raises(DataError, match="archive"):
        load_partition(tmp_path / "p.npy")


def test_a_panoptic_pair_that_does_not_fit(tmp_path: Path) -> None:
    png, json_path = save_partition(CORNERS, tmp_path / "p", "panoptic")
    other = save_partition(Partition([[0, 1]]), tmp_path / "q", "panoptic")
    other[0].replace(png)
    with pytest.raises(DataError, match="write the two files together"):
        load_partition(json_path)
    Image.fromarray(NOISE).save(png)
    with pytest.raises(DataError, match="must be a colour PNG"):
        load_partition(json_path)


@pytest.mark.parametrize("number", [1e999, float("nan"), "a", None])
def test_a_panoptic_pair_with_an_id_that_is_none(tmp_path: Path, number: Any) -> None:
    _, path = save_partition(CORNERS, tmp_path / "p", "panoptic")
    document = json.loads(path.read_text())
    document["annotations"][0]["segments_info"][0]["id"] = number
    with pytest.raises(DataError, match="must give each segment an id"):
        load_partition(write_json(path, document))


def test_a_mask_folder_takes_masks_of_one_size_and_two_values(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no masks"):
        load_partition(tmp_path)
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="black and one other value"):
        load_partition(tmp_path)
    Image.new("L", (4, 4), 255).save(tmp_path / "a.png")
    Image.new("L", (5, 4), 255).save(tmp_path / "b.png")
    with pytest.raises(DataError, match="share one size"):
        load_partition(tmp_path)
