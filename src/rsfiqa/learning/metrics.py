"""How well predicted scores agree with human scores: SRCC, PLCC, KRCC and RMSE, with intervals.

Every number is labelled by whether it comes before or after the logistic fit, since papers differ
in which PLCC they report. A statistic that does not exist (constant or too few values) is None,
with the reason beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from scipy import stats

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.logistic import fit_logistic
from rsfiqa.learning.resampling import Floats, Metric, by_row, percentile_interval, resampled

Values: TypeAlias = Sequence[float] | npt.NDArray[np.floating[Any]]

_FEWEST = 3
_LARGEST, _SMALLEST = 1e150, 1e-150
"""Squares and ratios of values between these neither overflow nor vanish."""


@dataclass(frozen=True)
class Correlations:
    """Agreement of predictions with targets; None where a statistic does not exist.

    Attributes:
        srcc: Spearman's rank correlation, -1..1, ties given their mean rank.
        plcc: Pearson's correlation of the raw predictions, -1..1.
        plcc_logistic: Pearson's correlation after the 4-parameter logistic fit. The curve may fall
            as well as rise, so this does not show the direction: SRCC does.
        krcc: Kendall's tau-b, -1..1.
        rmse: root mean square error of the raw predictions, in the unit of the targets; only
            meaningful, and only given, when both are on one scale.
        rmse_logistic: the same after the logistic fit.
        n: number of pairs.
        note: why something is None, or that the fit is a straight line; empty if all is well.
    """

    srcc: float | None
    plcc: float | None
    plcc_logistic: float | None
    krcc: float | None
    rmse: float | None
    rmse_logistic: float | None
    n: int
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class PairedDifference:
    """How much better or worse the first of two models is than the second, on the same pictures.

    Attributes:
        metric: what is compared; higher is better, except for `rmse`.
        difference: first minus second on all pictures.
        mean: mean of that difference over the resamples.
        low, high: percentile interval of the difference.
        above_zero: fraction of resamples in which the first has the higher value, 0..1.
        resamples: how many of the resamples had both values.
    """

    metric: Metric
    difference: float
    mean: float
    low: float
    high: float
    above_zero: float
    resamples: int

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON."""
        return asdict(self)


def correlations(predictions: Values, targets: Values, *, same_scale: bool = True) -> Correlations:
    """SRCC, PLCC (raw and after the logistic fit), KRCC and RMSE.

    Args:
        predictions: [n] scores of a model.
        targets: [n] human scores (MOS) of the same pictures.
        same_scale: whether both are on one scale; without it there is no raw RMSE.

    Raises:
        DataError: the lengths differ, or a value is NaN, infinite or beyond ±1e150.

    Example:
        >>> measured = correlations([10, 20, 30, 40], [1, 2, 4, 3], same_scale=False)
        >>> round(measured.srcc, 2), round(measured.krcc, 2), measured.rmse
        (0.8, 0.67, None)
        >>> correlations([1, 1, 1], [1, 2, 3]).note
        'the predictions are constant, so there is no correlation'
    """
    predicted, wanted = _checked(predictions, targets)
    n = len(predicted)
    if n < _FEWEST:
        return Correlations(
            *(None,) * 6, n=n, note=f"{n} of at least {_FEWEST} pairs: too few to correlate"
        )
    rmse = _rms(predicted - wanted) if same_scale else None
    for name, values in (("predictions", predicted), ("targets", wanted)):
        if _is_constant(values):
            note = f"the {name} are constant, so there is no correlation"
            return Correlations(None, None, None, None, rmse, None, n, note)
    fit = fit_logistic(predicted, wanted)
    fitted = fit(predicted)
    flat = _is_constant(fitted)
    return Correlations(
        srcc=float(stats.spearmanr(predicted, wanted).statistic),
        plcc=_pearson(predicted, wanted),
        plcc_logistic=None if flat else _pearson(fitted, wanted),
        krcc=float(stats.kendalltau(predicted, wanted, method="asymptotic").statistic),
        rmse=rmse,
        rmse_logistic=_rms(fitted - wanted),
        n=n,
        note="; ".join(
            filter(None, [fit.note, "the fitted curve is flat, so it has no PLCC" if flat else ""])
        ),
    )


def per_group(
    predictions: Values, targets: Values, groups: Sequence[str], *, same_scale: bool = True
) -> dict[str, Correlations]:
    """`correlations` of every group on its own, by the group's name, sorted.

    Raises:
        DataError: the lengths differ, or a value is NaN, infinite or beyond ±1e150.

    Example:
        >>> found = per_group([1, 2, 3, 9], [1, 2, 3, 9], ["a", "a", "a", "b"])
        >>> found["a"].n, found["b"].srcc
        (3, None)
    """
    predicted, wanted = _checked(predictions, targets)
    if len(groups) != len(predicted):
        raise DataError(
            f"{len(predicted)} predictions came with {len(groups)} groups; give one group for each."
        )
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    return {
        group: correlations(
            predicted[members[group]], wanted[members[group]], same_scale=same_scale
        )
        for group in sorted(members)
    }


