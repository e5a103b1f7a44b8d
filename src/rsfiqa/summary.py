"""The summary of an assessment: composed by rule, so that it can only say what the numbers say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rsfiqa.types import level_of

if TYPE_CHECKING:
    from rsfiqa.types import Assessment, Dimension, RegionAssessment

CLEAR_GAP = 8.0
"""Points from the area-weighted median score at which a region stands out."""

SMALL_AREA = 0.01
"""Regions below this fraction of the picture are counted but not named."""

_MOST_NAMED = 2
_MOST_WORDS = 12
_GOOD_FROM = 3.5
"""A rating is below good when its nearest level is: under the middle of good (4) and fair (3)."""

_DEGREES = ((2.5, "slightly"), (1.5, "clearly"), (0.0, "strongly"))
_SIDES = {"upper": "top", "lower": "bottom", "": ""}
_FAULTS: dict[Dimension, str] = {
    "blur": "blurred",
    "noise": "noisy",
    "artifact": "marred by artifacts",
    "color": "off in exposure or colour",
}


def summarize(assessment: Assessment) -> str:
    """Say in a few plain sentences how good a picture is, where it falls short and, if read, why.

    The level and the score come first. Then, without readings, the regions that score clearly
    below the area-weighted median of the picture (by `CLEAR_GAP` points or more), with their
    place and size; with readings, the regions rated below good and their worst dimensions.

    Args:
        assessment: the picture's assessment; only its numbers and descriptions are used.

    Returns:
        One line of text. It quotes the reader's descriptions, so escape it where markup matters.
    """
    opening = f"{assessment.level.capitalize()} ({score_text(assessment.score)} of 100)."
    read = [r for r in assessment.regions if r.reading.status == "ok"]
    rest = _from_readings(assessment, read) if read else _from_scores(assessment)
    return f"{opening} {rest}"


def score_text(score: float, digits: int = 0) -> str:
    """A score as text, rounded, but never over the edge of its level.

    Example:
        >>> score_text(63.2), score_text(79.7), score_text(79.7, 1), score_text(100)
        ('63', '79', '79.7', '100')
    """
    rounded = round(score, digits)
    if level_of(rounded) != level_of(score):
        rounded -= 10.0**-digits
    return f"{rounded:.{digits}f}"


def share_text(fraction: float) -> str:
    """A fraction of the picture as whole percents.

    Example:
        >>> share_text(0.124), share_text(0.004), share_text(1.0)
        ('12 %', 'under 1 %', '100 %')
    """
    if fraction < 0.01:
        return "under 1 %"
    return f"{min(round(fraction * 100), 99 if fraction < 1 else 100)} %"


def place_of(assessment: Assessment, region: RegionAssessment) -> str:
    """Where in the picture a region lies, in words: "the upper left", "the right edge"...

    A region that spans the picture is named by its extent; any other by the third of the
    picture, in each direction, that holds its centroid.
    """
    x, y, width, height = region.bbox
    across, down = width / assessment.width, height / assessment.height
    if across >= 0.8 and down >= 0.8:
        return "most of the picture" if region.area >= 0.5 else "an area spread over the picture"
    mask = assessment.partition.labels[y : y + height, x : x + width] == region.id
    columns, rows = mask.sum(axis=0), mask.sum(axis=1)
    centre_x = (x + 0.5 + np.arange(width) @ columns / columns.sum()) / assessment.width
    centre_y = (y + 0.5 + np.arange(height) @ rows / rows.sum()) / assessment.height
    column = ("left", "", "right")[min(2, int(centre_x * 3))]
    row = ("upper", "", "lower")[min(2, int(centre_y * 3))]
    if across >= 0.8:
        return f"the {row} part" if row else "a band across the middle"
    if down >= 0.8:
        return f"the {column} side" if column else "a band down the middle"
    if column and not row and across < 0.2 and (x == 0 or x + width == assessment.width):
        return f"the {column} edge"
    if row and not column and down < 0.2 and (y == 0 or y + height == assessment.height):
        return f"the {_SIDES[row]} edge"
    third = f"{row} {column}" if row and column else _SIDES[row] or column or "centre"
    return f"the {third}"


def _from_scores(assessment: Assessment) -> str:
    regions = assessment.regions
    if len(regions) == 1:
        return "The whole picture was judged as one region."
    median = _weighted_median([r.score for r in regions], [r.area for r in regions])
    weak = sorted((r for r in regions if median - r.score >= CLEAR_GAP), key=lambda r: r.score)
    sizeable = [r for r in weak if r.area >= SMALL_AREA]
    named = sizeable[:_MOST_NAMED]
    if named:
        text = " and ".join(
            f"{place_of(assessment, r)} (region {r.id}: {score_text(r.score)} of 100, "
            f"{share_text(r.area)} of the picture)"
            for r in named
        )
        verb = "stand out" if len(named) > 1 else "stands out"
        text = f"{text[0].upper()}{text[1:]} {verb} as weakest"
        others = len(weak) - len(named)
        if others:
            verb = "score" if others > 1 else "scores"
            text += (
                f"; {_count(others, 'more region')} also {verb} clearly below most of the picture"
            )
        return f"{text}."
    best = max(regions, key=lambda r: r.score if r.area >= SMALL_AREA else -1.0)
    if best.score - median >= CLEAR_GAP:
        place = place_of(assessment, best)
        text = (
            f"{place[0].upper()}{place[1:]} (region {best.id}: {score_text(best.score)} of 100, "
            f"{share_text(best.area)} of the picture) stands out as best"
        )
    else:
        text = "Quality is even across the picture"
    spots = [r for r in regions if r.area < SMALL_AREA and abs(r.score - median) >= CLEAR_GAP]
    if spots:
        text += f", but for {_count(len(spots), 'small spot')}"
    return f"{text}."


def _from_readings(assessment: Assessment, read: Sequence[RegionAssessment]) -> str:
    faulty = sorted(
        (r for r in read if _worst_below_good(r) is not None),
        key=lambda r: (_worst_below_good(r) or 0.0, -r.area, r.id),
    )
    unread = len(assessment.regions) - len(read)
    if not faulty:
        text = "The regions that were read are clean" if unread else "Every region reads as clean"
    else:
        named = faulty[:_MOST_NAMED]
        names = [_name(r) for r in named]
        if len(set(names)) < len(names):
            names = [_numbered(r) for r in named]
        text = " and ".join(
            f"{name} is {_faults_of(r)}" for name, r in zip(names, named, strict=True)
        )
        text = f"{text[0].upper()}{text[1:]}"
        others, clean = len(faulty) - len(named), len(read) - len(faulty)
        if others:
            verb = "fall" if others > 1 else "falls"
            text += f"; {_count(others, 'more region')} {verb} below good too"
        elif clean:
            text += "; the rest of what was read is clean" if unread else "; the rest is clean"
    if unread:
        text += f". {_count(unread, 'region')} {'were' if unread > 1 else 'was'} not read"
    return f"{text}."


def _weighted_median(values: Sequence[float], weights: Sequence[float]) -> float:
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(np.asarray(weights)[order])
    return float(values[order[int(np.searchsorted(cumulative, cumulative[-1] / 2))]])


def _worst_below_good(region: RegionAssessment) -> float | None:
    """The lowest of a region's ratings when it is below good."""
    values = region.reading.values
    lowest = min(values.values()) if values else _GOOD_FROM
    return lowest if lowest < _GOOD_FROM else None


