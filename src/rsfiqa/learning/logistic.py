"""The monotonic logistic curve between a model's scores and human scores.

Source: VQEG, Final report on the validation of objective models of video quality assessment
(FR-TV phase I), 2000: a cumulative logistic of four parameters brings a model's scores to the scale
of the human ones before PLCC and RMSE are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.special import expit

_FEWEST = 5
"""Four parameters pass through any four points: such a fit would say nothing."""

_EVALUATIONS = 100


@dataclass(frozen=True)
class LogisticFit:
    """A fitted curve; call it to bring predictions to the scale of the targets.

    Attributes:
        upper, lower: the curve's asymptotes, for high and for low predictions, in the unit of the
            targets; `upper` is below `lower` where the targets fall as the predictions rise.
        middle: prediction at which the curve is halfway.
        scale: width of its rise, in the unit of the predictions, above 0.
        line: (slope, intercept) when a straight line stands in for the curve, else None.
        note: why a line stands in; empty for a logistic.
    """

    upper: float
    lower: float
    middle: float
    scale: float
    line: tuple[float, float] | None = None
    note: str = ""

    def __call__(self, predictions: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Predictions [n] -> fitted values [n]."""
        values = np.asarray(predictions, dtype=np.float64)
        if self.line is not None:
            return np.asarray(self.line[0] * values + self.line[1])
        rise = expit((values - self.middle) / self.scale)
        return np.asarray(self.lower + (self.upper - self.lower) * rise)


def fit_logistic(
    predictions: npt.NDArray[np.float64], targets: npt.NDArray[np.float64]
) -> LogisticFit:
    """Least squares fit of ``lower + (upper - lower) / (1 + exp(-(x - middle) / scale))``.

    Args:
        predictions: [n] finite and not all the same.
        targets: [n] finite.

    Returns:
        The curve, or the least squares line where there are fewer than five points or the search
        for the curve ends worse than that line; `note` then says so. Never raises on finite input.

    Example:
        >>> x = np.linspace(-4, 4, 50)
        >>> fit = fit_logistic(x, 10 + 80 / (1 + np.exp(-(x - 1) / 0.5)))
        >>> round(fit.upper), round(fit.lower), round(fit.middle, 3), round(fit.scale, 3)
        (90, 10, 1.0, 0.5)
    """
    x, x_centre, x_spread = _standardised(predictions)
    y, y_centre, y_spread = _standardised(targets)
    slope = float(np.mean(x * y))
    line_error = float(np.sum((y - slope * x) ** 2))
    if len(x) < _FEWEST:
        note = f"{len(x)} pairs are too few for a logistic fit: a straight line stands in"
    else:
        best = min(
            (_search(x, y, start) for start in _starts(x, y, slope)), key=lambda found: found[1]
        )
        (upper, lower, middle, log_scale), error = best
        if error <= line_error * (1 + 1e-6) + 1e-12 * len(x):
            return LogisticFit(
                upper=float(upper * y_spread + y_centre),
                lower=float(lower * y_spread + y_centre),
                middle=float(middle * x_spread + x_centre),
                scale=float(np.exp(log_scale) * x_spread),
            )
        note = "no logistic was found that fits better than a straight line, which stands in"
    gradient = slope * y_spread / x_spread
    line = (gradient, y_centre - gradient * x_centre)
    return LogisticFit(0.0, 0.0, 0.0, 1.0, line=line, note=note)


def _standardised(
    values: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], float, float]:
    """Mean 0 and deviation 1, with the centre and spread that undo it."""
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    unit = values / largest
    centre, spread = float(unit.mean()), float(unit.std()) or 1.0
    return (unit - centre) / spread, centre * largest, spread * largest


def _starts(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], slope: float
) -> list[tuple[float, float, float, float]]:
    """A curve as steep as the data usually want, and one that is nearly the least squares line."""
    high, low = float(y.max()), float(y.min())
    if slope < 0:
        high, low = low, high
    # A logistic of scale s and span 4 s b has the slope b in its middle.
    wide = 5.0
    return [
        (high, low, float(np.median(x)), float(np.log(0.5))),
        (2 * wide * slope, -2 * wide * slope, 0.0, float(np.log(wide))),
    ]


def _search(
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    start: tuple[float, float, float, float],
) -> tuple[npt.NDArray[np.float64], float]:
    """Levenberg-Marquardt from a start: the parameters and their squared error."""

    def residuals(parameters: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        upper, lower, middle, log_scale = parameters
        return np.asarray(lower + (upper - lower) * expit((x - middle) * np.exp(-log_scale)) - y)

    def jacobian(parameters: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        upper, lower, middle, log_scale = parameters
        distance = (x - middle) * np.exp(-log_scale)
        rise = expit(distance)
        steep = (upper - lower) * rise * (1 - rise)
        return np.stack([rise, 1 - rise, -steep * np.exp(-log_scale), -steep * distance], axis=1)

    with np.errstate(all="ignore"):
        try:
            found: Any = least_squares(
                residuals, start, jac=jacobian, method="lm", max_nfev=_EVALUATIONS
            )
        except (ValueError, FloatingPointError, np.linalg.LinAlgError):
            return np.asarray(start), float("inf")
    # A scale that left the range of doubles cannot be brought back to the predictions' unit.
    usable = np.isfinite(found.x).all() and abs(found.x[3]) < 50 and np.isfinite(found.cost)
    return found.x, float(2 * found.cost) if usable else float("inf")
