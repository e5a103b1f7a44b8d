"""From the cells of a photograph, where somebody saw faults, to the regions of its partition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsfiqa.learning.fault_labels import GRID, LABELLED, PhotographLabels
from rsfiqa.partition import Partition
from rsfiqa.types import Dimension

MOSTLY_WITHIN = 0.5
"""A region has the fault when at least this share of its pixels lies in the fault's cells."""

MOSTLY_OUTSIDE = 0.15
"""It is free of the fault when at most this share does: cells are coarse, and no fault ends at
their borders. Of regions between, the labels say neither."""


@dataclass(frozen=True)
class RegionSeverities:
    """What labels say of one region; every dimension of `LABELLED` is in one of both.

    Attributes:
        seen: severity 0..4 where the labels say it.
        unsure: the photograph's severity where the region lies half in, half out of the cells, so
            that it may have the fault or not.
    """

    seen: Mapping[Dimension, float]
    unsure: Mapping[Dimension, float]


def severities_of_regions(
    partition: Partition, labels: PhotographLabels
) -> tuple[RegionSeverities, ...]:
    """What labels of a photograph say of each region, in order of ids.

    Args:
        partition: of the photograph, at any size.
        labels: where the faults show.

    Example:
        >>> from rsfiqa.learning.fault_labels import SeenFault
        >>> faults = {d: SeenFault(0) for d in LABELLED} | {"blur": SeenFault(3, (1, 4, 7))}
        >>> halves = Partition(np.array([[0, 1, 1], [0, 1, 1], [0, 1, 1]]))
        >>> labels = PhotographLabels("a.jpg", faults, 2.0)
        >>> [region.seen["blur"] for region in severities_of_regions(halves, labels)]
        [3, 0.0]
    """
    pixels = pixels_in_cells(partition)
    totals = pixels.sum(axis=1)
    found: list[tuple[dict[Dimension, float], dict[Dimension, float]]]
    found = [({}, {}) for _ in range(len(partition))]
    for dimension in LABELLED:
        fault = labels.faults[dimension]
        shares = pixels[:, [cell - 1 for cell in fault.cells]].sum(axis=1) / totals
        for share, (seen, unsure) in zip(shares, found, strict=True):
            if share >= MOSTLY_WITHIN:
                seen[dimension] = fault.severity
            elif share <= MOSTLY_OUTSIDE:
                seen[dimension] = 0.0
            else:
                unsure[dimension] = fault.severity
    return tuple(RegionSeverities(seen, unsure) for seen, unsure in found)


def pixels_in_cells(partition: Partition) -> npt.NDArray[np.int64]:
    """How many pixels of each region lie in each cell, `[K, 9]`, cells row by row."""
    rows = np.arange(partition.height) * GRID // partition.height
    columns = np.arange(partition.width) * GRID // partition.width
    cells = rows[:, None] * GRID + columns
    index = partition.labels.astype(np.int64) * GRID**2 + cells
    counts = np.bincount(index.reshape(-1), minlength=len(partition) * GRID**2)
    return counts.reshape(len(partition), GRID**2).astype(np.int64)
