"""How well two partitions of one picture agree: covering, Rand index, variation of information.

All three are read from one table, the contingency of the two label maps, so that none depends on
how regions are numbered. They are the region measures of the Berkeley benchmark (Arbeláez, Maire,
Fowlkes and Malik, "Contour Detection and Hierarchical Image Segmentation", TPAMI 33(5), 2011); its
boundary measure is in `boundary_metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import DataError
from rsfiqa.partition import Partition


@dataclass(frozen=True, eq=False)
class Overlap:
    """The contingency table of two partitions, without its empty cells, and what follows from it.

    Attributes:
        first_areas: `[K1]`, pixels of each region of the first partition.
        second_areas: `[K2]`, the same of the second.
        first, second: `[n]`, the two regions of each pair that shares pixels.
        shared: `[n]`, how many pixels each pair shares.
    """

    first_areas: npt.NDArray[np.int64]
    second_areas: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    shared: npt.NDArray[np.int64]

    @classmethod
    def between(cls, first: Partition, second: Partition) -> Overlap:
        """Count the pixels that each region of one partition shares with each of the other.

        Raises:
            DataError: the partitions differ in size.
        """
        if first.labels.shape != second.labels.shape:
            raise DataError(
                f"only partitions of one size can be compared; got {first.width}×{first.height} "
                f"and {second.width}×{second.height}; resize one of them first."
            )
        pair = first.labels.astype(np.int64) * len(second) + second.labels
        if len(first) * len(second) <= pair.size:
            counts = np.bincount(pair.ravel())
            cells = np.flatnonzero(counts)
            counts = counts[cells]
        else:  # the table would be larger than the picture
            cells, counts = np.unique(pair, return_counts=True)
        one, other = np.divmod(cells, len(second))
        shared = counts.astype(np.int64)
        return cls(
            _sum_by(one, shared, len(first)),
            _sum_by(other, shared, len(second)),
            one,
            other,
            shared,
        )

    def reversed(self) -> Overlap:
        """The same table with first and second exchanged."""
        return Overlap(self.second_areas, self.first_areas, self.second, self.first, self.shared)

    @property
    def covering(self) -> float:
        """The covering of the first partition by the second; see `covering`."""
        either = self.first_areas[self.first] + self.second_areas[self.second] - self.shared
        best = np.zeros(len(self.first_areas))
        np.maximum.at(best, self.first, self.shared / either)
        return float(best @ self.first_areas / self.first_areas.sum())

    @property
    def rand_index(self) -> float:
        """See `rand_index`."""
        pixels = int(self.first_areas.sum())
        if pixels == 1:
            return 1.0
        # Twice the pairs of pixels that one partition joins and the other parts.
        parted = (
            _sum_of_squares(self.first_areas)
            + _sum_of_squares(self.second_areas)
            - 2 * _sum_of_squares(self.shared)
        )
        return 1 - parted / (pixels * (pixels - 1))

    @property
    def variation_of_information(self) -> float:
        """See `variation_of_information`."""
        # H(second | first) + H(first | second). The two ratios are at least 1, so that equal
        # partitions are exactly 0 apart.
        ratios = np.log2(self.first_areas[self.first] / self.shared) + np.log2(
            self.second_areas[self.second] / self.shared
        )
        return float(self.shared @ ratios / self.first_areas.sum())


def covering(of: Partition, by: Partition) -> float:
    """How well the regions of one partition are covered by those of another, in (0, 1].

    The mean over the pixels of `of` of the best intersection over union that their region has with
    any region of `by` (Arbeláez et al. 2011, section 3.1.3). Not symmetric: the benchmark takes the
    covering *of* a human segmentation *by* the machine's.

    Raises:
        DataError: the partitions differ in size.

    Example:
        >>> halves = Partition([[0, 0, 1, 1]])
        >>> whole = Partition([[0, 0, 0, 0]])
        >>> covering(of=halves, by=whole), covering(of=whole, by=halves)
        (0.5, 0.5)
        >>> covering(of=Partition([[0, 1, 1, 1]]), by=whole)
        0.625
    """
    return Overlap.between(of, by).covering


def rand_index(first: Partition, second: Partition) -> float:
    """The fraction of pairs of pixels that both partitions join or both part, 0..1, symmetric.

    Its mean over the human segmentations of a picture is the probabilistic Rand index
    (Unnikrishnan, Pantofaru and Hebert, "Toward Objective Evaluation of Image Segmentation
    Algorithms", TPAMI 29(6), 2007). A picture of one pixel, which has no pair, gives 1.

    Raises:
        DataError: the partitions differ in size.

    Example:
        >>> round(rand_index(Partition([[0, 0, 1, 1]]), Partition([[0, 0, 0, 0]])), 4)
        0.3333
    """
    return Overlap.between(first, second).rand_index


def variation_of_information(first: Partition, second: Partition) -> float:
    """What must be told, in bits a pixel, to get from one partition to the other; 0 when equal.

    `H(first | second) + H(second | first)` (Meilă, "Comparing Clusterings", COLT 2003; an axiomatic
    view, ICML 2005). It is a metric, at most log2 of the number of pixels. In bits, as in the code
    of the Berkeley benchmark; papers that use nats give values smaller by ln 2.

    Raises:
        DataError: the partitions differ in size.

    Example:
        >>> variation_of_information(Partition([[0, 0, 1, 1]]), Partition([[0, 1, 0, 1]]))
        2.0
    """
    return Overlap.between(first, second).variation_of_information


def _sum_by(
    groups: npt.NDArray[np.int64], values: npt.NDArray[np.int64], size: int
) -> npt.NDArray[np.int64]:
    sums = np.zeros(size, np.int64)
    np.add.at(sums, groups, values)
    return sums


def _sum_of_squares(areas: npt.NDArray[np.int64]) -> int:
    # Exact in 64 bits up to three thousand million pixels, where doubles are not.
    return int((areas * areas).sum())