def _faults_of(region: RegionAssessment) -> str:
    """The worst of a region's dimensions in words, all those of the worst degree."""
    values = region.reading.values or {}
    found = {d: _degree(values[d]) for d in _FAULTS if values[d] < _GOOD_FROM}
    if not found:
        level = level_of((values["overall"] - 0.5) * 20)
        return f"rated {level} overall, with no single fault named"
    worst = max(found.values())
    words = [_FAULTS[d] for d, degree in found.items() if degree == worst]
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return f"{_DEGREES[worst][1]} {listed}"


def _degree(value: float) -> int:
    """Index into `_DEGREES`: 0 for a fair rating, 1 for poor, 2 for bad."""
    return next(i for i, (lowest, _) in enumerate(_DEGREES) if value >= lowest)


def _name(region: RegionAssessment) -> str:
    """A region by its description, with "the" for "a", where "is" is sure to agree with it."""
    words = _words(region)
    article = words[0].lower() if words else ""
    short = 1 < len(words) <= _MOST_WORDS
    if short and article in {"a", "an"}:
        return f"the {' '.join(words[1:])}"
    if short and article == "the" and not any(word.endswith("s") for word in words):
        return f"the {' '.join(words[1:])}"
    return _numbered(region)


def _numbered(region: RegionAssessment) -> str:
    """A region by its number, with its description quoted: grammatical whatever that says."""
    words = _words(region)
    if not words:
        return f"region {region.id}"
    ellipsis = "…" if len(words) > _MOST_WORDS else ""
    return f"region {region.id} (“{' '.join(words[:_MOST_WORDS])}{ellipsis}”)"


def _words(region: RegionAssessment) -> list[str]:
    return (region.reading.description or "").strip(" .\n\t").split()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number > 1 else ''}"
