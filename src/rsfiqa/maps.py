"""Maps at the picture's size from maps on the scorer's grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rsfiqa.errors import DataError
from rsfiqa.partition import Partition

_ROWS_AT_A_TIME = 512
"""Regions are filled in bands of rows, so that a region as large as the picture costs little
more memory than the map itself."""

_FAINTEST = 1e-6
"""The least attention of a cell, as a fraction of its region's highest."""


def upsample_attention(
    attention: npt.NDArray[np.float32],
    labels: npt.NDArray[Any],
    weights: npt.ArrayLike,
    partition: Partition,
) -> npt.NDArray[np.float32]:
    """Bring the global attention map to the picture's size without leaving a region.

    Inside region k the map is the grid attention, interpolated linearly from the grid cells of
    region k alone, and scaled so that its sum over the region's pixels is `weights[k]`: what a
    region shows never depends on its neighbours. A region without a grid cell, or without
    attention on its cells, has its weight spread evenly.

    Args:
        attention: the attention map on the scorer's grid, `[h, w]`, 0 or more.
        labels: region ids 0..K-1 on the same grid, `[h, w]`.
        weights: the region weights `[K]`, 0 or more, which sum to 1.
        partition: the partition at the picture's size, `[H, W]`.

    Returns:
        float32 `[H, W]`, 0 or more; sums to 1.

    Raises:
        DataError: shapes or ids do not fit each other, or values are negative or not finite.

    Example:
        >>> partition = Partition(np.repeat([[0, 0, 1, 1]], 4, axis=0))
        >>> attention = np.array([[0.1, 0.9]], dtype=np.float32)
        >>> full = upsample_attention(attention, np.array([[0, 1]]), [0.25, 0.75], partition)
        >>> full.shape, float(full[:, :2].sum()), float(full[:, 2:].sum())
        ((4, 4), 0.25, 0.75)
    """
    shares = np.asarray(weights, dtype=np.float64)
    _check(attention, labels, shares, partition)
    full = np.zeros((partition.height, partition.width), dtype=np.float32)
    scales = np.empty(len(partition), dtype=np.float64)
    for region in partition.regions:
        total = 0.0
        cells = _own_cells(attention, labels == region.id)
        x, y, width, height = region.bbox
        across = _interpolation(x, width, partition.width, cells.shape[1]).T
        for top in range(y, y + height, _ROWS_AT_A_TIME):
            rows = min(_ROWS_AT_A_TIME, y + height - top)
            band = np.s_[top : top + rows, x : x + width]
            inside = partition.labels[band] == region.id
            down = _interpolation(top, rows, partition.height, cells.shape[0])
            values = (down @ cells @ across)[inside]
            full[band][inside] = values
            total += float(values.sum(dtype=np.float64))
        scales[region.id] = shares[region.id] / total
    for top in range(0, partition.height, _ROWS_AT_A_TIME):
        rows_of_labels = partition.labels[top : top + _ROWS_AT_A_TIME]
        full[top : top + _ROWS_AT_A_TIME] *= scales.astype(np.float32)[rows_of_labels]
    return full


def _check(
    attention: npt.NDArray[np.float32],
    labels: npt.NDArray[Any],
    weights: npt.NDArray[np.float64],
    partition: Partition,
) -> None:
    if attention.ndim != 2 or attention.size == 0 or attention.shape != labels.shape:
        raise DataError(
            "an attention map and its labels share one non-empty shape [h, w]; "
            f"got {attention.shape} and {labels.shape}."
        )
    if weights.shape != (len(partition),):
        raise DataError(
            f"a partition of {len(partition)} regions needs as many weights; "
            f"got weights of shape {weights.shape}."
        )
    if labels.max() >= len(partition):
        raise DataError(
            f"region ids on the grid run from 0 to {len(partition) - 1}, as in the partition; "
            f"got {labels.max()}."
        )
    for name, values in (("attention", attention), ("region weights", weights)):
        if not np.isfinite(values).all() or values.min() < 0:
            raise DataError(f"{name} must be finite and 0 or more; got {values.min()}.")
    if abs(weights.sum() - 1) > 1e-3:
        raise DataError(f"region weights sum to 1; got a sum of {weights.sum():.6g}.")


def _own_cells(
    attention: npt.NDArray[np.float32], mine: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """The grid with every cell outside the region given the value of the nearest cell inside.

    Scaled to a maximum of 1, so that faint attention does not vanish in float32, and kept above
    zero, so that the region's pixels always have a sum to scale by. A constant map stands for a
    region without cells or without attention.
    """
    highest = float(attention.max(where=mine, initial=0.0))
    if highest == 0.0:
        return np.ones(attention.shape, dtype=np.float32)
    nearest = ndimage.distance_transform_edt(~mine, return_distances=False, return_indices=True)
    own = attention[tuple(nearest)].astype(np.float64) / highest
    cells: npt.NDArray[np.float32] = own.clip(_FAINTEST, None).astype(np.float32)
    return cells


def _interpolation(start: int, count: int, pixels: int, cells: int) -> npt.NDArray[np.float32]:
    """Linear interpolation weights `[count, cells]` of pixels `start`... on an axis of the grid.

    Pixel and cell centres are aligned as in image resizing: both span the same length.
    """
    centres = (np.arange(start, start + count) + 0.5) * (cells / pixels) - 0.5
    distance = np.abs(centres.clip(0, cells - 1)[:, None] - np.arange(cells))
    weights: npt.NDArray[np.float32] = (1 - distance).clip(0, None).astype(np.float32)
    return weights
