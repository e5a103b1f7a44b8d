"""Neighbouring regions merged, the most alike first, until the next two are too different.

Two regions are alike when their mean features are (what they are) and when the features along their
common border are (whether anything changes there): the second keeps a sky that darkens slowly in one
piece, as boundary strength does in Arbeláez et al., "Contour Detection and Hierarchical Image
Segmentation" (TPAMI 2011). Small regions are merged a little sooner than large ones.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from rsfiqa.regions.pieces import numbered_by_first


def agglomerate(
    features: npt.NDArray[np.floating[Any]],
    borders: sparse.csr_matrix,
    areas: npt.NDArray[Any],
    *,
    distance: float,
    border_share: float = 0.5,
    area_exponent: float = 0.07,
    min_area: float = 0.0,
    max_regions: int | None = None,
) -> npt.NDArray[np.int64]:
    """Merge neighbours until the cheapest merge costs `distance`.

    A merge of regions a and b costs

        ((1 - border_share) · |mean_a - mean_b| + border_share · c_ab) · min(area_a, area_b)^area_exponent

    where c_ab is the mean distance between the features on both sides of their border, weighted by
    its length, and areas are fractions of the whole. Merging then goes on as long as there are more
    than `max_regions`, and last each region below `min_area`, smallest first, joins the neighbour
    that costs least. Ties go to the lower ids.

    Args:
        features: `[n, F]`, of the regions to start from.
        borders: symmetric `[n, n]`, length of the common border; see `graph.adjacency`.
        areas: `[n]`, in any unit.
        distance: in the units of the features, at least 0.
        border_share: in 0..1.
        area_exponent: 0 or more.
        min_area: fraction of the whole.
        max_regions: at least 1; None for no bound.

    Returns:
        `[n]`, labels 0..K-1 in the order of their first member.

    Example:
        >>> features = np.array([[0.0], [0.1], [1.0]])
        >>> chain = sparse.csr_matrix(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]))
        >>> agglomerate(features, chain, np.ones(3), distance=0.5).tolist()
        [0, 0, 1]
    """
    forest = _Forest(features, borders, areas, border_share, area_exponent)
    limit = max_regions or forest.alive.size
    while (cheapest := forest.cheapest()) is not None:
        cost, first, second = cheapest
        if cost >= distance and forest.count <= limit:
            break
        forest.merge(first, second)
    while (small := forest.smallest_below(min_area)) is not None:
        forest.merge(small, forest.cheapest_neighbour(small))
    return forest.labels()


class _Forest:
    """The regions so far. A merge makes a new node; the two old ones are no longer alive."""

    def __init__(
        self,
        features: npt.NDArray[np.floating[Any]],
        borders: sparse.csr_matrix,
        areas: npt.NDArray[Any],
        border_share: float,
        area_exponent: float,
    ) -> None:
        n = len(features)
        self.border_share, self.area_exponent = border_share, area_exponent
        self.leaves, self.count = n, n
        self.means = np.zeros((2 * n, features.shape[1]))
        self.means[:n] = features
        self.areas = np.zeros(2 * n)
        self.areas[:n] = areas / np.sum(areas)
        self.alive = np.zeros(2 * n, dtype=bool)
        self.alive[:n] = True
        self.parent = np.arange(2 * n)
        self.next = n
        # Of each pair of neighbours: border length, and length times contrast along it.
        self.neighbours: list[dict[int, tuple[float, float]]] = [{} for _ in range(2 * n)]
        pairs = sparse.triu(borders, k=1).tocoo()
        contrast = np.linalg.norm(self.means[pairs.row] - self.means[pairs.col], axis=1)
        for i, j, length, step in zip(
            pairs.row.tolist(),
            pairs.col.tolist(),
            pairs.data.tolist(),
            contrast.tolist(),
            strict=True,
        ):
            self.neighbours[i][j] = self.neighbours[j][i] = (length, length * step)
        self.heap = [
            (cost, i, j)
            for i in range(n)
            for j, cost in self._costs(i, [j for j in self.neighbours[i] if j > i])
        ]
        heapq.heapify(self.heap)

    def _costs(self, node: int, others: list[int]) -> list[tuple[int, float]]:
        if not others:
            return []
        apart = np.linalg.norm(self.means[others] - self.means[node], axis=1)
        borders = [self.neighbours[node][k] for k in others]
        along = np.array([total / length for length, total in borders])
        cost = (1 - self.border_share) * apart + self.border_share * along
        if self.area_exponent:
            cost *= np.minimum(self.areas[others], self.areas[node]) ** self.area_exponent
        return list(zip(others, cost.tolist(), strict=True))

    def cheapest(self) -> tuple[float, int, int] | None:
        """The merge that costs least; None when no two regions touch."""
        while self.heap:
            cost, first, second = self.heap[0]
            if self.alive[first] and self.alive[second]:
                return cost, first, second
            heapq.heappop(self.heap)
        return None

    def cheapest_neighbour(self, node: int) -> int:
        costs = self._costs(node, sorted(self.neighbours[node]))
        return min(costs, key=lambda pair: pair[1])[0]

    def smallest_below(self, min_area: float) -> int | None:
        """The smallest region under `min_area` that has a neighbour."""
        small = np.flatnonzero(self.alive[: self.next] & (self.areas[: self.next] < min_area))
        small = small[[bool(self.neighbours[k]) for k in small]] if small.size else small
        return int(small[self.areas[small].argmin()]) if small.size else None

    def merge(self, first: int, second: int) -> None:
        node, self.next = self.next, self.next + 1
        one, other = self.areas[first], self.areas[second]
        self.areas[node] = one + other
        self.means[node] = (one * self.means[first] + other * self.means[second]) / (one + other)
        self.alive[[first, second]] = False
        self.alive[node] = True
        self.parent[[first, second]] = node
        self.count -= 1
        mine = self.neighbours[node]
        for old in (first, second):
            for k, (length, total) in self.neighbours[old].items():
                if k not in (first, second):
                    before = mine.get(k, (0.0, 0.0))
                    mine[k] = (before[0] + length, before[1] + total)
                    self.neighbours[k].pop(old)
            self.neighbours[old] = {}
        for k, border in mine.items():
            self.neighbours[k][node] = border
        for k, cost in self._costs(node, sorted(mine)):
            heapq.heappush(self.heap, (cost, k, node))

    def labels(self) -> npt.NDArray[np.int64]:
        root = self.parent.copy()
        for node in range(self.next - 1, -1, -1):  # parents come after their children
            root[node] = root[root[node]]
        _, group = np.unique(root[: self.leaves], return_inverse=True)
        return numbered_by_first(group, self.count, np.arange(self.leaves))
