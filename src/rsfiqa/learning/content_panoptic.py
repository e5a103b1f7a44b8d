"""COCO panoptic labels: what the segments of a photograph are, and what regions show by them.

The official layout (cocodataset.org, "Data format", panoptic segmentation): a JSON with the
segments and categories of all photographs, and a PNG a photograph whose colours are segment ids,
`R + 256 G + 256² B`, with 0 for pixels that nobody labelled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsfiqa.errors import DataError
from rsfiqa.learning.content_colors import color_word
from rsfiqa.learning.content_words import (
    RegionWords,
    categories,
    find_noun,
    nouns,
    place_of,
    plural_of,
    words_of,
)
from rsfiqa.partition import Partition

MAJORITY = 0.6
"""The share of a region that a label must cover to be what the region shows."""
_ONE_OF_SEVERAL = 0.15
"""The share of a label's pixels that each of two segments must have to be worth a plural."""


@dataclass(frozen=True)
class Segment:
    """One labelled segment: its COCO category, and whether it is a crowd of things."""

    category: str
    crowd: bool = False


@dataclass(frozen=True, eq=False)
class Panoptic:
    """The labels of one photograph.

    Attributes:
        ids: segment ids `[H, W]`; 0 is unlabelled.
        segments: what each id is.
    """

    ids: npt.NDArray[np.int32]
    segments: Mapping[int, Segment]


class CocoPanoptic:
    """The panoptic labels of a split of COCO.

    Args:
        json: the annotation file.
        folder: the PNG files; by default the folder named as the JSON.
        images: the photographs, where they are needed.

    Raises:
        DataError: the JSON cannot be read or is not COCO panoptic.
    """

    def __init__(self, json: Path, folder: Path | None = None, images: Path | None = None) -> None:
        self.json = json
        self.folder = folder or json.with_suffix("")
        self.images_folder = images
        try:
            document = _loaded(json)
            names = {int(c["id"]): str(c["name"]) for c in document["categories"]}
            files = {int(i["id"]): str(i["file_name"]) for i in document["images"]}
            self._annotations = {files[int(a["image_id"])]: a for a in document["annotations"]}
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{json} is not COCO panoptic JSON with images, annotations and categories: "
                f"{error!r}."
            ) from error
        self._names = names

    @classmethod
    def open(cls, coco_folder: str | Path, split: str = "train") -> CocoPanoptic:
        """A split in a folder of COCO.

        Args:
            coco_folder: holds `panoptic_train2017.json` and the folder of PNG files of that name,
                there or under `annotations`, and the photographs in `train2017`, there or under
                `images`.
            split: `train` or `val`.

        Raises:
            DataError: something of it is missing.
        """
        root = Path(coco_folder)
        json = _first(
            [root / f"panoptic_{split}2017.json", root / f"annotations/panoptic_{split}2017.json"]
        )
        images = _first([root / f"images/{split}2017", root / f"{split}2017"])
        return cls(json, images=images)

    @property
    def names(self) -> list[str]:
        """File names of the labelled photographs, in order."""
        return sorted(self._annotations)

    def photograph(self, image: str) -> Path:
        """The path of a photograph.

        Raises:
            DataError: the set was made without a folder of photographs.
        """
        if self.images_folder is None:
            raise DataError(f"no folder of photographs was given with {self.json}.")
        return self.images_folder / image

    def regions(self, image: str) -> Panoptic:
        """The labels of one photograph.

        Raises:
            DataError: the JSON does not name it, or its PNG cannot be read.
        """
        if image not in self._annotations:
            raise DataError(f"{self.json} labels no photograph named {image}.")
        annotation = self._annotations[image]
        try:
            segments = {
                int(s["id"]): Segment(self._names[int(s["category_id"])], bool(s.get("iscrowd", 0)))
                for s in annotation["segments_info"]
            }
            png = self.folder / annotation["file_name"]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{self.json} describes the segments of {image} incompletely: {error!r}."
            ) from error
        return Panoptic(_ids(png), segments)


