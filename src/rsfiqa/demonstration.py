"""The demonstration: photographs, and the same photographs with one region spoiled.

An assessment that knows where a fault lies shows it: spoil one region, and that region's score
falls further than any other's. To compare like with like, the spoiled photograph is assessed
with the partition of the clean one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from rsfiqa.partition import Partition
    from rsfiqa.types import Assessment

FAMILIES = ("gaussian_noise", "jpeg", "underexpose", "gaussian_blur")
"""The distortions that the samples get in turn. In this order no sample gets what it has already:
`clock` is blurred by motion as it is."""

STRENGTH = 4
"""Of 1 to 4: what a person sees at first glance."""

GOOD_AREA = (0.10, 0.25)
"""A region to spoil is neither tiny nor the background: this fraction of the picture."""


class PictureAssessor(Protocol):
    """What of `rsfiqa.RSFIQA` is needed here."""

    def assess(
        self,
        picture: npt.NDArray[np.uint8],
        *,
        name: str | None = None,
        partition: Partition | None = None,
    ) -> Assessment: ...


@dataclass(frozen=True, eq=False)
class Spoiled:
    """A photograph before and after one of its regions was spoiled.

    Attributes:
        name: the sample's name.
        family: the distortion.
        region: id of the spoiled region.
        pixels: the spoiled photograph, uint8 RGB `[H, W, 3]`.
        before: the assessment of the clean photograph.
        after: the assessment of the spoiled one, with the same partition.
    """

    name: str
    family: str
    region: int
    pixels: npt.NDArray[np.uint8]
    before: Assessment
    after: Assessment

    @property
    def falls(self) -> tuple[float, ...]:
        """By how much each region's score fell, in points, in order of their ids."""
        pairs = zip(self.before.regions, self.after.regions, strict=True)
        return tuple(before.score - after.score for before, after in pairs)

    @property
    def fell_most(self) -> bool:
        """Whether the spoiled region fell, and no other fell as far."""
        fall = self.falls[self.region]
        others = [other for k, other in enumerate(self.falls) if k != self.region]
        return fall > max([0.0, *others])


def demonstrate(assessor: PictureAssessor, names: Sequence[str] | None = None) -> Iterator[Spoiled]:
    """Assess sample photographs before and after one region of each is spoiled.

    Args:
        assessor: assesses the photographs.
        names: which of `rsfiqa.samples.sample_names()`; all of them by default.
    """
    from rsfiqa.learning.distortions import spoil_region
    from rsfiqa.samples import sample_names, sample_picture

    for k, name in enumerate(sample_names() if names is None else names):
        pixels = sample_picture(name)
        before = assessor.assess(pixels, name=name)
        region = choose_region(pixels, before.partition)
        family = FAMILIES[k % len(FAMILIES)]
        mask = before.partition.mask(region)
        spoiled = spoil_region(pixels, mask, family, STRENGTH, seed=k)
        after = assessor.assess(
            spoiled,
            name=f"{name}, region {region}: {family.replace('_', ' ')}",
            partition=before.partition,
        )
        yield Spoiled(name, family, region, spoiled, before, after)


def choose_region(pixels: npt.NDArray[np.uint8], partition: Partition) -> int:
    """The region that shows a distortion best: of a good size, and with the most detail.

    Blur cannot be seen on an empty sky. Where no region is of a good size, the one nearest to it
    is taken.

    Args:
        pixels: the photograph, uint8 RGB `[H, W, 3]`.
        partition: its partition.

    Example:
        >>> from rsfiqa.partition import Partition
        >>> pixels = np.zeros((20, 20, 3), np.uint8)
        >>> pixels[:4, ::2] = 255  # detail, in region 1 of 20 %
        >>> labels = np.zeros((20, 20), int)
        >>> labels[:4], labels[16:] = 1, 2
        >>> choose_region(pixels, Partition(labels))
        1
    """
    detail = _mean_detail(pixels, partition)

    def badness(region: Any) -> tuple[float, float]:
        low, high = GOOD_AREA
        return max(low / region.area, region.area / high, 1.0), -detail[region.id]

    return int(min(partition.regions, key=badness).id)


def _mean_detail(pixels: npt.NDArray[np.uint8], partition: Partition) -> npt.NDArray[np.float64]:
    """The mean gradient of brightness in each region."""
    brightness = pixels.mean(axis=2, dtype=np.float32)
    down, across = np.gradient(brightness)
    gradient = np.hypot(down, across)
    labels = partition.labels.ravel()
    sums = np.bincount(labels, gradient.ravel(), minlength=len(partition))
    means: npt.NDArray[np.float64] = sums / np.bincount(labels, minlength=len(partition))
    return means
