"""A collection in numbers: counted picture by picture, in memory that does not grow with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from rsfiqa.report.collection.entry import Entry
from rsfiqa.sentences.faults import level_of_rating
from rsfiqa.types import DIMENSIONS, LEVELS, Dimension, Level, ModelInfo

_STEPS = 1000
"""Scores are counted in tenths of a point, so that quantiles are exact to that."""

_MOST_CONTENTS = 20_000
"""So many different words are counted for a dimension; a free reader could write any number."""


@dataclass
class ProblemCount:
    """How often a dimension is a problem.

    Attributes:
        degrees: pictures in which it is fair, poor and bad at worst.
        contents: in how many pictures each content has it.
    """

    degrees: list[int] = field(default_factory=lambda: [0, 0, 0])
    contents: Counter[str] = field(default_factory=Counter)

    @property
    def pictures(self) -> int:
        return sum(self.degrees)


class Statistics:
    """Counts of a collection.

    Attributes:
        pictures, scored, read: how many pictures have an entry, a score, ratings.
        regions, unread: how many regions, and how many of them could not be read.
        unfamiliar: how many pictures are unlike the training pictures.
        rates_familiarity: whether that is known of any.
        with_problems: in how many pictures that were read there is any problem.
        levels: pictures by the level of their score.
        ratings: by dimension, pictures by the level of their rating.
        problems: by dimension.
        models: what made the numbers, in order of appearance.
    """

    def __init__(self) -> None:
        self.pictures = self.scored = self.read = 0
        self.regions = self.unread = 0
        self.unfamiliar = self.with_problems = 0
        self.rates_familiarity = False
        self.levels: Counter[Level] = Counter()
        self.ratings: Mapping[Dimension, Counter[Level]] = {d: Counter() for d in DIMENSIONS}
        self.problems: Mapping[Dimension, ProblemCount] = {d: ProblemCount() for d in DIMENSIONS}
        self.models: dict[ModelInfo, None] = {}
        self._rating_sums = dict.fromkeys(DIMENSIONS, 0.0)
        self._score_sum = 0.0
        self._scores = [0] * (_STEPS + 1)

    def add(self, entry: Entry) -> None:
        """Count one picture."""
        self.pictures += 1
        self.regions += entry.regions
        self.unread += entry.unread
        self.unfamiliar += entry.familiar is False
        self.rates_familiarity |= entry.familiar is not None
        self.models[entry.model] = None
        if entry.score is not None and entry.level is not None:
            self.scored += 1
            self.levels[entry.level] += 1
            self._score_sum += entry.score
            # Rounded down: 79.97 belongs to the level below 80.
            self._scores[min(_STEPS, int(entry.score * _STEPS / 100 + 1e-9))] += 1
        if entry.ratings is not None:
            self.read += 1
            self.with_problems += bool(entry.problems)
            for dimension in DIMENSIONS:
                value = entry.ratings[dimension]
                self.ratings[dimension][level_of_rating(value)] += 1
                self._rating_sums[dimension] += value
        for problem in entry.problems:
            count = self.problems[problem.dimension]
            count.degrees[problem.degree - 1] += 1
            for content in problem.contents:
                if content in count.contents or len(count.contents) < _MOST_CONTENTS:
                    count.contents[content] += 1

    @property
    def mean_score(self) -> float:
        """The mean of the scores; there is at least one."""
        return self._score_sum / self.scored

    def mean_rating(self, dimension: Dimension) -> float:
        """The mean rating, 1..5, of the pictures that were read; there is at least one."""
        return self._rating_sums[dimension] / self.read

    def quantile(self, share: float) -> float:
        """The score that this share of the pictures does not exceed, to a tenth of a point.

        Example:
            >>> Statistics().quantile(0.5)
            0.0
        """
        wanted, seen = share * self.scored, 0
        for step, count in enumerate(self._scores):
            seen += count
            if seen >= wanted:
                return step * 100 / _STEPS
        return 100.0

    def histogram(self, bins: int) -> list[int]:
        """Pictures by score, in so many equal bins of 0..100; 100 itself is in the last.

        Args:
            bins: a divisor of 1000.
        """
        width = _STEPS // bins
        counts = [sum(self._scores[i * width : (i + 1) * width]) for i in range(bins)]
        counts[-1] += self._scores[_STEPS]
        return counts

    def problems_by_frequency(self) -> list[tuple[Dimension, ProblemCount]]:
        """The dimensions that are a problem in any picture, the most common first."""
        found = [(d, count) for d, count in self.problems.items() if count.pictures]
        return sorted(found, key=lambda item: -item[1].pictures)


def levels_of(counts: Counter[Level]) -> list[tuple[Level, int]]:
    """Counts by level, worst level first.

    Example:
        >>> levels_of(Counter({"good": 2}))
        [('bad', 0), ('poor', 0), ('fair', 0), ('good', 2), ('excellent', 0)]
    """
    return [(level, counts[level]) for level in reversed(LEVELS)]
