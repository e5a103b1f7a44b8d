"""Regions that the user gives: files in a folder, matched to pictures by name.

**Which file.** `photo.jpg` is matched by `photo.png`, `photo.npy`, `photo.json`, by the pair
`photo.png` + `photo.json` of COCO panoptic, or by a folder `photo/` of black and white PNGs, one a
mask; `photo.jpg.png` and its like go before these, for pictures that differ in their suffix only.
A file in a sub-folder counts for pictures in a folder of the same name (`masks/a/photo.png` for
`…/a/photo.jpg`), and goes before one further up. So what `rsfiqa segment --out` wrote is found
again. No match, or several, is an error of that picture.

**What becomes of it.** A label map is used as it is, its ids renumbered in ascending order where
they have gaps. Masks that are a partition are used as they are; others, which overlap or leave
holes, go through the partition rule. The size must be the picture's (upright, after its EXIF
orientation) or have its aspect ratio, up to the rounding of sides to whole pixels, as when it was
made on a resized copy; it is then brought to the picture's size by nearest neighbour.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.partition import Partition
from rsfiqa.regions.base import Segmenter
from rsfiqa.regions.formats import SUFFIXES, MaskSet, is_panoptic, load_regions
from rsfiqa.regions.formats.files import read_bytes
from rsfiqa.regions.formats.mask_folder import mask_files

if TYPE_CHECKING:
    from rsfiqa.regions.rule import PartitionRule

MOST_REGIONS = 1000
"""More are no regions but most likely a photograph taken for a label map."""

NAME = "given"
"""What results call the segmenter of regions that were given."""


def given_or_none(
    regions: str | Path | GivenRegions | None, segmenter: str | Segmenter
) -> GivenRegions | None:
    """The regions to use instead of segmenting; None where a segmenter is to be used.

    Raises:
        ConfigError: a segmenter other than the default is asked for, too.
        DataError: the folder of regions cannot be read or holds none.
    """
    if regions is not None and segmenter != "embedded":
        raise ConfigError("give a segmenter or regions, not both: given regions are not cut.")
    return GivenRegions(regions) if isinstance(regions, str | Path) else regions


class GivenRegions:
    """A folder of files with regions; the module's text says how they are matched and used.

    The folder is listed once; files are read when their picture's turn comes.

    Args:
        folder: where the files are, with its sub-folders.
        rule: makes a partition of masks that overlap or leave holes; the default rule by default.
        max_regions: more regions in a label map are refused.

    Raises:
        DataError: the folder cannot be read or holds no such file.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        rule: PartitionRule | None = None,
        max_regions: int = MOST_REGIONS,
    ) -> None:
        if rule is None:
            from rsfiqa.regions.rule import PartitionRule

            rule = PartitionRule()
        self.folder = Path(folder)
        self.rule = rule
        self.max_regions = max_regions
        self._files: dict[str, list[Path]] = defaultdict(list)
        self._folders: dict[str, list[Path]] = defaultdict(list)
        self._list()

    def _list(self) -> None:
        if not self.folder.is_dir():
            raise DataError(
                f"{self.folder} is no folder; give the folder that holds the regions' files."
            )
        try:
            for place, folders, files in os.walk(self.folder, onerror=_raise):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                for name in sorted(files):
                    stem, suffix = os.path.splitext(name)  # noqa: PTH122  (100,000 of them)
                    if suffix.lower() in SUFFIXES and not name.startswith("."):
                        self._files[stem].append(Path(place, name))
                for name in folders:
                    self._folders[name].append(Path(place, name))
        except OSError as error:
            raise DataError(
                f"{self.folder} cannot be searched: {error.strerror or error}."
            ) from error
        if not self._files:
            raise DataError(
                f"{self.folder} holds no regions: no file in it or below it ends in "
                f"{', '.join(SUFFIXES)}."
            )

    def find(self, picture: str | os.PathLike[str]) -> Path:
        """The file (of a panoptic pair, the JSON) or mask folder of a picture.

        Args:
            picture: the picture's path, or its name.

        Raises:
            DataError: there is none, or more than one.
        """
        found = self._candidates(picture)
        if not found:
            stem = Path(picture).stem
            raise DataError(
                f"{os.fspath(picture)} has no regions in {self.folder}; they are looked for as "
                f"{', '.join(stem + suffix for suffix in SUFFIXES)} or a folder {stem} of masks."
            )
        if _may_be_panoptic(found) and is_panoptic(found[0]):
            return found[0]
        if len(found) > 1:
            raise DataError(
                f"{os.fspath(picture)} has several files of regions "
                f"({', '.join(map(str, found))}); leave one of them there."
            )
        return found[0]

    def identity(self, picture: str | os.PathLike[str]) -> str:
        """What names the regions of a picture: it changes with its files and with the rule.

        Returns:
            `given/` and 16 hexadecimal digits of a SHA-256; it stands for the segmenter in the
            picture's result.

        Raises:
            DataError: there are none, or they cannot be read.
        """
        found = self._candidates(picture) or [self.find(picture)]
        digest = hashlib.sha256(self.rule.name.encode())
        for path in found:
            for file in mask_files(path) if path.is_dir() else [path]:
                data = read_bytes(file)
                digest.update(f"{file.suffix.lower()} {len(data)} ".encode())
                digest.update(data)
        return f"{NAME}/{digest.hexdigest()[:16]}"

    def partition_for(
        self,
        picture: str | os.PathLike[str],
        height: int,
        width: int,
        *,
        pixels: npt.NDArray[np.uint8] | None = None,
    ) -> Partition:
        """The partition of a picture from its file.

        Args:
            picture: the picture's path, or its name.
            height, width: of the picture, upright.
            pixels: the picture, RGB `[H, W, 3]`, by which the rule gives small holes between
                masks to the neighbour most like them.

        Raises:
            DataError: there is no file or more than one, it cannot be read, or its size or number
                of regions does not fit.
        """
        path = self.find(picture)
        regions = load_regions(path)
        _require_same_shape(path, regions, height, width)
        if isinstance(regions, Partition):
            partition = regions
        else:
            try:
                partition = regions.exact()
            except DataError:  # they overlap or leave holes; if they are damaged, the rule says so
                return self._ruled(path, regions, height, width, pixels)
        if len(partition) > self.max_regions:
            raise DataError(
                f"{path} has {len(partition):,} regions, over the limit of {self.max_regions:,}; "
                "is it a label map, or a photograph?"
            )
        return partition.resize(height, width)

    def _ruled(
        self,
        path: Path,
        regions: MaskSet,
        height: int,
        width: int,
        pixels: npt.NDArray[np.uint8] | None,
    ) -> Partition:
        from rsfiqa.regions.masks import ScoredMask

        masks = (
            ScoredMask(mask) if score is None else ScoredMask(mask, score)
            for mask, score in zip(regions.masks, regions.scores, strict=True)
        )
        try:
            return self.rule.apply(masks, height, width, pixels=pixels)
        except DataError as error:
            raise DataError(f"{path} gives no partition: {error}") from error

    def _candidates(self, picture: str | os.PathLike[str]) -> list[Path]:
        """The files that match best, in order of their names; folders, where no file does."""
        path = Path(os.path.abspath(picture))  # noqa: PTH100  (keeps links as they are named)
        for full in (True, False):
            label = path.name if full else path.stem
            files = (file for file in self._files.get(label, ()) if _absolute(file) != path)
            if best := self._nearest(files, path.parent.parts):
                return best
        folders = (f for f in self._folders.get(path.stem, ()) if f != path and mask_files(f))
        return self._nearest(folders, path.parent.parts)

    def _nearest(self, found: Iterable[Path], parts: tuple[str, ...]) -> list[Path]:
        """Those in the deepest sub-folder whose path is the end of the picture's path."""
        by_depth: dict[int, list[Path]] = defaultdict(list)
        for path in found:
            below = path.parent.relative_to(self.folder).parts
            if below == parts[len(parts) - len(below) :]:
                by_depth[len(below)].append(path)
        return sorted(by_depth[max(by_depth)]) if by_depth else []


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100


def _raise(error: OSError) -> None:
    raise error


def _may_be_panoptic(found: list[Path]) -> bool:
    return [path.suffix.lower() for path in found] == [".json", ".png"]


def _require_same_shape(path: Path, regions: Partition | MaskSet, height: int, width: int) -> None:
    """Refuse regions whose aspect ratio differs by more than rounding to whole pixels does."""
    (h, w), (large_h, large_w) = sorted([(regions.height, regions.width), (height, width)])
    # Both sides of a resized copy are rounded the same way, each by less than one pixel.
    if abs(h * large_w - w * large_h) <= max(large_h, large_w):
        return
    raise DataError(
        f"{path} is {regions.width}×{regions.height}, but its picture (upright) {width}×{height}; "
        "regions must have the picture's size, or at least its aspect ratio."
    )
