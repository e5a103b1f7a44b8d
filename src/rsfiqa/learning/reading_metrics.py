"""How well ratings of regions find what was done to them: the figures of `rsfiqa bench read`.

Regions of photographs whose faults somebody saw (`RegionInstruction.seen`) are neither clean nor
spoiled by us, and do not belong here: see `rsfiqa.learning.reading_seen`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsfiqa.learning.instructions import Fault
from rsfiqa.types import DIMENSIONS, Dimension

SPOILABLE: tuple[Dimension, ...] = DIMENSIONS[:4]
"""The dimensions that a distortion belongs to: all but `overall`."""

NAMED_FROM = 2.0
"""Only faults of at least this strength are expected to be named."""

_OVERALL = DIMENSIONS.index("overall")
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FaultTable:
    """What was done to N regions, as arrays.

    Attributes:
        strength: of the strongest fault, 0 for a clean region, `[N]`.
        present: whether there is a fault of each of `SPOILABLE`, `[N, 4]`.
        to_name: the place in `SPOILABLE` of the only fault, where it is of strength `NAMED_FROM`
            or more; -1 where nothing is expected to be named, `[N]`.
        families: of the fault to name; empty where there is none, `[N]`.
    """

    strength: Array
    present: npt.NDArray[np.bool_]
    to_name: npt.NDArray[np.int64]
    families: npt.NDArray[np.str_]

    @classmethod
    def of(cls, faults: Sequence[Sequence[Fault]]) -> FaultTable:
        """The table of each region's faults."""
        named = [
            f[0] if len(f) == 1 and f[0].strength >= NAMED_FROM else None for f in map(list, faults)
        ]
        return cls(
            strength=np.array([max((x.strength for x in f), default=0.0) for f in faults], float),
            present=np.array(
                [[any(x.dimension == d for x in f) for d in SPOILABLE] for f in faults], bool
            ).reshape(-1, len(SPOILABLE)),
            to_name=np.array(
                [-1 if x is None else SPOILABLE.index(x.dimension) for x in named], np.int64
            ),
            families=np.array(["" if x is None else x.family for x in named], np.str_),
        )

    def __len__(self) -> int:
        return len(self.strength)

    def at(self, index: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> FaultTable:
        """Some of the regions, by number (repeats allowed) or mask."""
        return FaultTable(
            self.strength[index], self.present[index], self.to_name[index], self.families[index]
        )


@dataclass(frozen=True)
class ReadingFigures:
    """Figures over many regions, each None where the regions do not suffice for it.

    Attributes:
        regions, clean: how many regions, and how many of them without a fault.
        naming: fraction of regions with one fault of strength 2 or more whose worst-rated dimension
            is the fault's.
        naming_by_dimension, naming_by_family: the same for the faults of each.
        overall_srcc: Spearman's correlation of the `overall` rating with the strongest fault's
            strength over spoiled regions, sign turned so that 1 is best.
        overall_srcc_with_clean: the same over all regions, clean ones at strength 0.
        auc: area under the ROC of `overall` telling clean regions from spoiled ones.
        dimension_auc: the same of each dimension's rating, clean regions against regions with a
            fault of that dimension.
    """

    regions: int
    clean: int
    naming: float | None
    naming_by_dimension: dict[str, float]
    naming_by_family: dict[str, float]
    overall_srcc: float | None
    overall_srcc_with_clean: float | None
    auc: float | None
    dimension_auc: dict[str, float]


def reading_figures(
    values: Array, faults: Sequence[Sequence[Fault]] | FaultTable
) -> ReadingFigures:
    """Compare ratings with what was done.

    Args:
        values: mean levels `[N, 5]`, 1..5, in the order of `DIMENSIONS`.
        faults: of each region, an empty one where it is clean.

    Example:
        >>> blurred = [Fault("blur", "defocus", 3.0)]
        >>> found = reading_figures(np.array([[4, 4, 4, 1, 2], [5, 5, 5, 5, 5.0]]), [blurred, []])
        >>> found.naming, found.auc
        (1.0, 1.0)
    """
    table = faults if isinstance(faults, FaultTable) else FaultTable.of(faults)
    clean = table.strength == 0
    overall = values[:, _OVERALL]
    asked = table.to_name >= 0
    hits = np.argmin(values[asked, : len(SPOILABLE)], axis=1) == table.to_name[asked]
    areas = {
        dimension: roc_area(values[clean, index], values[table.present[:, index], index])
        for index, dimension in enumerate(SPOILABLE)
    }
    return ReadingFigures(
        regions=len(values),
        clean=int(clean.sum()),
        naming=float(np.mean(hits)) if len(hits) else None,
        naming_by_dimension={
            d: float(hits[own].mean())
            for k, d in enumerate(SPOILABLE)
            if (own := table.to_name[asked] == k).any()
        },
        naming_by_family={
            str(family): float(hits[table.families[asked] == family].mean())
            for family in np.unique(table.families[asked])
        },
        overall_srcc=spearman(overall[~clean], -table.strength[~clean]),
        overall_srcc_with_clean=spearman(overall, -table.strength),
        auc=roc_area(overall[clean], overall[~clean]),
        dimension_auc={d: area for d, area in areas.items() if area is not None},
    )


@dataclass(frozen=True)
class Reliability:
    """Whether probabilities mean what they say.

    Attributes:
        said: mean probability in each bin that is not empty.
        wanted: mean probability by the labels in the same bins.
        counts: how many probabilities each bin holds.
    """

    said: tuple[float, ...]
    wanted: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance of said and wanted, by counts.

        Source: Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using
        Bayesian binning", AAAI 2015; here over the probabilities of all levels, not of the likeliest
        one alone, and against soft labels.
        """
        gaps = np.abs(np.array(self.said) - np.array(self.wanted))
        return float(np.average(gaps, weights=self.counts))


def reliability(said: Array, wanted: Array, bins: int = 10) -> Reliability:
    """Bin every level's probability by what was said, and compare with what the labels say.

    Args:
        said, wanted: level probabilities of one shape.
        bins: of equal width over 0..1.
    """
    index = np.minimum((said.reshape(-1) * bins).astype(int), bins - 1)
    counts = np.bincount(index, minlength=bins)
    held = counts > 0
    means = [
        np.bincount(index, values.reshape(-1), bins)[held] / counts[held]
        for values in (said, wanted)
    ]
    return Reliability(
        tuple(map(float, means[0])), tuple(map(float, means[1])), tuple(map(int, counts[held]))
    )


def roc_area(good: Array, bad: Array) -> float | None:
    """The chance that a good one is rated above a bad one, ties counted half: the area under the ROC.

    None where there are none of either.

    Example:
        >>> roc_area(np.array([3.0, 5.0]), np.array([2.0, 3.0]))
        0.875
    """
    if not len(good) or not len(bad):
        return None
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([good, bad]))[: len(good)]
    return float((ranks.sum() - len(good) * (len(good) + 1) / 2) / (len(good) * len(bad)))


def spearman(a: Array, b: Array) -> float | None:
    """Spearman's correlation; None for fewer than three values or where one side is constant.

    Example:
        >>> spearman(np.array([1.0, 2.0, 5.0]), np.array([0.1, 0.4, 0.5]))
        1.0
    """
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)