def panoptic_regions(json: str | Path, folder: str | Path, image: str) -> Panoptic:
    """The labels of one photograph; use `CocoPanoptic` for many, which reads the JSON once.

    Args:
        json: the annotation file.
        folder: the PNG files.
        image: the photograph's file name, as in the JSON.

    Raises:
        DataError: the files cannot be read, or name no such photograph.
    """
    return CocoPanoptic(Path(json), Path(folder)).regions(image)


def region_segments(partition: Partition, panoptic: Panoptic) -> list[tuple[Segment, ...]]:
    """Of each region, the segments of the category that covers at least `MAJORITY` of it.

    Empty where no category does. Segments with less than 15 % of the category's share are left out.

    Raises:
        DataError: the labels and the partition differ in size.
    """
    if panoptic.ids.shape != partition.labels.shape:
        height, width = panoptic.ids.shape
        raise DataError(
            f"the labels are {width}×{height} but the partition {partition.width}×"
            f"{partition.height}; resize the partition first."
        )
    present, flat = np.unique(panoptic.ids, return_inverse=True)
    pairs = partition.labels.astype(np.int64).ravel() * len(present) + flat.ravel()
    table = np.bincount(pairs, minlength=len(partition) * len(present))
    found: list[tuple[Segment, ...]] = []
    for counts in table.reshape(len(partition), len(present)):
        inside: dict[str, list[tuple[int, Segment]]] = {}
        for k in np.flatnonzero(counts):
            segment = panoptic.segments.get(int(present[k]))
            if segment is not None:
                inside.setdefault(segment.category, []).append((int(counts[k]), segment))
        shares = {name: sum(n for n, _ in parts) for name, parts in inside.items()}
        best = max(shares, key=lambda name: (shares[name], name), default="")
        if not best or shares[best] < MAJORITY * counts.sum():
            found.append(())
            continue
        least = _ONE_OF_SEVERAL * shares[best]
        found.append(tuple(segment for n, segment in inside[best] if n >= least))
    return found


def region_categories(partition: Partition, panoptic: Panoptic) -> list[str | None]:
    """The COCO category that covers at least `MAJORITY` of each region; None where none does.

    Raises:
        DataError: the labels and the partition differ in size.
    """
    found = region_segments(partition, panoptic)
    return [segments[0].category if segments else None for segments in found]


def words_from_panoptic(
    partition: Partition, panoptic: Panoptic, pixels: npt.NDArray[np.uint8] | None = None
) -> list[RegionWords | None]:
    """What each region shows by its label; None where no label covers enough of it.

    Args:
        partition: of the photograph's size.
        panoptic: the photograph's labels.
        pixels: the photograph `[H, W, 3]`, for words of colour.

    Raises:
        DataError: the labels and the partition differ in size.
    """
    words: list[RegionWords | None] = []
    for region, segments in zip(
        partition.regions, region_segments(partition, panoptic), strict=True
    ):
        known = categories().get(segments[0].category) if segments else None
        if known is None:
            words.append(None)
            continue
        word = known.noun
        if nouns()[word].form == "count" and (len(segments) > 1 or segments[0].crowd):
            word = plural_of(word)
        color = None if pixels is None else color_word(pixels[partition.mask(region.id)])
        place = place_of(region, partition.height, partition.width)
        words.append(words_of(find_noun(word), color=color, place=place))
    return words


def _loaded(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}.") from error


def _first(candidates: list[Path]) -> Path:
    for path in candidates:
        if path.exists():
            return path
    raise DataError(f"COCO is incomplete: there is neither {candidates[0]} nor {candidates[1]}.")


def _ids(png: Path) -> npt.NDArray[np.int32]:
    try:
        with Image.open(png) as picture:
            colors = np.asarray(picture.convert("RGB"), dtype=np.int32)
    except (OSError, SyntaxError) as error:
        raise DataError(f"the labels in {png} cannot be read: {error}.") from error
    ids: npt.NDArray[np.int32] = colors @ np.array([1, 256, 65536], dtype=np.int32)
    return ids
