"""What readers are expected to reach, and whether they do."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rsfiqa.learning.reading_raters import LINEAR, READER


@dataclass(frozen=True)
class Goal:
    """One figure and the value it should reach.

    Attributes:
        title: what is measured.
        part: of the figures.
        path: where the figure is, below the rater's row where the part has rows.
        wanted: the value.
        at_most: lower is better, and `wanted` must not be reached; else at least `wanted`.
        unit: of the value.
    """

    title: str
    part: str
    path: tuple[str, ...]
    wanted: float
    at_most: bool = False
    unit: str = ""

    def value(self, figures: Mapping[str, Any], rater: str) -> float | None:
        """The figure of a rater; None where it was not measured."""
        found: Any = figures.get(self.part)
        keys = self.path
        if found is not None and "rows" in found:
            keys = ("rows", rater, *keys)
        elif rater != READER:
            return None
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return None if found is None else float(found)

    def is_met(self, value: float) -> bool:
        """Whether a value is good enough."""
        return bool((operator.lt if self.at_most else operator.ge)(value, self.wanted))


GOALS: tuple[Goal, ...] = (
    Goal("the fault's dimension is rated worst", "spoiled", ("naming",), 0.93),
    Goal("SRCC of overall with strength", "spoiled", ("overall_srcc",), 0.85),
    Goal("AUC, clean against spoiled", "spoiled", ("auc",), 0.95),
    *(
        Goal(f"AUC of {dimension}", "spoiled", ("dimension_auc", dimension), wanted)
        for dimension, wanted in (
            ("color", 0.88),
            ("noise", 0.95),
            ("artifact", 0.95),
            ("blur", 0.95),
        )
    ),
    Goal("leak to untouched regions", "leak", ("mean",), 0.15, at_most=True, unit="levels"),
    Goal("people: AUC of blur", "people", ("blur", "auc"), 0.85),
    Goal("people: AUC of exposure", "people", ("exposure", "auc"), 0.85),
    Goal("people: AUC of noise and artifact", "people", ("noise and artifact", "auc"), 0.75),
    Goal("ratings", "timing", ("seconds", "ratings"), 1.2, at_most=True, unit="s"),
    Goal(
        "ratings and descriptions",
        "timing",
        ("seconds", "descriptions"),
        3.5,
        at_most=True,
        unit="s",
    ),
    Goal("peak memory of assessing", "timing", ("peak_mb",), 2500, at_most=True, unit="MB"),
)


def judge(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The goals of all parts that were measured.

    Args:
        figures: those of `rsfiqa.learning.reading_bench.bench_reading`, and `timing`.

    Returns:
        one a goal: `goal`, `wanted`, `at_most`, `unit`, the value of the `reader` and of the
        `linear` head (None where there is none), and `met`, by the reader (None where it could not
        be measured).

    Example:
        >>> rows = judge({"timing": {"seconds": {"ratings": 0.9}, "peak_mb": None}})
        >>> [(row["goal"], row["met"]) for row in rows][:2]
        [('ratings', True), ('ratings and descriptions', None)]
    """
    rows = []
    for goal in GOALS:
        if goal.part not in figures:
            continue
        value = goal.value(figures, READER)
        rows.append(
            {
                "goal": goal.title,
                "wanted": goal.wanted,
                "at_most": goal.at_most,
                "unit": goal.unit,
                READER: value,
                LINEAR: goal.value(figures, LINEAR),
                "met": None if value is None else goal.is_met(value),
            }
        )
    return rows
