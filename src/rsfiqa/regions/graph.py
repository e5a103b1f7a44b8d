"""Label maps as graphs: which regions touch, and over how long a border."""

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