def bootstrap_interval(
    predictions: Values,
    targets: Values,
    metric: Metric = "srcc",
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float] | None:
    """Percentile bootstrap interval over pictures (Efron & Tibshirani 1993, chapter 13).

    Args:
        predictions, targets: [n] as in `correlations`.
        metric: `srcc`, `plcc` (raw), `krcc` or `rmse` (raw).
        resamples: draws of n pictures with replacement.
        seed: of the draws; the same seed gives the same interval.
        level: the interval's coverage, between 0 and 1.

    Returns:
        (low, high), or None where the metric does not exist.

    Raises:
        DataError: the lengths differ, or a value is NaN, infinite or beyond ±1e150.
        ConfigError: the metric is unknown, or resamples or level are out of range.
    """
    predicted, wanted = _checked(predictions, targets)
    _check_settings(metric, resamples, level)
    if _undefined(metric, predicted, wanted):
        return None
    return percentile_interval(resampled([predicted], wanted, metric, resamples, seed)[0], level)


def paired_bootstrap(
    first: Values,
    second: Values,
    targets: Values,
    metric: Metric = "srcc",
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> PairedDifference | None:
    """The difference of two models on the same pictures, each resample being drawn for both.

    Args:
        first, second: [n] predictions of the two models.
        targets: [n] human scores.
        metric, resamples, seed, level: as in `bootstrap_interval`.

    Returns:
        first minus second, or None where the metric does not exist for either.

    Raises:
        DataError: the lengths differ, or a value is NaN, infinite or beyond ±1e150.
        ConfigError: the metric is unknown, or resamples or level are out of range.
    """
    one, wanted = _checked(first, targets)
    two, _ = _checked(second, targets)
    _check_settings(metric, resamples, level)
    if _undefined(metric, one, wanted) or _undefined(metric, two, wanted):
        return None
    values = resampled([one, two], wanted, metric, resamples, seed)
    differences = values[0] - values[1]
    differences = differences[np.isfinite(differences)]
    interval = percentile_interval(differences, level)
    if interval is None:
        return None
    first_value, second_value = (by_row(metric, each[None], wanted[None])[0] for each in (one, two))
    return PairedDifference(
        metric=metric,
        difference=float(first_value - second_value),
        mean=float(differences.mean()),
        low=interval[0],
        high=interval[1],
        above_zero=float((differences > 0).mean()),
        resamples=len(differences),
    )


def _checked(predictions: Values, targets: Values) -> tuple[Floats, Floats]:
    arrays = []
    for name, values in (("predictions", predictions), ("targets", targets)):
        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"The {name} must be numbers, one for each picture: {error}."
            ) from error
        if array.ndim != 1:
            raise DataError(
                f"The {name} have the shape {array.shape}; give one number for each picture."
            )
        bad = int((~np.isfinite(array)).sum())
        if bad:
            raise DataError(
                f"{bad} of {len(array)} {name} are NaN or infinite; leave those pictures out, "
                "and count them as failed."
            )
        huge = int((np.abs(array) > _LARGEST).sum())
        if huge:
            raise DataError(
                f"{huge} of {len(array)} {name} are beyond ±{_LARGEST:g}; give them in another unit."
            )
        arrays.append(array)
    predicted, wanted = arrays
    if len(predicted) != len(wanted):
        raise DataError(
            f"{len(predicted)} predictions came with {len(wanted)} targets; give one target for each."
        )
    return predicted, wanted


def _check_settings(metric: str, resamples: int, level: float) -> None:
    if metric not in get_args(Metric):
        raise ConfigError(
            f"There is no metric {metric!r} to bootstrap; choose one of {', '.join(get_args(Metric))}."
        )
    if resamples < 1:
        raise ConfigError(f"resamples is {resamples}; give 1 or more.")
    if not 0 < level < 1:
        raise ConfigError(f"level is {level}; give a coverage between 0 and 1, such as 0.95.")


def _is_constant(values: Floats) -> bool:
    """Whether the spread is nothing, or too small for double precision."""
    if np.ptp(values) < _SMALLEST:
        return True
    scaled = _to_unit(values)
    centred = scaled - scaled.mean()
    return bool(np.linalg.norm(centred) <= 1e-11 * max(abs(scaled.mean()), np.finfo(float).tiny))


def _undefined(metric: Metric, predicted: Floats, wanted: Floats) -> bool:
    if len(predicted) < _FEWEST:
        return True
    return metric != "rmse" and (_is_constant(predicted) or _is_constant(wanted))


def _to_unit(values: Floats) -> Floats:
    """Within -1..1, so that squares and sums neither overflow nor vanish."""
    largest = np.abs(values).max(initial=0.0)
    return values / largest if largest > 0 else values


def _pearson(first: Floats, second: Floats) -> float:
    return float(stats.pearsonr(_to_unit(first), _to_unit(second)).statistic)


def _rms(errors: Floats) -> float:
    largest = np.abs(errors).max(initial=0.0)
    return float(largest * np.sqrt(np.mean(_to_unit(errors) ** 2)))
