"""COCO panoptic: a PNG whose colours are segment ids, and JSON that describes the segments.

The layout is COCO's (cocodataset.org, "Data format", panoptic segmentation): the id of a pixel is
`R + 256 G + 256² B`, and 0 is void. Ids are region ids + 1, so that a partition has no void. All
segments are things of one class, since COCO allows a picture one segment only of stuff.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsfiqa.errors import DataError
from rsfiqa.partition import Partition
from rsfiqa.regions.formats import coco, label_png
from rsfiqa.regions.formats.files import write_bytes, write_json
from rsfiqa.regions.formats.mask_set import MaskSet

MOST_REGIONS = (1 << 24) - 1
"""Three bytes, less the value for void."""


def write(
    partition: Partition,
    png: Path,
    json: Path,
    *,
    image: str,
    info: Mapping[str, Any] | None = None,
) -> None:
    """Write a partition as panoptic PNG and JSON, the JSON last.

    Raises:
        DataError: a file cannot be written, or there are more than `MOST_REGIONS` regions.
    """
    if len(partition) > MOST_REGIONS:
        raise DataError(
            f"a panoptic PNG holds {MOST_REGIONS:,} regions at most; this partition has "
            f"{len(partition):,}; write it as npy."
        )
    buffer = BytesIO()
    Image.fromarray(_colors(partition)).save(buffer, format="PNG")
    write_bytes(buffer.getvalue(), png)
    segments = [
        {**entry, "category_id": coco.CATEGORY["id"], "iscrowd": 0}
        for entry in coco.segment_entries(partition)
    ]
    document = {
        "info": dict(info or {}),
        "images": [coco.image_entry(partition, image)],
        "annotations": [{"image_id": 1, "file_name": png.name, "segments_info": segments}],
        "categories": [{**coco.CATEGORY, "isthing": 1}],
    }
    write_json(document, json)


def is_panoptic(document: Any) -> bool:
    """Whether a JSON document describes the segments of a panoptic PNG."""
    annotations = document.get("annotations") if isinstance(document, dict) else None
    return (
        isinstance(annotations, list)
        and bool(annotations)
        and isinstance(annotations[0], dict)
        and "segments_info" in annotations[0]
    )


def read(json: Path, document: Any) -> Partition | MaskSet:
    """The segments of one picture; the PNG lies beside the JSON under the same name.

    Returns:
        a partition with ids in ascending order of the segments' ids; masks, where some pixels
        are void.

    Raises:
        DataError: the files cannot be read, do not fit each other, or all is void.
    """
    if not is_panoptic(document) or len(document["annotations"]) != 1:
        raise DataError(f"{json} must describe the segments (segments_info) of one picture.")
    png = json.with_suffix(".png")
    ids = _ids(label_png.decode(png), png)
    present = np.unique(ids)
    try:
        named = sorted(int(entry["id"]) for entry in document["annotations"][0]["segments_info"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"the segments_info in {json} must give each segment an id.") from error
    if named != present[present > 0].tolist():
        raise DataError(
            f"{json} names {len(named)} segments, but {png.name} shows others or as many as "
            f"{int((present > 0).sum())}; write the two files together."
        )
    if not named:
        raise DataError(f"{png} is void all over; a picture has at least one segment.")
    partition = Partition.from_labels(ids)
    if present[0] > 0:
        return partition
    masks = tuple(partition.to_rle()[1:])  # the first is void
    return MaskSet(partition.height, partition.width, masks, (None,) * len(masks))


def _colors(partition: Partition) -> npt.NDArray[np.uint8]:
    ids = np.arange(1, len(partition) + 1)
    palette = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=1).astype(np.uint8)
    colors: npt.NDArray[np.uint8] = palette[partition.labels]
    return colors


def _ids(pixels: npt.NDArray[Any], png: Path) -> npt.NDArray[np.int32]:
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise DataError(f"{png} must be a colour PNG (RGB): its colours are the segments' ids.")
    ids = pixels[..., 0].astype(np.int32)
    ids += pixels[..., 1].astype(np.int32) << 8
    ids += pixels[..., 2].astype(np.int32) << 16
    return ids
