"""From predictions to an evaluation: agreement with human scores, overall and for every group."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rsfiqa.errors import DataError
from rsfiqa.learning.evaluation_files import describe_environment, write_evaluation
from rsfiqa.learning.metrics import Correlations, bootstrap_interval, correlations

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "LEVEL",
    "RESAMPLES",
    "Evaluation",
    "Prediction",
    "describe_environment",
    "evaluate_predictions",
    "evaluation_table",
    "write_evaluation",
]

RESAMPLES = 1000
LEVEL = 0.95
_NO_GROUP = "(no group)"
_NAMED = 3


@dataclass(frozen=True)
class Prediction:
    """What a model said of one picture, beside what people said.

    Attributes:
        image: the picture's name in the data set.
        score: predicted, on 0..100; None where the picture failed.
        target: human score, on 0..100.
        group: such as the name of a subset; empty for none.
        error: why there is no score; None where there is one.

    Raises:
        DataError: there is both a score and an error or neither, or a number is not finite.
    """

    image: str
    score: float | None
    target: float
    group: str = ""
    error: str | None = None

    def __post_init__(self) -> None:
        if (self.score is None) == (self.error is None):
            raise DataError(
                f"The prediction for {self.image} has score {self.score} and error "
                f"{self.error!r}; give either a score or the reason why there is none."
            )
        if not math.isfinite(self.target) or (
            self.score is not None and not math.isfinite(self.score)
        ):
            raise DataError(
                f"The prediction for {self.image} has score {self.score} and target {self.target}; "
                "both must be finite, and a picture without a score needs an error instead."
            )

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Evaluation:
    """How well a model agrees with people on a data set.

    Attributes:
        predictions: all of them, failed ones too, in the order given.
        overall: agreement over the pictures that have a score.
        groups: the same for every group, sorted by name; empty where no picture has a group.
        srcc_interval, plcc_interval: 95 % bootstrap intervals over pictures of the overall SRCC
            and raw PLCC; None where the statistic does not exist.
    """

    predictions: tuple[Prediction, ...]
    overall: Correlations
    groups: dict[str, Correlations]
    srcc_interval: tuple[float, float] | None
    plcc_interval: tuple[float, float] | None

    @property
    def scored(self) -> tuple[Prediction, ...]:
        """The pictures that have a score."""
        return tuple(row for row in self.predictions if row.score is not None)

    @property
    def failures(self) -> tuple[Prediction, ...]:
        """The pictures that have none, with their errors: in no statistic."""
        return tuple(row for row in self.predictions if row.score is None)

    @staticmethod
    def group_of(row: Prediction) -> str:
        """The name in `groups` under which a picture is counted."""
        return row.group or _NO_GROUP

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single scores, ready for JSON; every statistic named for what it is."""
        failed = Counter(self.group_of(row) for row in self.failures)
        return {
            "pictures": len(self.predictions),
            "scored": len(self.scored),
            "failed": len(self.failures),
            "overall": {
                **self.overall.to_dict(),
                "srcc_interval": self.srcc_interval,
                "plcc_interval": self.plcc_interval,
            },
            "groups": {
                name: {**found.to_dict(), "failed": failed[name]}
                for name, found in self.groups.items()
            },
            "failures": [{"image": row.image, "error": row.error} for row in self.failures],
            "meaning": {
                "srcc": "Spearman's rank correlation",
                "plcc": "Pearson's correlation of the raw scores",
                "plcc_logistic": "Pearson's correlation after a 4-parameter logistic fit",
                "krcc": "Kendall's tau-b",
                "rmse": "root mean square error of the raw scores, in points of 0..100",
                "rmse_logistic": "the same after the logistic fit",
                "n": "pictures with a score; failed ones are in no statistic",
                "interval": f"{LEVEL:.0%} percentile bootstrap, {RESAMPLES} resamples of pictures",
            },
        }


