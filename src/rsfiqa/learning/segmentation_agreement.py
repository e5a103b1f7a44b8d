"""How well segmenters agree with people, on BSDS500, each at one fixed setting.

The reference above all machines is how well people agree with one another. The figures of a data
set are taken as the Berkeley benchmark takes them: covering over all human segmentations together
(each pixel of each counts once), Rand index and variation of information as means over pictures of
means over annotators, boundary F from counts summed over the data set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import DataError
from rsfiqa.learning.boundary_metrics import (
    TOLERANCE,
    BoundaryCounts,
    BoundaryMap,
    boundary_map,
    count_boundary_matches,
)
from rsfiqa.learning.bsds import BsdsPicture
from rsfiqa.learning.partition_metrics import Overlap, covering
from rsfiqa.parallel import parallel_map
from rsfiqa.partition import Partition

Segment = Callable[[npt.NDArray[np.uint8]], Partition]
"""A picture `[H, W, 3]` in, its partition out."""

PEOPLE = "people"
"""The row of human segmentations, each judged by the others of its picture."""


@dataclass(frozen=True)
class Agreement:
    """How well one partition agrees with the human segmentations of its picture.

    Attributes:
        covering: of the human segmentations by the partition, mean over annotators, 0..1.
        rand_index: mean over annotators, which makes it the probabilistic Rand index, 0..1.
        variation_of_information: mean over annotators, in bits; 0 is best.
        boundary: matched boundary pixels.
        regions: of the partition; for people, their mean.
        human_pixels: pixels of all human segmentations together, the weight of the covering.
    """

    covering: float
    rand_index: float
    variation_of_information: float
    boundary: BoundaryCounts
    regions: float
    human_pixels: int


@dataclass(frozen=True, eq=False)
class HumanReference:
    """The human segmentations of one picture, with their boundaries."""

    partitions: tuple[Partition, ...]
    boundaries: tuple[BoundaryMap, ...]

    @classmethod
    def of(cls, partitions: Sequence[Partition]) -> HumanReference:
        return cls(tuple(partitions), tuple(boundary_map(p) for p in partitions))

    def judge(self, partition: Partition, boundary: BoundaryMap | None = None) -> Agreement:
        """Compare a partition with every segmentation.

        Args:
            partition: of the same picture.
            boundary: its boundary map, if it is known.

        Raises:
            DataError: there is no human segmentation, or the sizes differ.
        """
        if not self.partitions:
            raise DataError("agreement with people needs at least one human segmentation.")
        overlaps = [Overlap.between(human, partition) for human in self.partitions]
        drawn = boundary_map(partition) if boundary is None else boundary
        return Agreement(
            covering=fmean(o.covering for o in overlaps),
            rand_index=fmean(o.rand_index for o in overlaps),
            variation_of_information=fmean(o.variation_of_information for o in overlaps),
            boundary=count_boundary_matches(drawn, self.boundaries, tolerance=TOLERANCE),
            regions=len(partition),
            human_pixels=len(self.partitions) * partition.labels.size,
        )

    def judge_people(self) -> Agreement | None:
        """Every annotator judged by the others, mean over annotators; None for a single one."""
        if len(self.partitions) < 2:
            return None
        found = [
            HumanReference(_without(self.partitions, k), _without(self.boundaries, k)).judge(
                self.partitions[k], self.boundaries[k]
            )
            for k in range(len(self.partitions))
        ]
        return Agreement(
            covering=fmean(a.covering for a in found),
            rand_index=fmean(a.rand_index for a in found),
            variation_of_information=fmean(a.variation_of_information for a in found),
            boundary=sum((a.boundary for a in found), BoundaryCounts()),
            regions=fmean(a.regions for a in found),
            human_pixels=len(self.partitions) * self.partitions[0].labels.size,
        )


def measure_agreement(
    segments: Mapping[str, Segment],
    pictures: Sequence[BsdsPicture],
    *,
    workers: int = 1,
    told: Callable[[], None] = lambda: None,
) -> dict[str, dict[str, Any]]:
    """Judge segmenters, and people, by the human segmentations of pictures.

    Args:
        segments: the segmenters by name.
        pictures: of one split.
        workers: pictures side by side.
        told: called after each picture.

    Returns:
        by name, `people` last: `covering`, `covering_by_picture` (the plain mean over pictures),
        `pri`, `voi` (bits), `boundary_f`, `boundary_precision`, `boundary_recall`, `regions` and
        `regions_sd` over pictures, and `rows`, the figures of each picture.

    Raises:
        DataError: there are no pictures, a file cannot be read, or segmentations of another size
            than their picture.
    """
    if not pictures:
        raise DataError("agreement with people needs at least one picture; none was given.")

    def judge(picture: BsdsPicture) -> dict[str, Agreement | None]:
        pixels, humans = _read(picture)
        reference = HumanReference.of(humans)
        judged = {name: reference.judge(segment(pixels)) for name, segment in segments.items()}
        return {**judged, PEOPLE: reference.judge_people()}

    judged: dict[str, dict[str, Agreement]] = {name: {} for name in [*segments, PEOPLE]}
    for picture, found in zip(pictures, parallel_map(judge, pictures, workers), strict=True):
        for name, agreement in found.items():
            if agreement is not None:
                judged[name][picture.name] = agreement
        told()
    return {name: _summarise(rows) for name, rows in judged.items() if rows}


def measure_covering(
    segments: Mapping[str, Segment],
    pictures: Sequence[BsdsPicture],
    *,
    workers: int = 1,
    told: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """The covering alone, as `measure_agreement` gives it, for a search over many settings.

    Raises:
        DataError: as `measure_agreement`.
    """
    if not pictures:
        raise DataError("a search for settings needs at least one picture; none was given.")

    def judge(picture: BsdsPicture) -> tuple[dict[str, float], int]:
        pixels, humans = _read(picture)
        found = {}
        for name, segment in segments.items():
            partition = segment(pixels)
            found[name] = fmean(covering(of=human, by=partition) for human in humans)
        return found, len(humans) * humans[0].labels.size

    sums, weights = dict.fromkeys(segments, 0.0), 0
    for found, weight in parallel_map(judge, pictures, workers):
        weights += weight
        for name, value in found.items():
            sums[name] += weight * value
        told()
    return {name: value / weights for name, value in sums.items()}


def _read(picture: BsdsPicture) -> tuple[npt.NDArray[np.uint8], tuple[Partition, ...]]:
    """A photograph and its human segmentations, of one size."""
    pixels, humans = picture.pixels(), picture.humans()
    if humans[0].labels.shape != pixels.shape[:2]:
        raise DataError(
            f"{picture.ground_truth} segments {humans[0].width}×{humans[0].height} pixels, but "
            f"{picture.image} has {pixels.shape[1]}×{pixels.shape[0]}."
        )
    return pixels, humans


def _without(items: tuple[Any, ...], k: int) -> tuple[Any, ...]:
    return items[:k] + items[k + 1 :]


def _summarise(judged: Mapping[str, Agreement]) -> dict[str, Any]:
    found = list(judged.values())
    boundary = sum((a.boundary for a in found), BoundaryCounts())
    weights = sum(a.human_pixels for a in found)
    return {
        "covering": sum(a.covering * a.human_pixels for a in found) / weights,
        "covering_by_picture": fmean(a.covering for a in found),
        "pri": fmean(a.rand_index for a in found),
        "voi": fmean(a.variation_of_information for a in found),
        "boundary_f": boundary.f,
        "boundary_precision": boundary.precision,
        "boundary_recall": boundary.recall,
        "regions": fmean(a.regions for a in found),
        "regions_sd": pstdev(a.regions for a in found),
        "rows": [
            {
                "image": name,
                "covering": a.covering,
                "pri": a.rand_index,
                "voi": a.variation_of_information,
                "boundary_f": a.boundary.f,
                "regions": a.regions,
            }
            for name, a in judged.items()
        ],
    }
