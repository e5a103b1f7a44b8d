"""Do ratings answer for their own region? One region is spoiled, and the others are looked at.

The clean picture's partition is held fixed, so that every change of an untouched region's rating is
a leak: its own pixels are the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import DataError
from rsfiqa.images import load_image
from rsfiqa.learning.distortions import FAMILIES, STRENGTHS, spoil_region
from rsfiqa.learning.reading_raters import Picture, Pixels, Rater, Studio, values_of
from rsfiqa.learning.spoiling import VISIBLE, large_regions
from rsfiqa.parallel import parallel_map
from rsfiqa.types import DIMENSIONS, Dimension

_Floats = npt.NDArray[np.float64]
_HIGH = 95


@dataclass(frozen=True, eq=False)
class _Case:
    """One spoiled copy: by rater, the change in level `[K, 5]` of every region."""

    region: int
    dimension: Dimension
    changes: Mapping[str, _Floats]


@dataclass(frozen=True, eq=False)
class _Cases:
    """Those of one photograph, and how many were not worth looking at."""

    cases: tuple[_Case, ...] = ()
    unseen: int = 0
    used: bool = False


def measure_leak(
    raters: Mapping[str, Rater],
    paths: Sequence[Path],
    studio: Studio,
    *,
    seed: int = 0,
    workers: int = 1,
    told: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Spoil one region of each photograph in one way a dimension, and compare ratings.

    Regions, families and strengths (1 to 4) are drawn by the seed and the photograph's number. A
    fault that changes its region too little to be seen (`rsfiqa.learning.spoiling.VISIBLE`) says
    nothing of either the leak or the finding, and is left out. Photographs of one region have
    nothing to leak to.

    Args:
        raters: by name.
        paths: clean photographs.
        studio: what they are divided and looked at with.
        seed: of all that is drawn.
        workers: photographs side by side.
        told: called after each photograph.

    Returns:
        `pictures`, `copies`, `unseen` (copies left out); and `rows`, by rater: `untouched`, how many
        ratings of untouched regions were compared; `mean` and `p95` of their absolute change in
        levels, taken over the five dimensions first, and the same `by_dimension`; `own_fall`, by
        how many levels the spoiled region's right dimension fell, `own_fall_by_dimension`, and
        `overall_fall`, that of its `overall`.

    Raises:
        DataError: no photograph has two regions of which one can be spoiled visibly.
        ImageError: a photograph cannot be read.
    """

    def one(numbered: tuple[int, Path]) -> _Cases:
        number, path = numbered
        clean = studio.picture(load_image(path).pixels)
        return _spoil(clean, studio, raters, np.random.default_rng([seed, number]))

    cases: list[_Case] = []
    pictures = unseen = 0
    for found in parallel_map(one, list(enumerate(paths)), workers):
        cases += found.cases
        unseen += found.unseen
        pictures += found.used
        told()
    if not cases:
        raise DataError(
            "the leak needs clean photographs with at least two regions, one of which can be spoiled "
            "visibly; none was given."
        )
    return {
        "pictures": pictures,
        "copies": len(cases),
        "unseen": unseen,
        "rows": {name: _row([(c, c.changes[name]) for c in cases]) for name in raters},
    }


def _spoil(
    clean: Picture, studio: Studio, raters: Mapping[str, Rater], rng: np.random.Generator
) -> _Cases:
    partition = clean.partition
    regions = large_regions(partition)
    if len(partition) < 2 or not regions:
        return _Cases()
    before: dict[str, _Floats] = {}
    cases: list[_Case] = []
    unseen = 0
    for dimension, families in FAMILIES.items():
        region = regions[int(rng.integers(len(regions)))]
        family = families[int(rng.integers(len(families)))]
        strength = int(rng.integers(1, len(STRENGTHS) + 1))
        mask = partition.mask(region)
        spoiled = spoil_region(clean.pixels, mask, family, strength, int(rng.integers(2**31)))
        if _change(clean.pixels[mask], spoiled[mask]) < VISIBLE:
            unseen += 1
            continue
        before = before or {name: values_of(rater.rate(clean)) for name, rater in raters.items()}
        copy = studio.picture(spoiled, partition)
        changes = {
            name: values_of(rater.rate(copy)) - before[name] for name, rater in raters.items()
        }
        cases.append(_Case(region, dimension, changes))
    return _Cases(tuple(cases), unseen, used=True)


def _change(before: Pixels, after: Pixels) -> float:
    """Root mean square, in grey levels."""
    difference = after.astype(np.float64) - before
    return float(np.sqrt(np.mean(difference * difference)))


def _row(changes: Sequence[tuple[_Case, _Floats]]) -> dict[str, Any]:
    others = np.concatenate([np.delete(change, case.region, axis=0) for case, change in changes])
    others = np.abs(others[~np.isnan(others).any(axis=1)])
    own: dict[str, list[float]] = {d: [] for d in FAMILIES}
    overall: list[float] = []
    for case, change in changes:
        fall = -change[case.region]
        if not np.isnan(fall).any():
            own[case.dimension].append(float(fall[DIMENSIONS.index(case.dimension)]))
            overall.append(float(fall[DIMENSIONS.index("overall")]))
    return {
        "untouched": len(others),
        **_spread(others.mean(axis=1)),
        "by_dimension": {d: _spread(others[:, k]) for k, d in enumerate(DIMENSIONS)},
        "own_fall": _mean([fall for falls in own.values() for fall in falls]),
        "own_fall_by_dimension": {d: _mean(falls) for d, falls in own.items()},
        "overall_fall": _mean(overall),
    }


def _spread(values: _Floats) -> dict[str, float | None]:
    if not len(values):
        return {"mean": None, "p95": None}
    return {"mean": float(values.mean()), "p95": float(np.percentile(values, _HIGH))}


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
