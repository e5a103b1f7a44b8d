"""Partitions on disk: a picture that was segmented once is not segmented again.

Kept under the picture's pixels and everything that shapes its partition, at the size at which it
was segmented (`rsfiqa.images.PIXEL_BUDGET`), so that a partition of a very large picture is read
back fast. Damaged files are made again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.assets import cache_folder
from rsfiqa.contents import ContentFolder, content_key
from rsfiqa.errors import DataError
from rsfiqa.partition import Partition

_KIND = "rsfiqa partition 1"


def default_folder(cache: Path | None = None) -> Path:
    """Where partitions are kept: `regions` in the given cache folder, or in that of the assets."""
    return (cache or cache_folder()) / "regions"


class PartitionCache:
    """A folder of partitions, filled as they are asked for; safe for several processes.

    Args:
        folder: where they are kept; `default_folder()` by default. One that cannot be written only
            means that nothing is kept, which `notes` then says.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._kept = ContentFolder(folder or default_folder(), _KIND)

    @property
    def notes(self) -> list[str]:
        """What the user should know, such as that nothing could be kept."""
        return self._kept.notes

    def partition(
        self, pixels: npt.NDArray[np.uint8], made_by: str, segment: Callable[[], Partition]
    ) -> Partition:
        """The kept partition of a picture, or a new one, which is then kept.

        Args:
            pixels: RGB `[H, W, 3]`.
            made_by: everything that shapes the partition: segmenter, encoder and version.
            segment: makes the partition, at any size.
        """
        key = content_key("partition", made_by, pixels)
        kept = _from_plain(self._kept.load(key))
        if kept is not None:
            return kept
        partition = segment()
        self._kept.save(key, partition.to_rle())
        return partition


def _from_plain(content: Any) -> Partition | None:
    try:
        return Partition.from_rle(content) if content else None
    except (DataError, AttributeError, TypeError):
        return None
