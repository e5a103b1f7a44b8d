"""Classical segmenters from scikit-image, for comparison: SLIC and Felzenszwalb-Huttenlocher.

Neither knows what it sees. Their defaults are the settings that cover the human segmentations of
BSDS500's train split best (every fifth picture of it, searched as `rsfiqa bench segment` does).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.partition import Partition


@dataclass(frozen=True)
class SlicSegmenter:
    """Superpixels as regions (Achanta et al., "SLIC Superpixels", TPAMI 34(11), 2012).

    Attributes:
        regions: about how many.
        compactness: weight of nearness against colour; higher gives squarer regions.
    """

    needs_semantic = False

    regions: int = 3
    compactness: float = 10.0

    @property
    def name(self) -> str:
        return f"slic-1/{self.regions},c{self.compactness:g}"

    def segment(
        self, pixels: npt.NDArray[np.uint8], semantic: npt.NDArray[np.floating[Any]] | None = None
    ) -> Partition:
        """Partition a picture `[H, W, 3]`; see `Segmenter`."""
        from skimage.segmentation import slic

        labels = slic(pixels, n_segments=self.regions, compactness=self.compactness, start_label=0)
        return Partition.from_labels(labels)


@dataclass(frozen=True)
class FelzenszwalbSegmenter:
    """Graph-based regions (Felzenszwalb and Huttenlocher, IJCV 59(2), 2004).

    Attributes:
        scale: higher gives larger regions.
        sigma: of the Gaussian that smooths the picture first, in pixels.
        min_area: smallest region, as a fraction of the picture; smaller ones join a
            neighbour across their weakest edge.
    """

    needs_semantic = False

    scale: float = 400.0
    sigma: float = 1.2
    min_area: float = 0.01

    @property
    def name(self) -> str:
        return f"felzenszwalb-1/{self.scale:g},s{self.sigma:g},a{self.min_area:g}"

    def segment(
        self, pixels: npt.NDArray[np.uint8], semantic: npt.NDArray[np.floating[Any]] | None = None
    ) -> Partition:
        """Partition a picture `[H, W, 3]`; see `Segmenter`."""
        from skimage.segmentation import felzenszwalb

        height, width = pixels.shape[:2]
        least = round(self.min_area * height * width)
        labels = felzenszwalb(pixels, scale=self.scale, sigma=self.sigma, min_size=least)
        return Partition.from_labels(labels)
