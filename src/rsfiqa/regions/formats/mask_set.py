"""Masks of one picture as they were found: they may overlap and leave holes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import DataError
from rsfiqa.partition import Partition
from rsfiqa.regions.masks import mask_runs
from rsfiqa.runs import label_map


@dataclass(frozen=True)
class MaskSet:
    """Masks of one size, in little memory.

    Attributes:
        height, width: of every mask, in pixels.
        masks: COCO compressed run lengths, `{"size": [H, W], "counts": str}`.
        scores: how sure the segmenter was of each mask; None where it did not say.
    """

    height: int
    width: int
    masks: tuple[dict[str, Any], ...]
    scores: tuple[float | None, ...]

    @classmethod
    def from_arrays(cls, arrays: Iterable[npt.NDArray[Any]]) -> MaskSet:
        """Masks from arrays `[H, W]` of one size, at least one; not zero is inside."""
        from pycocotools import mask as coco

        masks = []
        height = width = 0
        for array in arrays:
            height, width = array.shape
            rle = coco.encode(np.asfortranarray(array != 0, dtype=np.uint8))
            masks.append({"size": [height, width], "counts": rle["counts"].decode("ascii")})
        return cls(height, width, tuple(masks), (None,) * len(masks))

    def exact(self) -> Partition:
        """The masks as the regions of a partition, in their order.

        Raises:
            DataError: they overlap, leave holes, are empty or damaged.
        """
        edges = [mask_runs(mask, self.height, self.width) for mask in self.masks]
        empty = [k for k, runs in enumerate(edges) if not runs.size]
        if empty:
            raise DataError(f"the regions of a partition have pixels; mask {empty[0]} has none.")
        return Partition(label_map(edges, self.height, self.width))
