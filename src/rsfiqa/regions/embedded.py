"""The embedded segmenter: superpixels merged under adjacency by what they show and their colour.

SLIC superpixels (Achanta et al., 2012) follow edges but mean nothing; DINOv2 features know what
belongs together but are coarse. Average-linkage clustering of neighbouring superpixels joins the
two. It stops at a distance, not at a count, so that a flat sky gives few regions and a market many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import sparse

from rsfiqa.errors import ConfigError
from rsfiqa.partition import Partition
from rsfiqa.regions.graph import adjacency, merge_small

WORKING_PIXELS = 512 * 512


@dataclass(frozen=True)
class EmbeddedSegmenter:
    """Superpixels merged by semantic features and colour.

    Attributes:
        superpixels: about how many to start from.
        distance: neighbours further apart than this stay apart. Features have unit length, colour
            is CIELAB times `color_weight`.
        color_weight: weight of one CIELAB unit.
        min_area: smallest region, as a fraction of the picture.
        max_regions: most regions.
        working_pixels: pictures are segmented at this many pixels at most; the label map is then
            brought back to full size.
    """

    superpixels: int = 400
    distance: float = 0.6
    color_weight: float = 0.014
    min_area: float = 0.005
    max_regions: int = 24
    working_pixels: int = WORKING_PIXELS

    @property
    def name(self) -> str:
        settings = (
            f"{self.superpixels}sp,d{self.distance:g},c{self.color_weight:g},"
            f"a{self.min_area:g},k{self.max_regions}"
        )
        if self.working_pixels != WORKING_PIXELS:
            settings += f",w{self.working_pixels}"
        return f"embedded-1/{settings}"

    @property
    def needs_semantic(self) -> bool:
        return True

    def segment(
        self, pixels: npt.NDArray[np.uint8], semantic: npt.NDArray[np.floating[Any]] | None
    ) -> Partition:
        """Partition a picture `[H, W, 3]` with its features `[S, h, w]`; see `Segmenter`.

        Raises:
            ConfigError: no features are given.
        """
        if semantic is None:
            raise ConfigError("the embedded segmenter needs the picture's semantic features.")
        from skimage.color import rgb2lab
        from skimage.segmentation import slic

        height, width = pixels.shape[:2]
        small = _shrink(pixels, self.working_pixels)
        lab = rgb2lab(small)
        superpixels = slic(
            small,
            n_segments=self.superpixels,
            compactness=10,
            start_label=0,
            enforce_connectivity=True,
        )
        _, flat = np.unique(superpixels, return_inverse=True)
        superpixels = flat.reshape(superpixels.shape)
        count = int(superpixels.max()) + 1
        if count == 1:
            return Partition(np.zeros((height, width), dtype=np.uint8))
        features = np.concatenate(
            [
                _unit(_pool_grid(superpixels, semantic, count)),
                self.color_weight * _pool_pixels(superpixels, lab, count),
            ],
            axis=1,
        )
        labels = self._merge(features, superpixels)[superpixels]
        labels = merge_small(labels, self.min_area, self.max_regions)
        return Partition.from_labels(labels).resize(height, width)

    def _merge(
        self, features: npt.NDArray[np.float64], superpixels: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.intp]:
        """The region of each superpixel."""
        from sklearn.cluster import AgglomerativeClustering

        clustering = AgglomerativeClustering(
            n_clusters=None,
            distance_threshold=self.distance,
            linkage="average",
            connectivity=adjacency(superpixels),
            compute_full_tree=True,
        )
        regions: npt.NDArray[np.intp] = clustering.fit_predict(features)
        return regions


def _shrink(pixels: npt.NDArray[np.uint8], budget: int) -> npt.NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    if height * width <= budget:
        return pixels
    scale = (budget / (height * width)) ** 0.5
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _unit(features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit: npt.NDArray[np.float64] = features / np.maximum(length, 1e-9)
    return unit


def _pool_pixels(
    labels: npt.NDArray[np.intp], values: npt.NDArray[np.float64], count: int
) -> npt.NDArray[np.float64]:
    """Mean of each channel of `values` `[H, W, C]` over each label: `[count, C]`."""
    flat = labels.ravel()
    areas = np.bincount(flat, minlength=count)
    channels = values.reshape(flat.size, -1).T
    return np.stack([np.bincount(flat, channel, count) / areas for channel in channels], axis=1)


def _pool_grid(
    labels: npt.NDArray[np.intp], grid: npt.NDArray[np.floating[Any]], count: int
) -> npt.NDArray[np.float64]:
    """Mean of a coarse grid `[S, h, w]`, bilinearly interpolated, over each label: `[count, S]`.

    The interpolation is written as a sparse matrix from grid cells to labels, so that the grid is
    never blown up to the size of the picture.
    """
    rows, columns = grid.shape[1:]
    top, down = _bilinear(labels.shape[0], rows)
    left, right = _bilinear(labels.shape[1], columns)
    flat = labels.ravel()
    weights = sparse.csr_matrix((count, rows * columns))
    for row, row_weight in (top, down):
        for column, column_weight in (left, right):
            cells = (row[:, None] * columns + column).ravel()
            share = (row_weight[:, None] * column_weight).ravel()
            weights = weights + sparse.coo_matrix(
                (share, (flat, cells)), shape=(count, rows * columns)
            )
    areas = np.bincount(flat, minlength=count)[:, None]
    pooled: npt.NDArray[np.float64] = weights @ grid.reshape(len(grid), -1).T.astype(float) / areas
    return pooled


_Taps = tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]


def _bilinear(size: int, cells: int) -> tuple[_Taps, _Taps]:
    """The two nearest cells of each pixel along one side, each with its weight."""
    centre = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
    low = np.minimum(centre.astype(np.intp), max(cells - 2, 0))
    high = np.minimum(low + 1, cells - 1)
    return (low, 1 - (centre - low)), (high, centre - low)
