"""How well ratings agree with the faults that somebody saw in photographs, by region and as a whole.

A photograph's rating is the mean of its regions' by area, what an assessment says of a picture but
for the scorer's weights, and its severity the same mean of its regions' severities: a clear fault
(severity 2) in half of the picture counts like a slight one all over. Both are taken over the regions
whose severity is known, so that like is compared with like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.learning.fault_labels import LABELLED
from rsfiqa.learning.reading_metrics import Array, roc_area, spearman
from rsfiqa.types import DIMENSIONS, Dimension

CLEAR_FROM = 2.0
"""A fault of at least this severity must be told from none; slight ones are neither."""

_DECIMALS = 9
_OVERALL = DIMENSIONS.index("overall")


@dataclass(frozen=True)
class DimensionFigures:
    """Figures of one dimension's rating, each None where the regions do not suffice for it.

    Attributes:
        clear, clean: how many regions have severity 2 or more, and 0.
        auc: area under the ROC of the rating telling these from each other.
        srcc: Spearman's correlation of the rating with the severity over all regions of known
            severity, sign turned so that 1 is best.
        photograph_auc, photograph_srcc: the same of photographs.
    """

    clear: int
    clean: int
    auc: float | None
    srcc: float | None
    photograph_auc: float | None
    photograph_srcc: float | None


@dataclass(frozen=True)
class SeenFigures:
    """Figures over the regions of labelled photographs.

    Attributes:
        regions, photographs: how many.
        dimensions: the figures of each of `LABELLED`.
        auc: mean of the dimensions' region `auc`, over those that have one; None without any.
        srcc: the same of their region `srcc`.
        overall_srcc: Spearman's correlation, over photographs, of the rating `overall` with what was
            wanted of it, both means of the regions by area; None where that is not given, or the
            photographs do not suffice.
    """

    regions: int
    photographs: int
    dimensions: Mapping[Dimension, DimensionFigures]
    auc: float | None
    srcc: float | None
    overall_srcc: float | None


def seen_figures(
    values: Array,
    seen: Sequence[Mapping[Dimension, float]],
    pictures: Sequence[int] | npt.NDArray[np.integer[Any]],
    areas: Sequence[float] | Array,
    overall: Sequence[float] | Array | None = None,
) -> SeenFigures:
    """Compare ratings with what was seen.

    Args:
        values: mean levels `[N, 5]`, 1..5, in the order of `DIMENSIONS`.
        seen: of each region the severities 0..4 that are known: `RegionInstruction.seen`.
        pictures: a number of each region's photograph, `[N]`.
        areas: of each region, in any unit, above 0, `[N]`.
        overall: the wanted mean level of `overall`, `[N]`.

    Example:
        >>> values = np.array([[4, 4, 4, 1, 2], [5, 5, 5, 5, 5.0]])
        >>> found = seen_figures(values, [{"blur": 3.0}, {"blur": 0.0}], [0, 1], [0.5, 0.5])
        >>> found.dimensions["blur"].auc, found.dimensions["noise"].auc, found.auc
        (1.0, None, 1.0)
    """
    photographs = np.unique(np.asarray(pictures, dtype=np.int64), return_inverse=True)[1]
    weights = np.asarray(areas, dtype=np.float64)
    dimensions = {
        dimension: _of_dimension(
            values[:, DIMENSIONS.index(dimension)],
            np.array([region.get(dimension, np.nan) for region in seen], dtype=np.float64),
            photographs,
            weights,
        )
        for dimension in LABELLED
    }
    overall_srcc = None
    if overall is not None:
        wanted = np.asarray(overall, dtype=np.float64)
        means = (_by_photograph(v, photographs, weights) for v in (values[:, _OVERALL], wanted))
        overall_srcc = spearman(*means)
    return SeenFigures(
        regions=len(values),
        photographs=len(np.unique(photographs)),
        dimensions=dimensions,
        auc=_mean([found.auc for found in dimensions.values()]),
        srcc=_mean([found.srcc for found in dimensions.values()]),
        overall_srcc=overall_srcc,
    )


def _of_dimension(
    values: Array, severities: Array, photographs: npt.NDArray[np.int64], weights: Array
) -> DimensionFigures:
    known = ~np.isnan(severities)
    values, severities = values[known], severities[known]
    whole = [_by_photograph(v, photographs[known], weights[known]) for v in (values, severities)]
    return DimensionFigures(
        clear=int((severities >= CLEAR_FROM).sum()),
        clean=int((severities == 0).sum()),
        auc=_area(values, severities),
        srcc=spearman(values, -severities),
        photograph_auc=_area(*whole),
        photograph_srcc=spearman(whole[0], -whole[1]),
    )


def _area(values: Array, severities: Array) -> float | None:
    return roc_area(values[severities == 0], values[severities >= CLEAR_FROM])


def _by_photograph(values: Array, photographs: npt.NDArray[np.int64], weights: Array) -> Array:
    """The mean by weight of each photograph's values, of those that have any.

    Rounded, so that equal means are ties and not ranked by the last bits of their sums.
    """
    totals = np.bincount(photographs, weights)
    sums = np.bincount(photographs, weights * values)
    held = totals > 0
    means: Array = np.round(sums[held] / totals[held], _DECIMALS)
    return means


def _mean(figures: Sequence[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return float(np.mean(known)) if known else None
