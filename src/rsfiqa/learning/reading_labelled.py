"""Do readers see the faults that somebody saw in photographs? Figures on a labelled set.

The set must be made of photographs that nobody learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from rsfiqa.errors import DataError
from rsfiqa.learning.instructions import Instruction
from rsfiqa.learning.reading_rated import InstructedRegions, rate_instructed
from rsfiqa.learning.reading_raters import LINEAR, READER, Rater, Studio, is_read, values_of
from rsfiqa.learning.reading_resampling import (
    Index,
    Members,
    differences_of,
    differences_with_intervals,
)
from rsfiqa.learning.reading_seen import SeenFigures, seen_figures

_COMPARED = ("auc", "srcc", "overall_srcc")


def measure_labelled(
    raters: Mapping[str, Rater],
    instructions: Sequence[Instruction],
    studio: Studio,
    *,
    seed: int = 0,
    workers: int = 1,
    told: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Have the labelled regions of a set rated, and compare with the labels.

    Args:
        raters: by name.
        instructions: the pictures of the set, with their partitions.
        studio: what they are looked at with.
        seed: of the resampling.
        workers: pictures side by side.
        told: called after each picture.

    Returns:
        `photographs`, `regions`; `rows`, by rater the fields of
        `rsfiqa.learning.reading_seen.SeenFigures` and `failed` (regions that it could not read); and
        where both the reader and the linear head are there, `difference`: the reader's figure less
        the linear head's with its 95 % interval, by bootstrap over photographs.

    Raises:
        DataError: the set has no labelled regions.
        ImageError: a picture cannot be read.
    """
    rated = rate_instructed(
        raters,
        instructions,
        studio,
        belongs=lambda region: region.seen is not None,
        workers=workers,
        told=told,
    )
    if not len(rated):
        raise DataError(
            "the set has no regions of labelled photographs; make one with rsfiqa teach labels."
        )
    figures: dict[str, Any] = {
        "photographs": len(np.unique(rated.pictures)),
        "regions": len(rated),
        "rows": {name: _row(rated, name) for name in raters},
    }
    if READER in raters and LINEAR in raters:
        figures["difference"] = _difference(rated, seed)
    return figures


def _row(rated: InstructedRegions, name: str) -> dict[str, Any]:
    read = np.flatnonzero(is_read(rated.levels[name]))
    return {**asdict(_figures(rated, name, [read])), "failed": len(rated) - len(read)}


def _difference(rated: InstructedRegions, seed: int) -> dict[str, dict[str, float]]:
    """On the regions that both could read."""
    both = np.flatnonzero(is_read(rated.levels[READER]) & is_read(rated.levels[LINEAR]))

    def differences(drawn: Members) -> dict[str, float]:
        regions = [both[index] for index in drawn]
        mine, theirs = (asdict(_figures(rated, n, regions, drawn=True)) for n in (READER, LINEAR))
        return differences_of(mine, theirs, _COMPARED)

    return differences_with_intervals(differences, rated.pictures[both], seed=seed)


def _figures(
    rated: InstructedRegions, name: str, regions: Sequence[Index], *, drawn: bool = False
) -> SeenFigures:
    """The figures of some regions.

    Args:
        regions: their numbers, in parts.
        drawn: each part is a photograph of its own, so that one drawn twice counts as two.
    """
    index = np.concatenate(regions)
    own = np.repeat(np.arange(len(regions)), [len(part) for part in regions])
    return seen_figures(
        values_of(rated.levels[name][index]),
        [rated.regions[i].seen or {} for i in index],
        own if drawn else rated.pictures[index],
        rated.areas[index],
        [rated.regions[i].ratings["overall"].value for i in index],
    )
