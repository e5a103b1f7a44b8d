"""The grid segmenter: near-square cells, whatever the picture shows; for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import ConfigError
from rsfiqa.partition import Partition

MOST_CELLS = 64


@dataclass(frozen=True)
class GridSegmenter:
    """Near-square cells in rows, numbered from the upper left.

    Attributes:
        cells: cells along the long side; the short side gets as many as make them most nearly
            square, and at least one. The default gives 24 regions to a 3:2 picture, as many as
            the embedded segmenter gives at most.

    Raises:
        ConfigError: `cells` is not 1 to 64.

    Example:
        >>> GridSegmenter(3).segment(np.zeros((40, 60, 3), np.uint8), None)
        Partition(40×60, 6 regions)
    """

    needs_semantic = False

    cells: int = 6

    def __post_init__(self) -> None:
        if not 1 <= self.cells <= MOST_CELLS:
            raise ConfigError(
                f"a grid has 1 to {MOST_CELLS} cells along the long side; got {self.cells}."
            )

    @property
    def name(self) -> str:
        return f"grid-1/{self.cells}"

    def segment(
        self,
        pixels: npt.NDArray[np.uint8],
        semantic: npt.NDArray[np.floating[Any]] | None,
    ) -> Partition:
        """Partition a picture `[H, W, 3]`; see `Segmenter`."""
        height, width = pixels.shape[:2]
        long, short = max(height, width), min(height, width)
        along = min(self.cells, long)
        across = min(max(1, round(short * along / long)), short)
        rows, columns = (across, along) if width >= height else (along, across)
        y = np.arange(height) * rows // height
        x = np.arange(width) * columns // width
        return Partition(y[:, None] * columns + x)
