"""How sure is the difference between two raters? A bootstrap over photographs.

Photographs are drawn whole, with all their regions: regions of one photograph resemble each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 500
"""Of the photographs."""

_COVERED = (2.5, 97.5)

Index = npt.NDArray[np.int64]
Members = Sequence[Index]
"""Of several photographs, the numbers of their regions; a photograph may occur more than once."""


def differences_of(
    mine: Mapping[str, Any], theirs: Mapping[str, Any], names: Sequence[str]
) -> dict[str, float]:
    """The figures of these names, one's less the other's; left out where either is None.

    Example:
        >>> differences_of({"auc": 0.75, "srcc": None}, {"auc": 0.5, "srcc": 0.1}, ["auc", "srcc"])
        {'auc': 0.25}
    """
    return {
        name: mine[name] - theirs[name]
        for name in names
        if mine[name] is not None and theirs[name] is not None
    }


def differences_with_intervals(
    differences: Callable[[Members], Mapping[str, float]],
    photographs: npt.NDArray[np.int64],
    *,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Differences on all photographs, with 95 % percentile intervals.

    Args:
        differences: by name, on the photographs it is given; one that does not exist is left out.
        photographs: the number of each region's photograph, `[N]`.
        seed: of the resampling.

    Returns:
        by name, `value`, `low` and `high`; empty without photographs.
    """
    members = [np.flatnonzero(photographs == p) for p in np.unique(photographs)]
    if not members:
        return {}
    whole = differences(members)
    rng = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {key: [] for key in whole}
    for _ in range(RESAMPLES):
        chosen = rng.integers(len(members), size=len(members))
        for key, value in differences([members[i] for i in chosen]).items():
            draws.setdefault(key, []).append(value)
    found = {}
    for key, value in whole.items():
        if draws[key]:
            low, high = np.percentile(draws[key], _COVERED)
            found[key] = {"value": value, "low": float(low), "high": float(high)}
    return found
