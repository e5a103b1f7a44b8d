"""Does a region's score answer for that region? Measured by spoiling one region at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from rsfiqa.errors import DataError
from rsfiqa.images import load_image
from rsfiqa.learning.distortions import FAMILIES, STRENGTHS, spoil_region
from rsfiqa.learning.features import SMALLEST_SPOILED_AREA

if TYPE_CHECKING:
    from rsfiqa.assessor import RSFIQA


def measure_locality(
    assessor: RSFIQA,
    paths: Sequence[Path],
    *,
    seed: int = 0,
    told: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Spoil one region of each picture in one way a dimension and compare region scores.

    Pictures of fewer than two regions are left out: their only region always falls most.

    Args:
        assessor: scores the pictures, with the clean picture's partition each time.
        paths: clean photographs.
        seed: of regions, families and strengths.
        told: called after each picture.

    Returns:
        `pictures`, and `rows` by dimension, by strength and overall: `copies`; `falls_most`, the
        fraction of copies whose spoiled region fell further than any other; `fall`, its mean fall
        in points; `others_change`, the mean absolute change of the other regions; `picture_fall`.

    Raises:
        DataError: no picture has two regions.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    used = 0
    for path in paths:
        pixels = load_image(path).pixels
        clean = assessor.assess(pixels)
        large = [r.id for r in clean.regions if r.area >= SMALLEST_SPOILED_AREA]
        if len(clean.regions) > 1 and large:
            used += 1
            for dimension, families in FAMILIES.items():
                region = large[int(rng.integers(len(large)))]
                family = families[int(rng.integers(len(families)))]
                strength = int(rng.integers(1, len(STRENGTHS) + 1))
                mask = clean.partition.mask(region)
                spoiled = spoil_region(pixels, mask, family, strength, int(rng.integers(2**31)))
                after = assessor.assess(spoiled, partition=clean.partition)
                found = _compare(clean, after, region)
                for name in (dimension, f"strength {strength}", "all"):
                    rows[name].append(found)
        told()
    if not used:
        raise DataError("locality needs photographs with at least two regions; none was given.")
    order = [*FAMILIES, *(f"strength {s}" for s in STRENGTHS), "all"]
    return {
        "pictures": used,
        "seed": seed,
        "rows": {
            name: {"copies": len(rows[name])}
            | {key: fmean(row[key] for row in rows[name]) for key in rows[name][0]}
            for name in order
            if rows[name]
        },
    }


def _compare(clean: Any, after: Any, region: int) -> dict[str, float]:
    falls = [b.score - a.score for b, a in zip(clean.regions, after.regions, strict=True)]
    others = [fall for k, fall in enumerate(falls) if k != region]
    return {
        "falls_most": float(falls[region] > max(0.0, *others)),
        "fall": falls[region],
        "others_change": fmean(abs(fall) for fall in others),
        "picture_fall": clean.score - after.score,
    }
