"""How well the borders of a partition agree with those that people drew: precision, recall, F.

The boundary benchmark of Martin, Fowlkes and Malik ("Learning to Detect Natural Image Boundaries
Using Local Brightness, Color, and Texture Cues", TPAMI 26(5), 2004), as BSDS500 uses it (Arbeláez
et al., TPAMI 33(5), 2011), for a partition at one fixed setting.

The benchmark pairs boundary pixels by an assignment of least cost in which leaving a pixel alone
costs far more than the longest allowed distance; it thereby pairs as many as can be paired. Here
a matching of maximum cardinality is found directly. The number of pairs
is the benchmark's; which of several equally good pixels are paired, and with that the union over
annotators in the precision, may differ by a few pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import DataError
from rsfiqa.partition import Partition

TOLERANCE = 0.0075
"""How far paired boundary pixels may be apart, as a fraction of the picture's diagonal."""

BoundaryMap = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BoundaryCounts:
    """Matched and all boundary pixels; counts of several pictures add up.

    Attributes:
        matched_machine: boundary pixels of the machine that are matched to any annotator's.
        machine: all its boundary pixels.
        matched_human: boundary pixels of the annotators that are matched, summed over them.
        human: all of theirs.
    """

    matched_machine: int = 0
    machine: int = 0
    matched_human: int = 0
    human: int = 0

    def __add__(self, other: BoundaryCounts) -> BoundaryCounts:
        return BoundaryCounts(
            self.matched_machine + other.matched_machine,
            self.machine + other.machine,
            self.matched_human + other.matched_human,
            self.human + other.human,
        )

    @property
    def precision(self) -> float:
        """Fraction of the machine's boundary that somebody drew; 0 where there is none."""
        return self.matched_machine / max(self.machine, 1)

    @property
    def recall(self) -> float:
        """Fraction of what people drew that the machine has; 0 where there is none."""
        return self.matched_human / max(self.human, 1)

    @property
    def f(self) -> float:
        """Harmonic mean of precision and recall; 0 where both are."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def boundary_map(partition: Partition) -> BoundaryMap:
    """The borders between regions as lines one pixel thin, `[H, W]`.

    A pixel is on a border if it and its neighbours to the right, below and diagonally below are not
    all of one region; lines are then thinned (Guo and Hall, 1989). This gives the boundary maps of
    BSDS500 from its segmentations to the pixel.

    Example:
        >>> boundary_map(Partition([[0, 0, 1], [0, 0, 1], [0, 0, 1]])).astype(int)
        array([[0, 1, 0],
               [0, 1, 0],
               [0, 1, 0]])
    """
    from skimage.morphology import thin

    labels = np.pad(partition.labels, ((0, 1), (0, 1)), mode="edge")
    here = labels[:-1, :-1]
    border = np.zeros(here.shape, dtype=bool)
    for neighbour in (labels[:-1, 1:], labels[1:, :-1], labels[1:, 1:]):
        border |= here != neighbour
    thinned: BoundaryMap = thin(border)
    return thinned


def match_boundaries(
    first: BoundaryMap, second: BoundaryMap, reach: float
) -> tuple[BoundaryMap, BoundaryMap]:
    """Pair as many boundary pixels of two maps as possible, each with one other at most.

    Args:
        first, second: boundary maps `[H, W]`.
        reach: how far the two of a pair may be apart, in pixels.

    Returns:
        the pixels of `first` and those of `second` that found a partner, `[H, W]` each.

    Raises:
        DataError: the maps differ in size.
    """
    from scipy.spatial import cKDTree

    if first.shape != second.shape:
        raise DataError(
            f"only boundary maps of one size can be matched; got {first.shape} and {second.shape}."
        )
    matched_first, matched_second = np.zeros_like(first), np.zeros_like(second)
    here, there = np.argwhere(first), np.argwhere(second)
    if len(here) and len(there):
        near = cKDTree(here).sparse_distance_matrix(cKDTree(there), reach, output_type="ndarray")
        of_first, of_second = _match(near["i"], near["j"], len(here), len(there))
        matched_first[tuple(here[of_first].T)] = True
        matched_second[tuple(there[of_second].T)] = True
    return matched_first, matched_second


def _match(
    rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], height: int, width: int
) -> tuple[BoundaryMap, BoundaryMap]:
    """The rows and columns in a maximum matching of a bipartite graph given by its edges.

    As a flow of units from a source through rows and columns to a sink. SciPy's own
    `maximum_bipartite_matching` takes minutes on some pairs of nearly equal curves; its Dinic
    takes milliseconds on all.
    """
    from scipy import sparse
    from scipy.sparse.csgraph import maximum_flow

    source, sink = 0, height + width + 1
    row_nodes, column_nodes = 1 + np.arange(height), 1 + height + np.arange(width)
    tails = np.concatenate([np.full(height, source), row_nodes[rows], column_nodes])
    heads = np.concatenate([row_nodes, column_nodes[columns], np.full(width, sink)])
    units = np.ones(len(tails), dtype=np.int32)
    network: Any = sparse.csr_matrix((units, (tails, heads)), shape=(sink + 1, sink + 1))
    flow = maximum_flow(network, source, sink, method="dinic").flow
    of_source = flow[[source]].toarray()[0]
    to_sink = -flow[[sink]].toarray()[0]  # flows are antisymmetric
    return of_source[row_nodes] > 0, to_sink[column_nodes] > 0


def count_boundary_matches(
    machine: BoundaryMap, humans: Sequence[BoundaryMap], *, tolerance: float = TOLERANCE
) -> BoundaryCounts:
    """Compare one boundary map with those of several annotators, each in turn.

    Args:
        machine: boundary map `[H, W]`.
        humans: boundary maps of the same size.
        tolerance: see `TOLERANCE`.

    Raises:
        DataError: the maps differ in size.
    """
    reach = tolerance * float(np.hypot(*machine.shape))
    right = np.zeros_like(machine)
    matched_human = 0
    for human in humans:
        of_machine, of_human = match_boundaries(machine, human, reach)
        right |= of_machine
        matched_human += int(of_human.sum())
    return BoundaryCounts(
        matched_machine=int(right.sum()),
        machine=int(machine.sum()),
        matched_human=matched_human,
        human=sum(int(human.sum()) for human in humans),
    )
