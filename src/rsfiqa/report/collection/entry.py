"""One picture of a collection: what the overview tells of it, taken from its line of results."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rsfiqa.errors import DataError
from rsfiqa.sentences.faults import Fault, faults_of
from rsfiqa.sentences.phrases import phrase_of
from rsfiqa.types import DIMENSIONS, Dimension, Level, ModelInfo, Reading, level_of

SEEN_FROM = 0.01
"""Problems in less of the picture than this fraction are left out: nobody would look for them."""

_MOST_CONTENTS = 3
_MOST_WORDS = 12


@dataclass(frozen=True)
class Problem:
    """A dimension in which part of a picture surely falls short of good.

    Attributes:
        dimension: which.
        degree: 1 when the worst part of it is fair, 2 poor, 3 bad.
        area: fraction of the picture, 0..1.
        contents: what the regions show, in a word each, largest first; at most three.
    """

    dimension: Dimension
    degree: int
    area: float
    contents: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """What the overview tells of a picture that was assessed or read.

    Attributes:
        name: the picture's, as given to the command.
        width, height: in pixels.
        score: 0..100; None where it was read without a score.
        interval: of the score; None where it is not known.
        familiar: whether it is like the training pictures; None where that is not known.
        ratings: 1..5 by dimension; None where no region was read.
        problems: those that the reader is sure of, worst first.
        contents: what its regions show, in a word each, largest first.
        regions, unread: how many regions, and how many of them could not be read.
        summary: the sentences about it; empty without a score.
        sha256: hash of the file that was assessed.
        model: what made the numbers.
    """

    name: str
    width: int
    height: int
    score: float | None
    interval: tuple[float, float] | None
    familiar: bool | None
    ratings: Mapping[str, float] | None
    problems: tuple[Problem, ...]
    contents: tuple[str, ...]
    regions: int
    unread: int
    summary: str
    sha256: str | None
    model: ModelInfo

    @property
    def level(self) -> Level | None:
        return None if self.score is None else level_of(self.score)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Entry:
        """What a line of results tells.

        Raises:
            DataError: the line is damaged.
        """
        try:
            regions = [(float(r["area"]), Reading.from_dict(r)) for r in record["regions"]]
            regions.sort(key=lambda region: -region[0])
            model = record["model"]
            return cls(
                name=record["image"],
                width=int(record["width"]),
                height=int(record["height"]),
                score=_between(record.get("score"), 0, 100),
                interval=_interval(record.get("interval")),
                familiar=record.get("familiar"),
                ratings=_ratings(record, regions),
                problems=_problems(regions),
                contents=_contents(regions)[:_MOST_WORDS],
                regions=len(regions),
                unread=sum(reading.status == "failed" for _, reading in regions),
                summary=str(record.get("summary") or ""),
                sha256=record.get("sha256"),
                model=ModelInfo(
                    segmenter=str(model["segmenter"]),
                    reader=str(model["reader"]),
                    scorer=str(model.get("scorer", "none")),
                    version=str(model["version"]),
                ),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(
                f"its line of results is damaged ({type(error).__name__}: {error}); assess it again."
            ) from error


@lru_cache(maxsize=8192)
def content_of(description: str | None) -> str | None:
    """What a region shows, in one word, for counting; None where that is not clear.

    Example:
        >>> content_of("a brown dog on the left"), content_of(None)
        ('dog', None)
    """
    phrase = phrase_of(description)
    return None if phrase is None else phrase.noun


def _between(value: object, low: float, high: float) -> float | None:
    if value is None:
        return None
    number = float(value)  # type: ignore[arg-type]
    if not (math.isfinite(number) and low <= number <= high):
        raise ValueError(f"{value} is not within {low} to {high}")
    return number


def _interval(value: Sequence[float] | None) -> tuple[float, float] | None:
    if value is None:
        return None
    low, high = (_between(end, -1, 101) for end in value)
    return None if low is None or high is None else (low, high)


def _ratings(
    record: Mapping[str, Any], regions: Sequence[tuple[float, Reading]]
) -> dict[str, float] | None:
    """The picture's ratings: its own, or without a scorer's weights the mean of its regions."""
    told = record.get("ratings")
    if told is not None:
        return {d: _between(told[d], 1, 5) or 1.0 for d in DIMENSIONS}
    read = [(area, reading.values) for area, reading in regions]
    rated = [(area, values) for area, values in read if values is not None]
    total = sum(area for area, _ in rated)
    if total <= 0:
        return None
    return {d: sum(area * values[d] for area, values in rated) / total for d in DIMENSIONS}


def _problems(regions: Sequence[tuple[float, Reading]]) -> tuple[Problem, ...]:
    found: dict[Dimension, list[tuple[float, Fault, Reading]]] = {}
    for area, reading, fault in _sure_faults(regions):
        found.setdefault(fault.dimension, []).append((area, fault, reading))
    problems = []
    for dimension, parts in found.items():
        area = sum(area for area, _, _ in parts)
        if area >= SEEN_FROM:
            contents = _contents([(area, reading) for area, _, reading in parts])
            problems.append(
                Problem(
                    dimension,
                    degree=max(fault.degree for _, fault, _ in parts),
                    area=min(1.0, area),
                    contents=contents[:_MOST_CONTENTS],
                )
            )
    return tuple(sorted(problems, key=lambda p: (-p.degree * p.area, p.dimension)))


def _sure_faults(
    regions: Sequence[tuple[float, Reading]],
) -> Iterator[tuple[float, Reading, Fault]]:
    for area, reading in regions:
        if reading.status == "ok":
            for fault in faults_of(reading.ratings):
                if fault.sure:
                    yield area, reading, fault


def _contents(regions: Sequence[tuple[float, Reading]]) -> tuple[str, ...]:
    named = (content_of(reading.description) for _, reading in regions)
    return tuple(dict.fromkeys(name for name in named if name is not None))
