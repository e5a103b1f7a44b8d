"""How well intervals and uncertainties fit what people said: coverage and sharpness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rsfiqa.errors import DataError
from rsfiqa.learning.metrics import correlations
from rsfiqa.scoring.uncertainty import COVERAGE


@dataclass(frozen=True)
class ReliabilityFigures:
    """How well intervals and uncertainties fit what people said.

    Attributes:
        n: pictures.
        coverage: fraction of pictures whose interval holds the human score; 0.9 is wanted.
        width: mean width of the intervals, in points; less is sharper.
        interval_score: width plus 20 times what lies outside, lower is better (Gneiting and Raftery,
            *Strictly proper scoring rules*, JASA 102, 2007).
        deviation_ratio: root mean square of error over uncertainty; 1 is wanted.
        srcc: Spearman correlation of uncertainty with absolute error; None where either is constant.
    """

    n: int
    coverage: float
    width: float
    interval_score: float
    deviation_ratio: float
    srcc: float | None

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return asdict(self)


def reliability_figures(
    scores: Sequence[float],
    targets: Sequence[float],
    uncertainties: Sequence[float],
    intervals: Sequence[tuple[float, float]],
) -> ReliabilityFigures:
    """Coverage and sharpness of intervals, and whether uncertainties fit the errors.

    Args:
        scores, targets: predicted and human, 0..100.
        uncertainties: standard deviations, in points, above 0.
        intervals: `(low, high)` at 90 %.

    Raises:
        DataError: the sequences are empty or of different lengths.

    Example:
        >>> found = reliability_figures([50, 60], [52, 80], [4, 10], [(45, 55), (50, 70)])
        >>> found.coverage, found.width, round(found.interval_score, 6)
        (0.5, 15.0, 115.0)
    """
    lengths = {len(scores), len(targets), len(uncertainties), len(intervals)}
    if len(lengths) != 1 or not len(scores):
        raise DataError(
            "scores, targets, uncertainties and intervals must be one a picture, and of one picture "
            f"at least; got {len(scores)}, {len(targets)}, {len(uncertainties)}, {len(intervals)}."
        )
    wanted = np.asarray(targets, dtype=np.float64)
    errors = wanted - np.asarray(scores, dtype=np.float64)
    deviations = np.asarray(uncertainties, dtype=np.float64)
    low, high = np.asarray(intervals, dtype=np.float64).T
    outside = np.maximum(low - wanted, 0) + np.maximum(wanted - high, 0)
    srcc = None
    if len(errors) > 2:
        srcc = correlations(list(deviations), list(np.abs(errors))).srcc
    return ReliabilityFigures(
        n=len(errors),
        coverage=float((outside == 0).mean()),
        width=float((high - low).mean()),
        interval_score=float((high - low + 2 / (1 - COVERAGE) * outside).mean()),
        deviation_ratio=float(np.sqrt(np.mean((errors / np.maximum(deviations, 1e-9)) ** 2))),
        srcc=srcc,
    )
