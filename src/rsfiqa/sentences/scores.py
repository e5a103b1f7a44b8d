"""What the scores say of a picture: which regions stand out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rsfiqa.sentences.numbers import capitalized, count_text, listed, score_text, share_text
from rsfiqa.sentences.places import place_of

if TYPE_CHECKING:
    from rsfiqa.types import Assessment, RegionAssessment

CLEAR_GAP = 8.0
"""Points from the area-weighted median score at which a region stands out."""

SMALL_AREA = 0.01
"""Regions below this fraction of the picture are counted but not named."""

_MOST_NAMED = 2


def scores_text(assessment: Assessment) -> str:
    """The regions that score clearly below (or above) the rest, with place and size.

    Returns:
        a sentence without its full stop.
    """
    regions = assessment.regions
    if len(regions) == 1:
        return "The whole picture was judged as one region"
    outstanding = weakest_text(assessment)
    if outstanding is not None:
        return outstanding
    median = _weighted_median([r.score for r in regions], [r.area for r in regions])
    best = max(regions, key=lambda r: r.score if r.area >= SMALL_AREA else -1.0)
    if best.score - median >= CLEAR_GAP:
        text = f"{capitalized(_with_score(assessment, best))} stands out as best"
    else:
        text = "Quality is even across the picture"
    spots = [r for r in regions if r.area < SMALL_AREA and abs(r.score - median) >= CLEAR_GAP]
    return f"{text}, but for {count_text(len(spots), 'small spot')}" if spots else text


def weakest_text(assessment: Assessment) -> str | None:
    """The regions that score below the area-weighted median by `CLEAR_GAP` or more.

    Returns:
        a sentence without its full stop; None when no region of some size does.
    """
    regions = assessment.regions
    median = _weighted_median([r.score for r in regions], [r.area for r in regions])
    weak = sorted((r for r in regions if median - r.score >= CLEAR_GAP), key=lambda r: r.score)
    named = [r for r in weak if r.area >= SMALL_AREA][:_MOST_NAMED]
    if not named:
        return None
    text = capitalized(listed([_with_score(assessment, r) for r in named]))
    text += f" {'stand' if len(named) > 1 else 'stands'} out as weakest"
    others = len(weak) - len(named)
    if others:
        verb = "score" if others > 1 else "scores"
        text += (
            f"; {count_text(others, 'more region')} also {verb} clearly below most of the picture"
        )
    return text


def _with_score(assessment: Assessment, region: RegionAssessment) -> str:
    return (
        f"{place_of(assessment, [region]).name} (region {region.id}: {score_text(region.score)} "
        f"of 100, {share_text(region.area)} of the picture)"
    )


def _weighted_median(values: Sequence[float], weights: Sequence[float]) -> float:
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(np.asarray(weights)[order])
    return float(values[order[int(np.searchsorted(cumulative, cumulative[-1] / 2))]])
