"""Partitions as files: written and read back exactly, ids and all.

| format | files of `photo` | made for |
|---|---|---|
| `rle` | `photo.json` | COCO tools: run-length encoded masks (`pycocotools.coco.COCO` reads it) |
| `panoptic` | `photo.png`, `photo.json` | COCO panoptic tools: ids as colours, and `segments_info` |
| `png` | `photo.png` | image tools: 16-bit grey, the value is the region's id |
| `npy` | `photo.npy` | `numpy.load`: the label map in its smallest unsigned type |

Nothing is ever unpickled, and what is read is checked. `load_regions` also reads what other tools
write, masks that overlap or leave holes among it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.partition import Partition
from rsfiqa.regions.formats import coco, label_array, label_png, mask_folder, panoptic
from rsfiqa.regions.formats.files import parse_json, read_bytes
from rsfiqa.regions.formats.mask_set import MaskSet

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "MaskSet",
    "PartitionFormat",
    "is_panoptic",
    "load_partition",
    "load_regions",
    "partition_paths",
    "save_partition",
]

PartitionFormat = Literal["rle", "panoptic", "png", "npy"]
FORMATS: tuple[PartitionFormat, ...] = get_args(PartitionFormat)

SUFFIXES = (".json", ".npy", ".png")
"""What the names of files with regions end in, in lower case."""

_ENDINGS: dict[PartitionFormat, tuple[str, ...]] = {
    "rle": (".json",),
    "panoptic": (".png", ".json"),
    "png": (".png",),
    "npy": (".npy",),
}


def partition_paths(stem: str | Path, format: PartitionFormat) -> tuple[Path, ...]:  # noqa: A002
    """The files that `save_partition` writes for a stem (a path without suffix).

    Example:
        >>> [path.name for path in partition_paths("masks/photo", "panoptic")]
        ['photo.png', 'photo.json']
    """
    if format not in _ENDINGS:
        raise ConfigError(f"a partition is written as {', '.join(FORMATS)}; got {format!r}.")
    stem = Path(stem)
    return tuple(stem.with_name(stem.name + ending) for ending in _ENDINGS[format])


def save_partition(
    partition: Partition,
    stem: str | Path,
    format: PartitionFormat = "rle",  # noqa: A002
    *,
    image: str | None = None,
    info: Mapping[str, Any] | None = None,
) -> tuple[Path, ...]:
    """Write a partition; each file appears whole or not at all.

    Args:
        partition: the partition.
        stem: path of the file without its suffix.
        format: one of `FORMATS`.
        image: the picture's file name, for the formats with JSON; the stem's name by default.
        info: what else to say of its origin in COCO's `info`, for the formats with JSON.

    Returns:
        the files written.

    Raises:
        ConfigError: there is no such format.
        DataError: a file cannot be written, or the partition has too many regions for the format.
    """
    paths = partition_paths(stem, format)
    named = image if image is not None else Path(stem).name
    if format == "rle":
        coco.write(partition, paths[0], image=named, info=info)
    elif format == "panoptic":
        panoptic.write(partition, *paths, image=named, info=info)
    elif format == "png":
        label_png.write(partition, paths[0])
    else:
        label_array.write(partition, paths[0])
    return paths


def load_partition(path: str | Path) -> Partition:
    """Read a partition from a file of any of the formats (of `panoptic`, either of the two).

    What `save_partition` wrote comes back equal. Ids of other label maps are renumbered in
    ascending order.

    Raises:
        DataError: the file cannot be read, holds no regions, or its masks overlap or leave holes.
    """
    regions = load_regions(path)
    if isinstance(regions, Partition):
        return regions
    try:
        return regions.exact()
    except DataError as error:
        raise DataError(f"{path} holds no partition: {error}") from error


def load_regions(path: str | Path) -> Partition | MaskSet:
    """Read regions as they are: a partition from a label map, masks from all else.

    Read are the files of `FORMATS`; label PNGs of 1 to 16 bits, grey or with a palette; COCO files
    of one picture (compressed or plain run lengths, polygons); lists of masks as SAM's generators
    give them; results of `rsfiqa assess` with masks; boolean arrays `[H, W]` and `[N, H, W]`; and
    folders of black and white PNGs, one a mask. Panoptic maps with void pixels give masks.

    Raises:
        DataError: the file cannot be read or is none of these.
    """
    path = Path(path)
    if path.is_dir():
        return mask_folder.read(path)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return label_array.read(path)
    if suffix == ".json":
        document = parse_json(read_bytes(path), path)
        if panoptic.is_panoptic(document):
            return panoptic.read(path, document)
        return coco.read(document, path)
    if suffix == ".png":
        companion = path.with_suffix(".json")
        if label_png.is_color(path) and companion.exists():
            return panoptic.read(companion, parse_json(read_bytes(companion), companion))
        return label_png.read(path)
    raise DataError(
        f"{path} is no file of regions that is known; its name must end in {', '.join(SUFFIXES)}."
    )


def is_panoptic(path: str | Path) -> bool:
    """Whether a JSON file is the `segments_info` of a panoptic PNG beside it.

    Raises:
        DataError: it cannot be read or is no JSON.
    """
    return panoptic.is_panoptic(parse_json(read_bytes(Path(path)), Path(path)))
