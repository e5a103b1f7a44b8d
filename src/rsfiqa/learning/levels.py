"""From what was done to a region to what a reader should say of it: level distributions.

Labels are kept by construction: a dimension's level follows from the strengths of the faults that
were put there, not from a model's opinion. That severe blur hides noise, or that coarse JPEG costs
sharpness, is not modelled; the one exception is `SPILLS`. `overall` comes from the strengths (six
tenths) and from a full-reference measure between the clean and the spoiled pixels (four tenths),
since families hurt differently at the same nominal strength.

Severities of faults that somebody saw in a photograph count like strengths: both run to 4, and 1 is
what is just seen. What was looked at is less certain than what was done, so that these distributions
are wider.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import ConfigError
from rsfiqa.learning.instructions import Fault
from rsfiqa.types import DIMENSIONS, Dimension, Rating

CLEAN_LEVEL = 4.8
"""The mean level of a dimension without a fault: excellent, with room for what was there before."""

SIGMA = 0.5
"""How widely people's words would scatter around a level, in levels."""

SEEN_SIGMA = 0.6
"""The same around the level of a severity that somebody saw."""

UNSURE_SIGMA = 1.0
"""The same where the labels leave open whether a region has the fault."""

SPILLS: Mapping[str, Mapping[Dimension, float]] = MappingProxyType(
    {"smeared_noise": MappingProxyType({"blur": 0.5})}
)
"""What a family does to other dimensions, as a fraction of its strength there.

A denoiser that smears texture costs sharpness by its very nature."""

_Floats = npt.NDArray[np.float64]

_LEVELS_PER_STRENGTH = 0.95
_SHARE_OF_LESSER_FAULTS = 0.25
_STRONGEST = 4.2
_SHARE_OF_STRENGTHS = 0.6
"""In `overall`. With this the overall level of spoiled regions follows their strongest fault at
Spearman 0.92 (1,388 cells of a grid) and 0.94 (1,302 segmented regions), over all families; half
and half gives 0.89 on the former."""

_SHARE_OF_UNSURE = 0.5
_SHARE_OF_SHIFT = 0.5

_SIMILARITIES = (0.20, 0.43, 0.58, 0.77, 0.90, 1.00)
_LEVELS_OF_SIMILARITY = (1.00, 1.40, 2.15, 3.10, 4.05, 5.00)


def level_distribution(mean: float, sigma: float = SIGMA) -> Rating:
    """A narrow Gaussian over the five levels with exactly this mean.

    `p_k ∝ exp(-(k - m)² / 2σ²)` on the levels 1..5, where `m` is found so that the mean is as
    wanted: near the ends, where half of the bell is missing, it lies beyond them.

    Args:
        mean: 1 to 5; at the ends all is on one level.
        sigma: width in levels, above 0.

    Raises:
        ConfigError: the mean is not from 1 to 5, or the width not above 0.

    Example:
        >>> [round(p, 2) for p in level_distribution(4.0).probabilities]
        [0.11, 0.79, 0.11, 0.0, 0.0]
        >>> round(level_distribution(1.2).value, 6)
        1.2
    """
    if not 1 <= mean <= 5 or not sigma > 0:
        raise ConfigError(
            f"a level is a number from 1 to 5 and its width is above 0; got {mean} and {sigma}."
        )
    levels = np.arange(5.0, 0.0, -1.0)
    if mean in (1.0, 5.0):
        exact = (levels == mean).astype(float)
        return _rating(exact)
    # The mean grows with m without bound on both sides, so that halving finds it.
    low, high = -40.0 * max(sigma, 1) ** 2, 46.0 * max(sigma, 1) ** 2
    for _ in range(80):
        middle = (low + high) / 2
        if _bell(levels, middle, sigma) @ levels < mean:
            low = middle
        else:
            high = middle
    return _rating(_bell(levels, (low + high) / 2, sigma))


def _bell(levels: _Floats, center: float, sigma: float) -> _Floats:
    exponent = -((levels - center) ** 2) / (2 * sigma**2)
    weights = np.exp(exponent - exponent.max())
    return np.asarray(weights / weights.sum())


def _rating(p: _Floats) -> Rating:
    return Rating((float(p[0]), float(p[1]), float(p[2]), float(p[3]), float(p[4])))


def level_of_strengths(strengths: Sequence[float]) -> float:
    """The mean level, 1..5, of a dimension with faults of these strengths.

    `5 - 0.95 s`: about 4 for a mild fault, 1.2 for a severe one. Of several the strongest counts,
    and a quarter of the others.

    Example:
        >>> level_of_strengths([]), round(level_of_strengths([2]), 2)
        (4.8, 3.1)
    """
    if not strengths:
        return CLEAN_LEVEL
    worst = max(strengths)
    joined = worst + _SHARE_OF_LESSER_FAULTS * (math.fsum(strengths) - worst)
    return min(CLEAN_LEVEL, 5 - _LEVELS_PER_STRENGTH * min(joined, _STRONGEST))