def evaluate_predictions(rows: Iterable[Prediction], *, seed: int = 0) -> Evaluation:
    """Measure predictions against human scores.

    Pictures that failed are counted and listed, never filled in and never silently dropped.

    Args:
        rows: one prediction for each picture.
        seed: of the bootstrap.

    Raises:
        DataError: there are no rows, or two for one picture.

    Example:
        >>> rows = [Prediction(f"{i}.jpg", score=i, target=i) for i in range(9)]
        >>> found = evaluate_predictions([*rows, Prediction("x.jpg", None, 50.0, error="truncated")])
        >>> round(found.overall.srcc, 6), found.overall.n, len(found.failures)
        (1.0, 9, 1)
    """
    predictions = tuple(rows)
    if not predictions:
        raise DataError("There are no predictions to evaluate; give one for each picture.")
    repeated = [image for image, n in Counter(row.image for row in predictions).items() if n > 1]
    if repeated:
        raise DataError(
            f"{len(repeated)} pictures have more than one prediction ("
            f"{', '.join(repeated[:_NAMED])}{', ...' if len(repeated) > _NAMED else ''}); "
            "give one for each."
        )
    members: dict[str, list[Prediction]] = {}
    if any(row.group for row in predictions):
        for row in predictions:
            members.setdefault(Evaluation.group_of(row), []).append(row)
    scores, targets = _pairs(predictions)
    return Evaluation(
        predictions=predictions,
        overall=correlations(scores, targets),
        groups={name: correlations(*_pairs(members[name])) for name in sorted(members)},
        srcc_interval=bootstrap_interval(scores, targets, "srcc", RESAMPLES, seed, LEVEL),
        plcc_interval=bootstrap_interval(scores, targets, "plcc", RESAMPLES, seed, LEVEL),
    )


def evaluation_table(evaluation: Evaluation, title: str) -> Table:
    """A table for the terminal: a row overall and one for each group."""
    from rich.table import Table
    from rich.text import Text

    failed = Counter(evaluation.group_of(row) for row in evaluation.failures)
    table = Table(title=Text(title), caption=Text(_caption(evaluation)), caption_justify="left")
    table.add_column("")
    table.add_column("n", justify="right")
    if failed:
        table.add_column("failed", justify="right")
    for heading in (
        "SRCC",
        "PLCC\nraw",
        "PLCC\nafter\nlogistic",
        "KRCC",
        "RMSE\nraw",
        "RMSE\nafter\nlogistic",
    ):
        table.add_column(heading, justify="right")

    def add(name: str, found: Correlations, lost: int, last: bool = False) -> None:
        cells = [
            *(f"{found.n}", *([f"{lost}"] if failed else [])),
            *(_number(v, 3) for v in (found.srcc, found.plcc, found.plcc_logistic, found.krcc)),
            *(_number(v, 2) for v in (found.rmse, found.rmse_logistic)),
        ]
        table.add_row(Text(name), *cells, end_section=last)

    add("overall", evaluation.overall, len(evaluation.failures), last=True)
    for name, found in evaluation.groups.items():
        add(name, found, failed[name])
    return table


def _caption(evaluation: Evaluation) -> str:
    lines = [
        f"{name} {LEVEL:.0%} interval {interval[0]:.3f} to {interval[1]:.3f}"
        for name, interval in (
            ("SRCC", evaluation.srcc_interval),
            ("PLCC (raw)", evaluation.plcc_interval),
        )
        if interval is not None
    ]
    named = {"overall": evaluation.overall, **evaluation.groups}
    lines += [f"{name}: {found.note}" for name, found in named.items() if found.note]
    if evaluation.failures:
        first = evaluation.failures[0]
        lines.append(
            f"{len(evaluation.failures)} of {len(evaluation.predictions)} pictures failed and are "
            f"in no figure; the first is {first.image}: {first.error}"
        )
    return "\n".join(lines)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _pairs(rows: Iterable[Prediction]) -> tuple[list[float], list[float]]:
    scored = [(row.score, row.target) for row in rows if row.score is not None]
    return [score for score, _ in scored], [target for _, target in scored]
