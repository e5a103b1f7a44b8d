"""A partition on the coarse grid where features live."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.partition import Partition

_WORKING_SIDE = 1024


def grid_labels(partition: Partition, rows: int, columns: int) -> npt.NDArray[np.int64]:
    """The region that covers most of each grid cell, `[rows, columns]`.

    Areas decide, not samples, so that thin regions are not lost by chance. A region that is the
    largest in no cell takes the cell where its share is highest, unless that would leave another
    region without one; only when there are more regions than cells to give does a region stay
    without. Ties go to the lower id.

    Example:
        >>> labels = np.zeros((4, 4), dtype=int); labels[0, 0] = 1
        >>> grid_labels(Partition(labels), 2, 2)
        array([[1, 0],
               [0, 0]])
    """
    labels = _bounded(partition.labels, rows, columns)
    height, width = labels.shape
    row = np.arange(height) * rows // height
    column = np.arange(width) * columns // width
    cell = row[:, None] * columns + column
    count = len(partition)
    pairs = cell.ravel() * count + labels.ravel()
    share = np.bincount(pairs, minlength=rows * columns * count).reshape(-1, count)
    owner = share.argmax(1)
    cells_of = np.bincount(owner, minlength=count)
    for k in np.flatnonzero(cells_of == 0):
        free = np.where(cells_of[owner] > 1, share[:, k], 0)
        best = int(free.argmax())
        if free[best] > 0:
            cells_of[owner[best]] -= 1
            owner[best] = k
            cells_of[k] = 1
    owners: npt.NDArray[np.int64] = owner.reshape(rows, columns).astype(np.int64)
    return owners


def _bounded(
    labels: npt.NDArray[np.unsignedinteger[Any]], rows: int, columns: int
) -> npt.NDArray[np.int64]:
    """The label map thinned to a bounded size, at least one pixel a cell.

    Every n-th pixel of a very large map is as good an estimate of areas as all of them, and keeps
    memory flat.
    """
    height, width = labels.shape
    step_y, step_x = max(1, height // _WORKING_SIDE), max(1, width // _WORKING_SIDE)
    thinned: npt.NDArray[np.int64] = labels[::step_y, ::step_x].astype(np.int64)
    repeat_y, repeat_x = -(-rows // thinned.shape[0]), -(-columns // thinned.shape[1])
    repeated: npt.NDArray[np.int64] = thinned.repeat(repeat_y, 0).repeat(repeat_x, 1)
    return repeated
