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
        owner = np.repeat(np.arange(len(edges)), [runs.size // 2 for runs in edges])
        runs = np.concatenate([np.empty(0, np.int64), *edges]).reshape(-1, 2)
        order = np.argsort(runs[:, 0], kind="stable")
        start, end = runs[order].T
        owner = owner[order]
        overlapping = np.flatnonzero(start[1:] < end[:-1])
        if overlapping.size:
            one, other = sorted(owner[overlapping[0] : overlapping[0] + 2].tolist())
            raise DataError(
                f"the masks of a partition must not overlap; masks {one} and {other} do."
            )
        if int((end - start).sum()) != self.height * self.width:
            raise DataError("the masks of a partition must cover every pixel; some are left out.")
        ids = owner.astype(np.min_scalar_type(len(edges)))
        return Partition(np.repeat(ids, end - start).reshape(self.width, self.height).T)
