"""What a segmenter is: anything that turns a picture into a partition."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rsfiqa.partition import Partition


class Segmenter(Protocol):
    """Step 1: a picture goes in, a partition of it comes out."""

    @property
    def name(self) -> str:
        """Identifies the segmenter with its settings, for results and caches."""
        ...

    @property
    def needs_semantic(self) -> bool:
        """Whether `segment` reads semantic features; one with a network of its own does not."""
        ...

    def segment(
        self, pixels: npt.NDArray[np.uint8], semantic: npt.NDArray[np.floating[Any]] | None
    ) -> Partition:
        """Partition a picture.

        Args:
            pixels: RGB `[H, W, 3]`.
            semantic: features of the same picture on a coarse grid, `[S, h, w]`, computed once
                for all steps; may be None for a segmenter that does not need them.

        Returns:
            a partition of size `[H, W]`.
        """
        ...
