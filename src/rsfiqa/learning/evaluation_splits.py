"""Figures over several splits of one data set: their median, and how far they spread.

The field reports the median over ten random splits where a set has no official one. For a scorer
that was trained elsewhere, the splits do not change its predictions, but which pictures a figure is
taken over: the spread then says how much of a figure is luck of the draw.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rsfiqa.learning.metrics import Correlations, Values, correlations

FIGURES = ("srcc", "plcc", "plcc_logistic", "krcc", "rmse", "rmse_logistic")
"""The statistics of `rsfiqa.learning.metrics.Correlations`."""


@dataclass(frozen=True)
class Spread:
    """One statistic over splits.

    Attributes:
        median: over the splits that have the statistic.
        deviation: standard deviation between splits (of a sample); None for fewer than two.
        quartiles: the first and the third; of few splits they lie between two of them, as numpy's
            `quantile` has it.
        low, high: the least and the greatest.
        splits: how many splits have the statistic.
    """

    median: float
    deviation: float | None
    quartiles: tuple[float, float]
    low: float
    high: float
    splits: int


@dataclass(frozen=True)
class SplitFigures:
    """Agreement with human scores on each split's part, in the order of the splits."""

    each: tuple[Correlations, ...]

    def __len__(self) -> int:
        return len(self.each)

    def spread(self, figure: str) -> Spread | None:
        """Median and spread of one of `FIGURES`; None where no split has it."""
        found = [value for one in self.each if (value := getattr(one, figure)) is not None]
        if not found:
            return None
        first, third = np.quantile(found, [0.25, 0.75])
        return Spread(
            median=statistics.median(found),
            deviation=statistics.stdev(found) if len(found) > 1 else None,
            quartiles=(float(first), float(third)),
            low=min(found),
            high=max(found),
            splits=len(found),
        )

    def to_dict(self) -> dict[str, Any]:
        """Spreads by statistic, and the figures of each split, ready for JSON."""
        spreads = {figure: self.spread(figure) for figure in FIGURES}
        return {
            "count": len(self),
            "spread": {name: found and asdict(found) for name, found in spreads.items()},
            "each": [one.to_dict() for one in self.each],
        }


def split_figures(parts: Sequence[tuple[Values, Values]]) -> SplitFigures:
    """Measure predictions on several splits.

    Args:
        parts: for each split, predictions and targets of the pictures in its part. They may come
            from one scorer, or from one for each split, trained on the rest of it.

    Raises:
        DataError: lengths differ, or a value is NaN or infinite.

    Example:
        >>> good, bad = ([1, 2, 3, 4], [10, 20, 30, 40]), ([1, 2, 3, 4], [10, 30, 20, 40])
        >>> found = split_figures([good, bad, good]).spread("srcc")
        >>> round(found.median, 2), round(found.low, 2), found.splits
        (1.0, 0.8, 3)
    """
    return SplitFigures(tuple(correlations(scores, targets) for scores, targets in parts))
