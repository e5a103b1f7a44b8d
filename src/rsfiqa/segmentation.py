"""Step 1 alone: pictures into partitions, without a scorer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rsfiqa.images import PIXEL_BUDGET, resize_to_budget
from rsfiqa.partition import Partition
from rsfiqa.regions.base import Segmenter

if TYPE_CHECKING:
    import torch

    from rsfiqa.encoders.grid import GridEncoder, GridFeatures


class PictureSegmenter:
    """A segmenter with the encoder that it needs, if it needs one.

    Gives the partitions that an assessment with the same segmenter gives.

    Args:
        segmenter: step 1.
        encoder: for a segmenter that reads semantic features; None builds the default one, or none
            where none is needed.
        device: where the encoder runs.
        pixel_budget: pictures are segmented at this many pixels at most, and the partition is
            brought back to full size.

    Raises:
        AssetError: the encoder's weights cannot be had.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        encoder: GridEncoder | None = None,
        *,
        device: torch.device | str = "cpu",
        pixel_budget: int = PIXEL_BUDGET,
    ) -> None:
        if encoder is None and segmenter.needs_semantic:
            from rsfiqa.encoders.build import DEFAULT_ENCODER, build_encoder

            # Only the first backbone's maps serve for segmenting.
            encoder = build_encoder(DEFAULT_ENCODER[:1])
        self.segmenter = segmenter
        self.encoder = encoder.to(device).eval() if encoder is not None else None
        self.device = device
        self.pixel_budget = pixel_budget

    def segment(self, pixels: npt.NDArray[np.uint8]) -> Partition:
        """The partition of a picture `[H, W, 3]`, at its full size."""
        height, width = pixels.shape[:2]
        small = resize_to_budget(pixels, self.pixel_budget)
        return self.segmenter.segment(small, self.semantic(small)).resize(height, width)

    def semantic(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32] | None:
        """The features `[S, h, w]` of a picture within the budget; None where none are needed."""
        if self.encoder is None:
            return None
        from rsfiqa.encoders.grid import to_tensor

        grid: GridFeatures = self.encoder(to_tensor(pixels).to(self.device))
        return grid.semantic_of(0)
