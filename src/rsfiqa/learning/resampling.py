"""Figures on many samples of the same pictures: what the bootstrap's intervals are made of.

Pictures are drawn with replacement (Efron & Tibshirani 1993, chapter 13). Whatever is compared sees the
same draws: two calls with the same seed and number of pictures draw the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats: TypeAlias = npt.NDArray[np.float64]
Metric = Literal["srcc", "plcc", "krcc", "rmse"]
"""Of raw scores, all of them."""

_CHUNK = 1_000_000
"""Values that are held at a time, so that memory stays bounded for any number of pictures."""


def by_row(metric: Metric, first: Floats, second: Floats) -> Floats:
    """A figure of each row of `[R, N]` and `[R, N]`; NaN where a row has none, being constant.

    Example:
        >>> by_row("srcc", np.array([[1.0, 2.0, 3.0]]), np.array([[2.0, 4.0, 9.0]]))
        array([1.])
    """
    return _STATISTICS[metric](first, second)


def resampled(
    models: Sequence[Floats], targets: Floats, metric: Metric, resamples: int, seed: int
) -> Floats:
    """A figure of several models on each of many samples of the pictures.

    Args:
        models: scores, `[N]` each.
        targets: `[N]`, human scores.
        metric: the figure.
        resamples: draws of N pictures with replacement.
        seed: of the draws.

    Returns:
        `[models, resamples]`; NaN where a draw has no such figure, its scores being all alike.
    """
    rng = np.random.default_rng(seed)
    count = len(targets)
    rows = max(1, _CHUNK // count)
    parts = []
    for start in range(0, resamples, rows):
        drawn = rng.integers(count, size=(min(rows, resamples - start), count))
        parts.append([by_row(metric, model[drawn], targets[drawn]) for model in models])
    return np.concatenate(parts, axis=1)


def resampled_means(
    predictions: Sequence[Sequence[float]],
    targets: Sequence[float] | Floats,
    metric: Metric,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Floats:
    """The mean of a figure over several scorers, on each of many samples of the pictures.

    Args:
        predictions: `[S, N]`, of S scorers for N pictures.
        targets: `[N]`, human scores.
        metric, resamples, seed: as for `resampled`.

    Returns:
        `[resamples]`; NaN where a draw has no such figure for one of the scorers.
    """
    models = list(np.asarray(predictions, np.float64))
    wanted = np.asarray(targets, np.float64)
    means: Floats = resampled(models, wanted, metric, resamples, seed).mean(axis=0)
    return means


def percentile_interval(values: Floats, level: float) -> tuple[float, float] | None:
    """Where the middle part of resampled values lies; None where none of them is finite.

    Args:
        values: `[resamples]`; those that are not finite are left out.
        level: how large that part is, between 0 and 1.

    Example:
        >>> percentile_interval(np.array([*range(101), np.nan]), 0.5)
        (25.0, 75.0)
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _row_pearson(first: Floats, second: Floats) -> Floats:
    first, first_norm = _centred(first)
    second, second_norm = _centred(second)
    norms = first_norm * second_norm
    result = np.full(len(first), np.nan)
    np.divide(np.einsum("ij,ij->i", first, second), norms, out=result, where=norms > 0)
    return np.asarray(np.clip(result, -1.0, 1.0))


def _centred(rows: Floats) -> tuple[Floats, Floats]:
    """Rows less their mean, and their norms: 0 where only rounding is left."""
    mean = rows.mean(axis=1, keepdims=True)
    centred = rows - mean
    norms = np.linalg.norm(centred, axis=1)
    return centred, np.where(norms > 1e-13 * np.abs(mean[:, 0]), norms, 0.0)


def _row_spearman(first: Floats, second: Floats) -> Floats:
    return _row_pearson(stats.rankdata(first, axis=1), stats.rankdata(second, axis=1))


def _row_kendall(first: Floats, second: Floats) -> Floats:
    return np.array(
        [
            stats.kendalltau(one, two, method="asymptotic").statistic
            for one, two in zip(first, second, strict=True)
        ]
    )


def _row_rmse(first: Floats, second: Floats) -> Floats:
    return np.asarray(np.sqrt(np.mean((first - second) ** 2, axis=1)))


_STATISTICS: dict[Metric, Callable[[Floats, Floats], Floats]] = {
    "srcc": _row_spearman,
    "plcc": _row_pearson,
    "krcc": _row_kendall,
    "rmse": _row_rmse,
}
