"""COCO JSON with run-length encoded masks.

The layout is that of COCO's object detection files (images, annotations, categories; see
cocodataset.org, "Data format"), with one picture a file and one class. Annotation ids are region
ids + 1, since COCO's own evaluation takes annotation 0 for none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsfiqa.errors import DataError
from rsfiqa.images.limits import pixel_limit
from rsfiqa.partition import Partition
from rsfiqa.regions.formats.files import write_json
from rsfiqa.regions.formats.mask_set import MaskSet

CATEGORY = {"id": 1, "name": "region", "supercategory": "region"}
"""Regions have no class: all are of this one."""

_FURTHEST = 2
"""How many times the picture's longer side away a polygon may reach."""


def to_coco(
    partition: Partition, *, image: str, info: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A partition as a COCO document of one picture.

    Args:
        partition: the partition.
        image: the picture's file name.
        info: what to say of its origin.

    Example:
        >>> document = to_coco(Partition([[0, 0, 1]]), image="photo.jpg")
        >>> [annotation["bbox"] for annotation in document["annotations"]]
        [[0, 0, 2, 1], [2, 0, 1, 1]]
    """
    return {
        "info": dict(info or {}),
        "images": [image_entry(partition, image)],
        "annotations": [
            {
                "id": entry["id"],
                "image_id": 1,
                "category_id": CATEGORY["id"],
                "segmentation": rle,
                "area": entry["area"],
                "bbox": entry["bbox"],
                "iscrowd": 0,
            }
            for entry, rle in zip(segment_entries(partition), partition.to_rle(), strict=True)
        ],
        "categories": [CATEGORY],
    }


def image_entry(partition: Partition, image: str) -> dict[str, Any]:
    """What a COCO file says of its picture."""
    return {"id": 1, "file_name": image, "width": partition.width, "height": partition.height}


def segment_entries(partition: Partition) -> list[dict[str, Any]]:
    """What COCO files say of each region: id + 1, area in pixels, box."""
    total = partition.height * partition.width
    return [
        {"id": region.id + 1, "area": round(region.area * total), "bbox": list(region.bbox)}
        for region in partition.regions
    ]


def write(
    partition: Partition, path: Path, *, image: str, info: Mapping[str, Any] | None = None
) -> None:
    """Write a partition as COCO JSON."""
    write_json(to_coco(partition, image=image, info=info), path)


def read(document: Any, path: Path) -> MaskSet:
    """The masks of a COCO file of one picture, of a list of masks, or of a result of rsfiqa.

    Raises:
        DataError: the document is none of these, or a mask is not well formed.
    """
    entries, size = _entries(document, path)
    masks: list[dict[str, Any]] = []
    scores: list[float | None] = []
    try:
        for entry in entries:
            masks.append(_compressed(_segmentation(entry), size))
            scores.append(_score(entry))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise DataError(
            f"mask {len(scores)} of {path} is not as COCO writes it, with a size [height, width] "
            f"and counts, or polygons: {error!r}."
        ) from error
    sizes = {tuple(mask["size"]) for mask in masks}
    if len(sizes) > 1:
        raise DataError(f"the masks in {path} must share one size; got {sorted(sizes)}.")
    height, width = sizes.pop() if sizes else (size or (0, 0))
    if not masks and size is None:
        raise DataError(f"{path} holds no mask and does not say how large its picture is.")
    if height * width > pixel_limit(None):
        raise DataError(
            f"{path} has masks of {width}×{height} pixels, over the limit of "
            f"{pixel_limit(None):,}; make them smaller, or raise RSFIQA_MAX_PIXELS."
        )
    return MaskSet(height, width, tuple(masks), tuple(scores))


def _entries(document: Any, path: Path) -> tuple[list[Any], tuple[int, int] | None]:
    """The entries that hold a mask each, and the picture's height and width where it is said."""
    if isinstance(document, list):
        return document, None
    if isinstance(document, dict):
        if isinstance(document.get("annotations"), list):
            images = document.get("images", [])
            if not isinstance(images, list) or len(images) > 1:
                raise DataError(
                    f"{path} must describe one picture; write a file of its own for each picture."
                )
            return document["annotations"], _size(images[0]) if images else None
        if isinstance(document.get("regions"), list):
            return document["regions"], _size(document)
    raise DataError(
        f"{path} holds no regions: accepted are COCO files with annotations, lists of masks, and "
        "results of rsfiqa with masks."
    )


def _size(image: Any) -> tuple[int, int] | None:
    try:
        height, width = int(image["height"]), int(image["width"])
    except (KeyError, TypeError, ValueError):
        return None
    return (height, width) if height > 0 and width > 0 else None


def _segmentation(entry: Any) -> Any:
    for key in ("segmentation", "mask"):
        if key in entry:
            return entry[key]
    return entry


def _score(entry: Any) -> float | None:
    for key in ("score", "predicted_iou"):
        if "mask" not in entry and entry.get(key) is not None:
            return float(entry[key])
    return None  # the score of an assessed region says how good it is, not how sure


def _compressed(segmentation: Any, size: tuple[int, int] | None) -> dict[str, Any]:
    """A mask as compressed run lengths."""
    from pycocotools import mask as coco

    if isinstance(segmentation, list):
        if size is None:
            raise KeyError("a polygon needs images[0] with height and width")
        height, width = size
        rle = coco.merge(coco.frPyObjects(_polygons(segmentation, height, width), height, width))
        return {"size": [height, width], "counts": rle["counts"].decode("ascii")}
    height, width = (int(side) for side in segmentation["size"])
    counts = segmentation["counts"]
    if height < 1 or width < 1:
        raise ValueError(f"size is [{height}, {width}]")
    if isinstance(counts, list):
        if any(run < 0 for run in counts) or sum(counts) != height * width:
            raise ValueError(f"the run lengths do not add up to {width}×{height}")
        counts = coco.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        return {"size": [height, width], "counts": counts["counts"].decode("ascii")}
    counts.encode("ascii")
    return {"size": [height, width], "counts": counts}


def _polygons(segmentation: list[Any], height: int, width: int) -> list[list[float]]:
    """Polygons that pycocotools can draw: it trusts what it is given, and its memory follows it.

    Those of fewer than three points, which it would take for boxes, enclose nothing and are left out.
    """
    polygons = [[float(coordinate) for coordinate in polygon] for polygon in segmentation]
    most = _FURTHEST * max(height, width)
    for polygon in polygons:
        if len(polygon) % 2:
            raise ValueError(f"a polygon has {len(polygon)} coordinates, not two a point")
        if not all(-most <= coordinate <= most for coordinate in polygon):  # NaN neither
            raise ValueError("a polygon lies far outside the picture")
    drawn = [polygon for polygon in polygons if len(polygon) >= 6]
    if not drawn:
        raise ValueError("it has no polygon of three points or more")
    return drawn
