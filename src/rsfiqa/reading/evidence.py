"""What the embedded reader sees of each region: features pooled over it, and its pixels' statistics.

The backbones' maps come from the grid that the scorer uses too, so that they are computed once.
They are pooled over each region's share of every cell, squared, so that cells that lie wholly inside
count most and a neighbour's part of a border cell little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rsfiqa.encoders.grid import GridFeatures
from rsfiqa.partition import Partition
from rsfiqa.reading.pixel_evidence import PIXEL_EVIDENCE, pixel_evidence
from rsfiqa.reading.spectral_evidence import SPECTRAL_EVIDENCE, spectral_evidence

VERSION = "2"
"""Part of the name of taught readers' evidence: change it whenever a number below changes."""

PARTS = 4
"""Finer tokens: each region is cut in four about its middle."""
GEOMETRY = 5

PIXEL_STATISTICS = PIXEL_EVIDENCE + SPECTRAL_EVIDENCE
"""How many numbers of a region come from its pixels, and not from features."""


@dataclass(frozen=True, eq=False)
class RegionEvidence:
    """What is known of the K regions of one picture.

    Attributes:
        features: `[K, 2C]`, mean and deviation of every channel of the grid over the region.
        parts: `[K, 4, S]`, the deepest map pooled over the four quarters of the region; a quarter
            without cells repeats the whole.
        pixels: `[K, P]`, see `rsfiqa.reading.pixel_evidence` and `rsfiqa.reading.spectral_evidence`.
        geometry: `[K, 5]`, log of the area, middle and extent in parts of the picture.
        context: `[P]`, the pixel statistics of the whole picture.
    """

    features: Tensor
    parts: Tensor
    pixels: Tensor
    geometry: Tensor
    context: Tensor


@torch.inference_mode()
def region_evidence(
    pixels: npt.NDArray[np.uint8],
    partition: Partition,
    grid: GridFeatures,
    labels: npt.NDArray[Any] | None = None,
) -> RegionEvidence:
    """Gather the evidence of every region of a picture.

    Args:
        pixels: RGB `[H, W, 3]`, the picture that was encoded.
        partition: of that size, or of the picture's full size. A region that is seen in no pixel at
            the smaller size (see `labels_at`) gets zeros, of which nothing can be said.
        grid: its features, a batch of one.
        labels: the partition's label map at the size of `pixels`, where somebody has made it already
            (`labels_at`).
    """
    if labels is None:
        labels = labels_at(partition, *pixels.shape[:2])
    maps = grid.positions[0].float().cpu()
    rows, columns = maps.shape[-2:]
    flat = maps.flatten(1).T
    coverage = torch.from_numpy(_coverage(labels, len(partition), rows, columns))
    weights = _normalised(coverage.square())
    mean, deviation = _moments(weights, flat)
    deepest = grid.semantic[0].float().cpu()
    deepest = deepest[-(len(deepest) // grid.depths) :].flatten(1).T
    by_pixels = torch.from_numpy(pixel_evidence(pixels, labels, len(partition)))
    seen = torch.cat([by_pixels, spectral_evidence(pixels, labels, len(partition))], 1)
    geometry, middles = _geometry(coverage, rows, columns, partition)
    return RegionEvidence(
        features=torch.cat([mean, deviation], 1),
        parts=_parts(coverage, middles, deepest, rows, columns),
        pixels=seen[:-1],
        geometry=geometry,
        context=seen[-1],
    )


def labels_at(partition: Partition, height: int, width: int) -> npt.NDArray[Any]:
    """The label map at another size by nearest neighbour; ids stay, even where they vanish."""
    if (partition.height, partition.width) == (height, width):
        return partition.labels
    rows = (np.arange(height) + 0.5) * partition.height / height
    columns = (np.arange(width) + 0.5) * partition.width / width
    labels: npt.NDArray[Any] = partition.labels
    return np.asarray(labels[rows.astype(int)[:, None], columns.astype(int)[None]])


def _coverage(
    labels: npt.NDArray[Any], regions: int, rows: int, columns: int
) -> npt.NDArray[np.float32]:
    """`[K, cells]`: the fraction of each cell that each region covers."""
    height, width = labels.shape
    row = np.arange(height) * rows // height
    column = np.arange(width) * columns // width
    cell = row[:, None] * columns + column[None]
    cells = rows * columns
    counts = np.bincount(
        (labels.astype(np.int64) * cells + cell).reshape(-1), minlength=regions * cells
    )
    shares = counts.reshape(regions, cells).astype(np.float32)
    whole: npt.NDArray[np.float32] = shares / np.maximum(shares.sum(0), 1)
    return whole


def _normalised(weights: Tensor) -> Tensor:
    return weights / weights.sum(1, keepdim=True).clamp_min(1e-12)


def _moments(weights: Tensor, flat: Tensor) -> tuple[Tensor, Tensor]:
    mean = weights @ flat
    variance = weights @ flat.square() - mean.square()
    return mean, variance.clamp_min(0).sqrt()


def _geometry(
    coverage: Tensor, rows: int, columns: int, partition: Partition
) -> tuple[Tensor, Tensor]:
    """Log-area, middle and extent `[K, 5]`, and the middles in cells `[K, 2]`."""
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    places = torch.stack([y.flatten(), x.flatten()], 1)
    middles = _normalised(coverage) @ places
    rest = []
    for region, (down, across) in zip(partition.regions, middles.tolist(), strict=True):
        _, _, width, height = region.bbox
        extent = [height / partition.height, width / partition.width]
        rest.append([float(np.log(region.area)), down / rows, across / columns, *extent])
    return torch.tensor(rest), middles


def _parts(coverage: Tensor, middles: Tensor, deepest: Tensor, rows: int, columns: int) -> Tensor:
    """The deepest map over the four quarters of each region `[K, 4, S]`."""
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    below = y.flatten()[None] > middles[:, :1]
    right = x.flatten()[None] > middles[:, 1:]
    whole = coverage.square()
    found = []
    for lower in (False, True):
        for eastern in (False, True):
            inside = whole * ((below == lower) & (right == eastern))
            empty = inside.sum(1, keepdim=True) < 1e-6
            found.append(_normalised(torch.where(empty, whole, inside)) @ deepest)
    return torch.stack(found, 1)