def level_of_similarity(similarity: float) -> float:
    """The mean level, 1..5, of a HaarPSI between clean and spoiled pixels.

    Piecewise linear and increasing through HaarPSI's medians over all families at the strengths 1
    to 4 (0.90, 0.77, 0.58, 0.43 on photographs), which get the levels of these strengths.

    Example:
        >>> level_of_similarity(1.0), level_of_similarity(0.77), level_of_similarity(0.0)
        (5.0, 3.1, 1.0)
    """
    return float(np.interp(similarity, _SIMILARITIES, _LEVELS_OF_SIMILARITY))


def overall_level(strengths: Sequence[float], similarity: float) -> float:
    """The mean level of `overall`: by strengths and by similarity; clean without faults.

    Args:
        strengths: of all faults of the region, whatever their dimension.
        similarity: HaarPSI of its box before and after; see `level_of_similarity`.
    """
    if not strengths:
        return CLEAN_LEVEL
    by_strengths, by_similarity = level_of_strengths(strengths), level_of_similarity(similarity)
    mean = by_similarity + _SHARE_OF_STRENGTHS * (by_strengths - by_similarity)
    return min(mean, CLEAN_LEVEL)


def wanted_ratings(faults: Sequence[Fault], similarity: float = 1.0) -> dict[Dimension, Rating]:
    """What a reader should say of a region on all five dimensions.

    Args:
        faults: what was done to it.
        similarity: HaarPSI of its box before and after; not used for a clean region.

    Example:
        >>> ratings = wanted_ratings([Fault("noise", "gaussian_noise", 4.0)], 0.5)
        >>> {name: round(rating.value, 1) for name, rating in ratings.items()}
        {'color': 4.8, 'noise': 1.2, 'artifact': 4.8, 'blur': 4.8, 'overall': 1.4}
    """
    by_dimension: dict[Dimension, list[float]] = {d: [] for d in DIMENSIONS}
    for fault in faults:
        by_dimension[fault.dimension].append(fault.strength)
        for dimension, share in SPILLS.get(fault.family, {}).items():
            by_dimension[dimension].append(share * fault.strength)
    levels = {d: level_of_strengths(strengths) for d, strengths in by_dimension.items()}
    levels["overall"] = overall_level([fault.strength for fault in faults], similarity)
    return {dimension: level_distribution(level) for dimension, level in levels.items()}


def seen_ratings(
    seen: Mapping[Dimension, float],
    unsure: Mapping[Dimension, float] = MappingProxyType({}),
    shift: float = 0.0,
) -> dict[Dimension, Rating]:
    """What a reader should say of a region of a photograph whose faults somebody saw.

    A dimension in neither mapping is clean. One that is unsure is rated half way between with and
    without the fault, which counts half in `overall`.

    Args:
        seen: severities, 0 (none) to 4 (extreme).
        unsure: severities that the region has or has not.
        shift: of `overall`, in levels; see `overall_shift`.

    Example:
        >>> ratings = seen_ratings({"blur": 3.0, "noise": 0.0}, {"color": 2.0})
        >>> {name: round(rating.value, 2) for name, rating in ratings.items()}
        {'color': 3.95, 'noise': 4.8, 'artifact': 4.8, 'blur': 2.15, 'overall': 1.91}
    """
    ratings = {
        dimension: level_distribution(level_of_strengths([seen.get(dimension, 0.0)]), SEEN_SIGMA)
        for dimension in DIMENSIONS
    }
    for dimension, severity in unsure.items():
        middle = (CLEAN_LEVEL + level_of_strengths([severity])) / 2
        ratings[dimension] = level_distribution(middle, UNSURE_SIGMA)
    halves = [_SHARE_OF_UNSURE * severity for severity in unsure.values()]
    overall = level_of_strengths([*seen.values(), *halves]) + shift
    ratings["overall"] = level_distribution(min(max(overall, 1.0), CLEAN_LEVEL), SEEN_SIGMA)
    return ratings


def overall_shift(overall: float, severities: Sequence[float]) -> float:
    """By how many levels a viewer's word on a whole photograph moves `overall` of its regions.

    Half of what the severities leave unexplained: the faults that were named are not all there is to
    quality, but a word on the whole says nothing of where.

    Args:
        overall: of the photograph, 1..5.
        severities: of its dimensions, 0..4.

    Example:
        >>> round(overall_shift(3.0, [2.0, 0.0, 0.0, 0.0]), 3)  # the fault alone gives 3.1
        -0.05
    """
    return _SHARE_OF_SHIFT * (overall - level_of_strengths(severities))
