"""From a data set to predictions: every picture scored, and told by which group it counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from rsfiqa.bulk import BatchAssessor, Outcome, assess_many
from rsfiqa.errors import ConfigError
from rsfiqa.learning.datasets import ScoredImage
from rsfiqa.learning.evaluation import Prediction
from rsfiqa.learning.evaluation_sets import EvaluationSet
from rsfiqa.types import Assessment


@dataclass(frozen=True)
class Grouping:
    """By which group a picture counts: what a pattern finds in its name, or as the data set has it.

    Args:
        pattern: a regular expression, with one group at most; empty for the data set's own groups.

    Raises:
        ConfigError: it is none, or has more groups.

    Example:
        >>> from pathlib import Path
        >>> row = ScoredImage(Path("I01_05_3.png"), "I01_05_3.png", 3.0, 50.0, group="I01")
        >>> Grouping(r"_(\\d+)_").of(row), Grouping().of(row), Grouping("jpg").of(row)
        ('05', 'I01', '')
    """

    pattern: str = ""

    def __post_init__(self) -> None:
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            raise ConfigError(
                f"{self.pattern!r} is no regular expression: {error}; give one such as '_(\\d+)_'."
            ) from error
        if groups > 1:
            raise ConfigError(f"{self.pattern!r} has {groups} groups; mark one at most.")

    def of(self, row: ScoredImage) -> str:
        """The group of a picture; empty where the pattern finds nothing."""
        if not self.pattern:
            return row.group
        found = re.search(self.pattern, row.image)
        return (found[found.re.groups] or "") if found else ""


@dataclass(frozen=True)
class Scored:
    """What became of a data set's pictures.

    Attributes:
        predictions: one for each, in their order.
        unread: how many have regions that could not be read.
    """

    predictions: tuple[Prediction, ...]
    unread: int


def score_set(
    assessor: BatchAssessor,
    dataset: EvaluationSet,
    *,
    grouping: Grouping | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> Scored:
    """Score the pictures of a data set.

    Args:
        assessor: such as `rsfiqa.RSFIQA`.
        dataset: its pictures; one that cannot be scored has its error in the place of a score.
        grouping: by which group they count; by default as the data set has it.
        told: called with how many more are done.
    """
    grouping = grouping or Grouping()
    predictions = []
    unread = 0
    rows = iter(dataset.data.rows)
    for outcomes in assess_many(assessor, [str(row.path) for row in dataset.data.rows]):
        for outcome in outcomes:
            row = next(rows)
            unread += _has_failed_readings(outcome.result)
            leak = dataset.known.get(row.image, "")
            predictions.append(_prediction(row, grouping.of(row), outcome, leak))
        told(len(outcomes))
    return Scored(tuple(predictions), unread)


def _prediction(
    row: ScoredImage, group: str, outcome: Outcome[Assessment], leak: str
) -> Prediction:
    found = outcome.result
    if found is None:
        return Prediction(row.image, None, row.score, group, outcome.error, leak)
    low, high = found.interval or (None, None)
    return Prediction(
        row.image,
        found.score,
        row.score,
        group,
        leak=leak,
        uncertainty=found.uncertainty,
        low=low,
        high=high,
    )


def _has_failed_readings(assessment: Assessment | None) -> bool:
    return assessment is not None and any(
        region.reading.status == "failed" for region in assessment.regions
    )
