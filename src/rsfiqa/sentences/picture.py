"""What the readings say of a picture: what is wrong with most of it, and with which things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rsfiqa.sentences.faults import (
    Fault,
    fault_of,
    faults_of,
    faults_text,
    is_surely_clean,
    is_surely_good,
    mean_rating,
)
from rsfiqa.sentences.numbers import capitalized, count_text, listed
from rsfiqa.sentences.scores import SMALL_AREA, scores_text, weakest_text
from rsfiqa.sentences.things import Thing, find_things, names_of
from rsfiqa.types import DIMENSIONS, LEVELS

if TYPE_CHECKING:
    from rsfiqa.types import Assessment, RegionAssessment

WHOLE = 0.9
"""A fault of this much of the picture is told of the whole picture..."""

MOST = 0.6
"""... and one of this much, in `_MANY_REGIONS` or more, of most of it."""

_MANY_REGIONS = 3
_MOST_CLAUSES = 2
_MOST_NAMES = 3
_FEW_FAULTS = 2
"""After more than these nobody would add that all else is clean."""


@dataclass(frozen=True)
class _Spread:
    """A fault that much of the picture shares, by the mean rating of the regions that have it."""

    fault: Fault
    whole: bool


def readings_text(assessment: Assessment) -> str:
    """What matters most of what was read: faults of the picture as a whole, then of its things.

    Args:
        assessment: of a picture of which at least one region was read.

    Returns:
        one or two sentences, without the last full stop.
    """
    read = [r for r in assessment.regions if r.reading.status == "ok"]
    faults = {r.id: faults_of(r.reading.ratings) for r in read}
    unread = len(assessment.regions) - len(read)
    if any(faults.values()):
        text = _faulty_text(assessment, read, faults)
    else:
        text = _clean_text(assessment, read)
    if unread:
        text += f". {count_text(unread, 'region')} {'were' if unread > 1 else 'was'} not read"
    return text


def _clean_text(assessment: Assessment, read: Sequence[RegionAssessment]) -> str:
    """No fault was found: then the scores may still say something."""
    weakest = weakest_text(assessment)
    if assessment.level in LEVELS[2:]:
        return f"The readings name no fault. {scores_text(assessment)}"
    if not all(is_surely_clean(r.reading) for r in read):
        text = "No region shows a clear fault"
    elif len(read) < len(assessment.regions):
        text = "The regions that were read are clean"
    else:
        text = "Every region reads as clean"
    return text if weakest is None else f"{text}. {weakest}"


def _faulty_text(
    assessment: Assessment,
    read: Sequence[RegionAssessment],
    faults: Mapping[int, Sequence[Fault]],
) -> str:
    spread = _find_spread(read, faults)
    said = {s.fault.dimension: s.fault.degree for s in spread}
    left = {
        k: [fault for fault in found if fault.degree > said.get(fault.dimension, 0)]
        for k, found in faults.items()
    }
    things = find_things(assessment, {k: found for k, found in left.items() if found})
    clauses, named = _clauses(assessment, things)
    parts = [_spread_text(spread)] if spread else []
    if clauses:
        parts.append(listed(clauses, comma=True))
    others = [thing for thing in things if thing not in named]
    rest = _rest(assessment, read, faults, spread, others)
    if rest:
        parts.append(", ".join(rest))
    return capitalized("; ".join(parts))


def _find_spread(
    read: Sequence[RegionAssessment], faults: Mapping[int, Sequence[Fault]]
) -> list[_Spread]:
    spread = []
    for d in DIMENSIONS:
        having = [r for r in read if any(fault.dimension == d for fault in faults[r.id])]
        areas = [r.area for r in having]
        whole = sum(areas) >= WHOLE
        if whole or (sum(areas) >= MOST and len(having) >= _MANY_REGIONS):
            fault = fault_of(d, mean_rating([r.reading.ratings[d] for r in having], areas))
            if fault is not None:
                spread.append(_Spread(fault, whole))
    return sorted(spread, key=lambda s: (not s.whole, not s.fault.sure, -s.fault.degree))


def _spread_text(spread: Sequence[_Spread]) -> str:
    whole = [s.fault for s in spread if s.whole]
    most = [s.fault for s in spread if not s.whole]
    if not whole:
        return f"most of the picture is {faults_text(most)}"
    text = f"the whole picture is {faults_text(whole)}"
    return f"{text}, and most of it {faults_text(most)}" if most else text


def _clauses(assessment: Assessment, things: Sequence[Thing]) -> tuple[list[str], list[Thing]]:
    """Clauses about the things that matter most, and the things that they name."""
    groups: dict[tuple[object, ...], list[Thing]] = {}
    for thing in things:
        if thing.area >= SMALL_AREA:
            worst = thing.faults[0]
            groups.setdefault((worst.dimension, worst.degree, worst.sure), []).append(thing)
    ranked = sorted(groups.values(), key=lambda g: -sum(thing.importance for thing in g))
    chosen = [group[:_MOST_NAMES] for group in ranked[:_MOST_CLAUSES]]
    named = [thing for group in chosen for thing in group]
    names = iter(names_of(assessment, named))
    return [_clause(group, [next(names) for _ in group]) for group in chosen], named


def _clause(group: Sequence[Thing], names: Sequence[str]) -> str:
    first, *others = group
    common = [
        fault
        for fault in first.faults
        if all(_kind(fault) in map(_kind, other.faults) for other in others)
    ]
    verb = "are" if others or first.is_plural else "is"
    return f"{listed(names)} {verb} {faults_text(common)}"


def _kind(fault: Fault) -> tuple[object, ...]:
    return fault.dimension, fault.degree, fault.sure


def _rest(
    assessment: Assessment,
    read: Sequence[RegionAssessment],
    faults: Mapping[int, Sequence[Fault]],
    spread: Sequence[_Spread],
    others: Sequence[Thing],
) -> list[str]:
    """What the last part says: how many more fall short, and whether what is left is clean."""
    clean = [r for r in read if not faults[r.id]]
    all_read = len(read) == len(assessment.regions)
    parts = []
    if others:
        parts.append(_others_text(others, also=bool(spread)))
    if spread and spread[0].whole:
        if not others and all_read and _is_otherwise_clean(read, faults, spread):
            parts.append("otherwise it is clean")
    elif clean:
        rest = "the rest" if all_read else "the rest of what was read"
        seems = "is" if all(is_surely_clean(r.reading) for r in clean) else "seems"
        parts.append(f"{rest} {seems} clean")
    return parts


def _others_text(others: Sequence[Thing], *, also: bool) -> str:
    """How many more regions fall short, or further short than what was told of the picture."""
    count = sum(len(thing.regions) for thing in others)
    small = all(thing.area < SMALL_AREA for thing in others)
    who = count_text(count, "small spot" if small else "more region")
    if not any(fault.sure for thing in others for fault in thing.faults):
        verb = "may be" if also else "may fall"
    elif also:
        verb = "are" if count > 1 else "is"
    else:
        verb = "fall" if count > 1 else "falls"
    return f"{who} {verb} {'worse off too' if also else 'below good'}"


def _is_otherwise_clean(
    read: Sequence[RegionAssessment],
    faults: Mapping[int, Sequence[Fault]],
    spread: Sequence[_Spread],
) -> bool:
    """Whether nothing but the faults that were told of the whole picture falls short anywhere."""
    told = {s.fault.dimension for s in spread}
    if "overall" in told or len(told) > _FEW_FAULTS:
        return False
    others = [d for d in DIMENSIONS if d not in told | {"overall"}]
    known = all(fault.dimension in told for r in read for fault in faults[r.id])
    return known and all(is_surely_good(r.reading.ratings[d]) for r in read for d in others)
