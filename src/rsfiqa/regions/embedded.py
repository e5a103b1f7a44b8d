"""The embedded segmenter: superpixels merged by what they show and their colour.

SLIC superpixels (Achanta et al., 2012) follow edges but mean nothing; DINOv2 features know what
belongs together but are coarse. Merging neighbouring superpixels by their features joins the two. It
stops at a distance, not at a count, so that a flat sky gives few regions and a market many.

The picture is smoothed before it is cut into superpixels, and they are kept compact: otherwise they
would follow noise and blocks, and the partition of a spoiled photograph would differ from the clean
one's. Features are taken from the middle of the network too, where they hold more of the layout and
less of the class than at its end.
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
from rsfiqa.regions.agglomeration import agglomerate
from rsfiqa.regions.graph import adjacency

WORKING_PIXELS = 512 * 512


@dataclass(frozen=True)
class EmbeddedSegmenter:
    """Superpixels merged by semantic features and colour.

    Attributes:
        superpixels: about how many to start from.
        compactness: SLIC's; higher gives squarer superpixels that follow noise less.
        smoothing: standard deviation in pixels, at `WORKING_PIXELS`, of the Gaussian that the
            picture is smoothed with before it is cut into superpixels.
        distance: merging stops where neighbours are further apart than this; see `agglomerate`.
            Features have unit length; colour is CIELAB, weighted.
        lightness_weight: weight of one unit of L*.
        color_weight: weight of one unit of a* and b*.
        min_area: smallest region, as a fraction of the picture.
        max_regions: most regions.
        working_pixels: pictures are segmented at this many pixels at most; the label map is then
            brought back to full size.
    """

    needs_semantic = True

    superpixels: int = 400
    compactness: float = 30
    smoothing: float = 3
    distance: float = 0.45
    lightness_weight: float = 0.005
    color_weight: float = 0.01
    min_area: float = 0.005
    max_regions: int = 24
    working_pixels: int = WORKING_PIXELS

    @property
    def name(self) -> str:
        settings = (
            f"{self.superpixels}sp,m{self.compactness:g},s{self.smoothing:g},d{self.distance:g},"
            f"l{self.lightness_weight:g},c{self.color_weight:g},"
            f"a{self.min_area:g},k{self.max_regions}"
        )
        if self.working_pixels != WORKING_PIXELS:
            settings += f",w{self.working_pixels}"
        return f"embedded-2/{settings}"

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

        height, width = pixels.shape[:2]
        small = _shrink(pixels, self.working_pixels)
        superpixels = self._superpixels(small)
        count = int(superpixels.max()) + 1
        if count == 1:
            return Partition(np.zeros((height, width), dtype=np.uint8))
        color = np.array([self.lightness_weight, self.color_weight, self.color_weight])
        features = np.concatenate(
            [
                _unit(_pool_grid(superpixels, semantic, count)),
                color * _pool_pixels(superpixels, rgb2lab(small), count),
            ],
            axis=1,
        )
        regions = agglomerate(
            features,
            adjacency(superpixels),
            np.bincount(superpixels.ravel()),
            distance=self.distance,
            min_area=self.min_area,
            max_regions=self.max_regions,
        )
        return Partition(regions[superpixels]).resize(height, width)

    def _superpixels(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
        """SLIC superpixels of the smoothed picture, numbered without gaps."""
        from skimage.segmentation import slic

        scale = (pixels.shape[0] * pixels.shape[1] / WORKING_PIXELS) ** 0.5
        labels = slic(
            pixels,
            n_segments=self.superpixels,
            compactness=self.compactness,
            sigma=self.smoothing * scale,
            start_label=0,
            enforce_connectivity=True,
        )
        _, flat = np.unique(labels, return_inverse=True)
        closed: npt.NDArray[np.intp] = flat.reshape(labels.shape)
        return closed


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
    labels: npt.NDArray[np.intp], values: npt.NDArray[np.floating[Any]], count: int
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
