"""How well ratings of regions find what was done to them: the figures of `rsfiqa bench read`."""

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


@dataclass(frozen=True)
class ReadingFigures:
    """Figures over many regions, each None where the regions do not suffice for it.

    Attributes:
        regions, clean: how many regions, and how many of them without a fault.
        naming: fraction of regions with one fault of strength 2 or more whose worst-rated dimension
            is the fault's.
        naming_by_dimension: the same for the faults of each dimension.
        overall_srcc: Spearman's correlation of the `overall` rating with the strongest fault's
            strength over spoiled regions, sign turned so that 1 is best.
        auc: area under the ROC of `overall` telling clean regions from spoiled ones.
        dimension_auc: the same of each dimension's rating, clean regions against regions with a
            fault of that dimension.
    """

    regions: int
    clean: int
    naming: float | None
    naming_by_dimension: dict[str, float]
    overall_srcc: float | None
    auc: float | None
    dimension_auc: dict[str, float]


def reading_figures(values: Array, faults: Sequence[Sequence[Fault]]) -> ReadingFigures:
    """Compare ratings with what was done.

    Args:
        values: mean levels `[N, 5]`, 1..5, in the order of `DIMENSIONS`.
        faults: of each region.
    """
    clean = np.array([not f for f in faults], dtype=bool)
    strengths = np.array([max((x.strength for x in f), default=0.0) for f in faults])
    spoiled = ~clean
    named = {
        dimension: [
            SPOILABLE[int(np.argmin(values[i, :4]))] == dimension
            for i, f in enumerate(faults)
            if len(f) == 1 and f[0].dimension == dimension and f[0].strength >= NAMED_FROM
        ]
        for dimension in SPOILABLE
    }
    every = [hit for hits in named.values() for hit in hits]
    dimension_auc: dict[str, float] = {}
    for index, dimension in enumerate(SPOILABLE):
        has = np.array([any(x.dimension == dimension for x in f) for f in faults], dtype=bool)
        area = _auc(values[clean, index], values[has, index])
        if area is not None:
            dimension_auc[dimension] = area
    return ReadingFigures(
        regions=len(values),
        clean=int(clean.sum()),
        naming=float(np.mean(every)) if every else None,
        naming_by_dimension={d: float(np.mean(hits)) for d, hits in named.items() if hits},
        overall_srcc=_spearman(values[spoiled, _OVERALL], -strengths[spoiled]),
        auc=_auc(values[clean, _OVERALL], values[spoiled, _OVERALL]),
        dimension_auc=dimension_auc,
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
        """Expected calibration error: the mean distance of said and wanted, by counts."""
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


def _auc(good: Array, bad: Array) -> float | None:
    """The chance that a good one is rated above a bad one, ties counted half."""
    if not len(good) or not len(bad):
        return None
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([good, bad]))[: len(good)]
    return float((ranks.sum() - len(good) * (len(good) + 1) / 2) / (len(good) * len(bad)))


def _spearman(a: Array, b: Array) -> float | None:
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)
