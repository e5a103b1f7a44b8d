"""Label maps as graphs: which regions touch, over how long a border, and merging small ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse


def adjacency(labels: npt.NDArray[np.integer[Any]]) -> sparse.csr_matrix:
    """Border lengths between labels 0..K-1 of a map: symmetric `[K, K]`, in pixel edges.

    Example:
        >>> adjacency(np.array([[0, 0, 1], [2, 2, 1]])).toarray()
        array([[0., 1., 2.],
               [1., 0., 1.],
               [2., 1., 0.]])
    """
    count = int(labels.max()) + 1
    first, second = [], []
    for one, other in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        border = one != other
        first.append(one[border])
        second.append(other[border])
    pairs = (np.concatenate(first), np.concatenate(second))
    borders = sparse.coo_matrix((np.ones(len(pairs[0])), pairs), shape=(count, count)).tocsr()
    return sparse.csr_matrix(borders + borders.T)


def merge_small(
    labels: npt.NDArray[np.integer[Any]], min_area: float, max_regions: int
) -> npt.NDArray[np.intp]:
    """Merge regions, smallest first, into the neighbour with the longest shared border.

    Stops when all regions cover at least `min_area` (a fraction of the map) and there are no more
    than `max_regions`. Ties go to the lower id.

    Example:
        >>> merge_small(np.array([[0, 0, 0, 1], [0, 0, 2, 2]]), min_area=0.2, max_regions=9)
        array([[0, 0, 0, 0],
               [0, 0, 1, 1]])
    """
    borders = adjacency(labels).toarray()
    areas = np.bincount(labels.ravel(), minlength=len(borders)).astype(float) / labels.size
    target = np.arange(len(areas))
    alive = areas > 0
    while alive.sum() > 1:
        smallest = int(np.where(alive, areas, np.inf).argmin())
        if areas[smallest] >= min_area and alive.sum() <= max_regions:
            break
        neighbour = int(borders[smallest].argmax())
        areas[neighbour] += areas[smallest]
        borders[neighbour] += borders[smallest]
        borders[:, neighbour] += borders[:, smallest]
        borders[smallest] = borders[:, smallest] = 0
        borders[neighbour, neighbour] = 0
        alive[smallest] = False
        target[target == smallest] = neighbour
    _, closed = np.unique(target[labels], return_inverse=True)
    return closed.reshape(labels.shape).astype(np.intp)
